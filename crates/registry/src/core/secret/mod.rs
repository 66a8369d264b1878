//! Secrets.

use crate::print::{self, integer_cell};
use crate::resource::Resource;
use crate::tree::Read;
use crate::{Column, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    definition: "io.k8s.api.core.v1.Secret",
    storage: "secrets",
    strategy: &Secret,
    columns: COLUMNS,
    selectable_fields: &[("type", |object| object.text("type").to_owned())],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Type", 0, "Type of the secret.", |object, _| object.text("type").into()),
    print::text("Data", 0, "Number of keys in data.", |object, _| {
        integer_cell(object.entries("data").count())
    }),
    print::AGE,
];

struct Secret;

impl Strategy for Secret {}
