//! Validating webhook configurations.

use super::GROUP;
use super::webhooks::{self, Webhooks};
use crate::resource::Resource;

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ValidatingWebhookConfiguration",
    plural: "validatingwebhookconfigurations",
    singular: "validatingwebhookconfiguration",
    definition: "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    storage: "validatingwebhookconfigurations",
    strategy: &Webhooks { mutating: false },
    columns: webhooks::COLUMNS,
    ..GROUP
};
