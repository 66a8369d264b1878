//! Pod certificate requests: a kubelet asks a signer for a certificate of one of its pods.

mod issue;
mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print::{self, labels};
use crate::resource::{Resource, Verb};
use crate::rules::{keep_metadata_for_status, keep_spec};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "certificates.k8s.io",
    kind: "PodCertificateRequest",
    plural: "podcertificaterequests",
    singular: "podcertificaterequest",
    subresources: &[table::part("status", "certificates.k8s.io", "PodCertificateRequest", Verb::READ_WRITE)],
    definition: "io.k8s.api.certificates.v1.PodCertificateRequest",
    storage: "podcertificaterequests",
    strategy: &PodCertificateRequest,
    columns: COLUMNS,
    selectable_fields: &[
        ("spec.signerName", |request| request.text("spec.signerName").to_owned()),
        ("spec.podName", |request| request.text("spec.podName").to_owned()),
        ("spec.nodeName", |request| request.text("spec.nodeName").to_owned()),
    ],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("PodName", 0, "Pod that the certificate is for.", |request, _| {
        request.text("spec.podName").into()
    }),
    print::text("ServiceAccountName", 0, "Service account of the pod.", |request, _| {
        request.text("spec.serviceAccountName").into()
    }),
    print::text("NodeName", 0, "Node of the pod.", |request, _| request.text("spec.nodeName").into()),
    print::text("SignerName", 0, "Signer that is asked.", |request, _| {
        request.text("spec.signerName").into()
    }),
    print::text("State", 0, "Is the request Pending, Issued, Denied, or Failed?", |request, _| {
        state(request).into()
    }),
    print::text("UnverifiedUserAnnotations", 0, "What the pod's author tells the signer.", |request, _| {
        labels(request, "spec.unverifiedUserAnnotations").into()
    }),
];

const STATES: [&str; 3] = ["Issued", "Denied", "Failed"];

fn state(request: &Tree) -> &str {
    let mut states = request.items("status.conditions").iter().rev().map(|condition| condition.text("type"));
    states.find(|kind| STATES.contains(kind)).unwrap_or("Pending")
}

struct PodCertificateRequest;

impl Strategy for PodCertificateRequest {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(spec) = tree.object_mut("spec") {
            spec.default_value("maxExpirationSeconds", 24 * 60 * 60);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource.is_some() {
            keep_spec(new, old);
            keep_metadata_for_status(new, old);
        } else {
            new.copy(old, "status");
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree.at("spec"))
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some(_) => validation::status(new, old, context.now),
            None => validation::update(new, old),
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn requests_print_as_upstream() {
        let mut request = json!({"metadata": {"name": "r"}, "spec": {"podName": "p", "serviceAccountName": "sa",
            "nodeName": "n", "signerName": "a.b/c"}});
        assert_eq!(row(COLUMNS, &request, "2026-01-01T00:05:00Z"), "r|p|sa|n|a.b/c|Pending|<none>");
        request["spec"]["unverifiedUserAnnotations"] = json!({"b/d": "1", "b/c": "2"});
        request["status"] = json!({"conditions": [{"type": "Issued", "status": "True"}]});
        assert_eq!(row(COLUMNS, &request, "2026-01-01T00:05:00Z"), "r|p|sa|n|a.b/c|Issued|b/c=2,b/d=1");
    }
}
