//! A row of the resource table as the server serves it. Rows of built-in resources are taken from the static table and
//! share its texts; rows of custom resources own theirs and go when the last request that uses them ends.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use steersman_apiextensions::ScalePaths;
use steersman_apimachinery::Tree;
use steersman_registry::{ColumnKind, Conversion, Resource, Scope, Strategy, Verb};

use crate::codec::{self, Definition};
use crate::custom::CustomType;

/// A text of the static table, or one that the row owns.
pub type Text = Cow<'static, str>;

/// Everything that the generic path knows of a resource; see [`Resource`], whose fields these are.
pub struct Row {
    /// Tells this row from every other that there ever was: what is derived by its rules is kept under it.
    pub id: u64,
    /// API group; empty for core.
    pub group: Text,
    /// API version.
    pub version: Text,
    /// Kind of one object.
    pub kind: Text,
    /// Kind of a list.
    pub list_kind: Text,
    /// URL segment.
    pub plural: Text,
    /// Singular name for discovery.
    pub singular: Text,
    /// `po`, `deploy`, ….
    pub short_names: Vec<Text>,
    /// `all`, `api-extensions`, ….
    pub categories: Vec<Text>,
    /// Namespaced or cluster-wide.
    pub scope: Scope,
    /// What may be done.
    pub verbs: &'static [Verb],
    /// What hangs below one object.
    pub subresources: Vec<Subresource>,
    /// How objects are read and written.
    pub definition: Definition,
    /// The part of the store's key after `/registry/`.
    pub storage: Text,
    /// Its rules.
    pub strategy: Rules,
    /// What `kubectl get` prints.
    pub columns: Vec<Column>,
    /// Field labels beyond `metadata.name` and `metadata.namespace`, with how to read each from an object.
    pub selectable_fields: Vec<(Text, ReadField)>,
    /// In what form objects are stored.
    pub storing: Storing,
    /// A warning to send with every answer, for a resource that is on its way out.
    pub deprecation: Option<Text>,
    /// Where `scale` reads and writes; `None` for where workloads have it.
    pub scale: Option<ScalePaths>,
}

/// In what form the objects of a resource are stored.
pub enum Storing {
    /// As they are served.
    Same,
    /// In that of another resource.
    Converted(Conversion),
    /// In another version of the custom kind.
    Version(CustomType),
}

/// Reads the value of a field label.
pub type ReadField = Arc<dyn Fn(&Tree) -> String + Send + Sync>;

/// Makes one cell of an object's row; the time is for ages.
pub type ReadCell = Arc<dyn Fn(&Tree, Timestamp) -> Value + Send + Sync>;

/// The rules of a resource.
pub enum Rules {
    /// Of the static table.
    BuiltIn(&'static dyn Strategy),
    /// Made at run time.
    Custom(Arc<dyn Strategy>),
}

impl Deref for Rules {
    type Target = dyn Strategy;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::BuiltIn(strategy) => *strategy,
            Self::Custom(strategy) => &**strategy,
        }
    }
}

/// A subresource; see [`steersman_registry::Subresource`].
pub struct Subresource {
    /// The path segment.
    pub name: &'static str,
    /// Group of the kind that it takes and gives.
    pub group: Text,
    /// Its version.
    pub version: Text,
    /// The kind.
    pub kind: Text,
    /// What may be done.
    pub verbs: &'static [Verb],
    /// How objects of the kind are read and written.
    pub definition: Definition,
}

/// One printed column; see [`steersman_registry::Column`].
pub struct Column {
    /// Header.
    pub name: Text,
    /// OpenAPI type of the cells.
    pub kind: Text,
    /// OpenAPI format of the cells; may be empty.
    pub format: Text,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i64,
    /// What it says.
    pub description: Text,
    /// The cell of one object.
    pub cell: ReadCell,
}

impl Row {
    /// The row of a built-in resource.
    pub fn built_in(resource: &'static Resource) -> Self {
        let texts = |all: &'static [&'static str]| all.iter().map(|text| Text::Borrowed(text)).collect();
        let fields = resource.selectable_fields.iter();
        Self {
            id: Self::next_id(),
            group: resource.group.into(),
            version: resource.version.into(),
            kind: resource.kind.into(),
            list_kind: format!("{}List", resource.kind).into(),
            plural: resource.plural.into(),
            singular: resource.singular.into(),
            short_names: texts(resource.short_names),
            categories: texts(resource.categories),
            scope: resource.scope,
            verbs: resource.verbs,
            subresources: resource.subresources.iter().map(|s| Subresource::built_in(resource, s)).collect(),
            definition: Definition::Catalogue(resource.definition),
            storage: resource.storage.into(),
            strategy: Rules::BuiltIn(resource.strategy),
            columns: resource.columns.iter().map(Column::built_in).collect(),
            selectable_fields: fields.map(|(name, read)| ((*name).into(), Arc::new(*read) as _)).collect(),
            storing: resource.conversion.map_or(Storing::Same, Storing::Converted),
            deprecation: resource.deprecation.map(Text::Borrowed),
            scale: None,
        }
    }

    /// A number that no other row has.
    pub fn next_id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

impl Subresource {
    fn built_in(resource: &'static Resource, subresource: &'static steersman_registry::Subresource) -> Self {
        let steersman_registry::Subresource { name, group, version, kind, verbs } = *subresource;
        let definition = match kind == resource.kind {
            true => resource.definition,
            false => codec::definition_of(group, version, kind),
        };
        Self {
            name,
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            verbs,
            definition: Definition::Catalogue(definition),
        }
    }
}

impl Column {
    fn built_in(column: &'static steersman_registry::Column) -> Self {
        let (kind, format) = match column.kind {
            ColumnKind::Name => ("string", "name"),
            ColumnKind::String => ("string", ""),
            ColumnKind::Integer => ("integer", ""),
            ColumnKind::Boolean => ("boolean", ""),
            ColumnKind::Date => ("date", ""),
        };
        Self {
            name: column.name.into(),
            kind: kind.into(),
            format: format.into(),
            priority: column.priority.into(),
            description: column.description.into(),
            cell: Arc::new(column.cell),
        }
    }
}
