//! The resource table's row: everything the generic server needs to know to serve a resource.

use std::fmt;

use steersman_apimachinery::Tree;

use crate::Strategy;

/// Whether objects live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One of its name in each namespace.
    Namespaced,
    /// One of its name in the cluster.
    Cluster,
}

/// An API verb, as discovery names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// What most resources allow: everything.
    pub const ALL: &'static [Self] = &[
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];
    /// What subresources such as `status` allow.
    pub const READ_WRITE: &'static [Self] = &[Self::Get, Self::Patch, Self::Update];
    /// What reviews and subresources such as `binding` allow.
    pub const CREATE: &'static [Self] = &[Self::Create];
}

/// A subresource such as `status` or `scale`.
#[derive(Clone, Copy, Debug)]
pub struct Subresource {
    /// The path segment.
    pub name: &'static str,
    /// The kind that it takes and gives, with group and version where they differ from the resource's
    /// (`scale` is `autoscaling/v1` `Scale`).
    pub group: &'static str,
    /// See `group`.
    pub version: &'static str,
    /// See `group`.
    pub kind: &'static str,
    /// What may be done; empty for CONNECT subresources, which discovery lists as `create` and `get`.
    pub verbs: &'static [Verb],
}

/// A built-in resource.
pub struct Resource {
    /// API group; empty for core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind of one object.
    pub kind: &'static str,
    /// URL segment.
    pub plural: &'static str,
    /// Singular name for discovery.
    pub singular: &'static str,
    /// `po`, `deploy`, ….
    pub short_names: &'static [&'static str],
    /// `all`, `api-extensions`, ….
    pub categories: &'static [&'static str],
    /// Namespaced or cluster-wide.
    pub scope: Scope,
    /// What may be done.
    pub verbs: &'static [Verb],
    /// What hangs below one object.
    pub subresources: &'static [Subresource],
    /// The definition of its kind in the field catalogue, such as `io.k8s.api.core.v1.Pod`.
    pub definition: &'static str,
    /// The part of the store's key after `/registry/`, as upstream lays it out (`pods`, `services/specs`, `minions`).
    pub storage: &'static str,
    /// Its rules.
    pub strategy: &'static dyn Strategy,
    /// What `kubectl get` prints.
    pub columns: &'static [Column],
    /// Field labels beyond `metadata.name` and `metadata.namespace`, with how to read each from an object.
    pub selectable_fields: &'static [SelectableField],
    /// How objects become those of another resource in whose form they are stored (`events.k8s.io` events are stored
    /// as core ones). `None` if they are stored as they are. Strategy, columns and selectable fields see objects in
    /// the row's own form.
    pub conversion: Option<Conversion>,
    /// A warning to send with every answer, for a resource that is on its way out.
    pub deprecation: Option<&'static str>,
}

impl fmt::Debug for Resource {
    /// The resource's name: `deployments.apps/v1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}/{}", self.plural, self.group, self.version)
    }
}

/// A field label and how to read its value from an object.
pub type SelectableField = (&'static str, fn(&Tree) -> String);

/// How a resource that shares the storage of another one reads and writes it. Both set `apiVersion`.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// From the resource's form to the stored one.
    pub to_storage: fn(&mut Tree),
    /// From the stored form to the resource's.
    pub from_storage: fn(&mut Tree),
}

/// A column's OpenAPI type and format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ColumnKind {
    Name,
    String,
    Integer,
    Boolean,
    Date,
}

/// One printed column.
pub struct Column {
    /// Header as upstream spells it (`Ready`, `Up-to-date`, `Age`).
    pub name: &'static str,
    /// Type of the cells.
    pub kind: ColumnKind,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
    /// For the table's `columnDefinitions`.
    pub description: &'static str,
    /// The cell of one object. `now` is for ages.
    pub cell: fn(object: &Tree, now: jiff::Timestamp) -> serde_json::Value,
}
