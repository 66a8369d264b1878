//! Validation of pod specs, alike for pods and the templates of workloads. Upstream's texts and paths
//! (`pkg/apis/core/validation`).

mod container;
mod dns;
mod env;
mod handlers;
mod mounts;
mod references;
mod resources;
mod scheduling;
mod security;
mod volumes;

pub(crate) use resources::{
    container_resource, is_native as is_native_resource, is_quota as is_quota_resource, may_overcommit,
    quantity as resource_quantity, requirements as resource_requirements, resource_name,
};
pub(crate) use scheduling::{node_selector, taint_effect, tolerations};
pub(crate) use volumes::host_path;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::{Selector, validate_labels};
use steersman_apimachinery::meta::validate_annotations;

use crate::checks::{Seen, known_word, label, optional_word, qualified, required_word, subdomain};
use crate::tree::Read;

/// What a pod spec belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A pod itself.
    Pod,
    /// A template: defaults of a pod alone are not there yet.
    Template,
}

/// What the parts of a pod spec must know about the whole.
struct Whole<'a> {
    spec: &'a Tree,
    volumes: Vec<&'a Tree>,
}

impl<'a> Whole<'a> {
    fn volume(&self, name: &str) -> Option<&'a Tree> {
        self.volumes.iter().find(|volume| volume.text("name") == name).copied()
    }

    fn grace_period(&self) -> Option<i64> {
        self.spec.int("terminationGracePeriodSeconds")
    }
}

/// Checks a pod template.
pub(crate) fn template(found: &mut ErrorList, template: &Tree, path: &Path) {
    found.extend(validate_labels(
        template.get("metadata").and_then(|m| m.get("labels")),
        &path.child("labels"),
    ));
    found.extend(validate_annotations(
        template.get("metadata").and_then(|m| m.get("annotations")),
        &path.child("annotations"),
    ));
    let path = path.child("spec");
    pod_spec(found, template.at("spec"), &path, Owner::Template);
    if !template.items("spec.ephemeralContainers").is_empty() {
        found.push(Error::forbidden(
            path.child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
}

/// Checks a pod spec.
pub(crate) fn pod_spec(found: &mut ErrorList, spec: &Tree, path: &Path, owner: Owner) {
    let whole = Whole { spec, volumes: spec.items("volumes").iter().collect() };
    if whole.grace_period().is_none() {
        found.push(Error::required(path.child("terminationGracePeriodSeconds"), ""));
    }
    volumes::list(found, spec.items("volumes"), &path.child("volumes"));
    container::all(found, &whole, path);
    if spec.has("resources") {
        resources::pod_level(found, spec, &path.child("resources"));
    }
    security::host_network_ports(found, spec, path, owner);
    policies(found, spec, path);
    found.extend(validate_labels(spec.get("nodeSelector"), &path.child("nodeSelector")));
    security::pod(found, spec, path);
    scheduling::affinity(found, spec.at("affinity"), &path.child("affinity"));
    dns::config(found, spec, &path.child("dnsConfig"));
    gates(found, spec, path);
    scheduling::spread(
        found,
        spec.items("topologySpreadConstraints"),
        &path.child("topologySpreadConstraints"),
    );
    security::host_namespaces(found, spec, path);
    names(found, spec, path, &["serviceAccountName", "nodeName"], subdomain);
    active_deadline(found, spec, path);
    names(found, spec, path, &["hostname", "subdomain"], label);
    hostname_override(found, spec, path);
    tolerations(found, spec.items("tolerations"), &path.child("tolerations"));
    dns::host_aliases(found, spec.items("hostAliases"), &path.child("hostAliases"));
    names(found, spec, path, &["priorityClassName", "runtimeClassName"], subdomain);
    optional_word(found, spec, path, "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
    if spec.has("os") {
        required_word(found, path.child("os").child("name"), spec.text("os.name"), &["linux", "windows"]);
    }
}

fn policies(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let restart = ["Always", "OnFailure", "Never"];
    required_word(found, path.child("restartPolicy"), spec.text("restartPolicy"), &restart);
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    required_word(found, path.child("dnsPolicy"), spec.text("dnsPolicy"), &dns);
}

fn gates(found: &mut ErrorList, spec: &Tree, path: &Path) {
    for (index, gate) in spec.items("readinessGates").iter().enumerate() {
        let path = path.child("readinessGates").index(index).child("conditionType");
        qualified(found, &path, gate.text("conditionType"));
    }
    let mut seen = Seen::default();
    for (index, gate) in spec.items("schedulingGates").iter().enumerate() {
        let path = path.child("schedulingGates").index(index);
        qualified(found, &path, gate.text("name"));
        seen.unique(found, path, gate.text("name"));
    }
}

/// Fields that, if given, name something.
fn names(
    found: &mut ErrorList,
    spec: &Tree,
    path: &Path,
    fields: &[&str],
    rule: fn(&mut ErrorList, &Path, &str),
) {
    for field in fields.iter().filter(|field| !spec.text(field).is_empty()) {
        rule(found, &path.child(field), spec.text(field));
    }
}

fn hostname_override(found: &mut ErrorList, spec: &Tree, path: &Path) {
    /// The most bytes that Linux takes for a host's name.
    const MAX: usize = 64;
    if !spec.has("hostnameOverride") {
        return;
    }
    let (name, path) = (spec.text("hostnameOverride"), path.child("hostnameOverride"));
    subdomain(found, &path, name);
    if name.len() > MAX {
        found.push(Error::too_long(path, MAX));
    }
}

fn active_deadline(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let Some(seconds) = spec.int("activeDeadlineSeconds") else { return };
    if !(1..=i64::from(i32::MAX)).contains(&seconds) {
        let why = format!("must be between 1 and {}, inclusive", i32::MAX);
        found.push(Error::invalid(path.child("activeDeadlineSeconds"), seconds, why));
    }
}

/// The pod template of a workload that keeps its pods running: it is selected by the workload's selector and its pods
/// restart always. `kind` is the workload's, for what is said about it.
pub(crate) fn running_template(
    found: &mut ErrorList,
    pod_template: &Tree,
    selector: &Selector,
    path: &Path,
    kind: &str,
) {
    if !selector.is_everything() {
        selected(found, pod_template, selector, path);
    }
    template(found, pod_template, path);
    always_restarted(found, pod_template, path, kind);
}

/// A template's labels are those that its workload selects.
pub(crate) fn selected(found: &mut ErrorList, pod_template: &Tree, selector: &Selector, path: &Path) {
    let labels = pod_template.at("metadata.labels");
    if !selector.matches_labels(Some(labels)) {
        let why = "`selector` does not match template `labels`";
        found.push(Error::invalid(path.child("metadata").child("labels"), labels.clone(), why));
    }
}

/// The pods of the template never end.
pub(crate) fn always_restarted(found: &mut ErrorList, pod_template: &Tree, path: &Path, kind: &str) {
    let path = path.child("spec");
    known_word(found, path.child("restartPolicy"), pod_template.text("spec.restartPolicy"), &["Always"]);
    if pod_template.has("spec.activeDeadlineSeconds") {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        found.push(Error::forbidden(path.child("activeDeadlineSeconds"), why));
    }
}

#[cfg(test)]
mod tests;
