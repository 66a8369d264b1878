//! Secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::keyed;
use crate::checks::immutable;
use crate::print::{self, integer_cell};
use crate::resource::Resource;
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

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

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let data = Path::new("data");
        keyed::keys(&mut found, tree, "data");
        if keyed::binary_bytes(tree, "data") > keyed::MAX_BYTES {
            found.push(Error::too_long(data.clone(), keyed::MAX_BYTES));
        }
        by_type(&mut found, tree, &data);
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        immutable(&mut found, Path::new("type"), new.at("type"), old.at("type"));
        keyed::frozen(&mut found, new, old, &["data"]);
        found.extend(self.validate(new, context));
        found
    }
}

/// Keys that a secret of a type must have, and whether each must have content.
const KEYS_OF_TYPES: &[(&str, &[&str], bool)] = &[
    ("kubernetes.io/tls", &["tls.crt", "tls.key"], false),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"], true),
    ("kubernetes.io/dockercfg", &[".dockercfg"], false),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"], false),
];

/// What the type of a secret promises to who uses it.
fn by_type(found: &mut ErrorList, tree: &Tree, data: &Path) {
    const ACCOUNT: &str = "kubernetes.io/service-account.name";
    let kind = tree.text("type");
    let value = |key: &str| tree.at("data").get(key).and_then(Tree::as_str);
    match kind {
        "kubernetes.io/service-account-token" => {
            let account = tree.at("metadata.annotations").get(ACCOUNT).and_then(Tree::as_str);
            if account.unwrap_or_default().is_empty() {
                let path = Path::new("metadata").child("annotations").key(ACCOUNT);
                found.push(Error::required(path, ""));
            }
        }
        "kubernetes.io/basic-auth" if value("username").is_none() && value("password").is_none() => {
            found.push(Error::required(data.key("username"), ""));
            found.push(Error::required(data.key("password"), ""));
        }
        _ => {}
    }
    let (keys, filled) =
        KEYS_OF_TYPES.iter().find(|(name, ..)| *name == kind).map_or((&[][..], false), |row| (row.1, row.2));
    for key in keys {
        match value(key) {
            None => found.push(Error::required(data.key(key), "")),
            Some("") if filled => found.push(Error::required(data.key(key), "")),
            Some(text) if kind.contains("docker") => docker_config(found, text, &data.key(key)),
            Some(_) => {}
        }
    }
}

fn docker_config(found: &mut ErrorList, encoded: &str, path: &Path) {
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    if let Err(why) = serde_json::from_slice::<serde_json::Map<String, Tree>>(&decoded) {
        found.push(Error::invalid(path.clone(), "<secret contents redacted>", why.to_string()));
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
    use crate::checks::tests::texts;

    #[test]
    fn plain_text_is_merged_into_data() {
        let mut tree = json!({"data": {"a": "eA==", "b": "eQ=="}, "stringData": {"b": "secret", "c": ""}});
        Secret.apply_defaults(&mut tree);
        let want = json!({"type": "Opaque", "data": {"a": "eA==", "b": "c2VjcmV0", "c": ""}});
        assert_eq!(tree, want);
        Secret.apply_defaults(&mut tree);
        assert_eq!(tree, want);
    }

    #[test]
    fn types_ask_for_their_keys() {
        let context = Context::default();
        let cases = [
            (json!({"type": "Opaque"}), vec![]),
            (
                json!({"type": "kubernetes.io/tls"}),
                vec!["data[tls.crt]: Required value", "data[tls.key]: Required value"],
            ),
            (
                json!({"type": "kubernetes.io/basic-auth"}),
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            (
                json!({"type": "kubernetes.io/service-account-token"}),
                vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            ),
            (
                json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}),
                vec![],
            ),
        ];
        for (tree, want) in cases {
            assert_eq!(texts(&Secret.validate(&tree, &context)), want, "{tree}");
        }
        let (old, new) = (json!({"type": "a"}), json!({"type": "b"}));
        let want = ["type: Invalid value: \"b\": field is immutable"];
        assert_eq!(texts(&Secret.validate_update(&new, &old, &context)), want);
    }
}
