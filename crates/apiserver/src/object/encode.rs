//! The stored form of an object: JSON with `apiVersion`, `kind` and `metadata` first and without
//! `metadata.resourceVersion`, so that a served object is the stored bytes with the version put in
//! at a known place.

use std::io::Write;

use bytes::Bytes;
use serde_json::Value;
use steersman_apimachinery::Tree;

/// Writes `tree` in stored form.
pub fn stored(tree: &Tree) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    write_object(&mut out, tree);
    out.into()
}

/// Where in `value` the metadata's first member begins, if `value` is in stored form.
pub fn splice_point(value: &[u8]) -> Option<usize> {
    let rest = value.strip_prefix(br#"{"apiVersion":""#)?;
    let rest = after_plain_string(rest)?.strip_prefix(br#","kind":""#)?;
    let rest = after_plain_string(rest)?.strip_prefix(br#","metadata":{"#)?;
    Some(value.len() - rest.len())
}

/// What follows the closing quote of a string without escapes.
fn after_plain_string(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|c| matches!(c, b'"' | b'\\'))?;
    (text[end] == b'"').then(|| &text[end + 1..])
}

fn write_object(out: &mut Vec<u8>, tree: &Tree) {
    let Value::Object(fields) = tree else { return write_value(out, tree) };
    out.extend_from_slice(br#"{"apiVersion":"#);
    write_value(out, fields.get("apiVersion").unwrap_or(&Value::Null));
    out.extend_from_slice(br#","kind":"#);
    write_value(out, fields.get("kind").unwrap_or(&Value::Null));
    out.extend_from_slice(br#","metadata":"#);
    write_metadata(out, fields.get("metadata"));
    for (name, value) in fields {
        if matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        out.push(b',');
        write_value(out, name);
        out.push(b':');
        write_value(out, value);
    }
    out.push(b'}');
}

fn write_metadata(out: &mut Vec<u8>, metadata: Option<&Value>) {
    out.push(b'{');
    let members = metadata.and_then(Value::as_object).into_iter().flatten();
    for (i, (name, value)) in members.filter(|(name, _)| *name != "resourceVersion").enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_value(out, name);
        out.push(b':');
        write_value(out, value);
    }
    out.push(b'}');
}

fn write_value<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(&mut *out, value).expect("a tree has string keys, and a Vec takes every byte");
}

/// The text of `"resourceVersion":"<revision>"`, with a comma if `more` members follow.
pub fn write_version(out: &mut Vec<u8>, revision: u64, more: bool) {
    let comma = if more { "," } else { "" };
    write!(out, r#""resourceVersion":"{revision}"{comma}"#).expect("a Vec takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stored_bytes_can_be_spliced() {
        let tree = json!({"data": {"a": "b"}, "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": "x", "resourceVersion": "7"}});
        let bytes = stored(&tree);
        assert_eq!(
            &bytes[..],
            br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"b"}}"#
        );
        let at = splice_point(&bytes).expect("is in stored form");
        assert!(bytes[at..].starts_with(br#""name":"x""#));
    }

    #[test]
    fn other_bytes_are_not_taken_for_stored_form() {
        for text in [r#"{"kind":"Pod"}"#, r#"{"apiVersion":"v1","kind":"a\"b","metadata":{}}"#, "k8s\0", ""] {
            assert_eq!(splice_point(text.as_bytes()), None, "{text}");
        }
    }
}
