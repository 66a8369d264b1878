//! Which objects a pod refers to. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

use crate::pod::PodExt;

/// Names of objects in the pod's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets, those for pulling among them.
    pub secrets: BTreeSet<String>,
    /// Secrets for pulling alone.
    pub pull_secrets: Vec<String>,
}

/// Everything the containers and volumes of `pod` need.
pub fn references(pod: &Pod) -> References {
    let mut found = References::default();
    for (_, container) in pod.every_container() {
        for source in container.env_from.iter().flatten() {
            found.config_maps.extend(source.config_map_ref.iter().map(|reference| reference.name.clone()));
            found.secrets.extend(source.secret_ref.iter().map(|reference| reference.name.clone()));
        }
        for source in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
            found
                .config_maps
                .extend(source.config_map_key_ref.iter().map(|reference| reference.name.clone()));
            found.secrets.extend(source.secret_key_ref.iter().map(|reference| reference.name.clone()));
        }
    }
    for volume in pod.spec().volumes.iter().flatten() {
        found.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        found.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for source in projected {
            found.config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
            found.secrets.extend(source.secret.iter().map(|source| source.name.clone()));
        }
    }
    let pull = pod.spec().image_pull_secrets.iter().flatten().map(|reference| reference.name.clone());
    found.pull_secrets = pull.filter(|name| !name.is_empty()).collect();
    found.secrets.extend(found.pull_secrets.iter().cloned());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::json;

    #[test]
    fn every_place_that_names_an_object_is_looked_at() {
        let p = pod(json!({
            "imagePullSecrets": [{ "name": "s5" }],
            "initContainers": [{ "name": "i", "envFrom": [{ "configMapRef": { "name": "c1" } }] }],
            "containers": [{ "name": "a", "envFrom": [{ "secretRef": { "name": "s1" } }], "env": [
                { "name": "X", "valueFrom": { "configMapKeyRef": { "name": "c2", "key": "k" } } },
                { "name": "Y", "valueFrom": { "secretKeyRef": { "name": "s2", "key": "k" } } }] }],
            "volumes": [
                { "name": "v", "configMap": { "name": "c3" } },
                { "name": "w", "secret": { "secretName": "s3" } },
                { "name": "x", "projected": { "sources": [
                    { "configMap": { "name": "c4" } }, { "secret": { "name": "s4" } }] } }] }));
        let found = references(&p);
        assert_eq!(Vec::from_iter(found.config_maps), ["c1", "c2", "c3", "c4"]);
        assert_eq!(Vec::from_iter(found.secrets), ["s1", "s2", "s3", "s4", "s5"]);
        assert_eq!(found.pull_secrets, ["s5"]);
    }
}
