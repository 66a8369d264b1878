//! Leases.

use crate::print;
use crate::resource::Resource;
use crate::tree::Read;
use crate::{Column, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    definition: "io.k8s.api.coordination.v1.Lease",
    storage: "leases",
    strategy: &Lease,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Holder", 0, "Who holds the lease.", |lease, _| lease.text("spec.holderIdentity").into()),
    print::AGE,
];

struct Lease;

impl Strategy for Lease {}
