//! Defaults of pod specs: everything but what holds for a pod alone and not for a template (see `pod/defaults.rs`).

use serde_json::json;
use steersman_apimachinery::Tree;

use crate::tree::{Read, Write};

/// The lists of containers in a pod spec.
pub(crate) const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Completes the pod template under `spec.template`.
pub(crate) fn template(object: &mut Tree) {
    if let Some(spec) = object.object_mut("spec") {
        template_of(spec);
    }
}

/// Completes the pod template under `template`; one that is absent is there afterwards.
pub(crate) fn template_of(holder: &mut Tree) {
    if let Some(template) = holder.object_mut("template") {
        template.object_mut("metadata");
        if let Some(spec) = template.object_mut("spec") {
            pod_spec(spec);
        }
    }
}

/// Completes a pod spec.
pub(crate) fn pod_spec(spec: &mut Tree) {
    spec.default_text("dnsPolicy", "ClusterFirst");
    spec.default_text("restartPolicy", "Always");
    spec.default_text("schedulerName", "default-scheduler");
    spec.default_value("terminationGracePeriodSeconds", 30);
    spec.object_mut("securityContext");
    alias_service_account(spec);
    for list in CONTAINER_LISTS {
        spec.items_mut(list).iter_mut().for_each(container);
    }
    spec.items_mut("volumes").iter_mut().for_each(volume);
}

/// `serviceAccount` is the older name of `serviceAccountName`; both are always written, the newer one wins.
fn alias_service_account(spec: &mut Tree) {
    let name = match (spec.text("serviceAccountName"), spec.text("serviceAccount")) {
        ("", "") => return,
        ("", older) => older.to_owned(),
        (name, _) => name.to_owned(),
    };
    spec.set("serviceAccountName", name.clone());
    spec.set("serviceAccount", name);
}

fn container(container: &mut Tree) {
    let policy = pull_policy(container.text("image"));
    container.default_text("imagePullPolicy", policy);
    container.default_text("terminationMessagePath", "/dev/termination-log");
    container.default_text("terminationMessagePolicy", "File");
    container.object_mut("resources");
    for port in container.items_mut("ports") {
        port.default_text("protocol", "TCP");
    }
    for variable in container.items_mut("env") {
        if let Some(from) = variable.part_mut("valueFrom") {
            field_ref(from);
            if let Some(file) = from.part_mut("fileKeyRef") {
                file.default_value("optional", false);
            }
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.part_mut(name) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = container.part_mut("lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(handler) = lifecycle.part_mut(hook) {
                http_get(handler);
            }
        }
    }
}

fn probe(probe: &mut Tree) {
    probe.default_number("timeoutSeconds", 1);
    probe.default_number("periodSeconds", 10);
    probe.default_number("successThreshold", 1);
    probe.default_number("failureThreshold", 3);
    http_get(probe);
    if let Some(grpc) = probe.part_mut("grpc") {
        grpc.default_value("service", "");
    }
}

fn http_get(handler: &mut Tree) {
    if let Some(get) = handler.part_mut("httpGet") {
        get.default_text("path", "/");
        get.default_text("scheme", "HTTP");
    }
}

fn field_ref(from: &mut Tree) {
    if let Some(field) = from.part_mut("fieldRef") {
        field.default_text("apiVersion", "v1");
    }
}

/// `Always` for the tag `latest`, said or implied; `IfNotPresent` for any other tag or a digest.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let last = name.rsplit('/').next().unwrap_or_default();
    let latest = match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none() && !image.is_empty(),
    };
    if latest { "Always" } else { "IfNotPresent" }
}

/// Fields that a volume source of the named kind gets.
const VOLUME_DEFAULTS: &[(&str, &[(&str, &str)])] = &[
    ("iscsi", &[("iscsiInterface", "default")]),
    ("rbd", &[("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")]),
    ("azureDisk", &[("cachingMode", "ReadWrite"), ("kind", "Shared"), ("fsType", "ext4")]),
    ("scaleIO", &[("storageMode", "ThinProvisioned"), ("fsType", "xfs")]),
];

/// Sources whose files have a mode: 0644, written in decimal.
const WITH_MODE: [&str; 4] = ["configMap", "secret", "downwardAPI", "projected"];

fn volume(volume: &mut Tree) {
    if !volume.as_object().is_some_and(|map| map.iter().any(|(key, value)| key != "name" && !value.is_null()))
    {
        volume.set("emptyDir", json!({}));
    }
    for kind in WITH_MODE {
        if let Some(source) = volume.part_mut(kind) {
            source.default_value("defaultMode", 0o644);
        }
    }
    for (kind, fields) in VOLUME_DEFAULTS {
        if let Some(source) = volume.part_mut(kind) {
            fields.iter().for_each(|(field, value)| source.default_text(field, value));
        }
    }
    if let Some(disk) = volume.part_mut("azureDisk") {
        disk.default_value("readOnly", false);
    }
    if let Some(path) = volume.part_mut("hostPath") {
        path.default_value("type", "");
    }
    if let Some(image) = volume.part_mut("image") {
        let policy = pull_policy(image.text("reference"));
        image.default_text("pullPolicy", policy);
    }
    if let Some(files) = volume.part_mut("downwardAPI") {
        files.items_mut("items").iter_mut().for_each(field_ref);
    }
    if let Some(claim) = volume
        .part_mut("ephemeral")
        .and_then(|source| source.part_mut("volumeClaimTemplate"))
        .and_then(|template| template.part_mut("spec"))
    {
        claim.default_value("volumeMode", "Filesystem");
    }
    if let Some(projected) = volume.part_mut("projected") {
        projected.items_mut("sources").iter_mut().for_each(projection);
    }
}

fn projection(source: &mut Tree) {
    if let Some(token) = source.part_mut("serviceAccountToken") {
        token.default_value("expirationSeconds", 3600);
    }
    if let Some(files) = source.part_mut("downwardAPI") {
        files.items_mut("items").iter_mut().for_each(field_ref);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_the_pull_policy() {
        let cases = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/nginx", "Always"),
            ("localhost:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:aa", "IfNotPresent"),
            ("nginx:latest@sha256:aa", "Always"),
            ("", "IfNotPresent"),
        ];
        for (image, want) in cases {
            assert_eq!(pull_policy(image), want, "{image:?}");
        }
    }

    #[test]
    fn volumes_are_completed() {
        let cases = [
            (json!({"name": "a"}), json!({"name": "a", "emptyDir": {}})),
            (
                json!({"name": "a", "configMap": {"name": "c"}}),
                json!({"name": "a", "configMap": {"name": "c", "defaultMode": 420}}),
            ),
            (
                json!({"name": "a", "hostPath": {"path": "/"}}),
                json!({"name": "a", "hostPath": {"path": "/", "type": ""}}),
            ),
            (
                json!({"name": "a", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "t"}},
                    {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}}),
                json!({"name": "a", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}},
                    {"downwardAPI": {"items": [
                        {"path": "n", "fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}]}}]}}),
            ),
        ];
        for (mut tree, want) in cases {
            volume(&mut tree);
            assert_eq!(tree, want);
        }
    }
}
