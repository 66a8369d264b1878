use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::catalog::catalog;

fn id(kind: &str) -> TypeId {
    let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
    catalog().kind(group, "v1", kind).expect(kind)
}

fn decoded(kind: &str, json: &str) -> Decoded {
    decode(json.as_bytes(), id(kind)).expect(json)
}

fn problems(decoded: &Decoded) -> Vec<String> {
    decoded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn all_problems_are_found_at_once() {
    let found = decoded(
        "apps/Deployment",
        r#"{"kind": "Deployment", "foo": 1, "metadata": {"name": "a", "labels": {"x": "1", "x": "2"}, "Name": "b"},
            "spec": {"replicas": 1, "replicas": 2, "foo": {"replicas": 1, "replicas": 2},
            "template": {"spec": {"containers": [{"name": "a"}, {"name": "b", "imagee": "c"}], "foo": 1, "foo": 2}}}}"#,
    );
    assert_eq!(
        problems(&found),
        [
            r#"unknown field "foo""#,
            r#"duplicate field "metadata.labels.x""#,
            r#"unknown field "metadata.Name""#,
            r#"duplicate field "spec.replicas""#,
            r#"unknown field "spec.foo""#,
            r#"unknown field "spec.template.spec.containers[1].imagee""#,
            r#"unknown field "spec.template.spec.foo""#,
        ]
    );
    assert_eq!(found.tree["spec"]["replicas"], 2);
    assert_eq!(found.tree["metadata"]["labels"]["x"], "2");
    assert!(found.tree.get("foo").is_none());
    assert_eq!(
        strict_decoding_error(&found.problems[..2]),
        r#"strict decoding error: unknown field "foo", duplicate field "metadata.labels.x""#
    );
}

#[test]
fn problems_are_limited() {
    let many: Vec<String> = (0..300).map(|i| format!("\"f{i}\": 1")).collect();
    assert_eq!(decoded("Pod", &format!("{{{}}}", many.join(","))).problems.len(), 100);
}

#[test]
fn wrong_types_in_the_words_of_go() {
    let cases = [
        (
            "apps/Deployment",
            r#"{"spec": {"replicas": "3"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "apps/Deployment",
            r#"{"spec": {"replicas": 3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "apps/Deployment",
            r#"{"spec": {"replicas": 1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Pod",
            r#"{"spec": {"containers": {"name": "a"}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "Pod",
            r#"{"spec": {"containers": ["a"]}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            "Pod",
            r#"{"spec": {"containers": [{"imagePullPolicy": 1}]}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            "Pod",
            r#"{"spec": {"volumes": [{"emptyDir": []}]}}"#,
            "json: cannot unmarshal array into Go struct field Volume.spec.volumes.VolumeSource.emptyDir of type v1.EmptyDirVolumeSource",
        ),
        (
            "Pod",
            r#"{"metadata": {"labels": {"a": true}}}"#,
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "Service",
            r#"{"spec": {"ports": [{"targetPort": true}]}}"#,
            "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        (
            "Pod",
            r#"{"metadata": {"creationTimestamp": 5}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        ("Secret", r#"{"data": {"a": "a*"}}"#, "illegal base64 data at input byte 1"),
        (
            "Secret",
            r#"{"data": {"a": [1, 300]}}"#,
            "json: cannot unmarshal number 300 into Go struct field Secret.data of type uint8",
        ),
        (
            "apiextensions.k8s.io/CustomResourceDefinition",
            r#"{"spec": {"versions": [{"schema": {"openAPIV3Schema": {"additionalProperties": 1}}}]}}"#,
            "boolean or JSON schema expected",
        ),
        ("Pod", r#"[1]"#, "json: cannot unmarshal array into Go value of type v1.Pod"),
        (
            "Pod",
            r#"{"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("Pod", r#"{"spec""#, "unexpected end of JSON input"),
        ("Pod", r#"{"spec": x}"#, "invalid character 'x' looking for beginning of value"),
        ("Pod", r#"{} {}"#, "invalid character '{' after top-level value"),
    ];
    for (kind, json, want) in cases {
        assert_eq!(decode(json.as_bytes(), id(kind)).expect_err(json).to_string(), want, "{json}");
    }
}

#[test]
fn the_message_of_a_400() {
    let error = decode(br#"{"spec": {"replicas": "3"}}"#, id("apps/Deployment")).unwrap_err();
    assert_eq!(
        cannot_be_handled("Deployment", "v1", "Deployment", &error),
        "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct \
         field DeploymentSpec.spec.replicas of type int32"
    );
}

#[test]
fn the_tree_is_what_upstream_would_serve() {
    let cases = [
        (
            "null and what Go cannot tell from nothing",
            r#"{"metadata": {"name": "a", "labels": null, "annotations": {}, "creationTimestamp": null},
                "data": {"a": null}, "immutable": false, "binaryData": null}"#,
            "ConfigMap",
            json!({"metadata": {"name": "a"}, "data": {"a": ""}, "immutable": false}),
        ),
        (
            "structs that are no pointers are always there",
            r#"{"spec": {"containers": [null, {"name": "a", "args": [], "securityContext": {}}]}}"#,
            "Pod",
            json!({"metadata": {}, "status": {}, "spec": {"containers": [
                {"name": "", "resources": {}}, {"name": "a", "resources": {}, "securityContext": {}}]}}),
        ),
        (
            "pointers keep zero, others lose it",
            r#"{"spec": {"replicas": 0, "minReadySeconds": 0, "paused": false, "selector": {}}}"#,
            "apps/Deployment",
            json!({"metadata": {}, "status": {}, "spec": {"replicas": 0, "selector": {}, "strategy": {},
                "template": {"metadata": {}, "spec": {}}}}),
        ),
        (
            "numbers as quantities, canonical forms, IntOrString as it was",
            r#"{"spec": {"ports": [{"port": 80, "targetPort": "80"}, {"port": 81, "targetPort": 81}]}}"#,
            "Service",
            json!({"metadata": {}, "status": {"loadBalancer": {}}, "spec": {"ports": [
                {"port": 80, "targetPort": "80"}, {"port": 81, "targetPort": 81}]}}),
        ),
    ];
    for (name, json, kind, want) in cases {
        assert_eq!(decoded(kind, json).tree, want, "{name}");
    }
    let quantities =
        decoded("ResourceQuota", r#"{"spec": {"hard": {"cpu": 2, "memory": "1024Ki", "pods": 0.5}}}"#);
    assert_eq!(quantities.tree["spec"]["hard"], json!({"cpu": "2", "memory": "1Mi", "pods": "500m"}));
}

#[test]
fn raw_values_are_kept_as_they_are() {
    let json = r#"{"data": {"a": null, "b": [{}], "b": [{}]}, "revision": 1}"#;
    let found = decoded("apps/ControllerRevision", json);
    assert_eq!(found.tree["data"], json!({"a": null, "b": [{}]}));
    assert!(found.problems.is_empty());
}

#[test]
fn bytes_may_be_a_list_of_numbers() {
    let found = decoded("Secret", r#"{"data": {"a": [104, 105], "b": []}}"#);
    assert_eq!(found.tree["data"], json!({"a": "aGk=", "b": ""}));
}

#[test]
fn schemas_of_custom_resources() {
    let json = r#"{"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": {
        "a": {"items": {"type": "string", "odd": 1}, "default": {"x": null}, "nullable": true},
        "b": {"additionalProperties": true, "oddly": 1}}}}}]}}"#;
    let found = decoded("apiextensions.k8s.io/CustomResourceDefinition", json);
    let properties = &found.tree["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    assert_eq!(
        properties,
        &json!({"a": {"items": {"type": "string"}, "default": {"x": null}, "nullable": true},
                "b": {"additionalProperties": true}})
    );
    assert_eq!(
        problems(&found),
        [r#"unknown field "spec.versions[0].schema.openAPIV3Schema.properties.b.oddly""#],
        "upstream decodes what is below `items` leniently"
    );
}

#[test]
fn without_a_type_only_duplicates_are_problems() {
    let found = decode_untyped(br#"{"a": {"b": [{"c": 1, "c": null}]}, "n": 18446744073709551615}"#).unwrap();
    assert_eq!(problems(&found), [r#"duplicate field "a.b[0].c""#]);
    assert_eq!(found.tree, json!({"a": {"b": [{"c": null}]}, "n": 18446744073709551615.0}));
}

#[test]
fn a_part_is_decoded_at_its_path() {
    let meta = catalog().definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap();
    let found = decode_part(json!({"name": "a", "foo": 1}), meta, "metadata").unwrap();
    assert_eq!(problems(&found), [r#"unknown field "metadata.foo""#]);
    assert_eq!(found.tree, json!({"name": "a"}));
}

#[test]
fn nesting_is_limited() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(decode_untyped(deep.as_bytes()), Err(DecodeError::TooDeep));
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, id("Pod"));
        let _ = decode_untyped(&bytes);
    }

    /// JSON-like text with a Pod's own words reaches further than random bytes.
    #[test]
    fn never_panics_on_near_json(words in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"spec\"", "\"containers\"", "\"metadata\"", "\"labels\"", "\"limits\"",
        "\"resources\"", "\"creationTimestamp\"", "null", "1", "-1.5e400", "true", "\"2026-01-02T03:04:05Z\"", "\"é",
    ]), 0..60)) {
        let _ = decode(words.concat().as_bytes(), id("Pod"));
    }

    /// Decoding what was decoded changes nothing.
    #[test]
    fn decoding_twice_is_decoding_once(replicas in any::<i32>(), paused in any::<bool>(), name in "[a-z\"\\\\é]{0,8}") {
        let json = json!({"metadata": {"name": name}, "spec": {"replicas": replicas, "paused": paused}}).to_string();
        let once = decoded("apps/Deployment", &json);
        let twice = decode_tree(once.tree.clone(), id("apps/Deployment")).unwrap();
        prop_assert_eq!(once.tree, twice.tree);
    }
}
