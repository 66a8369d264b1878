//! Namespaces.

use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::tree::Read;
use crate::{Column, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    scope: Scope::Cluster,
    // One by one only: there is no delete of a collection of namespaces.
    verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
    subresources: &[
        table::part("finalize", "", "Namespace", &[Verb::Update]),
        table::part("status", "", "Namespace", Verb::READ_WRITE),
    ],
    definition: "io.k8s.api.core.v1.Namespace",
    storage: "namespaces",
    strategy: &Namespace,
    columns: COLUMNS,
    selectable_fields: &[("status.phase", |object| object.text("status.phase").to_owned())],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Status", 0, "Phase of the namespace.", |object, _| object.text("status.phase").into()),
    print::AGE,
];

struct Namespace;

impl Strategy for Namespace {}
