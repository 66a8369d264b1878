//! Secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use steersman_apimachinery::Tree;

use crate::print::{self, integer_cell};
use crate::resource::Resource;
use crate::tree::{Read, Write};
use crate::{Column, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    definition: "io.k8s.api.core.v1.Secret",
    storage: "secrets",
    strategy: &Secret,
    columns: COLUMNS,
    selectable_fields: &[("type", |object| object.text("type").to_owned())],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Type", 0, "Type of the secret.", |object, _| object.text("type").into()),
    print::text("Data", 0, "Number of keys in data.", |object, _| {
        integer_cell(object.entries("data").count())
    }),
    print::AGE,
];

struct Secret;

impl Strategy for Secret {
    fn apply_defaults(&self, tree: &mut Tree) {
        tree.default_text("type", "Opaque");
        merge_plain_text(tree);
    }
}

/// `stringData` is only for writing: it goes, encoded, into `data` and wins over what is there.
fn merge_plain_text(tree: &mut Tree) {
    let Some(Tree::Object(plain)) = tree.as_object_mut().and_then(|map| map.remove("stringData")) else {
        return;
    };
    if plain.is_empty() {
        return;
    }
    let Some(data) = tree.object_mut("data") else { return };
    for (key, value) in plain {
        data.set(&key, STANDARD.encode(value.as_str().unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_text_is_merged_into_data() {
        let mut tree = json!({"data": {"a": "eA==", "b": "eQ=="}, "stringData": {"b": "secret", "c": ""}});
        Secret.apply_defaults(&mut tree);
        let want = json!({"type": "Opaque", "data": {"a": "eA==", "b": "c2VjcmV0", "c": ""}});
        assert_eq!(tree, want);
        Secret.apply_defaults(&mut tree);
        assert_eq!(tree, want);
    }
}
