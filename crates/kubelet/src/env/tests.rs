use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::*;
use crate::pod::PodExt;
use crate::testing::pod;

fn objects() -> Objects {
    let mut objects = Objects::default();
    let map: ConfigMap = serde_json::from_value(json!({ "data": { "k": "v", "other": "o" } })).unwrap();
    let secret: Secret = serde_json::from_value(json!({ "data": { "password": "czNjcmV0" } })).unwrap();
    objects.config_maps.insert("map".into(), Ok(Arc::new(map)));
    objects.secrets.insert("secret".into(), Ok(Arc::new(secret)));
    objects
}

fn build(container: Value) -> Result<Environment, EnvError> {
    let mut spec = json!({ "nodeName": "n1", "containers": [container] });
    spec["containers"][0]["name"] = json!("c");
    let mut pod = pod(spec);
    pod.metadata.labels = Some([("app".to_owned(), "a\"b".to_owned())].into());
    let allocatable =
        [("cpu".to_owned(), Quantity("4".into())), ("memory".to_owned(), Quantity("1Gi".into()))];
    let allocatable = allocatable.into();
    let downward = Downward {
        pod: &pod,
        pod_ips: &["10.0.0.7".to_owned(), "fd00::7".to_owned()],
        host_ips: &["192.0.2.1".to_owned()],
        allocatable: &allocatable,
    };
    let services = [("SVC".to_owned(), "1.2.3.4".to_owned()), ("A".to_owned(), "shadowed".to_owned())].into();
    let container = pod.find_container("c").unwrap().1;
    environment(&container, &objects(), &downward, &services)
}

fn env(container: Value) -> Vec<String> {
    build(container).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn every_source_gives_its_value() {
    let from = |source: Value| json!({ "name": "X", "valueFrom": source });
    let field = |path: &str| from(json!({ "fieldRef": { "fieldPath": path } }));
    let resource = |name: &str, divisor: &str| {
        from(json!({ "resourceFieldRef": { "resource": name, "divisor": divisor } }))
    };
    let cases = [
        (json!({ "name": "X", "value": "1" }), "1"),
        (json!({ "name": "X" }), ""),
        (json!({ "name": "X", "value": "$(SVC)/$(NOPE)" }), "1.2.3.4/$(NOPE)"),
        (field("metadata.name"), "p"),
        (field("metadata.labels['app']"), "a\"b"),
        (field("metadata.labels"), "app=\"a\\\"b\""),
        (field("status.podIPs"), "10.0.0.7,fd00::7"),
        (field("status.hostIP"), "192.0.2.1"),
        (field("spec.nodeName"), "n1"),
        (resource("limits.cpu", "0"), "1"),
        (resource("limits.cpu", "1m"), "500"),
        (resource("limits.memory", "1Mi"), "1024"),
        (resource("requests.cpu", "1m"), "0"),
        (from(json!({ "configMapKeyRef": { "name": "map", "key": "k" } })), "v"),
        (from(json!({ "secretKeyRef": { "name": "secret", "key": "password" } })), "s3cret"),
    ];
    for (var, want) in cases {
        let got = env(json!({ "env": [var.clone()], "resources": { "limits": { "cpu": "500m" } } }));
        assert_eq!(got[0], format!("X={want}"), "{var}");
    }
}

#[test]
fn later_variables_see_and_replace_earlier_ones() {
    let got = env(json!({
        "envFrom": [{ "prefix": "P_", "configMapRef": { "name": "map" } }, { "secretRef": { "name": "secret" } }],
        "env": [{ "name": "A", "value": "1" }, { "name": "P_k", "value": "over" }, { "name": "B", "value": "$(A)$(P_k)" }] }));
    assert_eq!(got, ["P_k=over", "P_other=o", "password=s3cret", "A=1", "B=1over", "SVC=1.2.3.4"]);
}

#[test]
fn what_is_missing_is_named_and_optional_things_are_left_out() {
    let key = |optional: bool| json!({ "name": "map", "key": "nope", "optional": optional });
    let cases = [
        (
            json!({ "env": [{ "name": "X", "valueFrom": { "configMapKeyRef": key(false) } }] }),
            "couldn't find key nope in ConfigMap ns/map",
        ),
        (
            json!({ "env": [{ "name": "X", "valueFrom": { "secretKeyRef": { "name": "secret", "key": "nope" } } }] }),
            "couldn't find key nope in Secret ns/secret",
        ),
        (
            json!({ "env": [{ "name": "X", "valueFrom": { "secretKeyRef": { "name": "gone", "key": "k" } } }] }),
            "secret \"gone\" not found",
        ),
        (json!({ "envFrom": [{ "configMapRef": { "name": "gone" } }] }), "configmap \"gone\" not found"),
    ];
    for (container, want) in cases {
        assert_eq!(build(container.clone()).unwrap_err().to_string(), want, "{container}");
    }
    let optional = json!({ "env": [{ "name": "X", "valueFrom": { "configMapKeyRef": key(true) } }],
        "envFrom": [{ "secretRef": { "name": "gone", "optional": true } }] });
    assert_eq!(env(optional), ["A=shadowed", "SVC=1.2.3.4"]);
}
