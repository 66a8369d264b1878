//! What the server itself writes into the metadata of every object, before a strategy's rules run.

use jiff::Timestamp;

use super::{Object, ObjectMut};
use crate::{Tree, time};

/// Makes the metadata of a new object: a new `uid`, the creation time, and nothing that only a server may say
/// (deletion marks, `resourceVersion`, `selfLink`).
pub fn fill_for_create(object: &mut Tree, uid: &str, now: Timestamp) {
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "selfLink"] {
        object.remove(&format!("metadata.{field}"));
    }
    object.set("metadata.uid", uid);
    object.set("metadata.creationTimestamp", time::format(now));
}

/// Carries over from `old` what an update cannot change and clients may leave out: `generation`, `uid` if none is
/// given, the creation time, and the marks of a deletion under way.
pub fn fill_for_update(new: &mut Tree, old: &Tree) {
    new.copy_from(old, "metadata.generation");
    new.remove("metadata.selfLink");
    if new.uid().is_empty() {
        new.copy_from(old, "metadata.uid");
    }
    new.copy_from(old, "metadata.creationTimestamp");
    if old.is_deleting() {
        new.copy_from(old, "metadata.deletionTimestamp");
    }
    if new.at("metadata.deletionGracePeriodSeconds").is_none() {
        new.copy_from(old, "metadata.deletionGracePeriodSeconds");
    }
}
