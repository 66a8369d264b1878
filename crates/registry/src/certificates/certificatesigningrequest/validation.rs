//! Validation of certificate signing requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quote::quote;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::certificates::{keys, pem, signer_name};
use crate::checks::{Seen, known_word, required, required_word};
use crate::rules::differs;
use crate::tree::Read;

const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const MIN_SECONDS: i64 = 600;
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// What an update may leave as it was though it would not be allowed anew.
#[derive(Clone, Copy, Default)]
struct Tolerated {
    approved_and_denied: bool,
    legacy_signer: bool,
    repeated_conditions: bool,
    nameless_conditions: bool,
    any_certificate: bool,
    unknown_usages: bool,
    repeated_usages: bool,
}

impl Tolerated {
    fn by(old: &Tree, new: &Tree) -> Self {
        let types: Vec<&str> = old.items("status.conditions").iter().map(|c| c.text("type")).collect();
        let usages = old.texts("spec.usages");
        Self {
            approved_and_denied: types.contains(&"Approved") && types.contains(&"Denied"),
            legacy_signer: old.text("spec.signerName") == LEGACY_SIGNER,
            repeated_conditions: repeats(&types),
            nameless_conditions: types.contains(&""),
            any_certificate: !differs(new, old, "status.certificate")
                || certificates(&bytes(old, "status.certificate")).is_err(),
            unknown_usages: usages.iter().any(|usage| !USAGES.contains(usage)),
            repeated_usages: repeats(&usages),
        }
    }
}

fn repeats(words: &[&str]) -> bool {
    let mut seen = Seen::default();
    !words.iter().all(|word| seen.first(*word))
}

/// The bytes of a field; the decoder has refused what is no base64.
fn bytes(tree: &Tree, field: &str) -> Vec<u8> {
    STANDARD.decode(tree.text(field)).unwrap_or_default()
}

/// Checks a new request.
pub(super) fn create(request: &Tree) -> ErrorList {
    let mut found = whole(request, Tolerated::default());
    found.extend(decision_problem(request, Tolerated::default()));
    found
}

/// Checks a change of the request, of its status or of its approval.
pub(super) fn update(new: &Tree, old: &Tree, subresource: Option<&str>) -> ErrorList {
    let tolerated = Tolerated::by(old, new);
    let mut found = whole(new, tolerated);
    let path = Path::new("status").child("conditions");
    let of = |tree: &Tree, kind: &str| -> Vec<Tree> {
        tree.items("status.conditions").iter().filter(|c| c.text("type") == kind).cloned().collect()
    };
    for kind in ["Approved", "Denied", "Failed"] {
        if of(new, kind).len() < of(old, kind).len() {
            let why = format!("updates may not remove a condition of type {}", quote(kind));
            found.push(Error::forbidden(path.clone(), why));
        }
    }
    for kind in ["Approved", "Denied"].into_iter().filter(|_| subresource != Some("approval")) {
        let (now, before) = (of(new, kind), of(old, kind));
        let verb = match now.len().cmp(&before.len()) {
            std::cmp::Ordering::Greater => "add",
            std::cmp::Ordering::Equal if now != before => "modify",
            _ => continue,
        };
        let why = format!("updates may not {verb} a condition of type {}", quote(kind));
        found.push(Error::forbidden(path.clone(), why));
    }
    if differs(new, old, "status.certificate") {
        let at = Path::new("status").child("certificate");
        if subresource != Some("status") {
            found.push(Error::forbidden(at, "updates may not set certificate content"));
        } else if !old.text("status.certificate").is_empty() {
            found.push(Error::forbidden(at, "updates may not modify existing certificate content"));
        }
    }
    found.extend(decision_problem(new, tolerated));
    found
}

fn whole(request: &Tree, tolerated: Tolerated) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (request.at("spec"), Path::new("spec"));
    if let Err(why) = signed_request(&bytes(spec, "request")) {
        found.push(Error::invalid(path.child("request"), spec.at("request").clone(), why));
    }
    usages(&mut found, &spec.texts("usages"), &path.child("usages"), tolerated);
    let (signer, at) = (spec.text("signerName"), path.child("signerName"));
    if signer == LEGACY_SIGNER && !tolerated.legacy_signer {
        found.push(Error::invalid(at, signer, "the legacy signerName is not allowed via this API version"));
    } else {
        signer_name(&mut found, &at, signer);
    }
    if let Some(seconds) = spec.int("expirationSeconds").filter(|seconds| *seconds < MIN_SECONDS) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        found.push(Error::invalid(path.child("expirationSeconds"), seconds, why));
    }
    conditions(&mut found, request.items("status.conditions"), tolerated);
    if !tolerated.any_certificate
        && let Err(why) = certificates(&bytes(request, "status.certificate"))
    {
        found.push(Error::invalid(Path::new("status").child("certificate"), "<certificate data>", why));
    }
    found
}

/// Reads the request itself and checks its signature.
fn signed_request(text: &[u8]) -> Result<(), String> {
    let blocks = pem::blocks(text);
    let Some(block) = blocks.first().filter(|block| block.label == "CERTIFICATE REQUEST") else {
        return Err("PEM block type must be CERTIFICATE REQUEST".to_owned());
    };
    keys::check_signature(&keys::request(&block.der)?)
}

/// Checks the chain that a signer has issued; no bytes at all are fine.
fn certificates(text: &[u8]) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let blocks = pem::blocks(text);
    for block in &blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {}", quote(&block.label)));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        if block.der.is_empty() {
            return Err("found CERTIFICATE PEM block containing 0 certificates".to_owned());
        }
        let mut rest = block.der.as_slice();
        while !rest.is_empty() {
            (rest, _) = X509Certificate::from_der(rest).map_err(|_| "x509: malformed certificate")?;
        }
    }
    if blocks.is_empty() {
        return Err("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    Ok(())
}

fn usages(found: &mut ErrorList, usages: &[&str], path: &Path, tolerated: Tolerated) {
    if usages.is_empty() {
        found.push(Error::required(path.clone(), ""));
    }
    if !tolerated.unknown_usages {
        for (index, usage) in usages.iter().enumerate() {
            known_word(found, path.index(index), usage, &USAGES);
        }
    }
    if !tolerated.repeated_usages {
        let mut seen = Seen::default();
        for (index, usage) in usages.iter().enumerate() {
            seen.unique(found, path.index(index), usage);
        }
    }
}

fn conditions(found: &mut ErrorList, conditions: &[Tree], tolerated: Tolerated) {
    let path = Path::new("status").child("conditions");
    let mut seen = Seen::default();
    for (index, condition) in conditions.iter().enumerate() {
        let (kind, at) = (condition.text("type"), path.index(index));
        if !tolerated.nameless_conditions {
            required(found, at.child("type"), kind);
        }
        let known: &[&str] = match kind {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["False", "True", "Unknown"],
        };
        required_word(found, at.child("status"), condition.text("status"), known);
        if !seen.first(kind) && !tolerated.repeated_conditions {
            found.push(Error::duplicate(at.child("type"), kind));
        }
    }
}

/// A request is approved or denied, not both.
fn decision_problem(request: &Tree, tolerated: Tolerated) -> Option<Error> {
    let has = |kind: &str| request.items("status.conditions").iter().any(|c| c.text("type") == kind);
    let [approved, denied] =
        ["Approved", "Denied"].map(|kind| format!("conditions[{{\"type\": {}}}]", quote(kind)));
    let both = has("Approved") && has("Denied") && !tolerated.approved_and_denied;
    let why = format!("must specify at most one of: `{approved}`, `{denied}`");
    let path = Path::new("status").child("conditions");
    both.then(|| Error::invalid(path, format!("{{{approved}, {denied}}}"), why))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn request() -> Value {
        let key = KeyPair::generate().expect("a key");
        let pem = CertificateParams::default().serialize_request(&key).expect("a request").pem();
        let request = STANDARD.encode(pem.expect("text"));
        json!({"spec": {"request": request, "usages": ["client auth"], "signerName": "a.b/c"}, "status": {}})
    }

    fn certificate() -> String {
        let key = KeyPair::generate().expect("a key");
        STANDARD.encode(CertificateParams::default().self_signed(&key).expect("a certificate").pem())
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let b64 = |text: &str| STANDARD.encode(text);
        let block =
            |label: &str, body: &str| b64(&format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n"));
        let (key, junk) = (block("RSA PRIVATE KEY", "AA==\n"), block("CERTIFICATE REQUEST", "AA==\n"));
        let chain = |text: &str| format!("status.certificate: Invalid value: \"<certificate data>\": {text}");
        let cases = [
            ("/spec/expirationSeconds", json!(600), vec![]),
            ("/status/certificate", json!(certificate()), vec![]),
            (
                "/spec/request",
                json!(key),
                vec![format!("spec.request: Invalid value: \"{key}\": PEM block type must be CERTIFICATE REQUEST")],
            ),
            (
                "/spec/request",
                json!(junk),
                vec![format!(
                    "spec.request: Invalid value: \"{junk}\": asn1: structure error: malformed certificate request"
                )],
            ),
            ("/spec/usages", json!([]), vec!["spec.usages: Required value".into()]),
            ("/spec/usages", json!(["any", "any"]), vec!["spec.usages[1]: Duplicate value: \"any\"".into()]),
            (
                "/spec/signerName",
                json!(LEGACY_SIGNER),
                vec![format!(
                    "spec.signerName: Invalid value: \"{LEGACY_SIGNER}\": the legacy signerName is not allowed via this API version"
                )],
            ),
            ("/spec/signerName", json!(""), vec!["spec.signerName: Required value".into()]),
            (
                "/spec/expirationSeconds",
                json!(599),
                vec![
                    "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)".into(),
                ],
            ),
            (
                "/status/conditions",
                json!([{"status": ""}, {"type": "Approved", "status": "False"}, {"type": "Denied", "status": "True"},
                    {"type": "Denied", "status": "True"}]),
                vec![
                    "status.conditions[0].type: Required value".into(),
                    "status.conditions[0].status: Required value".into(),
                    "status.conditions[1].status: Unsupported value: \"False\": supported values: \"True\"".into(),
                    "status.conditions[3].type: Duplicate value: \"Denied\"".into(),
                    "status.conditions: Invalid value: \"{conditions[{\\\"type\\\": \\\"Approved\\\"}], conditions[{\\\"type\\\": \\\"Denied\\\"}]}\": must specify at most one of: `conditions[{\"type\": \"Approved\"}]`, `conditions[{\"type\": \"Denied\"}]`".into(),
                ],
            ),
            (
                "/status/certificate",
                json!(key),
                vec![chain("only CERTIFICATE PEM blocks are allowed, found \"RSA PRIVATE KEY\"")],
            ),
            ("/status/certificate", json!(b64("x")), vec![chain("must contain at least one CERTIFICATE PEM block")]),
            (
                "/status/certificate",
                json!(block("CERTIFICATE", "K: v\n\nAA==\n")),
                vec![chain("no PEM block headers are permitted")],
            ),
            (
                "/status/certificate",
                json!(block("CERTIFICATE", "")),
                vec![chain("found CERTIFICATE PEM block containing 0 certificates")],
            ),
            (
                "/status/certificate",
                json!(block("CERTIFICATE", "AA==\n")),
                vec![chain("x509: malformed certificate")],
            ),
        ];
        for (pointer, value, want) in cases {
            let mut tree = request();
            let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
            tree.pointer_mut(parent).expect("a map")[field] = value;
            assert_eq!(texts(&create(&tree)), want, "{pointer}");
        }
        let mut unknown = request();
        unknown["spec"]["usages"] = json!(["flying"]);
        let got = texts(&create(&unknown));
        let want =
            "spec.usages[0]: Unsupported value: \"flying\": supported values: \"any\", \"cert sign\", ";
        assert!(got.len() == 1 && got[0].starts_with(want), "{got:?}");
    }

    #[test]
    fn decisions_come_by_approval_and_certificates_by_status() {
        let (plain, mut approved, mut issued) = (request(), request(), request());
        approved["spec"] = plain["spec"].clone();
        approved["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
        issued["spec"] = plain["spec"].clone();
        issued["status"] = json!({"certificate": certificate()});
        let mut reissued = issued.clone();
        reissued["status"]["certificate"] = json!(certificate());
        let removed = "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"";
        let added = "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"";
        let set = "status.certificate: Forbidden: updates may not set certificate content";
        let again = "status.certificate: Forbidden: updates may not modify existing certificate content";
        let cases: [(&Value, &Value, Option<&str>, &[&str]); 8] = [
            (&approved, &plain, Some("approval"), &[]),
            (&approved, &plain, Some("status"), &[added]),
            (&plain, &approved, Some("approval"), &[removed]),
            (&plain, &approved, None, &[removed]),
            (&issued, &plain, Some("status"), &[]),
            (&issued, &plain, Some("approval"), &[set]),
            (&reissued, &issued, Some("status"), &[again]),
            (&issued, &issued, None, &[]),
        ];
        for (new, old, subresource, want) in cases {
            assert_eq!(texts(&update(new, old, subresource)), want, "{subresource:?}");
        }
        let mut changed = approved.clone();
        changed["status"]["conditions"][0]["reason"] = json!("other");
        let want = "status.conditions: Forbidden: updates may not modify a condition of type \"Approved\"";
        assert_eq!(texts(&update(&changed, &approved, None)), [want]);
    }

    #[test]
    fn an_update_tolerates_what_was_there() {
        let mut old = request();
        old["spec"]["usages"] = json!(["flying", "flying"]);
        old["spec"]["signerName"] = json!(LEGACY_SIGNER);
        old["status"] = json!({"certificate": STANDARD.encode("x"), "conditions": [
            {"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"},
            {"type": "", "status": "True"}, {"type": "", "status": "True"}]});
        assert!(!create(&old).is_empty());
        assert_eq!(texts(&update(&old, &old, None)), Vec::<String>::new());
    }
}
