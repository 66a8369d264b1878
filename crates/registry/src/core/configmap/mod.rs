//! Config maps.

use crate::print::{self, integer_cell};
use crate::resource::Resource;
use crate::tree::Read;
use crate::{Column, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    definition: "io.k8s.api.core.v1.ConfigMap",
    storage: "configmaps",
    strategy: &ConfigMap,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Data", 0, "Number of keys in data and binaryData.", |object, _| {
        integer_cell(object.entries("data").count() + object.entries("binaryData").count())
    }),
    print::AGE,
];

struct ConfigMap;

impl Strategy for ConfigMap {}
