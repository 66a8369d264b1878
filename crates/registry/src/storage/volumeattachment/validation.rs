//! Validation of volume attachments.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::range_problems;

use crate::checks::{driver_name, immutable, subdomain};
use crate::core::persistentvolume::inline_spec;
use crate::tree::Read;

const MAX_METADATA_BYTES: usize = 256 * 1024;
const MAX_MESSAGE_BYTES: usize = 1024;
const ONE_SOURCE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

/// Checks a new attachment.
pub(super) fn create(attachment: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (attachment.at("spec"), Path::new("spec"));
    driver_name(&mut found, &path.child("attacher"), spec.text("attacher"), Error::too_long_characters);
    source(&mut found, spec.at("source"), &path.child("source"));
    subdomain(&mut found, &path.child("nodeName"), spec.text("nodeName"));
    status(&mut found, attachment.at("status"), &Path::new("status"));
    if let Some(name) = spec.at("source.persistentVolumeName").as_str() {
        subdomain(&mut found, &path.child("source").child("persistentVolumeName"), name);
    }
    found
}

/// Checks a change, of the status too: what is attached where stays.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = create(new);
    immutable(&mut found, Path::new("spec"), new.at("spec"), old.at("spec"));
    found
}

fn source(found: &mut ErrorList, source: &Tree, path: &Path) {
    match (source.has("inlineVolumeSpec"), source.has("persistentVolumeName")) {
        (false, false) => found.push(Error::required(path.clone(), ONE_SOURCE)),
        (true, true) => found.push(Error::forbidden(path.clone(), ONE_SOURCE)),
        (false, true) if source.text("persistentVolumeName").is_empty() => {
            let why = "must specify non empty persistentVolumeName";
            found.push(Error::required(path.child("persistentVolumeName"), why));
        }
        (false, true) => {}
        (true, false) => {
            inline_spec(found, source.at("inlineVolumeSpec"), &path.child("inlineVolumeSpec"));
        }
    }
}

fn status(found: &mut ErrorList, status: &Tree, path: &Path) {
    let entries = status.entries("attachmentMetadata");
    let bytes: usize = entries.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > MAX_METADATA_BYTES {
        found.push(Error::too_long(path.child("attachmentMetadata"), MAX_METADATA_BYTES));
    }
    for field in ["attachError", "detachError"] {
        let (error, path) = (status.at(field), path.child(field));
        if error.text("message").len() > MAX_MESSAGE_BYTES {
            // Upstream names the other limit here.
            found.push(Error::too_long(path.child("message"), MAX_METADATA_BYTES));
        }
        if let Some(code) = error.int("errorCode").filter(|code| *code < 0) {
            for why in range_problems(code, 0, i32::MAX.into()) {
                found.push(Error::invalid(path.child("errorCode"), code, why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::{assert_problems, texts};

    fn attachment() -> Value {
        json!({
            "spec": {"attacher": "Driver", "nodeName": "n1", "source": {"persistentVolumeName": "v"}},
            "status": {"attached": true},
        })
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let source = "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        let cases = [
            ("/spec/attacher", json!(""), vec!["spec.attacher: Required value"]),
            (
                "/spec/attacher",
                json!("a".repeat(64)),
                vec!["spec.attacher: Too long: may not be more than 63 characters"],
            ),
            ("/spec/source", json!({}), vec![source]),
            (
                "/spec/source/inlineVolumeSpec",
                json!({}),
                vec![
                    "spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                ],
            ),
            (
                "/spec/source",
                json!({"inlineVolumeSpec": {
                    "accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"},
                    "storageClassName": "fast"}}),
                vec![
                    "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes",
                ],
            ),
            (
                "/status/attachmentMetadata",
                json!({"a": "x".repeat(256 * 1024)}),
                vec!["status.attachmentMetadata: Too long: may not be more than 262144 bytes"],
            ),
            (
                "/status/attachError",
                json!({"message": "x".repeat(1025), "errorCode": -1}),
                vec![
                    "status.attachError.message: Too long: may not be more than 262144 bytes",
                    "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                ],
            ),
        ];
        assert_problems(&attachment(), create, cases);
        let mut unnamed = attachment();
        unnamed["spec"]["nodeName"] = json!("");
        unnamed["spec"]["source"] = json!({"persistentVolumeName": ""});
        let got = texts(&create(&unnamed));
        let start = [
            "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName",
            "spec.nodeName: Invalid value: \"\": a lowercase RFC 1123 subdomain",
            "spec.source.persistentVolumeName: Invalid value: \"\": a lowercase RFC 1123 subdomain",
        ];
        assert_eq!(got.len(), start.len());
        assert!(got.iter().zip(start).all(|(got, start)| got.starts_with(start)), "{got:?}");
    }

    #[test]
    fn what_is_attached_where_stays() {
        let old = attachment();
        let cases = [(
            "/spec/nodeName",
            json!("n2"),
            vec![
                "spec: Invalid value: {\"attacher\":\"Driver\",\"nodeName\":\"n2\",\"source\":{\"persistentVolumeName\":\"v\"}}: field is immutable",
            ],
        )];
        assert_problems(&old, |new| update(new, &old), cases);
    }
}
