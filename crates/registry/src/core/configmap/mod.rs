//! Config maps.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::keyed;
use crate::print::{self, integer_cell};
use crate::resource::Resource;
use crate::tree::Read;
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    definition: "io.k8s.api.core.v1.ConfigMap",
    storage: "configmaps",
    strategy: &ConfigMap,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Data", 0, "Number of keys in data and binaryData.", |object, _| {
        integer_cell(object.entries("data").count() + object.entries("binaryData").count())
    }),
    print::AGE,
];

struct ConfigMap;

impl Strategy for ConfigMap {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        keyed::keys(&mut found, tree, "data");
        keyed::keys(&mut found, tree, "binaryData");
        for (key, _) in tree.entries("data").filter(|(key, _)| tree.at("binaryData").get(*key).is_some()) {
            let path = Path::new("data").key(key);
            found.push(Error::invalid(path, key, "duplicate of key present in binaryData"));
        }
        if keyed::text_bytes(tree, "data") + keyed::binary_bytes(tree, "binaryData") > keyed::MAX_BYTES {
            // Upstream reports this for the object as a whole.
            found.push(Error::too_long(Path::default().key(""), keyed::MAX_BYTES));
        }
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        keyed::frozen(&mut found, new, old, &["data", "binaryData"]);
        found.extend(self.validate(new, context));
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn context() -> Context {
        Context::default()
    }

    fn problems(tree: &Value) -> Vec<String> {
        texts(&ConfigMap.validate(tree, &context()))
    }

    #[test]
    fn keys_and_size_are_limited() {
        let most = "x".repeat(1024 * 1024);
        assert!(problems(&json!({"data": {"a": most}})).is_empty());
        let too_much = json!({"data": {"a": most, "b": "x"}});
        assert_eq!(problems(&too_much), ["[]: Too long: may not be more than 1048576 bytes"]);
        let both = json!({"data": {"a": ""}, "binaryData": {"a": ""}});
        assert_eq!(
            problems(&both),
            ["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"]
        );
        let bad = problems(&json!({"data": {"a b": ""}}));
        assert!(
            bad[0].starts_with("data[a b]: Invalid value: \"a b\": a valid config key must consist of"),
            "{bad:?}"
        );
    }

    #[test]
    fn a_frozen_map_stays() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        let new = json!({"data": {"a": "2"}});
        let want = [
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ];
        assert_eq!(texts(&ConfigMap.validate_update(&new, &old, &context())), want);
    }
}
