use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::decode;
use crate::generate::{Choices, object};

fn id(kind: &str) -> TypeId {
    let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
    catalog().kind(group, "v1", kind).expect(kind)
}

fn normal(tree: Tree, id: TypeId) -> Tree {
    decode::decode_tree(tree, id).expect("a generated object decodes").tree
}

#[test]
fn the_bytes_of_a_small_object() {
    let config_map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let body = encode(&config_map, id("ConfigMap")).unwrap();
    let mut want = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap".to_vec();
    let meta = b"\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00";
    let data = b"\x12\x06\x0a\x01k\x12\x01v";
    want.extend([0x12, (2 + meta.len() + data.len()) as u8, 0x0a, meta.len() as u8]);
    want.extend(meta);
    want.extend(data);
    want.extend(b"\x1a\x00\x22\x00");
    assert_eq!(body, want);
    assert_eq!(decode(&body), Ok((config_map, id("ConfigMap"))));
}

#[test]
fn zero_values_stay_where_json_has_them() {
    let cases = [
        ("apps/Deployment", json!({"spec": {"replicas": 0, "paused": true}})),
        ("Pod", json!({"status": {"containerStatuses": [{"name": "a"}]}})),
        (
            "Service",
            json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 1, "targetPort": 0}]}}),
        ),
        (
            "Pod",
            json!({"spec": {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b"}], "containers": []}}),
        ),
        ("Secret", json!({"data": {"a": "aGk=", "b": ""}})),
        (
            "policy/PodDisruptionBudget",
            json!({"spec": {"maxUnavailable": "10%"}, "status": {"disruptedPods": {"a": null}}}),
        ),
        (
            "Pod",
            json!({"metadata": {"deletionTimestamp": null, "creationTimestamp": "2026-01-02T03:04:05Z"}}),
        ),
        ("authorization.k8s.io/SubjectAccessReview", json!({"spec": {"extra": {"a": ["x", "y"], "b": []}}})),
        (
            "apiextensions.k8s.io/CustomResourceDefinition",
            json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {
                "properties": {"a": {"items": [{"type": "string"}], "default": [1, null], "$ref": "x",
                    "x-kubernetes-list-type": "map", "x-kubernetes-preserve-unknown-fields": true}},
                "additionalProperties": false, "enum": [1, "a", {"b": null}],
                "dependencies": {"a": ["b", "c"], "d": {"type": "object"}},
                "x-kubernetes-validations": [{"rule": "self > 1"}]}}}]}}),
        ),
    ];
    for (kind, tree) in cases {
        let want = normal(tree, id(kind));
        let message = encode_message(&want, id(kind)).unwrap();
        assert_eq!(decode_message(&message, id(kind)), Ok(want), "{kind}");
    }
}

#[test]
fn lists_and_watch_events_are_made_of_encoded_parts() {
    let pod = normal(json!({"metadata": {"name": "a"}}), id("Pod"));
    let message = encode_message(&pod, id("Pod")).unwrap();
    let meta = json!({"resourceVersion": "5"});
    let list = encode_list("v1", "PodList", &meta, [message.as_slice(), message.as_slice()]).unwrap();
    let whole = json!({"apiVersion": "v1", "kind": "PodList", "metadata": meta, "items": [pod, pod]});
    assert_eq!(list, encode(&whole, id("PodList")).unwrap());
    assert_eq!(decode(&list).unwrap().0, whole);

    let body = wrap("v1", "Pod", &message);
    let event = decode_message(&encode_watch_event("ADDED", &body), id("WatchEvent")).unwrap();
    assert_eq!(event["type"], "ADDED");
    assert_eq!(event["object"]["kind"], "Pod");
    assert_eq!(event["object"]["metadata"]["name"], "a");
}

#[test]
fn unknown_fields_are_skipped() {
    let mut message = encode_message(&json!({"data": {"a": "b"}}), id("ConfigMap")).unwrap();
    message.extend(b"\xf8\x3f\x05\xfa\x3f\x02hi\xa5\x06\x00\x00\x00\x00");
    assert_eq!(decode_message(&message, id("ConfigMap")).unwrap()["data"], json!({"a": "b"}));
}

#[test]
fn lists_of_numbers_may_be_packed() {
    let security = catalog().definition("io.k8s.api.core.v1.PodSecurityContext").unwrap();
    let field = catalog().field(security, "supplementalGroups").unwrap().proto.numbers()[0];
    let packed = [field << 3 | 2, 3, 1, 0x80, 1];
    let single = [field << 3, 1, field << 3, 0x80, 1];
    for message in [&packed[..], &single[..]] {
        assert_eq!(decode_message(message, security).unwrap()["supplementalGroups"], json!([1, 128]));
    }
}

#[test]
fn bad_bytes_are_refused() {
    let pod = id("Pod");
    let cases: [(&[u8], ProtoError); 5] = [
        (b"\x0a\x05a", ProtoError::Truncated),
        (b"\x0b", ProtoError::WireType(3)),
        (b"\x00\x01", ProtoError::Tag(0)),
        (b"\x08\x01", ProtoError::WrongWireType("metadata")),
        (b"\x0a\x03\x0a\x01\xff", ProtoError::Value("name")),
    ];
    for (bytes, want) in cases {
        assert_eq!(decode_message(bytes, pod), Err(want), "{bytes:?}");
    }
    assert_eq!(decode(b"{}"), Err(ProtoError::Magic));
    assert!(matches!(decode(&wrap("v1", "Nothing", b"")), Err(ProtoError::UnknownKind { .. })));
}

#[test]
fn nesting_is_limited() {
    let mut body = wrap("v1", "WatchEvent", b"");
    for _ in 0..1000 {
        body = wrap("v1", "WatchEvent", &encode_watch_event("ADDED", &body));
    }
    assert_eq!(decode(&body), Err(ProtoError::TooDeep));
}

#[test]
fn every_kind_survives_the_round_trip() {
    for (gvk, id) in catalog().kinds().filter(|(_, id)| has_message(*id)) {
        for seed in 0..8 {
            let tree = normal(object(gvk, id, &mut Choices::new(seed)), id);
            let body = encode(&tree, id).unwrap_or_else(|e| panic!("{gvk:?}: {e}"));
            let back = decode_opened(&open(&body).unwrap(), id).unwrap();
            assert_eq!(back, tree, "{gvk:?} with seed {seed}");
        }
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in ["Pod", "apiextensions.k8s.io/CustomResourceDefinition", "Event"] {
            let _ = decode_message(&bytes, id(kind));
        }
        let _ = open(&[MAGIC.as_slice(), &bytes].concat());
    }

    /// Damaged messages reach further than random bytes.
    #[test]
    fn never_panics_on_damage(seed in 0..50u64, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let gvk = crate::catalog::Gvk { group: "", version: "v1", kind: "Pod" };
        let tree = normal(object(gvk, id("Pod"), &mut Choices::new(seed)), id("Pod"));
        let mut body = encode(&tree, id("Pod")).unwrap();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = decode(&body);
    }
}
