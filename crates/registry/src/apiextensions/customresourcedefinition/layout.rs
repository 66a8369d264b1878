//! Where upstream sees the parts of versions: what all versions have in common stands at the top of the spec, and
//! problems of it are reported there.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::Path;

use crate::tree::Read;

/// A field of versions, by its name in a version and its name at the top of the spec.
#[derive(Clone, Copy)]
pub(super) struct Part {
    in_version: &'static str,
    at_top: &'static str,
}

pub(super) const SCHEMA: Part = Part { in_version: "schema", at_top: "validation" };
pub(super) const SUBRESOURCES: Part = Part { in_version: "subresources", at_top: "subresources" };
pub(super) const COLUMNS: Part =
    Part { in_version: "additionalPrinterColumns", at_top: "additionalPrinterColumns" };
pub(super) const SELECTABLE: Part = Part { in_version: "selectableFields", at_top: "selectableFields" };

impl Part {
    /// What all versions have in common; `None` if they differ. It may be null.
    pub(super) fn shared(self, spec: &Tree) -> Option<&Tree> {
        let versions = spec.items("versions");
        let first = versions.first()?.at(self.in_version);
        versions.iter().all(|version| version.at(self.in_version) == first).then_some(first)
    }

    /// What a version has for itself; null if all have it in common.
    pub(super) fn own<'a>(self, spec: &Tree, version: &'a Tree) -> &'a Tree {
        static NULL: Tree = Tree::Null;
        if self.shared(spec).is_some() { &NULL } else { version.at(self.in_version) }
    }

    pub(super) fn path_in_version(self, version: &Path) -> Path {
        version.child(self.in_version)
    }

    pub(super) fn path_at_top(self, spec: &Path) -> Path {
        spec.child(self.at_top)
    }
}

/// The schemas of a spec, each once, with whether the version (or any, for a shared one) has a status of its own.
pub(super) fn schemas(spec: &Tree) -> impl Iterator<Item = &Tree> + Clone {
    let schemas = spec.items("versions").iter().map(|version| version.at("schema.openAPIV3Schema"));
    schemas.filter(|schema| schema.is_object())
}

/// Whether the subresource `status` is on.
pub(super) fn has_status(version: &Tree) -> bool {
    version.has("subresources.status")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_versions_share_stands_at_the_top() {
        let spec = json!({"versions": [{"schema": 1, "subresources": {"status": {}}}, {"schema": 1}]});
        assert_eq!(SCHEMA.shared(&spec), Some(&json!(1)));
        assert_eq!(SUBRESOURCES.shared(&spec), None);
        assert_eq!(SELECTABLE.shared(&spec), Some(&Tree::Null));
        assert_eq!(SCHEMA.own(&spec, &spec["versions"][0]), &Tree::Null);
        assert_eq!(SUBRESOURCES.own(&spec, &spec["versions"][0]), &json!({"status": {}}));
        assert_eq!(SCHEMA.shared(&json!({})), None);
    }
}
