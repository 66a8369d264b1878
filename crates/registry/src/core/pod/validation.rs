//! Validation of pods: of new ones, and of what each subresource may change.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quote::quote;

use super::qos::qos_class;
use crate::checks::{IMMUTABLE, ip};
use crate::core::podspec::validation::{Owner, pod_spec, resource_requirements, tolerations};
use crate::tree::{Read, Write, same};

const CHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

fn spec_path() -> Path {
    Path::new("spec")
}

/// Checks a new pod.
pub(super) fn create(pod: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = spec_path();
    pod_spec(&mut found, pod.at("spec"), &path, Owner::Pod);
    if !pod.items("spec.ephemeralContainers").is_empty() {
        found.push(Error::forbidden(path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if !pod.text("spec.nodeName").is_empty() && !pod.items("spec.schedulingGates").is_empty() {
        let why = "cannot be set until all schedulingGates have been cleared";
        found.push(Error::forbidden(path.child("nodeName"), why));
    }
    found
}

/// Checks a change of a pod through one of its subresources or (`None`) of itself.
pub(super) fn update(new: &Tree, old: &Tree, subresource: Option<&str>) -> ErrorList {
    match subresource {
        Some("status") => status(new, old),
        Some("ephemeralcontainers") => ephemeral(new, old),
        Some("resize") => resize(new, old),
        // The server itself writes these: what they may do is checked where they are handled.
        Some(_) => ErrorList::new(),
        None => spec(new, old),
    }
}

fn spec(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = spec_path();
    pod_spec(&mut found, new.at("spec"), &path, Owner::Pod);
    let comparable = ["containers", "initContainers"].iter().all(|list| {
        images(&mut found, new.at("spec").items(list), old.at("spec").items(list), &path.child(list))
    });
    if !comparable || !active_deadline(&mut found, new, old, &path.child("activeDeadlineSeconds")) {
        return found;
    }
    added_tolerations(&mut found, new, old, &path.child("tolerations"));
    removed_gates(&mut found, new, old, &path.child("schedulingGates"));
    let allowed = without_allowed_changes(&mut found, new.at("spec"), old.at("spec"));
    if !same(&allowed, old.at("spec")) {
        let why = format!("{CHANGEABLE}\n{}", difference(&allowed, old.at("spec")));
        found.push(Error::forbidden(path, why));
    }
    found
}

/// Images may change, the number of containers may not; whether the lists can be compared.
fn images(found: &mut ErrorList, new: &[Tree], old: &[Tree], path: &Path) -> bool {
    if new.len() != old.len() {
        found.push(Error::forbidden(path.clone(), "pod updates may not add or remove containers"));
        return false;
    }
    for (index, container) in new.iter().enumerate() {
        let (image, path) = (container.text("image"), path.index(index).child("image"));
        if image.is_empty() {
            found.push(Error::required(path.clone(), ""));
        }
        if image.trim() != image {
            found.push(Error::invalid(path, image, "must not have leading or trailing whitespace"));
        }
    }
    true
}

/// A deadline may be set, and brought forward; whether it is in range.
fn active_deadline(found: &mut ErrorList, new: &Tree, old: &Tree, path: &Path) -> bool {
    let field = "spec.activeDeadlineSeconds";
    match (new.int(field), old.int(field)) {
        (Some(now), _) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            let why = format!("must be between 0 and {}, inclusive", i32::MAX);
            found.push(Error::invalid(path.clone(), now, why));
            return false;
        }
        (Some(now), Some(before)) if before < now => {
            let why = "must be less than or equal to previous value";
            found.push(Error::invalid(path.clone(), now, why));
            return false;
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            found.push(Error::invalid(path.clone(), Tree::Null, why));
        }
        _ => {}
    }
    true
}

fn added_tolerations(found: &mut ErrorList, new: &Tree, old: &Tree, path: &Path) {
    let without_seconds = |toleration: &Tree| {
        let mut toleration = toleration.clone();
        toleration.remove("tolerationSeconds");
        toleration
    };
    let new = new.items("spec.tolerations");
    for old in old.items("spec.tolerations") {
        if !new.iter().any(|new| same(&without_seconds(new), &without_seconds(old))) {
            let why = "existing toleration can not be modified except its tolerationSeconds";
            found.push(Error::forbidden(path.clone(), why));
        }
    }
    tolerations(found, new, path);
}

fn removed_gates(found: &mut ErrorList, new: &Tree, old: &Tree, path: &Path) {
    let before: Vec<&str> = old.items("spec.schedulingGates").iter().map(|gate| gate.text("name")).collect();
    for (index, gate) in new.items("spec.schedulingGates").iter().enumerate() {
        if !before.contains(&gate.text("name")) {
            let why =
                format!("only deletion is allowed, but found new scheduling gate '{}'", gate.text("name"));
            found.push(Error::forbidden(path.index(index), why));
        }
    }
}

/// The wanted spec with all that may change set back: what is left must equal the stored one.
fn without_allowed_changes(found: &mut ErrorList, wanted: &Tree, old: &Tree) -> Tree {
    let mut spec = wanted.clone();
    for list in ["containers", "initContainers"] {
        for (container, old) in spec.items_mut(list).iter_mut().zip(old.items(list)) {
            container.copy(old, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        spec.copy(old, field);
    }
    let grace = "terminationGracePeriodSeconds";
    if old.int(grace).is_some_and(|seconds| seconds < 0) && spec.int(grace) == Some(1) {
        spec.copy(old, grace);
    }
    if !old.items("schedulingGates").is_empty() {
        narrowed_node_selector(found, &spec, old);
        spec.copy(old, "nodeSelector");
        narrowed_node_affinity(found, &spec, old);
        set_node_affinity_back(&mut spec, old);
    }
    spec
}

/// A gated pod may be bound to fewer nodes, never to others.
fn narrowed_node_selector(found: &mut ErrorList, new: &Tree, old: &Tree) {
    let path = spec_path().child("nodeSelector");
    let kept = old.entries("nodeSelector").all(|(key, value)| new.at("nodeSelector").get(key) == Some(value));
    if !kept {
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        found.push(Error::invalid(path, new.at("nodeSelector").clone(), why));
    }
}

fn narrowed_node_affinity(found: &mut ErrorList, new: &Tree, old: &Tree) {
    const TERMS: &str =
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let (new, old) = (new.items(TERMS), old.items(TERMS));
    if old.is_empty() {
        return;
    }
    let path = TERMS.split('.').fold(spec_path(), |path, part| path.child(part));
    if new.len() != old.len() {
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        found.push(Error::invalid(path, new.to_vec(), why));
        return;
    }
    for (index, (new, old)) in new.iter().zip(old).enumerate() {
        let narrowed = ["matchExpressions", "matchFields"].iter().all(|rules| {
            old.items(rules).iter().enumerate().all(|(nth, rule)| new.items(rules).get(nth) == Some(rule))
        });
        if !narrowed {
            let why = "only additions are allowed (no mutations or deletions)";
            found.push(Error::invalid(path.index(index), new.clone(), why));
        }
    }
}

fn set_node_affinity_back(spec: &mut Tree, old: &Tree) {
    let before = old.at("affinity.nodeAffinity").clone();
    if let Some(affinity) = spec.object_mut("affinity") {
        affinity.set("nodeAffinity", before);
    }
}

/// The fields that differ, with the stored value behind `-` and the wanted one behind `+`.
fn difference(new: &Tree, old: &Tree) -> String {
    let empty = serde_json::Map::new();
    let (new, old) = (new.as_object().unwrap_or(&empty), old.as_object().unwrap_or(&empty));
    let mut text = String::from("  core.PodSpec{\n");
    let fields: std::collections::BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    for field in fields {
        let (now, before) = (new.get(field).unwrap_or(&Tree::Null), old.get(field).unwrap_or(&Tree::Null));
        if !same(now, before) {
            text += &format!("- \t{field}: {before},\n+ \t{field}: {now},\n");
        }
    }
    text + "  }\n"
}

fn status(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("status");
    let class = new.text("status.qosClass");
    if class != old.text("status.qosClass") {
        found.push(Error::invalid(path.child("qosClass"), class, IMMUTABLE));
    }
    for list in ["podIPs", "hostIPs"] {
        for (index, address) in new.at("status").items(list).iter().enumerate() {
            ip(&mut found, &path.child(list).index(index), address.text("ip"));
        }
    }
    transitions(&mut found, new, old, "containerStatuses", "containers");
    transitions(&mut found, new, old, "initContainerStatuses", "initContainers");
    found
}

/// A container that has ended and is not restarted stays ended.
fn transitions(found: &mut ErrorList, new: &Tree, old: &Tree, list: &str, specs: &str) {
    let (path, statuses) = (Path::new("status").child(list), new.at("status").items(list));
    for before in old.at("status").items(list).iter().filter(|status| status.has("state.terminated")) {
        let name = before.text("name");
        let container = old.at("spec").items(specs).iter().find(|container| container.text("name") == name);
        let failed = before.int("state.terminated.exitCode").unwrap_or(0) != 0;
        if may_restart(container.unwrap_or(&Tree::Null), old.text("spec.restartPolicy"), failed) {
            continue;
        }
        let now = statuses.iter().position(|status| status.text("name") == name);
        if let Some(index) = now.filter(|index| !statuses[*index].has("state.terminated")) {
            let why = "may not be transitioned to non-terminated state";
            found.push(Error::forbidden(path.index(index).child("state"), why));
        }
    }
}

/// A container's own policy and rules go before the pod's.
fn may_restart(container: &Tree, pod_policy: &str, failed: bool) -> bool {
    let own = container.text("restartPolicy");
    match if own.is_empty() { pod_policy } else { own } {
        "Always" => true,
        "OnFailure" => failed,
        _ => !container.items("restartPolicyRules").is_empty(),
    }
}

fn ephemeral(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = spec_path();
    pod_spec(&mut found, new.at("spec"), &path, Owner::Pod);
    let path = path.child("ephemeralContainers");
    for old in old.items("spec.ephemeralContainers") {
        let name = old.text("name");
        let new = new.items("spec.ephemeralContainers").iter().find(|new| new.text("name") == name);
        match new {
            None => {
                let why = format!("existing ephemeral containers {} may not be removed\n", quote(name));
                found.push(Error::forbidden(path.clone(), why));
            }
            Some(new) if !same(new, old) => {
                let why = format!(
                    "existing ephemeral containers {} may not be changed\n{}",
                    quote(name),
                    difference(new, old)
                );
                found.push(Error::forbidden(path.clone(), why));
            }
            Some(_) => {}
        }
    }
    found
}

fn resize(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = spec_path();
    for list in ["containers", "initContainers"] {
        let pairs = new.at("spec").items(list).iter().zip(old.at("spec").items(list));
        for (index, (new, old)) in pairs.enumerate() {
            let path = path.child(list).index(index).child("resources");
            resource_requirements(&mut found, new.at("resources"), &path);
            kept_resources(&mut found, new, old, &path);
        }
    }
    if qos_class(new.at("spec")) != old.text("status.qosClass") && old.has("status.qosClass") {
        let why = "Pod QOS Class may not change as a result of resizing";
        found.push(Error::invalid(path, qos_class(new.at("spec")), why));
    }
    found
}

/// Only CPU and memory are resized, and what is requested or limited stays so.
fn kept_resources(found: &mut ErrorList, new: &Tree, old: &Tree, path: &Path) {
    for part in ["requests", "limits"] {
        let (new, old) = (new.at("resources").at(part), old.at("resources").at(part));
        for (name, value) in old.entries("") {
            match new.get(name) {
                None => {
                    let why = format!("resource {part} cannot be removed");
                    found.push(Error::forbidden(path.child(part), why));
                }
                Some(changed) if changed != value && !matches!(name, "cpu" | "memory") => {
                    let why = "only cpu and memory resources are mutable";
                    found.push(Error::forbidden(spec_path(), why));
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
