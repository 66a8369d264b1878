//! `metadata.managedFields`, read and written: who owns which fields.

use std::collections::BTreeMap;

use serde_json::{Map, json};

use super::set::FieldSet;
use crate::Tree;
use crate::meta::{Object, ObjectMut};
use crate::quote::quote;
use crate::time;

/// Whether a manager came to own by applying or otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Who owns: one entry of the list is one of these. An applier keeps its entry when it applies another version, so
/// its key has no version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for an applier.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

impl Manager {
    pub(super) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        Self {
            name: name.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// As conflicts name it.
    pub(super) fn describe(&self) -> String {
        let mut text = quote(&self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {}", quote(&self.subresource)));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// What one manager owns, as paths of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) set: FieldSet,
    pub(super) api_version: String,
    /// RFC 3339; `None` if the entry has none.
    pub(super) time: Option<String>,
}

impl Owned {
    pub(super) fn seconds(&self) -> i64 {
        self.time.as_deref().and_then(|text| time::parse(text).ok()).map_or(0, jiff::Timestamp::as_second)
    }
}

/// All managers of an object.
pub(super) type Managers = BTreeMap<Manager, Owned>;

/// Reads the entries of an object; none if it has none.
pub(super) fn decode(entries: &[Tree]) -> Result<Managers, String> {
    let mut managers = Managers::new();
    for (i, entry) in entries.iter().enumerate() {
        let operation = match entry.str_at("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        let api_version = entry.api_version();
        if api_version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match entry.str_at("fieldsType") {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {i}")),
            other => return Err(format!("invalid fieldsType {} in managed fields entry {i}", quote(other))),
        }
        let fields = entry.at("fieldsV1").unwrap_or(&Tree::Null);
        let set = FieldSet::from_fields_v1(fields)
            .map_err(|why| format!("error decoding versioned set from {entry}: error decoding set: {why}"))?;
        let manager =
            Manager::new(entry.str_at("manager"), operation, api_version, entry.str_at("subresource"));
        let time = entry.at("time").and_then(Tree::as_str).map(str::to_owned);
        managers.insert(manager, Owned { set, api_version: api_version.to_owned(), time });
    }
    Ok(managers)
}

/// Writes the entries into an object, sorted by operation, time and name; without any, the field goes.
pub(super) fn encode(object: &mut Tree, managers: &Managers) {
    if managers.is_empty() {
        object.remove("metadata.managedFields");
        return;
    }
    let mut sorted: Vec<(&Manager, &Owned)> = managers.iter().collect();
    sorted.sort_by(|(a, x), (b, y)| {
        let order = a.operation.cmp(&b.operation).then(x.seconds().cmp(&y.seconds()));
        let order = order.then_with(|| a.name.cmp(&b.name)).then_with(|| x.api_version.cmp(&y.api_version));
        order.then_with(|| a.subresource.cmp(&b.subresource))
    });
    let entries: Vec<Tree> = sorted.into_iter().map(|(manager, owned)| entry(manager, owned)).collect();
    object.set("metadata.managedFields", entries);
}

fn entry(manager: &Manager, owned: &Owned) -> Tree {
    let operation = if manager.operation == Operation::Apply { "Apply" } else { "Update" };
    let mut entry = Map::new();
    entry.insert("apiVersion".into(), json!(owned.api_version));
    entry.insert("operation".into(), json!(operation));
    entry.insert("fieldsType".into(), json!("FieldsV1"));
    entry.insert("fieldsV1".into(), owned.set.to_fields_v1());
    let optional = [
        ("manager", Some(&manager.name)),
        ("subresource", Some(&manager.subresource)),
        ("time", owned.time.as_ref()),
    ];
    for (name, text) in optional {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            entry.insert(name.into(), json!(text));
        }
    }
    Tree::Object(entry)
}

/// Whether a client asks to forget all owners: an empty list, or a list of one empty entry.
pub(super) fn is_reset(object: &Tree) -> bool {
    match object.pointer("/metadata/managedFields") {
        Some(Tree::Array(entries)) => match entries.as_slice() {
            [] => true,
            [one] => one.as_object().is_some_and(Map::is_empty),
            _ => false,
        },
        _ => false,
    }
}
