//! Resource requests and limits.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::qualified_name_problems;
use steersman_apimachinery::quantity::Quantity;

use crate::checks::{Seen, invalid, required_word};
use crate::core::podspec::sums::{self, is_pod_level};
use crate::tree::Read;

const HUGE_PAGES: &str = "hugepages-";

/// Kinds of objects, as quotas and nodes count them.
const COUNTED: [&str; 9] = [
    "pods",
    "services",
    "secrets",
    "configmaps",
    "resourcequotas",
    "replicationcontrollers",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources of a container.
pub(crate) fn requirements(found: &mut ErrorList, resources: &Tree, path: &Path) {
    let limits = path.child("limits");
    for (name, value) in resources.entries("limits") {
        container_resource(found, name, &limits.key(name));
        quantity(found, name, value, &limits.key(name));
    }
    requests(found, resources, path, container_resource);
}

/// Resources of a pod as a whole: only some can be shared among its containers.
pub(super) fn pod_level(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let resources = spec.at("resources");
    let limits = path.child("limits");
    for (name, value) in resources.entries("limits") {
        pod_resource(found, name, &limits.key(name));
        quantity(found, name, value, &limits.key(name));
    }
    requests(found, resources, path, pod_resource);
    if !resources.items("claims").is_empty() {
        let why = "claims cannot be set for Resources at pod-level";
        found.push(Error::forbidden(path.child("claims"), why));
    }
    fits_into_pod(found, spec, path);
}

/// The containers together may not ask for more than the pod, and none may have a higher limit.
fn fits_into_pod(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let of_pod = |part: &str, name: &str| {
        spec.at("resources").at(part).get(name).and_then(|value| Quantity::from_tree(value).ok())
    };
    for (name, sum) in sums::requests(spec).into_iter().filter(|(name, _)| is_pod_level(name)) {
        let own = of_pod("requests", name).unwrap_or_default();
        if sum > own {
            let why = format!("must be greater than or equal to aggregate container requests of {sum}");
            found.push(Error::invalid(path.child("requests").key(name), own.to_string(), why));
        }
    }
    for (index, container) in spec.items("containers").iter().enumerate() {
        for (name, value) in container.entries("resources.limits") {
            let (Some(most), Ok(limit)) = (of_pod("limits", name), Quantity::from_tree(value)) else {
                continue;
            };
            if limit > most {
                let path = path.child("containers").index(index).key(name).child("limits");
                let why = format!("must be less than or equal to pod limits of {most}");
                found.push(Error::invalid(path, limit.to_string(), why));
            }
        }
    }
}

fn requests(found: &mut ErrorList, resources: &Tree, path: &Path, resource: fn(&mut ErrorList, &str, &Path)) {
    let requests = path.child("requests");
    for (name, value) in resources.entries("requests") {
        resource(found, name, &requests.key(name));
        quantity(found, name, value, &requests.key(name));
        let Ok(asked) = Quantity::from_tree(value) else { continue };
        let limit = resources.at("limits").get(name).map(Quantity::from_tree);
        match limit {
            Some(Ok(limit)) if !may_overcommit(name) && asked != limit => {
                let why = format!("must be equal to {name} limit of {limit}");
                found.push(Error::invalid(requests.clone(), asked.to_string(), why));
            }
            Some(Ok(limit)) if asked > limit => {
                let why = format!("must be less than or equal to {name} limit of {limit}");
                found.push(Error::invalid(requests.clone(), asked.to_string(), why));
            }
            None if !may_overcommit(name) => {
                let why = "Limit must be set for non overcommitable resources";
                found.push(Error::required(path.child("limits"), why));
            }
            _ => {}
        }
    }
}

/// The amount of a resource: not negative, and whole where the resource comes in pieces.
pub(crate) fn quantity(found: &mut ErrorList, name: &str, value: &Tree, path: &Path) {
    match Quantity::from_tree(value) {
        Err(why) => found.push(Error::invalid(path.clone(), value.clone(), why.to_string())),
        Ok(amount) if amount.signum() < 0 => {
            found.push(Error::invalid(
                path.clone(),
                amount.to_string(),
                "must be greater than or equal to 0",
            ));
        }
        Ok(amount) if is_counted(name) && amount.milli_value() % 1000 != 0 => {
            found.push(Error::invalid(path.clone(), amount.to_string(), "must be an integer"));
        }
        Ok(_) => {}
    }
}

/// Kubernetes's own resources have no domain or one of `kubernetes.io`.
pub(crate) fn is_native(name: &str) -> bool {
    name.split_once('/').is_none_or(|(domain, _)| domain.ends_with("kubernetes.io"))
}

/// Whether a resource comes in pieces: objects, and whatever others offer.
fn is_counted(name: &str) -> bool {
    !is_native(name) || COUNTED.contains(&name)
}

/// Whether more may be promised than there is.
pub(crate) fn may_overcommit(name: &str) -> bool {
    is_native(name) && !name.starts_with(HUGE_PAGES)
}

/// The name of something that a container can ask for.
pub(crate) fn container_resource(found: &mut ErrorList, name: &str, path: &Path) {
    resource_name(found, name, path);
    if name.contains('/') {
        if !is_native(name) && !is_extended(name) {
            let why = "doesn't follow extended resource name standard";
            found.push(Error::invalid(path.clone(), name, why));
        }
        return;
    }
    let for_containers =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with(HUGE_PAGES);
    if !for_containers {
        found.push(Error::invalid(path.clone(), name, "must be a standard resource for containers"));
    }
}

fn pod_resource(found: &mut ErrorList, name: &str, path: &Path) {
    if !is_pod_level(name) {
        found.push(Error::not_supported(path.clone(), name, &["cpu", "hugepages-", "memory"]));
    }
}

fn is_extended(name: &str) -> bool {
    !name.starts_with("requests.") && qualified_name_problems(&format!("requests.{name}")).is_empty()
}

/// The name of something that is counted or measured: with a domain, or one that means something to Kubernetes.
pub(crate) fn resource_name(found: &mut ErrorList, name: &str, path: &Path) -> bool {
    let problems = qualified_name_problems(name);
    let good = problems.is_empty() && (name.contains('/') || is_standard(name));
    if problems.is_empty() && !good {
        let why = "must be a standard resource type or fully qualified";
        found.push(Error::invalid(path.clone(), name, why));
    }
    invalid(found, path, name, problems);
    good
}

fn is_standard(name: &str) -> bool {
    name == "storage" || is_quota(name)
}

/// What a quota can limit, beside what has a domain.
pub(crate) fn is_quota(name: &str) -> bool {
    let asked = name.strip_prefix("requests.").unwrap_or(name);
    let measured = |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage");
    measured(asked)
        || asked.starts_with(HUGE_PAGES)
        || name == "requests.storage"
        || name.strip_prefix("limits.").is_some_and(measured)
        || COUNTED.contains(&name)
}

/// What happens to a container when its resources change.
pub(super) fn resize_policy(found: &mut ErrorList, spec: &Tree, container: &Tree, path: &Path) {
    let mut seen = Seen::default();
    for (index, rule) in container.items("resizePolicy").iter().enumerate() {
        let (name, policy) = (rule.text("resourceName"), rule.text("restartPolicy"));
        seen.unique(found, path.index(index), name);
        required_word(found, path.clone(), name, &["cpu", "memory"]);
        required_word(found, path.clone(), policy, &["NotRequired", "RestartContainer"]);
        if spec.text("restartPolicy") == "Never" && policy != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            found.push(Error::invalid(path.clone(), policy, why));
        }
    }
}
