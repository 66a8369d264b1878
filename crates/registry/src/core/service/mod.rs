//! Services.

mod columns;

use crate::resource::{Resource, Verb};
use crate::tree::Read;
use crate::{Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    subresources: &[
        table::part("proxy", "", "ServiceProxyOptions", &[]),
        table::part("status", "", "Service", Verb::READ_WRITE),
    ],
    definition: "io.k8s.api.core.v1.Service",
    storage: "services/specs",
    strategy: &Service,
    columns: columns::COLUMNS,
    selectable_fields: &[
        ("spec.clusterIP", |service| service.text("spec.clusterIP").to_owned()),
        ("spec.type", |service| service.text("spec.type").to_owned()),
    ],
    ..table::BASE
};

struct Service;

impl Strategy for Service {}
