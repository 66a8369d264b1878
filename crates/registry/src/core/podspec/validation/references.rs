//! References from a container or volume to fields of the pod and to resources of a container (downward API).

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quantity::Quantity;

use crate::checks::{qualified, required};
use crate::tree::Read;

/// Where the referred value goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// An environment variable.
    Variable,
    /// A file of a volume.
    File,
}

const FIELDS_FOR_VARIABLES: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const FIELDS_FOR_FILES: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// All fields that the downward API knows; each place allows some of them.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const HUGE_PAGES: [&str; 2] = ["limits.hugepages-", "requests.hugepages-"];

const CPU_DIVISORS: &[&str] = &["1m", "1"];
const BYTE_DIVISORS: &[&str] =
    &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// A `fieldRef`.
pub(super) fn field(found: &mut ErrorList, reference: &Tree, path: &Path, place: Place) {
    let (version, name) = (reference.text("apiVersion"), reference.text("fieldPath"));
    if !required(found, path.child("apiVersion"), version) || !required(found, path.child("fieldPath"), name)
    {
        return;
    }
    let unknown = |why: String| {
        Error::invalid(path.child("fieldPath"), name, format!("error converting fieldPath: {why}"))
    };
    if version != "v1" {
        found.push(unknown(format!("unsupported pod version: {version}")));
        return;
    }
    match subscripted(name) {
        Some(("metadata.annotations", key)) => qualified(found, path, &key.to_lowercase()),
        Some(("metadata.labels", key)) => qualified(found, path, key),
        Some(_) => found.push(unknown(format!("field label does not support subscript: {name}"))),
        None if name != "spec.host" && !KNOWN_FIELDS.contains(&name) => {
            found.push(unknown(format!("field label not supported: {name}")));
        }
        None => {
            let allowed = if place == Place::File { FIELDS_FOR_FILES } else { FIELDS_FOR_VARIABLES };
            if !allowed.contains(&name) {
                found.push(Error::not_supported_in_order(path.child("fieldPath"), name, allowed));
            }
        }
    }
}

/// Splits `metadata.labels['app']`.
fn subscripted(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix("']")?.split_once("['")
}

/// A `resourceFieldRef`.
pub(super) fn resource(found: &mut ErrorList, reference: &Tree, path: &Path, place: Place) {
    let name = reference.text("resource");
    if place == Place::File && reference.text("containerName").is_empty() {
        found.push(Error::required(path.child("containerName"), ""));
    } else if name.is_empty() {
        found.push(Error::required(path.child("resource"), ""));
    } else if !RESOURCES.contains(&name) && !HUGE_PAGES.iter().any(|prefix| name.starts_with(prefix)) {
        found.push(Error::not_supported_in_order(path.child("resource"), name, RESOURCES));
    }
    divisor(found, name, reference.at("divisor"), &path.child("divisor"));
}

fn divisor(found: &mut ErrorList, resource: &str, divisor: &Tree, path: &Path) {
    let Ok(divisor) = Quantity::from_tree(divisor) else { return };
    let kind = resource.split_once('.').map_or("", |(_, kind)| kind);
    let (allowed, what) = match kind {
        "cpu" => (CPU_DIVISORS, "cpu"),
        "memory" => (BYTE_DIVISORS, "memory"),
        "ephemeral-storage" => (BYTE_DIVISORS, "local ephemeral storage"),
        _ if kind.starts_with("hugepages-") => (BYTE_DIVISORS, "hugepages"),
        _ => return,
    };
    if !divisor.is_zero() && !allowed.contains(&divisor.to_string().as_str()) {
        let list = if what == "cpu" { allowed.join(" and ") } else { allowed.join(", ") };
        let why = format!("only divisor's values {list} are supported with the {what} resource");
        found.push(Error::invalid(path.clone(), resource, why));
    }
}
