//! OpenAPI documents of the served API: v3 for each group version, v2 for all, as JSON and as gnostic's protobuf.
//!
//! They follow from the field catalogue, the descriptions (a compressed file in the binary) and the caller's table of
//! what it serves. Nothing is kept: a document is written into one buffer when it is asked for, and everything else
//! that took is dropped again. [`fingerprint`] tells whether a document would be the same without making it.

mod descriptions;
mod downgrade;
mod gnostic;
mod operations;
mod parameters;
mod schemas;
mod v2;
mod v3;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::catalog::catalog;
use descriptions::Descriptions;

pub use downgrade::to_v2;
pub use v2::{v2_json, v2_protobuf};
pub use v3::v3_json;

/// Media type of [`v2_protobuf`] as the server names it; clients ask with `@` in place of the dot before `v1.0`.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// What may be done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Action {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// `exec`, `attach`, …: GET and POST.
    Connect,
    /// `proxy`: every method, also on the paths below it.
    Proxy,
}

/// One served resource.
#[derive(Clone, Debug)]
pub struct PathSpec {
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind of one object.
    pub kind: String,
    /// The URL's segment.
    pub plural: String,
    /// Whether objects are in namespaces.
    pub namespaced: bool,
    /// What may be done.
    pub actions: Vec<Action>,
    /// The kind's definition, in the catalogue or among the custom ones. Its list is this with `List` after it.
    pub definition: String,
    /// What hangs below one object.
    pub subresources: Vec<SubresourceSpec>,
}

/// A subresource such as `status`.
#[derive(Clone, Debug)]
pub struct SubresourceSpec {
    /// The URL's segment.
    pub name: String,
    /// Group of the kind that it takes and gives.
    pub group: String,
    /// Version of that kind.
    pub version: String,
    /// That kind.
    pub kind: String,
    /// That kind's definition; empty if it has none (`exec`).
    pub definition: String,
    /// What may be done.
    pub actions: Vec<Action>,
}

/// What is served.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Every resource.
    pub resources: &'a [PathSpec],
    /// Definitions that the catalogue does not have, in v3's form (references as `#/components/schemas/…`).
    pub custom: &'a BTreeMap<String, Value>,
}

/// A group (empty for core) and a version.
pub type GroupVersion<'a> = (&'a str, &'a str);

impl<'a> Source<'a> {
    /// The served group versions, sorted.
    pub fn group_versions(&self) -> Vec<GroupVersion<'a>> {
        let mut all: Vec<_> = self.resources.iter().map(|r| (r.group.as_str(), r.version.as_str())).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn of(&self, (group, version): GroupVersion<'_>) -> impl Iterator<Item = &'a PathSpec> {
        self.resources.iter().filter(move |r| r.group == group && r.version == version)
    }
}

/// A text that changes when the document of a group version may: its `?hash=` and entity tag. `None` stands for v2.
pub fn fingerprint(source: &Source<'_>, group_version: Option<GroupVersion<'_>>) -> String {
    static BUILT_IN: OnceLock<[u8; 32]> = OnceLock::new();
    let built_in = BUILT_IN.get_or_init(|| {
        let own = Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update(catalog().text());
        own.chain_update(descriptions::PACKED).finalize().into()
    });
    let mut hash = Sha256::new();
    hash.update(built_in);
    for (name, schema) in source.custom {
        hash.update(name);
        hash.update(schema.to_string());
    }
    let served = |r: &&PathSpec| group_version.is_none_or(|(g, v)| r.group == g && r.version == v);
    for resource in source.resources.iter().filter(served) {
        hash.update(format!("{resource:?}"));
    }
    // The options' definitions list every group version.
    hash.update(format!("{:?}", source.group_versions()));
    hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The two generations differ in how a definition is referred to and in what a schema may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    V2,
    V3,
}

impl Flavour {
    fn reference(self, definition: &str) -> Value {
        let folder = if self == Self::V2 { "definitions" } else { "components/schemas" };
        serde_json::json!({"$ref": format!("#/{folder}/{definition}")})
    }
}

/// A document's parts, one after the other, so that only one of them is in memory as a tree.
struct Parts<'a> {
    source: Source<'a>,
    descriptions: Descriptions,
    flavour: Flavour,
    group_versions: Vec<GroupVersion<'a>>,
}

impl<'a> Parts<'a> {
    fn new(source: &Source<'a>, flavour: Flavour) -> Self {
        let group_versions = source.group_versions();
        Self { source: *source, descriptions: Descriptions::load(), flavour, group_versions }
    }
}

/// Writes `"name": value` pairs of an object, separated.
fn write_members(
    out: &mut Vec<u8>,
    members: impl Iterator<Item = (String, Value)>,
) -> Result<(), serde_json::Error> {
    for (at, (name, value)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &name)?;
        out.push(b':');
        serde_json::to_writer(&mut *out, &value)?;
    }
    Ok(())
}

/// What fields are, each given as a definition and a field of it; empty where nothing is said. All descriptions are
/// unpacked for it, so ask once for all that is needed.
pub fn field_descriptions<const N: usize>(fields: [(&str, &str); N]) -> [String; N] {
    let all = Descriptions::load();
    fields.map(|(definition, field)| all.of_field(definition, field).unwrap_or_default())
}

/// The document's head.
fn info() -> Value {
    serde_json::json!({"title": "Kubernetes", "version": "v1.37.0"})
}

#[cfg(test)]
mod tests;
