//! Service accounts.

use crate::resource::{Resource, Verb};
use crate::{Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    subresources: &[table::part("token", "authentication.k8s.io", "TokenRequest", Verb::CREATE)],
    definition: "io.k8s.api.core.v1.ServiceAccount",
    storage: "serviceaccounts",
    strategy: &ServiceAccount,
    ..table::BASE
};

struct ServiceAccount;

impl Strategy for ServiceAccount {}
