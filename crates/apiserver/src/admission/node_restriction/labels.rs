//! The labels that a kubelet may put on its node: none of Kubernetes's own but those that describe the machine, so
//! that a node cannot draw pods to itself.

use std::collections::BTreeSet;

use steersman_apimachinery::Tree;

/// Labels that a kubelet sets.
const OWN: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "kubernetes.io/os",
    "kubernetes.io/arch",
];
/// Label namespaces that are a kubelet's own.
const OWN_NAMESPACES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// The labels that differ between `new` and `old` and are not for a kubelet to change, sorted.
pub(super) fn forbidden(new: &Tree, old: Option<&Tree>) -> Vec<String> {
    let label = |tree: Option<&Tree>, key: &str| {
        tree.and_then(|tree| tree.pointer("/metadata/labels")?.get(key).cloned())
    };
    let keys = |tree: Option<&Tree>| {
        let labels = tree.and_then(|tree| tree.pointer("/metadata/labels")?.as_object());
        labels.into_iter().flatten().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>()
    };
    let all = &keys(Some(new)) | &keys(old);
    all.into_iter().filter(|key| label(Some(new), key) != label(old, key) && !is_allowed(key)).collect()
}

fn is_allowed(key: &str) -> bool {
    let Some((namespace, _)) = key.split_once('/') else { return true };
    let within = |domain: &str| {
        namespace == domain || namespace.strip_suffix(domain).is_some_and(|head| head.ends_with('.'))
    };
    if within("node-restriction.kubernetes.io") {
        return false;
    }
    !(within("kubernetes.io") || within("k8s.io"))
        || OWN.contains(&key)
        || OWN_NAMESPACES.iter().any(|own| within(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_own_labels_are_for_the_machine_only() {
        for (key, allowed) in [
            ("disk", true),
            ("example.com/disk", true),
            ("notkubernetes.io/x", true),
            ("kubernetes.io/hostname", true),
            ("node.kubernetes.io/pool", true),
            ("x.kubelet.kubernetes.io/y", true),
            ("node-role.kubernetes.io/control-plane", false),
            ("node-restriction.kubernetes.io/fips", false),
            ("team.node-restriction.kubernetes.io/fips", false),
            ("kubernetes.io/other", false),
            ("x.k8s.io/y", false),
        ] {
            assert_eq!(is_allowed(key), allowed, "{key}");
        }
    }
}
