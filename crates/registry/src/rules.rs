//! What most strategies do alike: keeping `status` and the rest apart, and counting generations.

use steersman_apimachinery::Tree;

use crate::Context;
use crate::tree::{Read, Write, same};

/// Writes `metadata.generation`.
pub(crate) fn set_generation(tree: &mut Tree, generation: i64) {
    if let Some(metadata) = tree.object_mut("metadata") {
        metadata.set("generation", generation);
    }
}

/// Keeps the stored generation, one higher if `changed`: what a client sends does not count.
pub(crate) fn count_generation(new: &mut Tree, old: &Tree, changed: bool) {
    match (old.int("metadata.generation"), changed) {
        (Some(before), _) => set_generation(new, before + i64::from(changed)),
        (None, true) => set_generation(new, 1),
        (None, false) => {
            if let Some(metadata) = new.part_mut("metadata") {
                metadata.remove("generation");
            }
        }
    }
}

/// For a write of `status`: keeps `spec`, the generation and what only the main resource may change.
pub(crate) fn keep_spec(new: &mut Tree, old: &Tree) {
    new.copy(old, "spec");
    count_generation(new, old, false);
}

/// What most kinds do on an update: parts are kept apart, and the generation counts changes of `spec`.
pub(crate) fn keep_parts_apart(new: &mut Tree, old: &Tree, context: &Context) {
    if !keep_apart(new, old, context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }
}

/// Makes a field of `metadata` what it was.
pub(crate) fn keep_metadata(new: &mut Tree, old: &Tree, field: &str) {
    if let Some(metadata) = new.object_mut("metadata") {
        metadata.copy(old.at("metadata"), field);
    }
}

/// For a write of `status` of a kind whose metadata only the main resource may change: keeps all that a client sets.
/// `managedFields` go with the write.
pub(crate) fn keep_metadata_for_status(new: &mut Tree, old: &Tree) {
    for field in ["deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"]
    {
        keep_metadata(new, old, field);
    }
}

/// Prepares the update of an object whose `spec` is written by users and whose `status` is written by its controller:
/// neither write changes the other part. Gives whether it is the status that is written.
pub(crate) fn keep_apart(new: &mut Tree, old: &Tree, context: &Context) -> bool {
    let status = context.subresource == Some("status");
    if status {
        keep_spec(new, old);
    } else {
        new.copy(old, "status");
    }
    status
}

/// Whether `field` says something else than before.
pub(crate) fn differs(new: &Tree, old: &Tree, field: &str) -> bool {
    !same(new.at(field), old.at(field))
}
