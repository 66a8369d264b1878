//! Custom resources from the making of their definition to its end.

use serde_json::{Value, json};
use steersman_apimachinery::Tree;
use tokio_util::sync::CancellationToken;

use super::Harness;
use super::watching::Events;
use crate::wire::body;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CRONTAB: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crontabs.example.com";
const CRONTABS: &str = "/apis/example.com/v1/namespaces/default/crontabs";
const MERGE: &str = "application/merge-patch+json";

/// A server that serves custom resources.
async fn serving() -> Harness {
    let h = Harness::new().await;
    let server = h.server.clone();
    // Ends with the test's runtime.
    tokio::spawn(async move { server.run_custom_resources(CancellationToken::new()).await });
    h.server.custom_resources_synced().await;
    h
}

fn version(name: &str, storage: bool) -> Value {
    json!({
        "name": name, "served": true, "storage": storage,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "cron": {"type": "string", "description": "When."},
                "size": {"type": "integer", "minimum": 0, "default": 1},
                "ports": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                    "items": {"type": "object", "required": ["port"], "properties": {
                        "port": {"type": "integer"}, "name": {"type": "string"}}},
                },
            }},
            "status": {"type": "object", "properties": {
                "ready": {"type": "integer"}, "selector": {"type": "string"}}},
        }}},
        "subresources": {"status": {}, "scale": {
            "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.ready",
            "labelSelectorPath": ".status.selector"}},
        "additionalPrinterColumns": [
            {"name": "Cron", "type": "string", "jsonPath": ".spec.cron"},
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1}],
        "selectableFields": [{"jsonPath": ".spec.cron"}],
    })
}

fn definition() -> Tree {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [version("v1", true)],
        },
    })
}

fn crontab(name: &str, cron: &str) -> Tree {
    json!({
        "apiVersion": "example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": {"cron": cron},
    })
}

/// Waits until the definition's condition of that type has that reason.
async fn reached(h: &Harness, name: &str, kind: &str, reason: &str) -> Value {
    let uri = format!("{DEFINITIONS}?watch=true&fieldSelector=metadata.name%3D{name}");
    let mut events = Events::of(h, &uri, "application/json").await;
    loop {
        let event = events.next().await.expect("goes on");
        let conditions = event["object"]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions.iter().any(|c| c["type"] == kind && c["reason"] == reason) {
            return event["object"].clone();
        }
    }
}

async fn established(h: &Harness, definition: &Tree) -> Value {
    h.post(DEFINITIONS, definition).await.ok();
    let name = definition["metadata"]["name"].as_str().expect("a name");
    reached(h, name, "Established", "InitialNamesAccepted").await
}

#[tokio::test]
async fn what_is_established_can_be_used_at_once() {
    let h = serving().await;
    assert_eq!(h.get(CRONTABS).await.code, 404);
    let made = established(&h, &definition()).await;
    let names = json!({"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList",
        "shortNames": ["ct"], "categories": ["all"]});
    assert_eq!(made["status"]["acceptedNames"], names);
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));

    let object = h.post(CRONTABS, &crontab("a", "* *")).await.ok();
    assert_eq!((&object["spec"]["size"], &object["metadata"]["generation"]), (&json!(1), &json!(1)));
    let list = h.get(CRONTABS).await.ok();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("CronTabList"), &json!("example.com/v1")));
    assert_eq!(list["items"][0]["spec"]["cron"], "* *");
    let selected = h.get(&format!("{CRONTABS}?fieldSelector=spec.cron%3Dnever")).await.ok();
    assert_eq!(selected["items"], json!([]));

    let discovered = h.get("/apis/example.com/v1").await.ok();
    let found: Vec<&str> =
        discovered["resources"].as_array().expect("rows").iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(found, ["crontabs", "crontabs/scale", "crontabs/status"]);
    assert_eq!(discovered["resources"][0]["shortNames"], json!(["ct"]));
    assert_eq!(h.get("/apis/example.com").await.ok()["preferredVersion"]["version"], "v1");
    let openapi = h.get("/openapi/v3/apis/example.com/v1").await.ok();
    let schema = &openapi["components"]["schemas"]["com.example.v1.CronTab"];
    assert_eq!(schema["properties"]["spec"]["properties"]["cron"]["description"], "When.");
}

#[tokio::test]
async fn objects_follow_their_schema() {
    let h = serving().await;
    established(&h, &definition()).await;
    let mut object = crontab("a", "x");
    object["spec"]["odd"] = json!(1);
    object["status"] = json!({"ready": 9});
    let answer = h.post(CRONTABS, &object).await;
    let warning = answer.headers["warning"].to_str().expect("text").to_owned();
    assert_eq!(warning, r#"299 - "unknown field \"spec.odd\"""#);
    let made = answer.ok();
    assert_eq!(made["spec"], json!({"cron": "x", "size": 1}));
    assert!(made.get("status").is_none(), "status is a subresource");
    let strict = h.post(&format!("{CRONTABS}?fieldValidation=Strict"), &object).await.failure();
    assert_eq!(strict.0, 400);
    assert!(strict.2.ends_with(r#"strict decoding error: unknown field "spec.odd""#), "{}", strict.2);

    let mut wrong = crontab("b", "x");
    wrong["spec"]["size"] = json!(-1);
    let refused = h.post(CRONTABS, &wrong).await.failure();
    let why = "CronTab.example.com \"b\" is invalid: [spec.size: Invalid value: -1: spec.size in body should be greater \
               than or equal to 0, .spec.size: Invalid value: -1: should be a non-negative integer]";
    assert_eq!(refused, (422, "Invalid".to_owned(), why.to_owned()));

    let uri = format!("{CRONTABS}/a");
    let changed = h.patch(&uri, MERGE, &json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(changed["metadata"]["generation"], 1, "metadata is no change");
    let changed = h.patch(&uri, MERGE, &json!({"spec": {"size": 3}, "status": {"ready": 1}})).await.ok();
    assert_eq!((&changed["metadata"]["generation"], changed.get("status")), (&json!(2), None));
    let status = json!({"status": {"ready": 2, "selector": "x=y"}, "spec": {"size": 7}});
    let changed = h.patch(&format!("{uri}/status"), MERGE, &status).await.ok();
    assert_eq!((&changed["status"]["ready"], &changed["spec"]["size"]), (&json!(2), &json!(3)));
    assert_eq!(changed["metadata"]["generation"], 2);

    let scale = h.get(&format!("{uri}/scale")).await.ok();
    assert_eq!(scale["spec"]["replicas"], 3);
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "x=y"}));
    h.patch(&format!("{uri}/scale"), MERGE, &json!({"spec": {"replicas": 5}})).await.ok();
    assert_eq!(h.get(&uri).await.ok()["spec"]["size"], 5);
}

#[tokio::test]
async fn embedded_objects_are_objects() {
    let h = serving().await;
    let mut definition = definition();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    definition.pointer_mut(spec).expect("properties")["template"] = json!({"type": "object",
        "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
    established(&h, &definition).await;
    let mut object = crontab("a", "x");
    object["spec"]["template"] =
        json!({"apiVersion": "v1", "metadata": {"name": "a/b", "odd": 1}, "free": 1});
    let refused = h.post(CRONTABS, &object).await.failure();
    let why = "CronTab.example.com \"a\" is invalid: [spec.template.kind: Required value, \
               spec.template.metadata.name: Invalid value: \"a/b\": may not contain '/']";
    assert_eq!(refused, (422, "Invalid".to_owned(), why.to_owned()));
    object["spec"]["template"]["kind"] = json!("Pod");
    object["spec"]["template"]["metadata"]["name"] = json!("a");
    let made = h.post(CRONTABS, &object).await.ok();
    let want = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "free": 1});
    assert_eq!(made["spec"]["template"], want);
}

#[tokio::test]
async fn wrong_bodies_are_refused_in_upstreams_words() {
    let h = serving().await;
    established(&h, &definition()).await;
    h.post(CRONTABS, &crontab("a", "x")).await.ok();
    let strategic = "application/strategic-merge-patch+json";
    let answer = h.patch(&format!("{CRONTABS}/a"), strategic, &json!({})).await.failure();
    let want = "the body of the request was in an unknown format - accepted media types include: \
                application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    assert_eq!(answer, (415, "UnsupportedMediaType".to_owned(), want.to_owned()));
    let protobuf = Harness::request("GET", CRONTABS).header("accept", "application/vnd.kubernetes.protobuf");
    assert_eq!(h.answer(protobuf.body(body::empty()).expect("a request")).await.code, 406);
    let either = "application/vnd.kubernetes.protobuf, application/json";
    let either = Harness::request("GET", CRONTABS).header("accept", either);
    assert_eq!(h.answer(either.body(body::empty()).expect("a request")).await.ok()["kind"], "CronTabList");
    let mut other = crontab("b", "x");
    other["kind"] = json!("Job");
    assert_eq!(h.post(CRONTABS, &other).await.code, 422);
    let update = h.put(&format!("{CRONTABS}/a"), &crontab("a", "y")).await.failure();
    assert!(update.2.contains("metadata.resourceVersion: Invalid value: 0x0"), "{}", update.2);
    let subresource = h.get(&format!("{CRONTABS}/a/log")).await.failure();
    assert_eq!((subresource.0, subresource.2.as_str()), (404, "crontabs.example.com \"a\" not found"));
    let method = h.post(&format!("{CRONTABS}/a/status"), &crontab("a", "x")).await.failure();
    let why = "create is not supported on resources of kind \"crontabs.example.com\"";
    assert_eq!((method.0, method.2.as_str()), (405, why));
    for uri in ["/apis/example.com/v1/crontabs/a", "/apis/example.com/v1/others"] {
        assert_eq!(&h.get(uri).await.body[..], b"404 page not found\n", "{uri}");
    }
    let sent = h.with_body("POST", CRONTABS, "application/vnd.kubernetes.protobuf", b"k8s\0").await;
    assert_eq!(sent.code, 415);
    let field = h.get(&format!("{CRONTABS}?fieldSelector=spec.size%3D1")).await.failure();
    assert_eq!((field.0, field.2.as_str()), (400, "field label not supported: spec.size"));
}

#[tokio::test]
async fn objects_are_shown_as_tables_and_applied_by_field() {
    let h = serving().await;
    established(&h, &definition()).await;
    let mut config = crontab("a", "x");
    config["spec"]["ports"] = json!([{"port": 80, "name": "http"}]);
    let apply = async |manager: &str, config: &Tree| {
        let uri = format!("{CRONTABS}/a?fieldManager={manager}");
        h.with_body("PATCH", &uri, "application/apply-patch+yaml", config.to_string().as_bytes()).await
    };
    assert_eq!(apply("one", &config).await.code, 201);
    config["spec"]["ports"] = json!([{"port": 443}]);
    config["spec"].as_object_mut().expect("a map").remove("cron");
    let both = apply("two", &config).await.ok();
    assert_eq!(both["spec"]["ports"], json!([{"port": 80, "name": "http"}, {"port": 443}]));
    let conflict = apply("three", &crontab("a", "y")).await.failure();
    assert_eq!((conflict.0, conflict.1.as_str()), (409, "Conflict"));

    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let request = Harness::request("GET", CRONTABS).header("accept", accept);
    let table = h.answer(request.body(body::empty()).expect("a request")).await.ok();
    let columns: Vec<&Value> =
        table["columnDefinitions"].as_array().expect("columns").iter().map(|c| &c["name"]).collect();
    assert_eq!(columns, ["Name", "Cron", "Size"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "x", 1]));
    let accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let request = Harness::request("GET", CRONTABS).header("accept", accept);
    assert_eq!(&h.answer(request.body(body::empty()).expect("a request")).await.body[..4], b"k8s\0");
}

#[tokio::test]
async fn a_changed_definition_changes_what_is_served() {
    let h = serving().await;
    established(&h, &definition()).await;
    h.post(CRONTABS, &crontab("a", "x")).await.ok();
    let v3 = async || h.get("/openapi/v3").await.ok()["paths"]["apis/example.com/v1"].clone();
    let (before, mut events) =
        (v3().await, Events::of(&h, &format!("{CRONTABS}?watch=true"), "application/json").await);
    assert_eq!(events.what().await, ("ADDED".to_owned(), "a".to_owned()));
    let mut two = h.get(CRONTAB).await.ok();
    two["spec"]["versions"] = json!([version("v1", false), version("v2", true)]);
    two["spec"]["versions"][0]["deprecated"] = json!(true);
    // Upstream takes no selectable fields that all versions share while their schemas differ.
    two["spec"]["versions"][1]["selectableFields"] = json!([]);
    two["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["more"] =
        json!({"type": "string", "default": "less"});
    let changed = h.put(CRONTAB, &two).await.ok();
    assert_eq!(changed["status"]["storedVersions"], json!(["v1", "v2"]));

    let newer = "/apis/example.com/v2/namespaces/default/crontabs";
    let seen = h.get(&format!("{newer}/a")).await.ok();
    assert_eq!((&seen["apiVersion"], &seen["spec"]["more"]), (&json!("example.com/v2"), &json!("less")));
    assert_eq!(events.next().await, None, "the watch begins again with what is served now");
    let old = h.get(&format!("{CRONTABS}/a")).await;
    let warning = old.headers["warning"].to_str().expect("text").to_owned();
    assert_eq!(warning, r#"299 - "example.com/v1 CronTab is deprecated; use example.com/v2 CronTab""#);
    assert_eq!(old.ok()["spec"].get("more"), None);
    // Written in one version, seen in both, by those who watch too.
    let mut events = Events::of(&h, &format!("{newer}?watch=true"), "application/json").await;
    assert_eq!(events.what().await.1, "a");
    h.post(CRONTABS, &crontab("b", "y")).await.ok();
    let event = events.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["apiVersion"]), (&json!("ADDED"), &json!("example.com/v2")));
    assert_eq!(h.get("/apis/example.com").await.ok()["preferredVersion"]["version"], "v2");
    assert_ne!(v3().await, before);

    let mut one = h.get(CRONTAB).await.ok();
    one["spec"]["versions"][0]["served"] = json!(false);
    h.put(CRONTAB, &one).await.ok();
    assert_eq!(&h.get(CRONTABS).await.body[..], b"404 page not found\n");
    assert_eq!(h.get(newer).await.ok()["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn what_a_webhook_must_convert_is_refused() {
    let h = serving().await;
    let mut both = definition();
    both["spec"]["versions"] = json!([version("v1", true), version("v2", false)]);
    both["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://convert.example.com/"}}});
    established(&h, &both).await;
    h.post(CRONTABS, &crontab("a", "x")).await.ok();
    let refused = h.get("/apis/example.com/v2/namespaces/default/crontabs/a").await.failure();
    let why =
        "conversion webhook for example.com/v1, Kind=CronTab failed: conversion webhooks are not supported";
    assert!(refused.0 == 500 && refused.2.ends_with(why), "{refused:?}");
    assert_eq!(h.get(CRONTABS).await.ok()["items"][0]["spec"]["cron"], "x");
    h.delete(CRONTAB).await.ok();
    while h.get(CRONTAB).await.code != 404 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let h = serving().await;
    established(&h, &definition()).await;
    h.post(CRONTABS, &crontab("a", "x")).await.ok();
    let mut held = crontab("held", "x");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    h.post(CRONTABS, &held).await.ok();
    let mut events = Events::of(&h, &format!("{CRONTABS}?watch=true"), "application/json").await;
    for name in ["a", "held"] {
        assert_eq!(events.what().await, ("ADDED".to_owned(), name.to_owned()));
    }
    let deleted = h.delete(CRONTAB).await.ok();
    assert_eq!(deleted["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    reached(&h, "crontabs.example.com", "Terminating", "InstanceDeletionInProgress").await;
    let refused = h.post(CRONTABS, &crontab("late", "x")).await.failure();
    let why = "crontabs.example.com \"late\" is forbidden: create not allowed while custom resource definition is terminating";
    assert_eq!(refused, (403, "Forbidden".to_owned(), why.to_owned()));
    h.patch(&format!("{CRONTABS}/held"), MERGE, &json!({"metadata": {"finalizers": null}})).await.ok();
    // The watch sees every object go, and ends with the resource.
    for (kind, name) in [("DELETED", "a"), ("MODIFIED", "held"), ("DELETED", "held")] {
        assert_eq!(events.what().await, (kind.to_owned(), name.to_owned()));
    }
    assert_eq!(events.next().await, None);
    assert_eq!(&h.get(CRONTABS).await.body[..], b"404 page not found\n");
    assert_eq!(h.get("/apis/example.com").await.code, 404);
    assert_eq!(h.get(CRONTAB).await.code, 404);
    // The same again: nothing of the first is left.
    established(&h, &definition()).await;
    assert_eq!(h.get(CRONTABS).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn names_of_another_definition_are_refused_until_they_are_free() {
    let h = serving().await;
    established(&h, &definition()).await;
    let mut second = definition();
    second["metadata"]["name"] = json!("tabs.example.com");
    second["spec"]["names"] = json!({"plural": "tabs", "kind": "Tab", "shortNames": ["ct"]});
    h.post(DEFINITIONS, &second).await.ok();
    let refused = reached(&h, "tabs.example.com", "NamesAccepted", "ShortNamesConflict").await;
    assert_eq!(refused["status"]["conditions"][1]["reason"], "NotAccepted");
    assert_eq!(h.get("/apis/example.com/v1/tabs").await.code, 404);
    h.delete(CRONTAB).await.ok();
    reached(&h, "tabs.example.com", "Established", "InitialNamesAccepted").await;
    assert_eq!(h.get("/apis/example.com/v1/tabs").await.ok()["kind"], "TabList");
}
