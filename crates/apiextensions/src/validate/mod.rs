//! Validation of values against a schema's keywords, in the words of upstream's validator.
//!
//! On an update, errors of values that did not change are dropped (ratcheting). That can only matter where there are
//! errors, so the walk with two objects happens only then.

mod junctors;
mod outcome;
mod scalars;
mod walk;

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::Schema;
use crate::correlate::Correlated;
use crate::place::Place;
pub(crate) use outcome::truncated;
use walk::Walk;

impl Schema {
    /// What is wrong with a new object. Whether unknown fields are there does not matter, so pruning what was valid
    /// leaves it valid.
    pub fn validate(&self, object: &Tree) -> ErrorList {
        Walk { prefix: &Path::root() }.check(&self.root, object, &Place::ROOT).errors()
    }

    /// What is wrong with an object and was not before.
    pub fn validate_update(&self, new: &Tree, old: &Tree) -> ErrorList {
        let change = Correlated { new, old, node: &self.root };
        check_change(&Path::root(), &change)
    }

    /// The same for a write through the `status` subresource, which looks at the status only.
    pub fn validate_status_update(&self, new: &Tree, old: &Tree) -> ErrorList {
        let (Some(new), Some(node)) = (new.get("status"), self.root.property("status")) else {
            return ErrorList::new();
        };
        let absent = Value::Null;
        let old = old.get("status").unwrap_or(&absent);
        check_change(&Path::new("status"), &Correlated { new, old, node })
    }
}

fn check_change(prefix: &Path, change: &Correlated<'_>) -> ErrorList {
    let walk = Walk { prefix };
    let strict = walk.check(change.node, change.new, &Place::ROOT);
    if strict.is_valid() { ErrorList::new() } else { walk.check_change(change, &Place::ROOT).errors() }
}

#[cfg(test)]
mod tests;
