//! Volume attributes classes.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::{GROUP, parameters, provisioner};
use crate::print;
use crate::resource::{Resource, Scope};
use crate::rules::differs;
use crate::tree::Read;
use crate::{Column, Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "VolumeAttributesClass",
    plural: "volumeattributesclasses",
    singular: "volumeattributesclass",
    short_names: &["vac"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.VolumeAttributesClass",
    storage: "volumeattributesclasses",
    strategy: &VolumeAttributesClass,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("DriverName", 0, "Driver that applies it.", |class, _| class.text("driverName").into()),
    print::AGE,
];

struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        provisioner(&mut found, Path::new("driverName"), tree.text("driverName"));
        parameters(&mut found, tree, false);
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        for field in ["driverName", "parameters"].into_iter().filter(|field| differs(new, old, field)) {
            let why = format!("updates to {field} are forbidden.");
            found.push(Error::forbidden(Path::new(field), why));
        }
        found.extend(self.validate(new, context));
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::assert_problems;
    use crate::print::tests::row;

    fn class() -> Value {
        json!({
            "metadata": {"name": "gold", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "driverName": "csi.example.com", "parameters": {"iops": "9000"},
        })
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            ("/driverName", json!(""), vec!["driverName: Required value"]),
            (
                "/parameters",
                json!({}),
                vec!["parameters: Required value: must contain at least one key/value pair"],
            ),
        ];
        assert_problems(&class(), |new| VolumeAttributesClass.validate(new, &Context::default()), cases);
    }

    #[test]
    fn it_stays_as_it_is() {
        let old = class();
        let cases = [
            (
                "/driverName",
                json!("other"),
                vec!["driverName: Forbidden: updates to driverName are forbidden."],
            ),
            (
                "/parameters/a",
                json!("b"),
                vec!["parameters: Forbidden: updates to parameters are forbidden."],
            ),
        ];
        let check = |new: &Tree| VolumeAttributesClass.validate_update(new, &old, &Context::default());
        assert_problems(&old, check, cases);
        assert_eq!(row(COLUMNS, &old, "2026-01-01T00:00:10Z"), "gold|csi.example.com|10s");
    }
}
