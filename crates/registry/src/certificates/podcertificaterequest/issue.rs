//! What a signer may report as issued: a chain for the key that was asked for, with the times of its certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::{Tree, time};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::certificates::{keys, pem};
use crate::tree::Read;

const MAX_CHAIN_BYTES: usize = 100 * 1024;
const SKEW: SignedDuration = SignedDuration::from_mins(5);
const MARGIN: SignedDuration = SignedDuration::from_mins(10);
const SHORTEST: SignedDuration = SignedDuration::from_hours(1);

/// The problems of a status that becomes `Issued`.
pub(super) fn problems(new: &Tree, old: &Tree, now: Timestamp) -> ErrorList {
    let status = Path::new("status");
    let (text, path) = (new.text("status.certificateChain"), status.child("certificateChain"));
    if text.len() > MAX_CHAIN_BYTES {
        return vec![Error::too_long(path, MAX_CHAIN_BYTES)];
    }
    let chain = |why: &str| vec![Error::invalid(path.clone(), text, why)];
    let blocks = pem::blocks(text.as_bytes());
    let Some(leaf) = blocks.first() else {
        return chain("issued certificate chain must contain at least one certificate");
    };
    if leaf.label != "CERTIFICATE" {
        return chain("issued certificate chain must consist entirely of CERTIFICATE PEM blocks");
    }
    let Some(leaf) = certificate(&leaf.der) else {
        return chain("leaf certificate does not parse as valid X.509");
    };
    let mut found = names(&leaf, &path);
    let stub = STANDARD.decode(old.text("spec.stubPKCS10Request")).unwrap_or_default();
    let Ok(request) = keys::request(&stub) else {
        let at = Path::new("spec").child("stubPKCS10Request");
        found.push(Error::invalid_unshown(at, "must be a valid PKCS#10 CSR"));
        return found;
    };
    if request.certification_request_info.subject_pki.raw != leaf.public_key().raw {
        found.extend(chain("leaf certificate was not issued to the requested public key"));
        return found;
    }
    let times = [
        ("notBefore", "must be present and consistent with the issued certificate"),
        ("notAfter", "must be present and consistent with the issued certificate"),
        ("beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]"),
    ];
    for (field, why) in times.into_iter().filter(|(field, _)| new.at("status").text(field).is_empty()) {
        found.push(Error::required(status.child(field), why));
    }
    if !found.is_empty() {
        return found;
    }
    if let Some(problem) = time_problem(new, &leaf, now) {
        return vec![problem];
    }
    let rest = blocks[1..].iter().find_map(|block| match block.label.as_str() {
        "CERTIFICATE" => certificate(&block.der)
            .is_none()
            .then_some("intermediate certificate does not parse as valid X.509"),
        // Spelled so upstream.
        _ => Some("issued certificate chain must consist entirely of CERTFICATE PEM blocks"),
    });
    rest.map(chain).unwrap_or_default()
}

fn certificate(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .filter(|(rest, _)| rest.is_empty())
        .map(|(_, certificate)| certificate)
}

fn names(leaf: &X509Certificate, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = || names.iter().flat_map(|extension| &extension.value.general_names);
    let mut report = |name: &str, why: &str| found.push(Error::invalid(path.clone(), name, why));
    for name in names() {
        let GeneralName::DNSName(name) = name else { continue };
        if name.is_empty() {
            report(name, "leaf certificate should not contain empty DNSName");
        }
        if name.contains("..") {
            report(name, "leaf certificate's DNSName should not contain '..'");
        }
        if name.starts_with('.') || name.ends_with('.') {
            report(name, "leaf certificate's DNSName should not start or end with '.'");
        }
    }
    for name in names() {
        let GeneralName::RFC822Name(name) = name else { continue };
        if !is_mail_address(name) {
            report(name, "leaf certificate should not contain invalid EmailAddress");
        }
    }
    found
}

/// Whether it is the plain form of RFC 5322's `addr-spec`: dot-atoms before and after the `@`.
fn is_mail_address(text: &str) -> bool {
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let dot_atom = |text: &str| text.split('.').all(|part| !part.is_empty() && part.chars().all(atom));
    text.split_once('@').is_some_and(|(local, domain)| dot_atom(local) && dot_atom(domain))
}

/// The first problem of the times, which must be those of the certificate.
fn time_problem(new: &Tree, leaf: &X509Certificate, now: Timestamp) -> Option<Error> {
    let path = Path::new("status");
    let status = new.at("status");
    let at = |field: &str| time::parse(status.text(field)).unwrap_or_default();
    let problem = |field: &str, why: &str| Some(Error::invalid(path.child(field), status.text(field), why));
    let (first, last, refresh) = (at("notBefore"), at("notAfter"), at("beginRefreshAt"));
    let validity = leaf.validity();
    if first.as_second() != validity.not_before.timestamp() {
        return problem("notBefore", "must be set to the NotBefore time encoded in the leaf certificate");
    }
    if first.duration_since(now).abs() >= SKEW {
        return problem("notBefore", "must be set to within 5 minutes of kube-apiserver's current time");
    }
    if last.as_second() != validity.not_after.timestamp() {
        return problem("notAfter", "must be set to the NotAfter time encoded in the leaf certificate");
    }
    let lifetime = last.duration_since(first);
    let longest = new.int("spec.maxExpirationSeconds").unwrap_or(0);
    // A Go duration is shown as a number of nanoseconds.
    let lifetime_problem = |why: String| {
        let nanoseconds = i64::try_from(lifetime.as_nanos()).unwrap_or(i64::MAX);
        Some(Error::invalid(path.child("certificateChain"), nanoseconds, why))
    };
    if lifetime < SHORTEST {
        return lifetime_problem("leaf certificate lifetime must be >= 1 hour".to_owned());
    }
    if lifetime.as_secs() > longest {
        let why = format!("leaf certificate lifetime must be <= spec.maxExpirationSeconds ({longest})");
        return lifetime_problem(why);
    }
    if refresh.duration_since(first) < MARGIN {
        return problem("beginRefreshAt", "must be at least 10 minutes after status.notBefore");
    }
    if last.duration_since(refresh) < MARGIN {
        return problem("beginRefreshAt", "must be at least 10 minutes before status.notAfter");
    }
    None
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SanType, date_time_ymd};
    use serde_json::{Value, json};

    use super::super::validation;
    use super::super::validation::tests::{decided, request};
    use crate::checks::tests::texts;

    fn key() -> KeyPair {
        KeyPair::generate_for(&PKCS_ED25519).expect("a key")
    }

    fn certificate(key: &KeyPair, names: Vec<SanType>) -> String {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 1, 2));
        params.subject_alt_names = names;
        params.self_signed(key).expect("a certificate").pem()
    }

    #[test]
    fn a_chain_is_for_the_key_and_has_its_times() {
        let own = key();
        let chain = certificate(&own, vec![]);
        let foreign = certificate(&key(), vec![]);
        let broken = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let secret = "-----BEGIN KEY-----\nAA==\n-----END KEY-----\n";
        let of_chain = |text: &str, why: &str| {
            vec![format!(
                "status.certificateChain: Invalid value: {}: {why}",
                steersman_apimachinery::quote::quote(text)
            )]
        };
        let of_time = |field: &str, time: &str, why: &str| {
            vec![format!("status.{field}: Invalid value: \"{time}\": {why}")]
        };
        let cases = [
            ("reason", json!(null), vec![]),
            ("certificateChain", json!(""), of_chain("", "issued certificate chain must contain at least one certificate")),
            (
                "certificateChain",
                json!(secret),
                of_chain(secret, "issued certificate chain must consist entirely of CERTIFICATE PEM blocks"),
            ),
            ("certificateChain", json!(broken), of_chain(broken, "leaf certificate does not parse as valid X.509")),
            (
                "certificateChain",
                json!(foreign),
                of_chain(&foreign, "leaf certificate was not issued to the requested public key"),
            ),
            (
                "certificateChain",
                json!(format!("{chain}{broken}")),
                of_chain(&format!("{chain}{broken}"), "intermediate certificate does not parse as valid X.509"),
            ),
            (
                "certificateChain",
                json!(format!("{chain}{secret}")),
                of_chain(
                    &format!("{chain}{secret}"),
                    "issued certificate chain must consist entirely of CERTFICATE PEM blocks",
                ),
            ),
            (
                "certificateChain",
                json!("x".repeat(102_401)),
                vec!["status.certificateChain: Too long: may not be more than 102400 bytes".to_owned()],
            ),
            (
                "notBefore",
                json!(null),
                vec![
                    "status.notBefore: Required value: must be present and consistent with the issued certificate"
                        .to_owned(),
                ],
            ),
            (
                "notAfter",
                json!(null),
                vec![
                    "status.notAfter: Required value: must be present and consistent with the issued certificate".to_owned(),
                ],
            ),
            (
                "beginRefreshAt",
                json!(null),
                vec![
                    "status.beginRefreshAt: Required value: must be present and in the range [notbefore+10min, notafter-10min]"
                        .to_owned(),
                ],
            ),
            (
                "notBefore",
                json!("2026-01-01T00:00:01Z"),
                of_time(
                    "notBefore",
                    "2026-01-01T00:00:01Z",
                    "must be set to the NotBefore time encoded in the leaf certificate",
                ),
            ),
            (
                "notAfter",
                json!("2026-01-01T00:00:01Z"),
                of_time(
                    "notAfter",
                    "2026-01-01T00:00:01Z",
                    "must be set to the NotAfter time encoded in the leaf certificate",
                ),
            ),
            (
                "beginRefreshAt",
                json!("2026-01-01T00:09:59Z"),
                of_time("beginRefreshAt", "2026-01-01T00:09:59Z", "must be at least 10 minutes after status.notBefore"),
            ),
            (
                "beginRefreshAt",
                json!("2026-01-01T23:50:01Z"),
                of_time("beginRefreshAt", "2026-01-01T23:50:01Z", "must be at least 10 minutes before status.notAfter"),
            ),
        ];
        let old = request(&own);
        let issued = |field: &str, value: Value| {
            let mut new = old.clone();
            new["status"] = json!({"conditions": decided("Issued"), "certificateChain": chain,
                "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-02T00:00:00Z",
                "beginRefreshAt": "2026-01-01T12:00:00Z"});
            new["status"][field] = value;
            new
        };
        let now = "2026-01-01T00:04:59Z".parse().expect("a time");
        for (field, value, want) in cases {
            assert_eq!(texts(&validation::status(&issued(field, value), &old, now)), want, "{field}");
        }
        let late = "2026-01-01T00:05:00Z".parse().expect("a time");
        let want = of_time(
            "notBefore",
            "2026-01-01T00:00:00Z",
            "must be set to within 5 minutes of kube-apiserver's current time",
        );
        assert_eq!(texts(&validation::status(&issued("reason", json!(null)), &old, late)), want);
        let mut short = old.clone();
        short["spec"]["maxExpirationSeconds"] = json!(3600);
        let mut new = issued("reason", json!(null));
        new["spec"] = short["spec"].clone();
        let want = "status.certificateChain: Invalid value: 86400000000000: leaf certificate lifetime must be <= spec.maxExpirationSeconds (3600)";
        assert_eq!(texts(&validation::status(&new, &short, now)), [want]);
    }

    #[test]
    fn names_are_sound() {
        let own = key();
        let dns = |name: &str| SanType::DnsName(name.try_into().expect("a name"));
        let mail = |name: &str| SanType::Rfc822Name(name.try_into().expect("a name"));
        let names = vec![dns("a.b"), dns("a..b"), dns(".a"), mail("a@b.c"), mail("nobody")];
        let mut new = request(&own);
        new["status"] = json!({"conditions": decided("Issued"), "certificateChain": certificate(&own, names),
            "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-02T00:00:00Z",
            "beginRefreshAt": "2026-01-01T12:00:00Z"});
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let want = [
            "status.certificateChain: Invalid value: \"a..b\": leaf certificate's DNSName should not contain '..'",
            "status.certificateChain: Invalid value: \".a\": leaf certificate's DNSName should not start or end with '.'",
            "status.certificateChain: Invalid value: \"nobody\": leaf certificate should not contain invalid EmailAddress",
        ];
        assert_eq!(texts(&validation::status(&new, &request(&own), now)), want);
    }
}
