use serde_json::json;

use super::*;
use crate::Strategy;
use crate::checks::tests::texts;

fn version(name: &str, storage: bool) -> Tree {
    json!({"name": name, "served": true, "storage": storage,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}})
}

/// A definition with some fields (by pointer) changed, completed and as it would be stored.
fn crd(changes: &[(&str, Tree)]) -> Tree {
    let mut crd = json!({
        "metadata": {"name": "crontabs.a.b"},
        "spec": {"group": "a.b", "scope": "Namespaced", "names": {"plural": "crontabs", "kind": "CronTab"},
            "versions": [version("v1", true)]},
    });
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        let parent = crd.pointer_mut(parent).expect("a parent");
        match field.parse::<usize>() {
            Ok(index) => parent[index] = value.clone(),
            Err(_) => parent[field] = value.clone(),
        }
    }
    super::super::Definition.apply_defaults(&mut crd);
    super::super::Definition.prepare_for_create(&mut crd, &crate::Context::default());
    crd
}

#[test]
fn problems_read_as_upstream_words_them() {
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    let two = json!([version("v1", true), version("v1", false)]);
    let shown = |name: &str, storage: bool| {
        format!(
            "{{\"AdditionalPrinterColumns\":null,\"Deprecated\":false,\"DeprecationWarning\":null,\"Name\":\"{name}\",\"Schema\":null,\"SelectableFields\":null,\"Served\":true,\"Storage\":{storage},\"Subresources\":null}}"
        )
    };
    let cases: Vec<(Vec<(&str, Tree)>, Vec<String>)> = vec![
        (vec![], vec![]),
        (
            vec![("/metadata/name", json!("x"))],
            vec!["metadata.name: Invalid value: \"x\": must be spec.names.plural+\".\"+spec.group".into()],
        ),
        (
            vec![("/spec/scope", json!("Galaxy"))],
            vec!["spec.scope: Unsupported value: \"Galaxy\": supported values: \"Cluster\", \"Namespaced\"".into()],
        ),
        (
            vec![("/spec/group", json!("ab")), ("/metadata/name", json!("crontabs.ab"))],
            vec!["spec.group: Invalid value: \"ab\": should be a domain with at least one dot".into()],
        ),
        (
            vec![("/spec/versions/0/schema", json!(null))],
            vec!["spec.versions[0].schema.openAPIV3Schema: Required value".into()],
        ),
        (
            vec![(schema, json!({"type": "object", "properties": {"a": {}}}))],
            vec![
                "spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields".into(),
            ],
        ),
        (
            vec![("/spec/versions/0/additionalPrinterColumns", json!([{"name": "n", "type": "string"}]))],
            vec!["spec.additionalPrinterColumns[0].JSONPath: Required value".into()],
        ),
        (
            vec![("/spec/versions/0/subresources", json!({"scale": {"specReplicasPath": ".x", "statusReplicasPath": ".status.n"}}))],
            vec!["spec.subresources.scale.specReplicasPath: Invalid value: \".x\": should be a json path under .spec".into()],
        ),
        (
            vec![("/spec/versions/0/selectableFields", json!([{"jsonPath": ".spec"}]))],
            vec![
                "spec.selectableFields[0].jsonPath: Invalid value: \".spec\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.".into(),
            ],
        ),
        (
            vec![("/spec/versions", two)],
            vec![format!(
                "spec.versions: Invalid value: [{},{}]: must contain unique version names",
                shown("v1", true),
                shown("v1", false)
            )],
        ),
        (
            vec![("/spec/versions", json!([version("v1", true), version("v2", true)]))],
            vec![format!(
                "spec.versions: Invalid value: [{},{}]: must have exactly one version marked as storage version",
                shown("v1", true),
                shown("v2", true)
            ), "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2".into()],
        ),
        (
            vec![("/spec/preserveUnknownFields", json!(true)), ("/spec/conversion", json!({"strategy": "Webhook", "webhook":
                {"clientConfig": {"url": "https://a"}, "conversionReviewVersions": ["v1"]}}))],
            vec![
                "spec.conversion.strategy: Invalid value: \"Webhook\": must be None if spec.preserveUnknownFields is true".into(),
                "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead".into(),
            ],
        ),
        (
            vec![("/spec/names", json!({"plural": "crontabs"}))],
            vec![
                "spec.names.singular: Required value".into(),
                "spec.names.kind: Required value".into(),
                "spec.names.listKind: Required value".into(),
            ],
        ),
        (
            vec![("/spec/versions", json!([])), ],
            vec![
                "spec.versions: Invalid value: []: must have exactly one version marked as storage version".into(),
                "status.storedVersions: Invalid value: null: must have at least one stored version".into(),
            ],
        ),
    ];
    for (changes, want) in cases {
        assert_eq!(texts(&create(&crd(&changes))), want, "{changes:?}");
    }
    let bad_version = texts(&create(&crd(&[("/spec/versions/0/name", json!("1"))])));
    assert!(
        bad_version[0].starts_with("spec.versions[0].name: Invalid value: \"1\": a DNS-1035 label"),
        "{bad_version:?}"
    );
    assert!(bad_version[1].starts_with("spec.version: Invalid value: \"1\": "), "{bad_version:?}");
}

#[test]
fn what_versions_do_not_share_is_reported_in_them() {
    let mut second = version("v2", false);
    second["schema"]["openAPIV3Schema"] = json!({"type": "string"});
    second["selectableFields"] = json!([{"jsonPath": ".a"}]);
    second["deprecationWarning"] = json!("old");
    let got = texts(&create(&crd(&[("/spec/versions", json!([version("v1", true), second]))])));
    let want = [
        "spec.versions[1].deprecationWarning: Invalid value: \"old\": can only be set for deprecated versions",
        "spec.versions[1].schema.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root",
        "spec.versions[1].selectableFields[0].jsonPath: Invalid value: \".a\": is an invalid path: does not refer to a valid field",
    ];
    assert_eq!(got, want);
}

#[test]
fn some_fields_stay() {
    let old = crd(&[]);
    let mut new = old.clone();
    new["spec"]["scope"] = json!("Cluster");
    new["spec"]["names"]["kind"] = json!("Other");
    assert_eq!(texts(&update(&new, &old)), Vec::<String>::new());
    let mut established = old.clone();
    established["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    new["spec"]["group"] = json!("c.d");
    new["spec"]["names"]["plural"] = json!("others");
    let want = [
        "spec.scope: Invalid value: \"Cluster\": field is immutable",
        "spec.names.kind: Invalid value: \"Other\": field is immutable",
        "spec.group: Invalid value: \"c.d\": field is immutable",
        "spec.names.plural: Invalid value: \"others\": field is immutable",
    ];
    assert_eq!(texts(&update(&new, &established)), want);
}

#[test]
fn stored_versions_stay_in_the_spec() {
    let old = crd(&[]);
    let mut new = old.clone();
    new["spec"]["versions"][0]["name"] = json!("v2");
    let got = texts(&update(&new, &old));
    assert_eq!(got[0], "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2");
    assert!(got[1].starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version, and must remain in"), "{got:?}");
}

#[test]
fn old_definitions_keep_what_they_lack() {
    let unpruned = json!({"type": "object", "properties": {"a": {"type": "object", "default": {"b": 1}}}});
    let mut old = crd(&[("/spec/versions/0/schema/openAPIV3Schema", unpruned)]);
    assert_eq!(create(&old).len(), 1);
    assert_eq!(texts(&update(&old, &old)), Vec::<String>::new());
    old["spec"]["versions"].as_array_mut().expect("a list").push(json!({"name": "v2", "served": false}));
    assert_eq!(texts(&update(&old, &old)), Vec::<String>::new());
    old["spec"]["versions"][1]["served"] = json!(true);
    let want =
        "spec.versions[1].schema.openAPIV3Schema: Required value: because otherwise all fields are pruned";
    assert_eq!(texts(&update(&old, &old)), [want]);
}

#[test]
fn community_groups_need_approval() {
    let of = |annotation: Tree| {
        let mut crd =
            crd(&[("/spec/group", json!("x.k8s.io")), ("/metadata/name", json!("crontabs.x.k8s.io"))]);
        crd["metadata"]["annotations"] = json!({APPROVAL: annotation});
        crd
    };
    assert!(create(&of(json!("https://github.com/kubernetes/kubernetes/pull/1"))).is_empty());
    assert!(create(&of(json!("unapproved, experimental"))).is_empty());
    let path = "metadata.annotations[api-approved.kubernetes.io]";
    let want = format!(
        "{path}: Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"
    );
    assert_eq!(texts(&create(&of(json!(null)))), [want]);
    let want = format!(
        "{path}: Invalid value: \"yes\": protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
    );
    assert_eq!(texts(&create(&of(json!("yes")))), [want]);
    assert!(update(&of(json!("yes")), &of(json!("no"))).is_empty());
}
