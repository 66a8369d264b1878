//! Checks that the kinds of this group share.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{
    c_identifier_problems, dns1123_subdomain_problems, label_value_problems, qualified_name_problems,
};

use crate::checks::{Seen, driver_name, invalid, known_word, required, required_word};
use crate::tree::{Read, same};

const MAX_DOMAIN: usize = 63;
const MAX_ID: usize = 32;
const MAX_POOL_NAME: usize = 253;
const MAX_SELECTORS: usize = 32;
const MAX_EXPRESSION_BYTES: usize = 10 * 1024;
const MAX_PARAMETERS_BYTES: usize = 10 * 1024;
const MAX_BINDING_CONDITIONS: usize = 4;
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// Checks each item of a list of at most `max`; in a longer one only the length is reported.
pub(super) fn limited(
    found: &mut ErrorList,
    items: &[Tree],
    max: usize,
    path: &Path,
    mut check: impl FnMut(&mut ErrorList, &Tree, &Path),
) {
    if items.len() > max {
        found.push(Error::too_many(path.clone(), items.len(), max));
        return;
    }
    for (index, item) in items.iter().enumerate() {
        check(found, item, &path.index(index));
    }
}

/// Reports items that agree with an earlier one in all of `keys` (none: in everything), unless there are more than
/// `max` items.
pub(super) fn unique(found: &mut ErrorList, items: &[Tree], max: usize, path: &Path, keys: &[&str]) {
    if items.len() > max {
        return;
    }
    let equal = |a: &Tree, b: &Tree| match keys {
        [] => a == b,
        keys => keys.iter().all(|key| same(a.at(key), b.at(key))),
    };
    for (index, item) in items.iter().enumerate() {
        if items[..index].iter().any(|earlier| equal(earlier, item)) {
            found.push(Error::duplicate(path.index(index), item.clone()));
        }
    }
}

/// The name of a pool of devices: subdomains with slashes between them.
pub(super) fn pool_name(found: &mut ErrorList, name: &str, path: &Path) {
    if !required(found, path.clone(), name) {
        return;
    }
    if name.len() > MAX_POOL_NAME {
        found.push(Error::too_long(path.clone(), MAX_POOL_NAME));
    }
    for part in name.split('/') {
        invalid(found, path, part, dns1123_subdomain_problems(part, false));
    }
}

/// The name of an attribute or a capacity: an identifier, with a domain or without.
pub(super) fn qualified_name(found: &mut ErrorList, name: &str, path: &Path) {
    match name.split('/').collect::<Vec<_>>()[..] {
        [id] => identifier(found, id, path),
        [domain, id] => {
            match domain {
                "" => found.push(Error::invalid(path.clone(), "", "the domain must not be empty")),
                _ => driver_name(found, path, domain, Error::too_long),
            }
            match id {
                "" => found.push(Error::invalid(path.clone(), "", "the name must not be empty")),
                _ => identifier(found, id, path),
            }
        }
        // Upstream lets names with more slashes pass.
        _ => {}
    }
}

/// The same where there must be a domain, with the words that upstream has for it there.
pub(super) fn fully_qualified_name(found: &mut ErrorList, name: &str, path: &Path) {
    match name.split('/').collect::<Vec<_>>()[..] {
        [id] => identifier(found, id, path),
        [domain, id] => {
            if domain.is_empty() {
                found.push(Error::invalid(path.clone(), "", "prefix must not be empty"));
            } else {
                if domain.len() > MAX_DOMAIN {
                    found.push(Error::too_long(path.clone(), MAX_DOMAIN));
                }
                let problems = dns1123_subdomain_problems(domain, false);
                invalid(found, path, domain, problems.iter().map(|why| format!("prefix: {why}")).collect());
            }
            match id {
                "" => found.push(Error::invalid(path.clone(), "", "name must not be empty")),
                _ => identifier(found, id, path),
            }
        }
        _ => {}
    }
    if !name.contains('/') {
        let why = "a fully qualified name must be a domain and a name separated by a slash";
        found.push(Error::invalid(path.clone(), name, why));
    }
}

fn identifier(found: &mut ErrorList, id: &str, path: &Path) {
    if id.len() > MAX_ID {
        found.push(Error::too_long(path.clone(), MAX_ID));
    }
    invalid(found, path, id, c_identifier_problems(id));
}

/// A share's id.
pub(super) fn uuid(found: &mut ErrorList, text: &str, path: &Path) {
    let at = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    if text.len() != 36 || !text.bytes().enumerate().all(at) {
        let why = "must be a lowercase UUID in 8-4-4-4-12 format";
        found.push(Error::invalid(path.clone(), text, why));
    }
}

/// The list `selectors`.
pub(super) fn selectors(found: &mut ErrorList, holder: &Tree, path: &Path) {
    let path = path.child("selectors");
    limited(found, holder.items("selectors"), MAX_SELECTORS, &path, |found, selector, path| {
        let path = path.child("cel");
        match selector.at("cel") {
            Tree::Null => found.push(Error::required(path, "")),
            cel => expression(found, cel.text("expression"), &path.child("expression")),
        }
    });
}

/// A CEL expression that chooses devices. Every one passes here, and its length is checked. Whether it compiles and
/// what it costs is not: that needs a compiler with the environment of devices, whose problems belong here too.
fn expression(found: &mut ErrorList, expression: &str, path: &Path) {
    if expression.len() > MAX_EXPRESSION_BYTES {
        found.push(Error::too_long(path.clone(), MAX_EXPRESSION_BYTES));
    }
}

/// What a driver is told about devices. `stored` ones may be longer than new ones.
pub(super) fn configuration(found: &mut ErrorList, config: &Tree, path: &Path, stored: bool) {
    let path = path.child("opaque");
    let opaque = config.at("opaque");
    if opaque.is_null() {
        found.push(Error::required(path, ""));
        return;
    }
    driver_name(found, &path.child("driver"), opaque.text("driver"), Error::too_long_characters);
    let max = if stored { usize::MAX } else { MAX_PARAMETERS_BYTES };
    raw_object(found, opaque.at("parameters"), max, &path.child("parameters"));
}

/// An object whose form only its reader knows.
pub(super) fn raw_object(found: &mut ErrorList, value: &Tree, max: usize, path: &Path) {
    match value {
        Tree::Null => found.push(Error::required(path.clone(), "")),
        value if value.to_string().len() > max => found.push(Error::too_long(path.clone(), max)),
        Tree::Object(_) => {}
        _ => found.push(Error::invalid(path.clone(), "<value omitted>", "must be a valid JSON object")),
    }
}

/// A taint of devices; its effect is checked only if it is not the `old` one's.
pub(super) fn taint(found: &mut ErrorList, taint: &Tree, old: Option<&Tree>, path: &Path) {
    let key = taint.text("key");
    invalid(found, &path.child("key"), key, qualified_name_problems(key));
    let value = taint.text("value");
    invalid(found, &path.child("value"), value, label_value_problems(value));
    let effect = taint.text("effect");
    if old.is_none_or(|old| old.text("effect") != effect) {
        required_word(found, path.child("effect"), effect, &EFFECTS);
    }
}

/// A toleration of such taints.
pub(super) fn toleration(found: &mut ErrorList, toleration: &Tree, path: &Path) {
    let (key, value) = (toleration.text("key"), toleration.text("value"));
    if !key.is_empty() {
        invalid(found, &path.child("key"), key, qualified_name_problems(key));
    }
    match toleration.text("operator") {
        "Exists" if !value.is_empty() => {
            let why = "must be empty for operator `Exists`";
            found.push(Error::invalid(path.child("value"), value, why));
        }
        "Equal" => invalid(found, &path.child("value"), value, label_value_problems(value)),
        operator => required_word(found, path.child("operator"), operator, &["Equal", "Exists"]),
    }
    let effect = toleration.text("effect");
    if !effect.is_empty() {
        known_word(found, path.child("effect"), effect, &EFFECTS);
    }
}

/// What must be true, and what must not, before a pod is bound.
pub(super) fn binding_conditions(found: &mut ErrorList, holder: &Tree, path: &Path) {
    const GOOD: &str = "bindingConditions";
    const BAD: &str = "bindingFailureConditions";
    for field in [GOOD, BAD] {
        let max = MAX_BINDING_CONDITIONS;
        limited(found, holder.items(field), max, &path.child(field), |found, name, path| {
            let name = name.as_str().unwrap_or_default();
            invalid(found, path, name, qualified_name_problems(name));
        });
    }
    let (good, bad) = (holder.texts(GOOD), holder.texts(BAD));
    let mut seen = Seen::default();
    for (index, name) in good.iter().copied().enumerate() {
        seen.unique(found, path.child(GOOD).index(index), name);
    }
    let mut seen = Seen::default();
    for (index, name) in bad.iter().copied().enumerate() {
        let path = path.child(BAD).index(index);
        seen.unique(found, path.clone(), name);
        if good.contains(&name) {
            let why = "bindingFailureConditions must not overlap with bindingConditions";
            found.push(Error::invalid(path, name, why));
        }
    }
    for (field, other) in [(GOOD, BAD), (BAD, GOOD)] {
        if holder.items(field).is_empty() && !holder.items(other).is_empty() {
            let why = format!("{field} are required to use {other}");
            found.push(Error::invalid(path.child(field), holder.at(field).clone(), why));
        }
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
