//! Validation of pod certificate requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_subdomain_problems, qualified_name_problems};

use super::{STATES, issue};
use crate::certificates::keys::{self, Key};
use crate::certificates::{is_kubernetes_signer, signer_name};
use crate::checks::{IMMUTABLE, invalid};
use crate::conditions::{conditions, is_true};
use crate::rules::differs;
use crate::tree::{Read, same};

const MAX_UID_BYTES: usize = 128;
const MAX_REQUEST_BYTES: usize = 10 * 1024;
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;
const HOUR: i64 = 60 * 60;
const MAX_SECONDS: i64 = 91 * 24 * HOUR;
const MAX_SECONDS_OF_KUBERNETES: i64 = 24 * HOUR;

/// Checks the spec of a new request.
pub(super) fn create(spec: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    signer_name(&mut found, &path.child("signerName"), spec.text("signerName"));
    annotations(&mut found, spec, &path.child("unverifiedUserAnnotations"));
    for thing in ["pod", "serviceAccount", "node"] {
        let (name, at) = (spec.text(&format!("{thing}Name")), path.child(&format!("{thing}Name")));
        invalid(&mut found, &at, name, dns1123_subdomain_problems(name, false));
        let (uid, at) = (spec.text(&format!("{thing}UID")), path.child(&format!("{thing}UID")));
        if uid.is_empty() {
            found.push(Error::invalid(at, uid, "must not be empty"));
        } else if uid.len() > MAX_UID_BYTES {
            found.push(Error::too_long(at, MAX_UID_BYTES));
        }
    }
    let at = path.child("maxExpirationSeconds");
    let Some(seconds) = spec.int("maxExpirationSeconds") else {
        found.push(Error::required(at, "must be set"));
        return found;
    };
    let kubernetes = is_kubernetes_signer(spec.text("signerName"));
    let most = if kubernetes { MAX_SECONDS_OF_KUBERNETES } else { MAX_SECONDS };
    if !(HOUR..=most).contains(&seconds) {
        found.push(Error::invalid(at, seconds, format!("must be in the range [{HOUR}, {most}]")));
    }
    found.extend(key_request(spec, &path));
    found
}

fn annotations(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let mut bytes = 0;
    for (key, value) in spec.entries("unverifiedUserAnnotations") {
        bytes += key.len() + value.as_str().unwrap_or_default().len();
        let key = key.to_lowercase();
        if key.is_empty() {
            found.push(Error::required(path.clone(), ""));
            continue;
        }
        let problems = qualified_name_problems(&key);
        if problems.is_empty() && !key.contains('/') {
            let why = "must be a domain-prefixed key (such as \"acme.io/foo\")";
            found.push(Error::invalid(path.clone(), key.as_str(), why));
        }
        invalid(found, path, &key, problems);
    }
    if bytes > MAX_ANNOTATIONS_BYTES {
        found.push(Error::too_long(path.clone(), MAX_ANNOTATIONS_BYTES));
    }
}

/// The problem of the stub request, which proves that the key is the pod's.
fn key_request(spec: &Tree, path: &Path) -> Option<Error> {
    let at = path.child("stubPKCS10Request");
    let der = STANDARD.decode(spec.text("stubPKCS10Request")).unwrap_or_default();
    if der.is_empty() {
        let why = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
        return Some(Error::invalid_unshown(path.clone(), why));
    }
    if der.len() > MAX_REQUEST_BYTES {
        return Some(Error::too_long(at, MAX_REQUEST_BYTES));
    }
    let Ok(request) = keys::request(&der) else {
        return Some(Error::invalid_unshown(at, "must be a valid PKCS#10 CSR"));
    };
    match Key::of(&request.certification_request_info.subject_pki) {
        Key::Ed25519 | Key::Ec("P-256" | "P-384" | "P-521") | Key::Rsa(3072 | 4096) => {}
        Key::Ec(curve) => {
            let why = "elliptic public keys must use curve P256, P384, or P521";
            return Some(Error::invalid(at, format!("curve {curve}"), why));
        }
        Key::Rsa(bits) => {
            let why = "RSA keys must have modulus size 3072 or 4096";
            return Some(Error::invalid(at, format!("{bits}-bit modulus"), why));
        }
        Key::Other => {
            let why = "unknown public key type; supported types are Ed25519, ECDSA, and RSA";
            return Some(Error::invalid_unshown(at, why));
        }
    }
    keys::check_signature(&request).err().map(|_| Error::invalid_unshown(at, "invalid signature"))
}

/// Checks a change of the request: only metadata may change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    if differs(new, old, "spec") {
        found.push(Error::invalid(Path::new("spec"), spec_as_go(new.at("spec")), IMMUTABLE));
    }
    found
}

/// The spec as upstream shows it: with the names of its Go fields.
fn spec_as_go(spec: &Tree) -> Tree {
    let text = |field: &str| spec.text(field).to_owned();
    json!({
        "SignerName": text("signerName"), "PodName": text("podName"), "PodUID": text("podUID"),
        "ServiceAccountName": text("serviceAccountName"), "ServiceAccountUID": text("serviceAccountUID"),
        "NodeName": text("nodeName"), "NodeUID": text("nodeUID"), "MaxExpirationSeconds": spec.at("maxExpirationSeconds"),
        "PKIXPublicKey": null, "ProofOfPossession": null, "StubPKCS10Request": spec.at("stubPKCS10Request"),
        "UnverifiedUserAnnotations": spec.at("unverifiedUserAnnotations"),
    })
}

/// Checks what a signer reports: it may issue, deny or fail, once.
pub(super) fn status(new: &Tree, old: &Tree, now: Timestamp) -> ErrorList {
    let mut found = ErrorList::new();
    let (list, path) = (new.items("status.conditions"), Path::new("status"));
    known_conditions(&mut found, list, &path.child("conditions"));
    conditions(&mut found, list, &path.child("conditions"));
    if !found.is_empty() {
        return found;
    }
    let changed = differs(new, old, "status");
    let why = match (decision(old), decision(new)) {
        (None, Some("Issued")) => return issue::problems(new, old, now),
        (None, Some(_)) => {
            let rest = json!({"conditions": new.at("status.conditions")});
            let alone = same(new.at("status"), &rest);
            (!alone).then_some(
                "non-condition status fields must be empty when denying or failing the PodCertificateRequest",
            )
        }
        (None, None) => changed
            .then_some("status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\""),
        (Some(_), _) => {
            changed.then_some("immutable after PodCertificateRequest is issued, denied, or failed")
        }
    };
    found.extend(why.map(|why| Error::invalid_unshown(path, why)));
    found
}

/// What has been decided. A refusal goes before an issue, should there be both.
fn decision(request: &Tree) -> Option<&str> {
    let conditions = request.items("status.conditions");
    ["Denied", "Failed", "Issued"].into_iter().find(|kind| is_true(conditions, kind))
}

fn known_conditions(found: &mut ErrorList, list: &[Tree], path: &Path) {
    for (index, condition) in list.iter().enumerate() {
        // Upstream puts a dot before the index.
        let (kind, at) = (condition.text("type"), path.child(&format!("[{index}]")));
        if !STATES.contains(&kind) {
            found.push(Error::not_supported_in_order(at.child("type"), kind, &STATES));
            continue;
        }
        if index > 0 && list[..index].iter().any(|before| STATES.contains(&before.text("type"))) {
            let why = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
            found.push(Error::invalid(at.child("type"), kind, why));
        }
        if condition.text("status") != "True" {
            let status = condition.text("status");
            found.push(Error::not_supported_in_order(at.child("status"), status, &["True"]));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, PKCS_RSA_SHA256};
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::texts;

    pub(crate) fn stub(key: &KeyPair) -> String {
        STANDARD.encode(CertificateParams::default().serialize_request(key).expect("a request").der())
    }

    pub(crate) fn request(key: &KeyPair) -> Value {
        json!({"spec": {
            "signerName": "a.b/c", "podName": "p", "podUID": "1", "serviceAccountName": "sa", "serviceAccountUID": "2",
            "nodeName": "n", "nodeUID": "3", "maxExpirationSeconds": 86400, "stubPKCS10Request": stub(key),
        }, "status": {}})
    }

    pub(crate) fn decided(kind: &str) -> Value {
        json!([{"type": kind, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}])
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let mut forged = STANDARD.decode(stub(&key)).expect("bytes");
        *forged.last_mut().expect("some bytes") ^= 1;
        let cases = [
            ("podName", json!("p"), vec![]),
            ("podUID", json!(""), vec!["spec.podUID: Invalid value: \"\": must not be empty"]),
            (
                "nodeUID",
                json!("x".repeat(129)),
                vec!["spec.nodeUID: Too long: may not be more than 128 bytes"],
            ),
            (
                "maxExpirationSeconds",
                json!(null),
                vec!["spec.maxExpirationSeconds: Required value: must be set"],
            ),
            (
                "maxExpirationSeconds",
                json!(3599),
                vec!["spec.maxExpirationSeconds: Invalid value: 3599: must be in the range [3600, 7862400]"],
            ),
            ("signerName", json!("kubernetes.io/c"), vec![]),
            (
                "stubPKCS10Request",
                json!(""),
                vec![
                    "spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set",
                ],
            ),
            (
                "stubPKCS10Request",
                json!(STANDARD.encode([0; MAX_REQUEST_BYTES + 1])),
                vec!["spec.stubPKCS10Request: Too long: may not be more than 10240 bytes"],
            ),
            (
                "stubPKCS10Request",
                json!("AA=="),
                vec!["spec.stubPKCS10Request: Invalid value: must be a valid PKCS#10 CSR"],
            ),
            (
                "stubPKCS10Request",
                json!(stub(&rsa)),
                vec![
                    "spec.stubPKCS10Request: Invalid value: \"2048-bit modulus\": RSA keys must have modulus size 3072 or 4096",
                ],
            ),
            (
                "stubPKCS10Request",
                json!(STANDARD.encode(forged)),
                vec!["spec.stubPKCS10Request: Invalid value: invalid signature"],
            ),
            (
                "unverifiedUserAnnotations",
                json!({"plain": "x"}),
                vec![
                    "spec.unverifiedUserAnnotations: Invalid value: \"plain\": must be a domain-prefixed key (such as \"acme.io/foo\")",
                ],
            ),
        ];
        for (field, value, want) in cases {
            let mut request = request(&key);
            request["spec"][field] = value;
            assert_eq!(texts(&create(&request["spec"])), want, "{field}");
        }
        let mut long = request(&key);
        long["spec"]["signerName"] = json!("kubernetes.io/c");
        long["spec"]["maxExpirationSeconds"] = json!(86401);
        let want = "spec.maxExpirationSeconds: Invalid value: 86401: must be in the range [3600, 86400]";
        assert_eq!(texts(&create(&long["spec"])), [want]);
    }

    #[test]
    fn the_spec_stays() {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let old = request(&key);
        let mut new = old.clone();
        assert!(update(&new, &old).is_empty());
        new["spec"]["podName"] = json!("q");
        let got = texts(&update(&new, &old));
        assert!(got[0].contains("\"PodName\":\"q\"") && got[0].ends_with(": field is immutable"), "{got:?}");
    }

    #[test]
    fn a_request_is_decided_once() {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let pending = request(&key);
        let with = |status: Value| {
            let mut request = pending.clone();
            request["status"] = status;
            request
        };
        let denied = with(json!({"conditions": decided("Denied")}));
        let mut two = decided("Denied");
        let failed = decided("Failed")[0].clone();
        two.as_array_mut().expect("a list").push(failed);
        let mut doubtful = decided("Denied");
        doubtful[0]["status"] = json!("False");
        let cases = [
            (&pending, denied.clone(), vec![]),
            (&denied, denied.clone(), vec![]),
            (
                &denied,
                with(json!({"conditions": decided("Failed")})),
                vec![
                    "status: Invalid value: immutable after PodCertificateRequest is issued, denied, or failed",
                ],
            ),
            (
                &pending,
                with(json!({"conditions": decided("Failed"), "certificateChain": "x"})),
                vec![
                    "status: Invalid value: non-condition status fields must be empty when denying or failing the PodCertificateRequest",
                ],
            ),
            (
                &pending,
                with(json!({"certificateChain": "x"})),
                vec![
                    "status: Invalid value: status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"",
                ],
            ),
            (
                &pending,
                with(json!({"conditions": two})),
                vec![
                    "status.conditions.[1].type: Invalid value: \"Failed\": There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"",
                ],
            ),
            (
                &pending,
                with(json!({"conditions": doubtful})),
                vec![
                    "status.conditions.[0].status: Unsupported value: \"False\": supported values: \"True\"",
                ],
            ),
            (
                &pending,
                with(json!({"conditions": decided("Lost")})),
                vec![
                    "status.conditions.[0].type: Unsupported value: \"Lost\": supported values: \"Issued\", \"Denied\", \"Failed\"",
                ],
            ),
        ];
        for (old, new, want) in cases {
            assert_eq!(texts(&status(&new, old, Timestamp::UNIX_EPOCH)), want);
        }
    }
}
