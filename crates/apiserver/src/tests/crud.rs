use serde_json::{Value, json};

use super::{CONFIG_MAPS, Harness, config_map};
use crate::wire::body;

#[tokio::test]
async fn an_object_is_created_read_changed_and_deleted() {
    let h = Harness::new().await;
    let created = h.post(CONFIG_MAPS, &config_map("a")).await;
    assert_eq!(created.code, 201);
    let object = created.ok();
    assert_eq!((object["kind"].as_str(), object["apiVersion"].as_str()), (Some("ConfigMap"), Some("v1")));
    for field in ["uid", "creationTimestamp", "resourceVersion"] {
        assert!(object["metadata"][field].is_string(), "{field}: {object}");
    }
    assert_eq!(object["metadata"]["namespace"], "default");

    let uri = format!("{CONFIG_MAPS}/a");
    assert_eq!(h.get(&uri).await.ok(), object);

    let mut changed = object.clone();
    changed["data"]["a"] = "2".into();
    let updated = h.put(&uri, &changed).await.ok();
    assert_eq!(updated["data"]["a"], "2");
    assert_ne!(updated["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
    assert_eq!(updated["metadata"]["uid"], object["metadata"]["uid"]);

    let stale = h.put(&uri, &changed).await.failure();
    assert_eq!(
        stale,
        (
            409,
            "Conflict".to_owned(),
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your \
             changes to the latest version and try again"
                .to_owned()
        )
    );

    let deleted = h.delete(&uri).await.ok();
    assert_eq!((&deleted["kind"], &deleted["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(deleted["details"]["uid"], object["metadata"]["uid"]);
    let gone = h.get(&uri).await.failure();
    assert_eq!(gone, (404, "NotFound".to_owned(), "configmaps \"a\" not found".to_owned()));
}

#[tokio::test]
async fn what_exists_is_not_created_again_and_generated_names_differ() {
    let h = Harness::new().await;
    h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    let again = h.post(CONFIG_MAPS, &config_map("a")).await.failure();
    assert_eq!(again, (409, "AlreadyExists".to_owned(), "configmaps \"a\" already exists".to_owned()));

    let generated = json!({"metadata": {"generateName": "cm-"}});
    let one = h.post(CONFIG_MAPS, &generated).await.ok();
    let two = h.post(CONFIG_MAPS, &generated).await.ok();
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    assert!(one["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("cm-") && n.len() == 8));
}

#[tokio::test]
async fn an_update_without_change_writes_nothing() {
    let h = Harness::new().await;
    let object = h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    let uri = format!("{CONFIG_MAPS}/a");
    let same = h.put(&uri, &object).await.ok();
    assert_eq!(same["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let h = Harness::new().await;
    let uri = format!("{CONFIG_MAPS}?dryRun=All");
    assert_eq!(h.post(&uri, &config_map("a")).await.code, 201);
    assert_eq!(h.get(&format!("{CONFIG_MAPS}/a")).await.code, 404);
    h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    assert_eq!(h.post(&uri, &config_map("a")).await.code, 409);
    h.delete(&format!("{CONFIG_MAPS}/a?dryRun=All")).await.ok();
    let mut changed = config_map("a");
    changed["data"]["a"] = "2".into();
    assert_eq!(h.put(&format!("{CONFIG_MAPS}/a?dryRun=All"), &changed).await.ok()["data"]["a"], "2");
    assert_eq!(h.get(&format!("{CONFIG_MAPS}/a")).await.ok()["data"]["a"], "1");
}

#[tokio::test]
async fn unknown_fields_are_ignored_warned_about_or_refused() {
    let h = Harness::new().await;
    let mut object = config_map("a");
    object["dta"] = json!({});
    let uri = |how: &str| format!("{CONFIG_MAPS}?dryRun=All&fieldValidation={how}");
    let ignored = h.post(&uri("Ignore"), &object).await;
    assert!(ignored.headers.get("warning").is_none());
    assert_eq!(ignored.ok().get("dta"), None);
    let warned = h.post(&uri("Warn"), &object).await;
    assert_eq!(warned.headers["warning"], r#"299 - "unknown field \"dta\"""#);
    assert_eq!(
        h.post(&uri("Strict"), &object).await.failure(),
        (
            400,
            "BadRequest".to_owned(),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: \
             unknown field \"dta\""
                .to_owned()
        )
    );
}

#[tokio::test]
async fn bad_requests_are_told_in_upstreams_words() {
    let h = Harness::new().await;
    let cases: [(&str, &str, Value, u16, &str); 5] = [
        (
            "POST",
            CONFIG_MAPS,
            json!({"kind": "Pod", "apiVersion": "v1"}),
            400,
            "cannot be handled as a ConfigMap",
        ),
        (
            "POST",
            CONFIG_MAPS,
            json!({"metadata": {"name": "a", "namespace": "other"}}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "POST",
            CONFIG_MAPS,
            json!({"metadata": {"name": "A"}}),
            422,
            "ConfigMap \"A\" is invalid: metadata.name",
        ),
        ("POST", CONFIG_MAPS, json!({"metadata": {}}), 422, "name or generateName is required"),
        (
            "PUT",
            "/api/v1/namespaces/default/configmaps/x",
            config_map("y"),
            400,
            "the name of the object (y) does not match the name on the URL (x)",
        ),
    ];
    for (method, uri, object, code, message) in cases {
        let answer = h.with_body(method, uri, "application/json", object.to_string().as_bytes()).await;
        let (got, _, text) = answer.failure();
        assert_eq!(got, code, "{text}");
        assert!(text.contains(message), "{text}");
    }
    let broken = h.with_body("POST", CONFIG_MAPS, "application/json", b"{nonsense").await.failure();
    assert_eq!(broken.0, 400);
    assert!(
        broken.2.starts_with("the object provided is unrecognized (must be of type ConfigMap)"),
        "{broken:?}"
    );
    assert_eq!(h.with_body("POST", CONFIG_MAPS, "text/plain", b"x").await.failure().0, 415);
}

#[tokio::test]
async fn strangers_and_the_forbidden_are_turned_away() {
    let h = Harness::new().await;
    let anonymous = http::Request::get(CONFIG_MAPS).body(body::empty()).expect("a request");
    let answer = h.answer(anonymous).await.failure();
    assert_eq!(answer, (401, "Unauthorized".to_owned(), "Unauthorized".to_owned()));
    let nobody = crate::request::User { name: "nobody".to_owned(), ..Default::default() };
    let request = http::Request::get(CONFIG_MAPS).extension(nobody).body(body::empty()).expect("a request");
    assert_eq!(
        h.answer(request).await.failure(),
        (
            403,
            "Forbidden".to_owned(),
            "configmaps is forbidden: User \"nobody\" cannot list resource \"configmaps\" in API group \"\" in the \
             namespace \"default\""
                .to_owned()
        )
    );
}

#[tokio::test]
async fn unknown_paths_and_verbs_are_refused() {
    let h = Harness::new().await;
    assert_eq!(&h.get("/nowhere").await.body[..], b"404 page not found\n");
    assert_eq!(&h.get("/apis/nowhere/v1/things").await.body[..], b"404 page not found\n");
    let unknown = h.get("/api/v1/namespaces/default/things").await.failure();
    assert_eq!(unknown.2, "the server could not find the requested resource");
    assert_eq!(h.get("/api/v1/namespaces/default/nodes").await.failure().0, 404);
    let answer = h.post("/api/v1/configmaps", &config_map("a")).await.failure();
    assert_eq!((answer.0, answer.1.as_str()), (405, "MethodNotAllowed"));
}

#[tokio::test]
async fn patches_change_what_they_name() {
    let h = Harness::new().await;
    h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    let uri = format!("{CONFIG_MAPS}/a");
    let merged = h.patch(&uri, "application/merge-patch+json", &json!({"data": {"b": "2"}})).await.ok();
    assert_eq!(merged["data"], json!({"a": "1", "b": "2"}));
    let operations = json!([{"op": "remove", "path": "/data/a"}]);
    let patched = h.patch(&uri, "application/json-patch+json", &operations).await.ok();
    assert_eq!(patched["data"], json!({"b": "2"}));
    let strategic = "application/strategic-merge-patch+json";
    let patched = h.patch(&uri, strategic, &json!({"metadata": {"labels": {"x": "y"}}})).await.ok();
    assert_eq!(patched["metadata"]["labels"], json!({"x": "y"}));
    let stale = json!({"metadata": {"resourceVersion": "1"}});
    assert_eq!(h.patch(&uri, strategic, &stale).await.failure().0, 409);
    assert_eq!(h.patch(&uri, "text/plain", &stale).await.failure().0, 415);
    assert_eq!(h.patch(&format!("{CONFIG_MAPS}/none"), strategic, &json!({})).await.failure().0, 404);
}

#[tokio::test]
async fn an_object_of_another_kind_is_refused_in_upstreams_words() {
    let h = Harness::new().await;
    let cases = [
        ("apps/v1", "Deployment", "converting (v1.Deployment) to (core.ConfigMap): unknown conversion"),
        (
            "v1",
            "Foo",
            "no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
    ];
    for (version, kind, why) in cases {
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
        let (code, reason, message) = h.post(CONFIG_MAPS, &object).await.failure();
        assert_eq!((code, reason.as_str()), (400, "BadRequest"));
        assert_eq!(message, format!("{kind} in version \"v1\" cannot be handled as a ConfigMap: {why}"));
    }
}

#[tokio::test]
async fn a_patch_whose_result_does_not_fit_is_invalid() {
    let h = Harness::new().await;
    let object = json!({"metadata": {"name": "a"}});
    h.post(CONFIG_MAPS, &object).await.ok();
    let patches = [
        ("application/merge-patch+json", json!({"data": [1]})),
        ("application/json-patch+json", json!([{"op": "add", "path": "/data", "value": [1]}])),
    ];
    for (media, patch) in patches {
        let (code, reason, message) = h.patch(&format!("{CONFIG_MAPS}/a"), media, &patch).await.failure();
        assert_eq!((code, reason.as_str()), (422, "Invalid"), "{message}");
        assert!(message.starts_with(" \"\" is invalid: patch: Invalid value: "), "{message}");
    }
}
