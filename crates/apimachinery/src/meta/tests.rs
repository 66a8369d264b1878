use serde_json::json;

use super::*;
use crate::field::ErrorList;
use crate::names::dns1123_subdomain_problems;

fn object() -> Tree {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "default", "uid": "u", "resourceVersion": "7", "generation": 2,
            "labels": {"app.kubernetes.io/name": "web"}, "annotations": {"a.b/c": "d"},
            "finalizers": ["x.y/z", "orphan"], "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": "A"}, {"kind": "B", "controller": true}],
        },
        "spec": {"replicas": 3},
    })
}

fn texts(problems: &ErrorList) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn metadata_is_read() {
    let object = object();
    assert_eq!((object.name(), object.namespace(), object.uid()), ("web", "default", "u"));
    assert_eq!((object.resource_version(), object.generation()), ("7", 2));
    assert_eq!(object.gvk().expect("valid").to_string(), "apps/v1, Kind=Deployment");
    assert_eq!(object.label("app.kubernetes.io/name"), Some("web"));
    assert_eq!(object.annotation("a.b/c"), Some("d"));
    assert_eq!(object.labels().collect::<Vec<_>>(), [("app.kubernetes.io/name", "web")]);
    assert!(object.has_finalizer("orphan") && !object.is_deleting());
    assert_eq!(object.controller().map(Object::kind), Some("B"));
    assert_eq!(object.i64_at("spec.replicas"), Some(3));
    assert_eq!(json!("no map").name(), "");
}

#[test]
fn paths_are_written() {
    let mut tree = json!({"a": 1});
    tree.set("a.b.c", "x");
    assert_eq!(tree, json!({"a": {"b": {"c": "x"}}}));
    assert_eq!(tree.remove("a.b.c"), Some(json!("x")));
    assert_eq!(tree.remove("a.x.y"), None);
    assert_eq!(tree, json!({"a": {"b": {}}}));
    tree.set_label("k.l/m", "v");
    assert_eq!(tree.label("k.l/m"), Some("v"));
    assert_eq!(tree.remove_entry("metadata.labels", "k.l/m"), Some(json!("v")));
    let mut object = object();
    assert!(object.remove_finalizer("orphan") && object.remove_finalizer("x.y/z"));
    assert!(!object.remove_finalizer("orphan"));
    assert_eq!(object.at("metadata.finalizers"), None);
    object.copy_from(&json!({"spec": {"x": 1}}), "spec");
    assert_eq!(object["spec"], json!({"x": 1}));
    object.copy_from(&json!({}), "spec");
    assert_eq!(object.at("spec"), None);
}

#[test]
fn absent_null_and_the_empty_list_are_alike() {
    let cases = [
        (json!({"s": {}}), json!({"s": {"a": null, "b": []}}), false),
        (json!({"s": {"a": {}}}), json!({"s": {}}), true),
        (json!({"s": null}), json!({}), false),
        (json!({"s": [1, {"a": []}]}), json!({"s": [1, {}]}), false),
        (json!({"s": [1]}), json!({"s": [1, 2]}), true),
        (json!({"s": {"a": 0}}), json!({"s": {}}), true),
        (json!({"s": {}, "t": 1}), json!({"s": {}}), false),
    ];
    for (a, b, want) in cases {
        assert_eq!(a.differs(&b, &["s"]), want, "{a} {b}");
        assert_eq!(b.differs(&a, &["s"]), want, "{b} {a}");
    }
}

#[test]
fn the_servers_own_fields_are_filled() {
    let mut new = json!({"metadata": {"name": "a", "resourceVersion": "1", "deletionTimestamp": "x"}});
    fill_for_create(&mut new, "u", jiff::Timestamp::UNIX_EPOCH);
    let want = json!({"metadata": {"name": "a", "uid": "u", "creationTimestamp": "1970-01-01T00:00:00Z"}});
    assert_eq!(new, want);

    let old = json!({"metadata": {
        "uid": "u", "generation": 3, "creationTimestamp": "c", "deletionTimestamp": "d", "deletionGracePeriodSeconds": 5,
    }});
    let mut new = json!({"metadata": {"generation": 9, "creationTimestamp": "other"}});
    fill_for_update(&mut new, &old);
    assert_eq!(new, old);
}

#[test]
fn new_metadata_is_validated() {
    let validate =
        |object: Tree, namespaced| texts(&validate_create(&object, namespaced, &dns1123_subdomain_problems));
    assert_eq!(validate(json!({"metadata": {"name": "a", "namespace": "b"}}), true), Vec::<String>::new());
    assert_eq!(
        validate(json!({}), true),
        [
            "metadata.name: Required value: name or generateName is required",
            "metadata.namespace: Required value",
        ]
    );
    let cases = [
        (json!({"namespace": "b"}), "metadata.namespace: Forbidden: not allowed on this type"),
        (json!({"name": "A"}), "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must"),
        (json!({"generateName": "AB-"}), "metadata.generateName: Invalid value: \"AB-\": a lowercase RFC"),
        (
            json!({"labels": {"a b": ""}}),
            "metadata.labels: Invalid value: \"a b\": name part must consist of",
        ),
        (json!({"labels": {"a": "b c"}}), "metadata.labels: Invalid value: \"b c\": a valid label must be"),
        (
            json!({"annotations": {"/x": "x"}}),
            "metadata.annotations: Invalid value: \"/x\": prefix part must be",
        ),
        (
            json!({"annotations": {"a": "x".repeat(262144)}}),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            json!({"finalizers": ["a b"]}),
            "metadata.finalizers: Invalid value: \"a b\": name part must consist",
        ),
        (
            json!({"finalizers": ["orphan", "foregroundDeletion"]}),
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
        ),
        (
            json!({"generation": -1}),
            "metadata.generation: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!({"managedFields": [{"operation": "Merge"}]}),
            "metadata.managedFields[0].operation: Unsupported value: \"Merge\": supported values: \"Apply\", \"Update\"",
        ),
        (
            json!({"managedFields": [{"operation": "Apply", "fieldsType": "V2"}]}),
            "metadata.managedFields[0].fieldsType: Invalid value: \"V2\": must be `FieldsV1`",
        ),
        (
            json!({"managedFields": [{"operation": "Apply", "manager": "a\u{7f}"}]}),
            "metadata.managedFields[0].manager: Invalid value: \"a\\x7f\": invalid character U+007F (at position 1)",
        ),
    ];
    for (metadata, want) in cases {
        let mut object = json!({"metadata": metadata});
        if object.name().is_empty() {
            object.set("metadata.name", "a");
        }
        let got = validate(object, false);
        assert!(got.len() == 1 && got[0].starts_with(want), "{got:?}, not {want}");
    }
}

#[test]
fn annotation_keys_may_have_capitals() {
    let annotations = json!({"Example.COM/Key": "x"});
    assert_eq!(validate_annotations(Some(&annotations), &crate::field::Path::new("a")), vec![]);
}

#[test]
fn owner_references_are_validated() {
    let owners = [
        json!({"apiVersion": "a/b/c", "kind": "K", "name": "n", "uid": "u", "controller": true}),
        json!({"apiVersion": "v1", "kind": "Event", "name": "n", "uid": "u", "controller": true}),
        json!({}),
    ];
    let got = texts(&validate_owner_references(&owners, &crate::field::Path::new("o")));
    let want = [
        "o[0].apiVersion: Invalid value: \"a/b/c\": must be <group>/<version> or <version>",
        "o[1]: Invalid value: {",
        "o: Invalid value: [",
        "o[2].apiVersion: Required value: must not be empty",
        "o[2].kind: Required value: must not be empty",
        "o[2].name: Required value: must not be empty",
        "o[2].uid: Required value: must not be empty",
    ];
    assert_eq!(got.len(), want.len(), "{got:?}");
    for (got, want) in got.iter().zip(want) {
        assert!(got.starts_with(want), "{got}");
    }
    assert!(got[2].ends_with(
        "Only one reference can have Controller set to true. Found \"true\" in references for K/n and Event/n"
    ));
}

#[test]
fn updates_keep_what_is_immutable() {
    let cases: [(&str, Tree, &str); 8] = [
        ("name", json!("x"), "metadata.name: Invalid value: \"x\": field is immutable"),
        ("namespace", json!("x"), "metadata.namespace: Invalid value: \"x\": field is immutable"),
        ("uid", json!("x"), "metadata.uid: Invalid value: \"x\": field is immutable"),
        (
            "creationTimestamp",
            json!(null),
            "metadata.creationTimestamp: Invalid value: null: field is immutable",
        ),
        (
            "deletionTimestamp",
            json!("x"),
            "metadata.deletionTimestamp: Invalid value: \"x\": field is immutable",
        ),
        (
            "deletionGracePeriodSeconds",
            json!(3),
            "metadata.deletionGracePeriodSeconds: Invalid value: 3: field is immutable",
        ),
        (
            "resourceVersion",
            json!(""),
            "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
        ),
        ("generation", json!(1), "metadata.generation: Invalid value: 1: must not be decremented"),
    ];
    let mut old = object();
    old.remove("metadata.ownerReferences");
    assert_eq!(validate_update(&old, &old), vec![]);
    for (field, value, want) in cases {
        let mut new = old.clone();
        new.set(&format!("metadata.{field}"), value);
        assert_eq!(texts(&validate_update(&new, &old)), [want]);
    }
    old.set("metadata.deletionTimestamp", "2026-01-01T00:00:00Z");
    let mut new = old.clone();
    new.set("metadata.finalizers", json!(["orphan", "b", "a"]));
    let want = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a\", \"b\"}";
    assert_eq!(texts(&validate_update(&new, &old)), [want]);
}
