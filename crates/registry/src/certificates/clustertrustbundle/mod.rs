//! Cluster trust bundles: trust anchors, of a signer or of nobody in particular.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_subdomain_problems, path_segment_problems};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{pem, signer_name};
use crate::checks::{immutable, invalid};
use crate::print::{self, or};
use crate::resource::{Resource, Scope};
use crate::rules::differs;
use crate::tree::Read;
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "certificates.k8s.io",
    kind: "ClusterTrustBundle",
    plural: "clustertrustbundles",
    singular: "clustertrustbundle",
    scope: Scope::Cluster,
    definition: "io.k8s.api.certificates.v1.ClusterTrustBundle",
    storage: "clustertrustbundles",
    strategy: &TrustBundle,
    columns: COLUMNS,
    selectable_fields: &[("spec.signerName", |bundle| bundle.text("spec.signerName").to_owned())],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("SignerName", 0, "Signer whose anchors they are.", |bundle, _| {
        or(bundle.text("spec.signerName"), "<none>").into()
    }),
];

const MAX_BYTES: usize = 1024 * 1024;

struct TrustBundle;

impl Strategy for TrustBundle {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = names(tree);
        found.extend(anchors(tree.text("spec.trustBundle")));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        let mut found = names(new);
        // What does not change is not read again: parsers may become stricter.
        if differs(new, old, "spec.trustBundle") {
            found.extend(anchors(new.text("spec.trustBundle")));
        }
        let path = Path::new("spec").child("signerName");
        let text = |bundle: &Tree| Tree::from(bundle.text("spec.signerName"));
        immutable(&mut found, path, &text(new), &text(old));
        found
    }

    /// The rule depends on the signer; [`names`] checks it.
    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// The problems of the name, which begins with the signer's, and of the signer.
fn names(bundle: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (signer, metadata) = (bundle.text("spec.signerName"), Path::new("metadata"));
    let fields = [("generateName", true), ("name", false)];
    for (field, prefix) in fields {
        let name = bundle.at("metadata").text(field);
        if !name.is_empty() {
            invalid(&mut found, &metadata.child(field), name, name_problems(signer, name, prefix));
        }
    }
    if !signer.is_empty() {
        signer_name(&mut found, &Path::new("spec").child("signerName"), signer);
    }
    found
}

fn name_problems(signer: &str, name: &str, prefix: bool) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".to_owned()];
        }
        return dns1123_subdomain_problems(name, prefix);
    }
    let begin = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&begin) {
        Some(rest) => dns1123_subdomain_problems(rest, prefix),
        None => vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {begin}")],
    }
}

/// The problems of the certificates.
fn anchors(text: &str) -> ErrorList {
    let path = Path::new("spec").child("trustBundle");
    if text.len() > MAX_BYTES {
        return vec![Error::too_long(path, MAX_BYTES)];
    }
    let blocks = pem::blocks(text.as_bytes());
    let mut whys: Vec<String> = blocks
        .iter()
        .enumerate()
        .filter_map(|(index, block)| anchor_problem(block).map(|why| format!("entry {index} {why}")))
        .collect();
    if whys.is_empty() {
        if blocks.is_empty() {
            whys.push("at least one trust anchor must be provided".to_owned());
        }
        whys.extend(repetitions(&blocks));
    }
    whys.into_iter().map(|why| Error::invalid(path.clone(), "<value omitted>", why)).collect()
}

fn anchor_problem(block: &pem::Block) -> Option<String> {
    if block.label != "CERTIFICATE" {
        return Some(format!("has bad block type: {}", block.label));
    }
    if block.has_headers {
        return Some("has PEM block headers".to_owned());
    }
    let Some((_, certificate)) =
        X509Certificate::from_der(&block.der).ok().filter(|(rest, _)| rest.is_empty())
    else {
        return Some("does not parse as X.509".to_owned());
    };
    match certificate.basic_constraints() {
        Ok(Some(constraints)) if constraints.value.ca => None,
        Ok(_) => Some("does not have the CA bit set".to_owned()),
        Err(_) => Some("has invalid basic constraints".to_owned()),
    }
}

/// A sentence for each certificate that occurs several times.
fn repetitions(blocks: &[pem::Block]) -> Vec<String> {
    let mut whys = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let same: Vec<usize> = (0..blocks.len()).filter(|other| blocks[*other].der == block.der).collect();
        if same.len() > 1 && same[0] == index {
            let indices: Vec<String> = same.iter().map(usize::to_string).collect();
            whys.push(format!("duplicate trust anchor (indices [{}])", indices.join(" ")));
        }
    }
    whys
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    fn certificate(ca: IsCa) -> String {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = ca;
        params.self_signed(&key).expect("a certificate").pem()
    }

    fn anchor() -> String {
        certificate(IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn bundle(name: &str, signer: &str, text: &str) -> Tree {
        json!({"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": text}})
    }

    #[test]
    fn anchors_are_authorities_and_occur_once() {
        let one = anchor();
        let omitted =
            |why: &str| vec![format!("spec.trustBundle: Invalid value: \"<value omitted>\": {why}")];
        let block =
            |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n");
        let cases = [
            (format!("comment\n{one}{}", anchor()), vec![]),
            (String::new(), omitted("at least one trust anchor must be provided")),
            (format!("{one}{}{one}", anchor()), omitted("duplicate trust anchor (indices [0 2])")),
            (block("KEY", "AA==\n"), omitted("entry 0 has bad block type: KEY")),
            (block("CERTIFICATE", "K: v\n\nAA==\n"), omitted("entry 0 has PEM block headers")),
            (block("CERTIFICATE", "AA==\n"), omitted("entry 0 does not parse as X.509")),
            (format!("{one}{}", certificate(IsCa::NoCa)), omitted("entry 1 does not have the CA bit set")),
            (
                "x".repeat(MAX_BYTES + 1),
                vec!["spec.trustBundle: Too long: may not be more than 1048576 bytes".to_owned()],
            ),
        ];
        for (text, want) in cases {
            assert_eq!(texts(&TrustBundle.validate(&bundle("b", "", &text), &Context::default())), want);
        }
    }

    #[test]
    fn names_begin_with_the_signers() {
        let cases = [
            ("b", "", None),
            ("a.b:c:d", "a.b/c", None),
            ("a:b", "", Some("ClusterTrustBundle without signer name must not have \":\" in its name")),
            ("d", "a.b/c", Some("ClusterTrustBundle for signerName a.b/c must be named with prefix a.b:c:")),
        ];
        for (name, signer, why) in cases {
            let want = why.map(|why| format!("metadata.name: Invalid value: \"{name}\": {why}"));
            assert_eq!(texts(&names(&bundle(name, signer, ""))), Vec::from_iter(want));
        }
    }

    #[test]
    fn the_signer_stays_and_old_anchors_are_not_read_again() {
        let (old, new) = (bundle("a.b:c:d", "a.b/c", "x"), bundle("a.b:d:d", "a.b/d", "x"));
        let want = "spec.signerName: Invalid value: \"a.b/d\": field is immutable";
        assert_eq!(texts(&TrustBundle.validate_update(&new, &old, &Context::default())), [want]);
    }

    #[test]
    fn bundles_print_as_upstream() {
        assert_eq!(row(COLUMNS, &bundle("b", "", ""), "2026-01-01T00:05:00Z"), "b|<none>");
        assert_eq!(row(COLUMNS, &bundle("b", "a.b/c", ""), "2026-01-01T00:05:00Z"), "b|a.b/c");
    }
}
