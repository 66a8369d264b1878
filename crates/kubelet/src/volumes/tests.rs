use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};

use super::*;
use crate::testing::pod;

fn prepared(volume: Value) -> Result<Prepared, String> {
    let mut objects = Objects::default();
    let map: ConfigMap = serde_json::from_value(json!({ "data": { "k": "v" } })).unwrap();
    let secret: Secret = serde_json::from_value(json!({ "data": { "p": "czNjcmV0" } })).unwrap();
    objects.config_maps.insert("map".into(), Ok(Arc::new(map)));
    objects.secrets.insert("secret".into(), Ok(Arc::new(secret)));
    let p = pod(json!({ "containers": [{ "name": "a" }] }));
    let allocatable = quantity::ResourceList::new();
    let downward = Downward { pod: &p, pod_ips: &[], host_ips: &[], allocatable: &allocatable };
    let tokens = [(("x".to_owned(), "token".to_owned()), Ok("jwt".to_owned()))].into();
    let mut volume = volume;
    volume["name"] = json!("x");
    prepare(&serde_json::from_value(volume).unwrap(), &objects, &downward, &tokens).map_err(|e| e.to_string())
}

fn files(volume: Value) -> Vec<(String, String, u32)> {
    let Prepared::Files { payload, .. } = prepared(volume).unwrap() else { panic!("not files") };
    payload.into_iter().map(|(path, file)| (path, String::from_utf8(file.data).unwrap(), file.mode)).collect()
}

fn file(path: &str, data: &str, mode: u32) -> (String, String, u32) {
    (path.to_owned(), data.to_owned(), mode)
}

#[test]
fn objects_become_files() {
    assert_eq!(files(json!({ "configMap": { "name": "map" } })), [file("k", "v", 0o644)]);
    let secret = json!({ "secret": { "secretName": "secret", "defaultMode": 0o400 } });
    assert_eq!(files(secret), [file("p", "s3cret", 0o400)]);
    let downward = json!({ "downwardAPI": { "items": [
        { "path": "d/name", "fieldRef": { "fieldPath": "metadata.name" }, "mode": 0o600 }] } });
    assert_eq!(files(downward), [file("d/name", "p", 0o600)]);
    let projected = json!({ "projected": { "sources": [
        { "serviceAccountToken": { "path": "token" } },
        { "configMap": { "name": "map", "items": [{ "key": "k", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } }] } });
    let want = [file("ca.crt", "v", 0o644), file("namespace", "ns", 0o644), file("token", "jwt", 0o644)];
    assert_eq!(files(projected), want);
}

#[test]
fn what_is_missing_is_said_in_upstreams_words() {
    let cases = [
        (
            json!({ "configMap": { "name": "y" } }),
            "MountVolume.SetUp failed for volume \"x\" : configmap \"y\" not found",
        ),
        (
            json!({ "secret": { "secretName": "y" } }),
            "MountVolume.SetUp failed for volume \"x\" : secret \"y\" not found",
        ),
        (
            json!({ "secret": { "secretName": "secret", "items": [{ "key": "n", "path": "n" }] } }),
            "MountVolume.SetUp failed for volume \"x\" : references non-existent secret key: n",
        ),
        (
            json!({ "projected": { "sources": [{ "configMap": { "name": "y" } }, { "secret": { "name": "z" } }] } }),
            "MountVolume.SetUp failed for volume \"x\" : [configmap \"y\" not found, secret \"z\" not found]",
        ),
    ];
    for (volume, want) in cases {
        assert_eq!(prepared(volume.clone()).unwrap_err(), want, "{volume}");
    }
    assert_eq!(files(json!({ "configMap": { "name": "y", "optional": true } })), []);
}

#[test]
fn directories_are_described() {
    let memory = json!({ "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } });
    let medium = Medium::Memory { limit_bytes: Some(1 << 20) };
    assert_eq!(prepared(memory), Ok(Prepared::EmptyDir { medium, mode: 0o777 }));
    let host = json!({ "hostPath": { "path": "/data", "type": "DirectoryOrCreate" } });
    let want = Prepared::HostPath { path: "/data".into(), kind: "DirectoryOrCreate".into() };
    assert_eq!(location(Path::new("/pods/u"), "x", &want), Path::new("/data"));
    assert_eq!(prepared(host), Ok(want));
}

#[test]
fn tokens_belong_to_the_user_that_all_containers_run_as() {
    let user = |one: i64, two: i64| {
        let p = pod(json!({ "containers": [
            { "name": "a", "securityContext": { "runAsUser": one } },
            { "name": "b", "securityContext": { "runAsUser": two } }] }));
        token_access(&p, None, None)
    };
    assert_eq!(user(5, 5), (0o600, Some(5)));
    assert_eq!(user(5, 6), (0o644, None));
}

#[test]
fn putting_in_place_follows_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("volume");
    for text in ["one", "two"] {
        let file = File { data: text.into(), mode: 0o644, user: None };
        let payload = [("k".to_owned(), file)].into();
        let prepared = Prepared::Files { plugin: "configmap", in_memory: false, payload };
        put_in_place(&at, &prepared, None).unwrap();
        assert_eq!(std::fs::read_to_string(at.join("k")).unwrap(), text);
    }
}
