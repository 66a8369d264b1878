//! The status of a resource claim: what the scheduler gave it, who uses it, and what drivers report.

use std::collections::BTreeSet;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1123_subdomain_problems;

use crate::addresses::interface_address;
use crate::checks::{IMMUTABLE, driver_name, invalid, label, required, required_word};
use crate::conditions::conditions;
use crate::core::podspec::validation::node_selector;
use crate::dra::checks::{binding_conditions, configuration, limited, pool_name, raw_object, unique, uuid};
use crate::dra::claimspec::{MAX_CONFIGS, Requests};
use crate::tree::{Read, Write, same};

const MAX_USERS: usize = 256;
const MAX_RESULTS: usize = 32;
const MAX_CONDITIONS: usize = 8;
const MAX_DATA_BYTES: usize = 10 * 1024;
const MAX_IPS: usize = 16;
const MAX_POOL_NAME: usize = 253;
const MAX_NETWORK_BYTES: [(&str, usize); 2] = [("interfaceName", 256), ("hardwareAddress", 128)];
/// What tells one device from another.
const DEVICE_KEYS: [&str; 4] = ["driver", "pool", "device", "shareID"];

/// Completes an allocation.
pub(super) fn defaults(allocation: &mut Tree) {
    let Some(devices) = allocation.object_mut("devices") else { return };
    for result in devices.items_mut("results") {
        for toleration in result.items_mut("tolerations") {
            toleration.default_text("operator", "Equal");
        }
    }
}

/// A device as text.
fn device_id(device: &Tree) -> String {
    let parts = DEVICE_KEYS.map(|key| device.text(key));
    parts.join("/").trim_end_matches('/').to_owned()
}

fn allocated(claim: &Tree) -> BTreeSet<String> {
    claim.items("status.allocation.devices.results").iter().map(device_id).collect()
}

/// Drops reports about devices that the claim had and has no longer: clients may not know of reports.
pub(super) fn drop_deallocated(new: &mut Tree, old: &Tree) {
    let gone: BTreeSet<String> = allocated(old).difference(&allocated(new)).cloned().collect();
    let reports = new.items("status.devices");
    if reports.is_empty() {
        return;
    }
    let kept: Vec<Tree> =
        reports.iter().filter(|device| !gone.contains(&device_id(device))).cloned().collect();
    if let Some(status) = new.part_mut("status") {
        match kept.is_empty() {
            true => status.remove("devices"),
            false => status.set("devices", kept),
        }
    }
}

/// Checks a new status.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    users(&mut found, new, old, &path.child("reservedFor"));
    let (devices, at, given) = (status.items("devices"), path.child("devices"), allocated(new));
    limited(&mut found, devices, usize::MAX, &at, |found, device, path| report(found, device, &given, path));
    unique(&mut found, devices, usize::MAX, &at, &DEVICE_KEYS);
    let (allocation, before) = (status.at("allocation"), old.at("status.allocation"));
    let at = path.child("allocation");
    match (before.is_null(), allocation.is_null()) {
        (false, false) if !same(allocation, before) => {
            found.push(Error::invalid(at, allocation.clone(), IMMUTABLE));
        }
        (true, false) => self::allocation(&mut found, allocation, &Requests::of(new.at("spec")), &at),
        _ => {}
    }
    found
}

fn users(found: &mut ErrorList, new: &Tree, old: &Tree, path: &Path) {
    let users = new.items("status.reservedFor");
    limited(found, users, MAX_USERS, path, |found, user, path| {
        for field in ["resource", "name", "uid"] {
            required(found, path.child(field), user.text(field));
        }
    });
    unique(found, users, MAX_USERS, path, &["uid"]);
    if users.is_empty() {
        return;
    }
    let why = if !new.has("status.allocation") {
        "may not be specified when `allocated` is not set"
    } else if new.has("metadata.deletionTimestamp")
        && users.iter().any(|user| !old.items("status.reservedFor").iter().any(|known| same(known, user)))
    {
        "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
    } else {
        return;
    };
    found.push(Error::forbidden(path.clone(), why));
}

fn allocation(found: &mut ErrorList, allocation: &Tree, requests: &Requests<'_>, path: &Path) {
    let (devices, at) = (allocation.at("devices"), path.child("devices"));
    limited(found, devices.items("results"), MAX_RESULTS, &at.child("results"), |found, result, path| {
        self::result(found, result, requests, path);
    });
    let max = 2 * MAX_CONFIGS;
    limited(found, devices.items("config"), max, &at.child("config"), |found, config, path| {
        let known = ["FromClaim", "FromClass"];
        required_word(found, path.child("source"), config.text("source"), &known);
        requests.references(found, config, path);
        configuration(found, config, path, false);
    });
    if allocation.has("nodeSelector") {
        node_selector(found, allocation.at("nodeSelector"), &path.child("nodeSelector"));
    }
}

fn result(found: &mut ErrorList, result: &Tree, requests: &Requests<'_>, path: &Path) {
    requests.reference(found, result.text("request"), &path.child("request"));
    driver_name(found, &path.child("driver"), result.text("driver"), Error::too_long_characters);
    pool(found, result.text("pool"), &path.child("pool"));
    label(found, &path.child("device"), result.text("device"));
    binding_conditions(found, result, path);
    if let Some(id) = result.at("shareID").as_str() {
        uuid(found, id, &path.child("shareID"));
    }
}

/// The name of a pool, with the words that upstream has for it here.
fn pool(found: &mut ErrorList, name: &str, path: &Path) {
    if !required(found, path.clone(), name) {
        return;
    }
    if name.len() > MAX_POOL_NAME {
        found.push(Error::too_long(path.clone(), MAX_POOL_NAME));
    }
    for (index, part) in name.split('/').enumerate() {
        let problems = match part {
            "" => vec!["must not be empty".to_owned()],
            part => dns1123_subdomain_problems(part, false),
        };
        let shown = if part.is_empty() { name } else { part };
        let worded = problems.iter().map(|why| format!("segment {index}: {why}")).collect();
        invalid(found, path, shown, worded);
    }
}

fn report(found: &mut ErrorList, device: &Tree, allocated: &BTreeSet<String>, path: &Path) {
    driver_name(found, &path.child("driver"), device.text("driver"), Error::too_long);
    pool_name(found, device.text("pool"), &path.child("pool"));
    label(found, &path.child("device"), device.text("device"));
    if let Some(id) = device.at("shareID").as_str() {
        uuid(found, id, &path.child("shareID"));
    }
    let id = device_id(device);
    if !allocated.contains(&id) {
        found.push(Error::invalid(path.clone(), id, "must be an allocated device in the claim"));
    }
    let (list, at) = (device.items("conditions"), path.child("conditions"));
    if list.len() > MAX_CONDITIONS {
        found.push(Error::too_many(at.clone(), list.len(), MAX_CONDITIONS));
    }
    conditions(found, list, &at);
    if device.has("data") {
        raw_object(found, device.at("data"), MAX_DATA_BYTES, &path.child("data"));
    }
    network(found, device.at("networkData"), &path.child("networkData"));
}

fn network(found: &mut ErrorList, network: &Tree, path: &Path) {
    for (field, max) in MAX_NETWORK_BYTES {
        if network.text(field).len() > max {
            found.push(Error::too_long(path.child(field), max));
        }
    }
    let (ips, at) = (network.items("ips"), path.child("ips"));
    limited(found, ips, MAX_IPS, &at, |found, ip, path| {
        interface_address(found, path, ip.as_str().unwrap_or_default());
    });
    unique(found, ips, MAX_IPS, &at, &[]);
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
