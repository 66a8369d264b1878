//! What the server warns of in pod specs and templates, as upstream words it (`pkg/api/pod`).

use std::collections::HashMap;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::Path;
use steersman_apimachinery::names::dns1123_label_problems;
use steersman_apimachinery::quantity::Quantity;
use steersman_apimachinery::quote::quote;

use super::defaults::CONTAINER_LISTS;
use crate::Context;
use crate::tree::Read;

/// Labels of nodes that have newer names.
const OLD_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// What to say about a label of nodes that has a newer name.
pub(crate) fn old_label(key: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(label, _)| *label == key).map(|(_, why)| *why)
}

/// Volume sources that nothing serves any more.
const OLD_VOLUMES: &[(&str, &str)] = &[
    ("gitRepo", "deprecated in v1.11"),
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Warnings of a pod spec at `path`.
pub(crate) fn pod_spec(spec: &Tree, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for (label, why) in OLD_LABELS {
        if spec.at("nodeSelector").get(*label).is_some() {
            warnings.push(format!("{}: {why}", path.child("nodeSelector").key(label)));
        }
    }
    for (index, volume) in spec.items("volumes").iter().enumerate() {
        for (kind, why) in OLD_VOLUMES.iter().filter(|(kind, _)| volume.has(kind)) {
            warnings.push(format!("{}: {why}", path.child("volumes").index(index).child(kind)));
        }
    }
    for (index, secret) in spec.items("imagePullSecrets").iter().enumerate() {
        if secret.text("name").is_empty() {
            let path = path.child("imagePullSecrets").index(index).child("name");
            warnings.push(format!("{path}: invalid empty name \"\""));
        }
    }
    if spec.int("terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for list in CONTAINER_LISTS {
        for (index, container) in spec.items(list).iter().enumerate() {
            container_warnings(&mut warnings, container, &path.child(list).index(index));
        }
    }
    warnings
}

/// Warnings of the pod template at `path` of an object.
pub(crate) fn template(object: &Tree, path: &str) -> Vec<String> {
    pod_spec(object.at(path).at("spec"), &Path::new(path).child("spec"))
}

/// What `work` warns of, if the object is new or its generation has changed; nothing for a subresource.
pub(crate) fn of_changed(
    new: &Tree,
    old: Option<&Tree>,
    context: &Context,
    work: impl FnOnce(&Tree) -> Vec<String>,
) -> Vec<String> {
    let generation = |tree: &Tree| tree.int("metadata.generation");
    let changed = old.is_none_or(|old| generation(old) != generation(new));
    if context.subresource.is_none() && changed { work(new) } else { Vec::new() }
}

/// What is warned of in a workload of running pods: its name, and its template if that may have changed.
pub(crate) fn workload(new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
    of_changed(new, old, context, |new| {
        let mut warnings = name_for_pods(new, old);
        warnings.extend(template(new, "spec.template"));
        warnings
    })
}

/// Warns of the name of a new object whose pods' names and host names start with it and that is no label.
pub(crate) fn name_for_pods(new: &Tree, old: Option<&Tree>) -> Vec<String> {
    let problems = dns1123_label_problems(new.text("metadata.name"), false);
    if old.is_some() || problems.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
         recommended: [{}]",
        problems.join(" ")
    )]
}

fn container_warnings(warnings: &mut Vec<String>, container: &Tree, path: &Path) {
    for part in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            let Some(value) = container.at("resources").at(part).get(name) else { continue };
            if Quantity::from_tree(value).is_ok_and(|quantity| quantity.milli_value() % 1000 != 0) {
                let path = path.child("resources").child(part).key(name);
                let value = quote(value.as_str().unwrap_or_default());
                warnings
                    .push(format!("{path}: fractional byte value {value} is invalid, must be an integer"));
            }
        }
    }
    hidden_variables(warnings, container, &path.child("env"));
    repeated_ports(warnings, container, &path.child("ports"));
}

/// A variable defined twice: the last wins, but apply may drop one. Building on the first (`$(NAME)`) is no mistake.
fn hidden_variables(warnings: &mut Vec<String>, container: &Tree, path: &Path) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (index, variable) in container.items("env").iter().enumerate() {
        let (name, value) = (variable.text("name"), variable.text("value"));
        if seen.contains_key(name) && !value.contains(&format!("$({name})")) {
            let path = path.index(index);
            let name = quote(name);
            warnings.push(format!(
                "{path}: hides previous definition of {name}, which may be dropped when using apply"
            ));
        }
        seen.insert(name, value);
    }
}

fn repeated_ports(warnings: &mut Vec<String>, container: &Tree, path: &Path) {
    let ports = container.items("ports");
    for (index, port) in ports.iter().enumerate() {
        let key = |port: &Tree| {
            (
                port.int("containerPort"),
                port.text("protocol").to_owned(),
                port.int("hostPort").unwrap_or(0),
                port.text("hostIP").to_owned(),
            )
        };
        if let Some(first) = ports[..index].iter().position(|other| key(other) == key(port)) {
            warnings.push(format!(
                "{}: duplicate port definition with {}",
                path.index(index),
                path.index(first)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn warnings_read_as_upstream_words_them() {
        let spec = json!({
            "nodeSelector": {"beta.kubernetes.io/os": "linux"}, "terminationGracePeriodSeconds": -1,
            "imagePullSecrets": [{}], "volumes": [{"name": "a", "rbd": {}}],
            "containers": [{
                "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B", "value": "1"},
                    {"name": "B", "value": "$(B)2"}],
                "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"memory": "100m"}},
            }],
        });
        let want = [
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+",
            "spec.imagePullSecrets[0].name: invalid empty name \"\"",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        ];
        assert_eq!(pod_spec(&spec, &Path::new("spec")), want);
    }
}
