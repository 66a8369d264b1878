//! The group `certificates.k8s.io`.

pub(crate) mod certificatesigningrequest;
pub(crate) mod clustertrustbundle;
pub(crate) mod podcertificaterequest;

mod keys;
mod pem;

use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_label_problems, dns1123_subdomain_problems};
use steersman_apimachinery::quote::quote;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::checks::invalid;

const MAX_DOMAIN_BYTES: usize = 253;
/// A domain, a slash, and what names one object in a namespace: a label, a dot and a subdomain.
const MAX_SIGNER_BYTES: usize = MAX_DOMAIN_BYTES + 1 + 63 + 1 + 253;

/// Whether some bytes in PEM hold a certificate, as a bundle of authorities does.
pub(crate) fn holds_certificate(text: &[u8]) -> bool {
    let parses = |der: &[u8]| X509Certificate::from_der(der).is_ok();
    pem::blocks(text)
        .iter()
        .any(|block| block.label == "CERTIFICATE" && !block.has_headers && parses(&block.der))
}

/// The name of a signer: a domain, a slash, and the signer's name in it.
fn signer_name(found: &mut ErrorList, path: &Path, name: &str) {
    if name.is_empty() {
        found.push(Error::required(path.clone(), ""));
        return;
    }
    let segments: Vec<&str> = name.split('/').collect();
    let [domain, signer] = segments.as_slice() else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        found.push(Error::invalid(path.clone(), name, why));
        return;
    };
    if domain.len() > MAX_DOMAIN_BYTES {
        found.push(Error::too_long(path.clone(), MAX_DOMAIN_BYTES));
    }
    let labels: Vec<&str> = domain.split('.').collect();
    invalid(found, path, domain, first_problems(&labels, dns1123_label_problems));
    if labels.len() < 2 {
        let why = "should be a domain with at least two segments separated by dots";
        found.push(Error::invalid(path.clone(), *domain, why));
    }
    let labels: Vec<&str> = signer.split('.').collect();
    invalid(found, path, signer, first_problems(&labels, dns1123_subdomain_problems));
    if name.len() > MAX_SIGNER_BYTES {
        found.push(Error::too_long(path.clone(), MAX_SIGNER_BYTES));
    }
}

/// The problems of the first label that has any.
fn first_problems(labels: &[&str], rule: fn(&str, bool) -> Vec<String>) -> Vec<String> {
    let problems = |label: &&str| {
        let problems = rule(label, false);
        let told = |why: String| format!("validating label {}: {why}", quote(label));
        (!problems.is_empty()).then(|| problems.into_iter().map(told).collect())
    };
    labels.iter().find_map(problems).unwrap_or_default()
}

/// Whether Kubernetes itself defines the signer.
fn is_kubernetes_signer(name: &str) -> bool {
    let host = name.split('/').next().unwrap_or_default();
    host == "kubernetes.io" || host.ends_with(".kubernetes.io")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn signers_are_named_by_domain_and_path() {
        let problems = |name: &str| {
            let mut found = ErrorList::new();
            signer_name(&mut found, &Path::new("s"), name);
            texts(&found)
        };
        assert!(problems("kubernetes.io/kubelet-serving").is_empty());
        assert_eq!(problems(""), ["s: Required value"]);
        let want = "s: Invalid value: \"a.b\": must be a fully qualified domain and path of the form 'example.com/signer-name'";
        assert_eq!(problems("a.b"), [want]);
        let want = "s: Invalid value: \"a\": should be a domain with at least two segments separated by dots";
        assert_eq!(problems("a/b"), [want]);
        assert!(problems("A.b/c")[0].starts_with("s: Invalid value: \"A.b\": validating label \"A\": "));
        assert!(problems("a.b/C")[0].starts_with("s: Invalid value: \"C\": validating label \"C\": "));
        let long = format!("a.b/{}", vec!["c".repeat(63); 9].join("."));
        assert_eq!(problems(&long), ["s: Too long: may not be more than 571 bytes"]);
        let long = format!("{}/c", vec!["a".repeat(63); 5].join("."));
        assert_eq!(problems(&long), ["s: Too long: may not be more than 253 bytes"]);
        assert!(is_kubernetes_signer("beta.kubernetes.io/a") && !is_kubernetes_signer("mykubernetes.io/a"));
    }
}
