//! Who wrote which field (`metadata.managedFields`): kept for every writer, so that server-side apply can tell whose
//! fields it would take over.

use steersman_apimachinery::Tree;
use steersman_apimachinery::gvk::GroupVersionKind;
use steersman_apimachinery::managed_fields::{FieldManager, Versions};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::schema::Schema;
use steersman_apimachinery::status::ApiError;

use crate::call::Call;
use crate::routes::{Entry, Routes};
use crate::verbs::undecodable;

/// Records the writer as the manager of the fields that it set or changed.
pub fn track(call: &Call<'_>, new: &mut Tree, old: Option<&Tree>) {
    with_manager(call, |manager, name| manager.update(old, new, name));
}

/// The object after the request's manager applied `config`; `live` is `None` if it does not exist yet.
pub fn apply(call: &Call<'_>, live: Option<&Tree>, config: &Tree, force: bool) -> Result<Tree, ApiError> {
    let applied = with_manager(call, |manager, name| manager.apply(live, config, name, force))
        .unwrap_or_else(|| Err(ApiError::internal("the kind has no schema")))?;
    let decoded = call
        .definition()
        .decode_tree(applied)
        .map_err(|failure| undecodable(call.kind(), call.version(), b"{}", failure))?;
    Ok(decoded.tree)
}

/// Calls `work` with the field manager of the call's endpoint; `None` if its kind has no schema.
fn with_manager<T>(call: &Call<'_>, work: impl FnOnce(&FieldManager<'_>, &str) -> T) -> Option<T> {
    let schema = call.definition().schema()?;
    let kind = GroupVersionKind::new(call.group(), call.version(), call.kind());
    let has_status = call.entry.subresource("status").is_some();
    let reset_fields: &[&str] = match call.subresource.map(|s| s.name) {
        Some("status") if call.entry.is_custom() => &["metadata", "spec"],
        Some("status") => &["spec"],
        _ if has_status => &["status"],
        _ => &[],
    };
    let routes = call.server.storage.routes();
    let versions = StoredForms { routes: &routes, entry: call.entry };
    let manager = FieldManager {
        schema: &schema,
        kind: &kind,
        subresource: call.subresource.map_or("", |s| s.name),
        reset_fields,
        versions: versions.several().then_some(&versions),
        now: call.now,
    };
    Some(work(&manager, &call.manager()))
}

/// The forms in which the objects of a resource are served, where there are several.
struct StoredForms<'a> {
    routes: &'a Routes,
    entry: &'a Entry,
}

impl StoredForms<'_> {
    fn several(&self) -> bool {
        self.routes.stored_with(self.entry).nth(1).is_some()
    }
}

impl Versions for StoredForms<'_> {
    fn convert(&self, object: &Tree, api_version: &str) -> Option<(Tree, Schema)> {
        let other = self.routes.stored_with(self.entry).find(|other| other.api_version == api_version)?;
        Some((self.entry.converted(object, other), other.resource.definition.schema()?))
    }
}

/// Whether an update changes nothing but the times of managed fields, so that it need not be written.
pub fn is_unchanged(new: &Tree, old: &Tree) -> bool {
    if new == old {
        return true;
    }
    let timeless = |tree: &Tree| {
        let mut tree = tree.clone();
        if let Some(entries) = tree.at_mut("metadata.managedFields").as_array_mut() {
            entries.iter_mut().for_each(|entry| drop(entry.remove("time")));
        }
        tree
    };
    new.at("metadata.managedFields").is_some() && timeless(new) == timeless(old)
}
