mod model;
mod table;

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::schema::{FieldSchema, ListKind, ListSchema, StructSchema};

struct Fields(Vec<(&'static str, Schema, Option<Tree>)>);

impl StructSchema for Fields {
    fn field(&self, name: &str) -> Option<FieldSchema> {
        let (_, schema, default) = self.0.iter().find(|(field, ..)| *field == name)?;
        let default = default.clone().map(Arc::new);
        Some(FieldSchema { schema: schema.clone(), patch_strategy: None, patch_merge_key: None, default })
    }

    fn zero_value(&self, name: &str) -> Option<Tree> {
        ["metadata", "spec", "status"].contains(&name).then(|| json!({}))
    }
}

fn fields(fields: Vec<(&'static str, Schema)>) -> Schema {
    Schema::Struct(Arc::new(Fields(fields.into_iter().map(|(name, schema)| (name, schema, None)).collect())))
}

fn list(items: Schema, kind: ListKind) -> Schema {
    Schema::List(Arc::new(ListSchema { items, kind }))
}

fn keys(keys: &[&str]) -> ListKind {
    ListKind::Map(keys.iter().map(|key| Arc::from(*key)).collect())
}

/// Like a deployment, with one of each kind of list and map.
fn schema() -> Schema {
    let map = || Schema::Map(Arc::new(Schema::Atomic));
    let port = Schema::Struct(Arc::new(Fields(vec![
        ("port", Schema::Atomic, None),
        ("protocol", Schema::Atomic, Some(json!("TCP"))),
        ("name", Schema::Atomic, None),
    ])));
    let container = fields(vec![
        ("name", Schema::Atomic),
        ("image", Schema::Atomic),
        ("args", list(Schema::Atomic, ListKind::Atomic)),
        ("ports", list(port, keys(&["port", "protocol"]))),
    ]);
    let metadata = fields(vec![
        ("name", Schema::Atomic),
        ("namespace", Schema::Atomic),
        ("uid", Schema::Atomic),
        ("resourceVersion", Schema::Atomic),
        ("creationTimestamp", Schema::Atomic),
        ("generation", Schema::Atomic),
        ("labels", map()),
        ("annotations", map()),
        ("finalizers", list(Schema::Atomic, ListKind::Set)),
        ("managedFields", list(Schema::Untyped, ListKind::Atomic)),
    ]);
    let spec = fields(vec![
        ("replicas", Schema::Atomic),
        ("paused", Schema::Atomic),
        ("selector", Schema::Atomic),
        ("containers", list(container, keys(&["name"]))),
        ("free", Schema::Untyped),
    ]);
    Schema::Struct(Arc::new(Fields(vec![
        ("apiVersion", Schema::Atomic, None),
        ("kind", Schema::Atomic, None),
        ("metadata", metadata, None),
        ("spec", spec, None),
        ("status", fields(vec![("ready", Schema::Atomic)]), None),
    ])))
}

fn kind() -> GroupVersionKind {
    GroupVersionKind::new("apps", "v1", "Thing")
}

/// A server without a store: one object and its clock.
struct Server {
    schema: Schema,
    live: Option<Tree>,
    now: i64,
}

impl Server {
    fn new() -> Self {
        Self { schema: schema(), live: None, now: 0 }
    }

    fn with<T>(&self, subresource: &str, run: impl FnOnce(&FieldManager<'_>) -> T) -> T {
        let reset: &[&str] = if subresource == "status" { &["spec"] } else { &["status"] };
        let now = Timestamp::from_second(self.now).expect("small");
        let kind = kind();
        let versions = None;
        run(&FieldManager {
            schema: &self.schema,
            kind: &kind,
            subresource,
            reset_fields: reset,
            versions,
            now,
        })
    }

    fn apply(&mut self, manager: &str, spec: Tree, force: bool) -> Result<(), ApiError> {
        self.apply_object(manager, json!({"spec": spec}), force)
    }

    fn apply_object(&mut self, manager: &str, mut config: Tree, force: bool) -> Result<(), ApiError> {
        config.set("apiVersion", "apps/v1");
        config.set("kind", "Thing");
        config.set("metadata.name", "a");
        self.now += 1;
        let mut new = self.with("", |fm| fm.apply(self.live.as_ref(), &config, manager, force))?;
        self.store(&mut new);
        Ok(())
    }

    fn update(&mut self, manager: &str, subresource: &str, change: impl FnOnce(&mut Tree)) {
        let start = || json!({"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "a"}});
        let mut new = self.live.clone().unwrap_or_else(start);
        change(&mut new);
        self.now += 1;
        self.with(subresource, |fm| fm.update(self.live.as_ref(), &mut new, manager));
        self.store(&mut new);
    }

    fn store(&mut self, new: &mut Tree) {
        new.set("metadata.uid", "u");
        if let Some(live) = &self.live {
            keep_times_if_unchanged(new, live);
        }
        self.live = Some(new.clone());
    }

    fn spec(&self) -> Tree {
        self.live.as_ref().and_then(|live| live.get("spec")).cloned().unwrap_or_default()
    }

    fn entries(&self) -> &[Tree] {
        self.live.as_ref().expect("stored").items_at("metadata.managedFields")
    }

    /// What a manager owns, of all its entries, printed.
    fn owned(&self, manager: &str) -> Vec<String> {
        let mut set = FieldSet::default();
        for entry in self.entries().iter().filter(|entry| entry.str_at("manager") == manager) {
            set.unite(&FieldSet::from_fields_v1(&entry["fieldsV1"]).expect("what was written"));
        }
        let mut paths: Vec<String> = set.paths().iter().map(|path| print_path(path)).collect();
        paths.sort();
        paths
    }
}
