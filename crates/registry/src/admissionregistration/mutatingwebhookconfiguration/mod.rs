//! Mutating webhook configurations.

use super::GROUP;
use super::webhooks::{self, Webhooks};
use crate::resource::Resource;

pub(crate) const RESOURCE: Resource = Resource {
    kind: "MutatingWebhookConfiguration",
    plural: "mutatingwebhookconfigurations",
    singular: "mutatingwebhookconfiguration",
    definition: "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    storage: "mutatingwebhookconfigurations",
    strategy: &Webhooks { mutating: true },
    columns: webhooks::COLUMNS,
    ..GROUP
};
