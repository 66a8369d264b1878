//! Pure makers of volume contents: which files, with which bytes and modes.
//!
//! The words of the errors are upstream's: they reach the user through `FailedMount` events.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, KeyToPath, Secret};

/// One file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The content.
    pub data: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner; the kubelet's own user when absent.
    pub user: Option<u32>,
}

/// Files by path relative to the volume.
pub type Payload = BTreeMap<String, File>;

/// The object does not hold what the volume asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// An item names a key that the ConfigMap lacks.
    #[error("configmap references non-existent config key: {0}")]
    NoConfigMapKey(String),
    /// An item names a key that the Secret lacks.
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
}

/// What a ConfigMap or Secret volume (or projection) asks of its object.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Keys and the paths they go to; every key under its own name when empty.
    pub items: &'a [KeyToPath],
    /// Mode of files whose item has none.
    pub default_mode: u32,
    /// Owner of files whose item has none.
    pub default_user: Option<u32>,
    /// Missing keys are left out instead of failing.
    pub optional: bool,
}

/// The files of a ConfigMap.
pub fn config_map(object: &ConfigMap, selection: Selection<'_>) -> Result<Payload, PayloadError> {
    let text = object.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = object.binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
    select(&binary.chain(text).collect(), selection, PayloadError::NoConfigMapKey)
}

/// The files of a Secret.
pub fn secret(object: &Secret, selection: Selection<'_>) -> Result<Payload, PayloadError> {
    let data = object.data.iter().flatten().map(|(key, ByteString(value))| (key.as_str(), value.as_slice()));
    select(&data.collect(), selection, PayloadError::NoSecretKey)
}

fn select(
    entries: &BTreeMap<&str, &[u8]>,
    selection: Selection<'_>,
    missing: fn(String) -> PayloadError,
) -> Result<Payload, PayloadError> {
    let file = |data: &[u8], mode: Option<i32>, user: Option<i64>| File {
        data: data.to_vec(),
        mode: mode.map_or(selection.default_mode, mode_bits),
        user: user.and_then(|user| u32::try_from(user).ok()).or(selection.default_user),
    };
    if selection.items.is_empty() {
        return Ok(entries.iter().map(|(key, data)| ((*key).to_owned(), file(data, None, None))).collect());
    }
    let mut payload = Payload::new();
    for item in selection.items {
        match entries.get(item.key.as_str()) {
            Some(data) => {
                payload.insert(item.path.clone(), file(data, item.mode, item.user));
            }
            None if selection.optional => {}
            None => return Err(missing(item.key.clone())),
        }
    }
    Ok(payload)
}

/// Permission bits of an API mode, which is an `int32` in decimal or octal.
pub fn mode_bits(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or(0) & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> ConfigMap {
        ConfigMap {
            data: Some([("a".to_owned(), "text".to_owned())].into()),
            binary_data: Some([("b".to_owned(), ByteString(vec![0, 255]))].into()),
            ..ConfigMap::default()
        }
    }

    fn item(key: &str, path: &str, mode: Option<i32>) -> KeyToPath {
        KeyToPath { key: key.into(), path: path.into(), mode, ..KeyToPath::default() }
    }

    fn selection(items: &[KeyToPath], optional: bool) -> Selection<'_> {
        Selection { items, default_mode: 0o644, default_user: None, optional }
    }

    fn file(data: &[u8], mode: u32) -> File {
        File { data: data.to_vec(), mode, user: None }
    }

    #[test]
    fn without_items_every_key_is_a_file() {
        let payload = config_map(&object(), selection(&[], false)).unwrap();
        let want = [("a".to_owned(), file(b"text", 0o644)), ("b".to_owned(), file(&[0, 255], 0o644))];
        assert_eq!(payload, want.into());
    }

    #[test]
    fn items_choose_path_and_mode() {
        let items = [item("b", "dir/b.bin", Some(0o400))];
        let payload = config_map(&object(), selection(&items, false)).unwrap();
        assert_eq!(payload, [("dir/b.bin".to_owned(), file(&[0, 255], 0o400))].into());
    }

    #[test]
    fn a_missing_key_fails_unless_optional() {
        let items = [item("nope", "x", None)];
        let error = config_map(&object(), selection(&items, false)).unwrap_err();
        assert_eq!(error.to_string(), "configmap references non-existent config key: nope");
        assert_eq!(config_map(&object(), selection(&items, true)), Ok(Payload::new()));
        let error = secret(&Secret::default(), selection(&items, false)).unwrap_err();
        assert_eq!(error.to_string(), "references non-existent secret key: nope");
    }
}
