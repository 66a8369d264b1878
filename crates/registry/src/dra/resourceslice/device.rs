//! One device of a slice: what it is, how much of it there is, and where.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1123_label_problems;

use super::policy::request_policy;
use crate::checks::{invalid, label, required, subdomain};
use crate::core::podspec::validation::node_selector;
use crate::dra::checks::{binding_conditions, limited, qualified_name, taint, unique};
use crate::rules::differs;
use crate::tree::Read;

const MAX_ATTRIBUTES_AND_CAPACITIES: usize = 32;
const MAX_ATTRIBUTE_VALUES: usize = 48;
const MAX_VALUE_BYTES: usize = 64;
const MAX_TAINTS: usize = 16;
const MAX_CONSUMPTIONS: usize = 2;
const MAX_COUNTERS: usize = 32;
/// Keys in paths are shown up to this length, the longest that a name can have.
const MAX_SHOWN_KEY: usize = 63 + 1 + 32;
const VALUES: [&str; 8] = ["int", "bool", "string", "version", "ints", "bools", "strings", "versions"];
const OWN_PLACE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when \
`perDeviceNodeSelection` is set to true in the ResourceSlice spec";

/// Who says where a device is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The slice, for all of its devices.
    OfSlice,
    /// The device itself.
    OfDevice,
}

/// Checks a device; `old` is the stored one of its name.
pub(super) fn device(found: &mut ErrorList, device: &Tree, old: Option<&Tree>, path: &Path, place: Place) {
    label(found, &path.child("name"), device.text("name"));
    sizes(found, device, path);
    for (name, attribute) in device.entries("attributes") {
        let at = path.child("attributes");
        qualified_name(found, name, &at);
        self::attribute(found, attribute, &at.key(&shown_key(name)));
    }
    let divisible = device.flag("allowMultipleAllocations");
    for (name, capacity) in device.entries("capacity") {
        let at = path.child("capacity");
        qualified_name(found, name, &at);
        self::capacity(found, capacity, divisible, &at.key(&shown_key(name)));
    }
    if old.is_none_or(|old| differs(device, old, "taints")) {
        limited(found, device.items("taints"), MAX_TAINTS, &path.child("taints"), |found, item, path| {
            taint(found, item, None, path);
        });
    }
    let (consumptions, at) = (device.items("consumesCounters"), path.child("consumesCounters"));
    limited(found, consumptions, MAX_CONSUMPTIONS, &at, |found, consumption, path| {
        if required(found, path.child("counterSet"), consumption.text("counterSet")) {
            label(found, &path.child("counterSet"), consumption.text("counterSet"));
        }
        counters(found, consumption, path);
    });
    unique(found, consumptions, MAX_CONSUMPTIONS, &at, &["counterSet"]);
    match place {
        Place::OfDevice => own_place(found, device, path),
        Place::OfSlice => no_place(found, device, path),
    }
    binding_conditions(found, device, path);
}

fn sizes(found: &mut ErrorList, device: &Tree, path: &Path) {
    let names = device.entries("attributes").count() + device.entries("capacity").count();
    let values: usize = device.entries("attributes").map(|(_, attribute)| values_of(attribute)).sum();
    for (count, max, what) in [
        (names, MAX_ATTRIBUTES_AND_CAPACITIES, "attributes and capacities"),
        (values, MAX_ATTRIBUTE_VALUES, "attribute values"),
    ] {
        if count > max {
            let why = format!("the total number of {what} must not exceed {max}");
            found.push(Error::invalid(path.clone(), count, why));
        }
    }
}

fn values_of(attribute: &Tree) -> usize {
    let listed: usize = VALUES[4..].iter().map(|field| attribute.items(field).len()).sum();
    listed.max(1)
}

/// A long key without its middle.
fn shown_key(key: &str) -> String {
    if key.len() <= MAX_SHOWN_KEY || !key.is_ascii() {
        return key.to_owned();
    }
    let left = MAX_SHOWN_KEY - 3;
    format!("{}...{}", &key[..left.div_ceil(2)], &key[key.len() - left / 2..])
}

fn attribute(found: &mut ErrorList, attribute: &Tree, path: &Path) {
    if let Some(text) = attribute.at("string").as_str() {
        short(found, text, &path.child("string"));
    }
    if let Some(version) = attribute.at("version").as_str() {
        self::version(found, version, &path.child("version"));
    }
    for field in &VALUES[4..] {
        let (items, path) = (attribute.items(field), path.child(field));
        if attribute.has(field) && items.is_empty() {
            found.push(Error::invalid(
                path.clone(),
                Tree::Array(Vec::new()),
                "must not be empty if specified",
            ));
        }
        let check = match *field {
            "strings" => short,
            "versions" => version,
            _ => continue,
        };
        for (index, item) in items.iter().enumerate() {
            check(found, item.as_str().unwrap_or_default(), &path.index(index));
        }
    }
    let given: Vec<&str> = VALUES.into_iter().filter(|field| attribute.has(field)).collect();
    let all = VALUES.map(|field| format!("`{field}`")).join(", ");
    match given.len() {
        0 => found.push(Error::invalid(path.clone(), "", format!("must specify one of: {all}"))),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", given.join(", "));
            found.push(Error::invalid(path.clone(), shown, format!("must specify exactly one of: {all}")));
        }
    }
}

fn short(found: &mut ErrorList, text: &str, path: &Path) {
    if text.len() > MAX_VALUE_BYTES {
        found.push(Error::too_long(path.clone(), MAX_VALUE_BYTES));
    }
}

fn version(found: &mut ErrorList, text: &str, path: &Path) {
    if !is_semantic_version(text) {
        let why = "must be a string compatible with semver.org spec 2.0.0";
        found.push(Error::invalid(path.clone(), text, why));
    }
    short(found, text, path);
}

/// Semantic Versioning 2.0.0: `1.2.3-rc.1+build.5`.
fn is_semantic_version(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (text, None),
    };
    let (core, release) = match rest.split_once('-') {
        Some((core, release)) => (core, Some(release)),
        None => (rest, None),
    };
    core.split('.').count() == 3
        && core.split('.').all(number)
        && release.is_none_or(|r| r.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn capacity(found: &mut ErrorList, capacity: &Tree, divisible: bool, path: &Path) {
    let (policy, path) = (capacity.at("requestPolicy"), path.child("requestPolicy"));
    match (policy.is_null(), divisible) {
        (true, _) => {}
        (false, true) => request_policy(found, capacity.at("value"), policy, &path),
        (false, false) => found.push(Error::forbidden(path, "allowMultipleAllocations must be true")),
    }
}

/// The counters of a set, or that a device takes from one.
pub(super) fn counters(found: &mut ErrorList, holder: &Tree, path: &Path) {
    let path = path.child("counters");
    let count = holder.entries("counters").count();
    if count == 0 {
        found.push(Error::required(path, ""));
    } else if count > MAX_COUNTERS {
        found.push(Error::too_many(path, count, MAX_COUNTERS));
    } else {
        for (name, _) in holder.entries("counters") {
            invalid(found, &path, name, dns1123_label_problems(name, false));
        }
    }
}

fn own_place(found: &mut ErrorList, device: &Tree, path: &Path) {
    let mut given = Vec::new();
    match device.at("nodeName").as_str() {
        None => {}
        Some("") => found.push(Error::invalid(path.child("nodeName"), "", "must not be empty")),
        Some(name) => {
            given.push("`nodeName`");
            subdomain(found, &path.child("nodeName"), name);
        }
    }
    if device.has("nodeSelector") {
        given.push("`nodeSelector`");
        node_selector(found, device.at("nodeSelector"), &path.child("nodeSelector"));
    }
    match device.at("allNodes").as_bool() {
        None => {}
        Some(true) => given.push("`allNodes`"),
        Some(false) => {
            let why = "must be either unset or set to true";
            found.push(Error::invalid(path.child("allNodes"), false, why));
        }
    }
    match given.len() {
        0 => found.push(Error::required(path.clone(), OWN_PLACE)),
        1 => {}
        _ => found.push(Error::invalid(path.clone(), format!("{{{}}}", given.join(", ")), OWN_PLACE)),
    }
}

fn no_place(found: &mut ErrorList, device: &Tree, path: &Path) {
    if ["nodeName", "nodeSelector", "allNodes"].iter().any(|field| device.has(field)) {
        let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to \
                   true in the ResourceSlice spec";
        found.push(Error::invalid(path.clone(), Tree::Null, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_semantic() {
        let good = ["1.2.3", "0.0.0", "1.2.3-rc.1", "1.2.3-0a.x-y+build.01", "1.0.0+001"];
        let bad = ["", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3-a..b", "1.2.3+a+b"];
        assert!(good.iter().all(|text| is_semantic_version(text)));
        for text in bad {
            assert!(!is_semantic_version(text), "{text}");
        }
    }

    #[test]
    fn long_keys_are_shown_without_their_middle() {
        let key = format!("{}{}", "a".repeat(60), "b".repeat(60));
        let shown = shown_key(&key);
        assert_eq!(shown.len(), MAX_SHOWN_KEY);
        assert!(shown.starts_with("aaa") && shown.contains("...") && shown.ends_with("bbb"));
        assert_eq!(shown_key("a/b"), "a/b");
    }
}
