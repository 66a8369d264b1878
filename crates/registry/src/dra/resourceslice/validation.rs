//! Validation of resource slices.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::device::{Place, counters, device};
use crate::checks::{driver_name, immutable, label, required, subdomain};
use crate::core::podspec::validation::node_selector;
use crate::dra::checks::{limited, pool_name, unique};
use crate::tree::Read;

const MAX_DEVICES: usize = 128;
/// The most devices if one of them has taints, counters or attributes that are lists.
const MAX_ELABORATE_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;
const ONE_PLACE: &str =
    "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

/// Checks a new slice.
pub(super) fn create(slice: &Tree) -> ErrorList {
    spec(slice.at("spec"), &Tree::Null)
}

/// Checks a change: whose devices they are stays.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    spec(new.at("spec"), old.at("spec"))
}

/// `old` is null for a new slice.
fn spec(spec: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    driver_name(&mut found, &path.child("driver"), spec.text("driver"), Error::too_long);
    pool(&mut found, spec.at("pool"), &path.child("pool"));
    if !old.is_null() {
        for field in ["pool.name", "driver", "nodeName"] {
            immutable(&mut found, path.child(field), spec.at(field), old.at(field));
        }
    }
    place(&mut found, spec, &path);
    if spec.has("sharedCounters") && spec.has("devices") {
        let why = "only one of `sharedCounters` or `devices` is allowed";
        found.push(Error::invalid(path.clone(), "", why));
    }
    devices(&mut found, spec, old, &path.child("devices"));
    let (sets, at) = (spec.items("sharedCounters"), path.child("sharedCounters"));
    limited(&mut found, sets, MAX_COUNTER_SETS, &at, |found, set, path| {
        if required(found, path.child("name"), set.text("name")) {
            label(found, &path.child("name"), set.text("name"));
        }
        counters(found, set, path);
    });
    unique(&mut found, sets, MAX_COUNTER_SETS, &at, &["name"]);
    found
}

fn pool(found: &mut ErrorList, pool: &Tree, path: &Path) {
    pool_name(found, pool.text("name"), &path.child("name"));
    let count = pool.int("resourceSliceCount").unwrap_or(0);
    if count <= 0 {
        found.push(Error::invalid(path.child("resourceSliceCount"), count, "must be greater than zero"));
    }
    if let Some(generation) = pool.int("generation").filter(|generation| *generation < 0) {
        let why = "must be greater than or equal to zero";
        found.push(Error::invalid(path.child("generation"), generation, why));
    }
}

/// Where the devices are, for all of them at once.
fn place(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let mut given = Vec::new();
    match spec.at("nodeName").as_str() {
        None => {}
        Some("") => {
            let why = "must be either unset or set to a non-empty string";
            found.push(Error::invalid(path.child("nodeName"), "", why));
        }
        Some(name) => {
            given.push("`nodeName`");
            subdomain(found, &path.child("nodeName"), name);
        }
    }
    if spec.has("nodeSelector") {
        given.push("`nodeSelector`");
        let (selector, at) = (spec.at("nodeSelector"), path.child("nodeSelector"));
        node_selector(found, selector, &at);
        if selector.items("nodeSelectorTerms").len() != 1 {
            let shown = selector.at("nodeSelectorTerms").clone();
            let why = "must have exactly one node selector term";
            found.push(Error::invalid(at.child("nodeSelectorTerms"), shown, why));
        }
    }
    for (field, shown) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")]
    {
        match spec.at(field).as_bool() {
            None => {}
            Some(true) => given.push(shown),
            Some(false) => {
                let why = "must be either unset or set to true";
                found.push(Error::invalid(path.child(field), false, why));
            }
        }
    }
    match given.len() {
        0 => found.push(Error::required(path.clone(), ONE_PLACE)),
        1 => {}
        _ => {
            let why = format!("{ONE_PLACE}, but multiple fields are set");
            found.push(Error::invalid(path.clone(), format!("{{{}}}", given.join(", ")), why));
        }
    }
}

fn devices(found: &mut ErrorList, spec: &Tree, old: &Tree, path: &Path) {
    let devices = spec.items("devices");
    let max = if devices.iter().any(is_elaborate) { MAX_ELABORATE_DEVICES } else { MAX_DEVICES };
    let place = if spec.flag("perDeviceNodeSelection") { Place::OfDevice } else { Place::OfSlice };
    limited(found, devices, max, path, |found, item, path| {
        let same_name = |old: &&Tree| old.text("name") == item.text("name");
        let before = old.items("devices").iter().find(same_name);
        device(found, item, before, path, place);
    });
    if devices.len() > max {
        return;
    }
    for (index, item) in devices.iter().enumerate() {
        let name = item.text("name");
        if devices[..index].iter().any(|earlier| earlier.text("name") == name) {
            found.push(Error::duplicate(path.index(index), name));
        }
    }
}

fn is_elaborate(device: &Tree) -> bool {
    let lists =
        |attribute: &Tree| ["bools", "ints", "strings", "versions"].iter().any(|field| attribute.has(field));
    !device.items("taints").is_empty()
        || !device.items("consumesCounters").is_empty()
        || device.entries("attributes").any(|(_, attribute)| lists(attribute))
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
