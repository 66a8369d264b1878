//! What config maps and secrets share: named pieces of data with a size limit, and freezing.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::config_map_key_problems;

use crate::checks::invalid;
use crate::tree::{Read, same};

/// The most bytes that all pieces of one object may have together.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// The names of the pieces under `field`.
pub(crate) fn keys(found: &mut ErrorList, object: &Tree, field: &str) {
    let path = Path::new(field);
    for (key, _) in object.entries(field) {
        invalid(found, &path.key(key), key, config_map_key_problems(key));
    }
}

/// Bytes of plain text.
pub(crate) fn text_bytes(object: &Tree, field: &str) -> usize {
    object.entries(field).map(|(_, value)| value.as_str().map_or(0, str::len)).sum()
}

/// Bytes that base64 text stands for.
pub(crate) fn binary_bytes(object: &Tree, field: &str) -> usize {
    let decoded = |text: &str| text.trim_end_matches('=').len() * 3 / 4;
    object.entries(field).map(|(_, value)| value.as_str().map_or(0, decoded)).sum()
}

/// An object that says it is immutable stays as it is.
pub(crate) fn frozen(found: &mut ErrorList, new: &Tree, old: &Tree, fields: &[&str]) {
    const WHY: &str = "field is immutable when `immutable` is set";
    if !old.flag("immutable") {
        return;
    }
    if !new.flag("immutable") {
        found.push(Error::forbidden(Path::new("immutable"), WHY));
    }
    for field in fields.iter().filter(|field| !same(new.at(field), old.at(field))) {
        found.push(Error::forbidden(Path::new(field), WHY));
    }
}
