//! Limit ranges.

mod defaults;
mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print;
use crate::resource::Resource;
use crate::tree::{Read, Write};
use crate::{Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    short_names: &["limits"],
    definition: "io.k8s.api.core.v1.LimitRange",
    storage: "limitranges",
    strategy: &LimitRange,
    columns: &[print::NAME, print::CREATED_AT],
    ..table::BASE
};

struct LimitRange;

impl Strategy for LimitRange {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(spec) = tree.part_mut("spec") {
            spec.items_mut("limits").iter_mut().for_each(defaults::limit);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        // One without a name gets one that nobody else has.
        let unique = tree.text("metadata.uid").to_owned();
        if tree.text("metadata.generateName").is_empty()
            && let Some(metadata) = tree.part_mut("metadata")
        {
            metadata.default_text("name", &unique);
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::check(tree)
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, _context: &Context) -> ErrorList {
        validation::check(new)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_range_without_a_name_gets_one() {
        let cases = [
            (json!({"uid": "u"}), json!({"uid": "u", "name": "u"})),
            (json!({"uid": "u", "name": "n"}), json!({"uid": "u", "name": "n"})),
            (json!({"uid": "u", "generateName": "n-"}), json!({"uid": "u", "generateName": "n-"})),
        ];
        for (metadata, want) in cases {
            let mut tree = json!({"metadata": metadata});
            LimitRange.prepare_for_create(&mut tree, &Context::default());
            assert_eq!(tree["metadata"], want);
        }
    }
}
