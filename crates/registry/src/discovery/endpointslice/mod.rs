//! Endpoint slices.

mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print::{self, first_of};
use crate::resource::Resource;
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    definition: "io.k8s.api.discovery.v1.EndpointSlice",
    storage: "endpointslices",
    strategy: &EndpointSlice,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("AddressType", 0, "Type of the addresses.", |slice, _| slice.text("addressType").into()),
    print::text("Ports", 0, "Ports of all endpoints.", |slice, _| {
        first_of(&ports(slice), 3, "<unset>").into()
    }),
    print::text("Endpoints", 0, "Addresses of the endpoints.", |slice, _| {
        first_of(&addresses(slice), 3, "<unset>").into()
    }),
    print::AGE,
];

fn ports(slice: &Tree) -> Vec<String> {
    let text = |port: &Tree| match (port.int("port"), port.at("name").as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    slice.items("ports").iter().map(text).collect()
}

fn addresses(slice: &Tree) -> Vec<String> {
    slice.items("endpoints").iter().flat_map(|e| e.texts("addresses")).map(str::to_owned).collect()
}

struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn apply_defaults(&self, tree: &mut Tree) {
        for port in tree.items_mut("ports") {
            port.default_value("name", "");
            port.default_text("protocol", "TCP");
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = ["addressType", "endpoints", "ports"].iter().any(|field| differs(new, old, field));
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::update(new, old)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn slices_print_as_upstream() {
        let slice = json!({
            "metadata": {"name": "s-abc", "creationTimestamp": "2026-01-01T00:00:00Z"}, "addressType": "IPv4",
            "ports": [{"name": "http", "port": 80}, {"name": "any"}, {}],
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}, {"addresses": ["10.0.0.3"]},
                {"addresses": ["10.0.0.4"]}],
        });
        let now = "2026-01-01T00:00:07Z";
        assert_eq!(
            row(COLUMNS, &slice, now),
            "s-abc|IPv4|80,any,*|10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...|7s"
        );
        assert_eq!(row(&COLUMNS[1..4], &json!({"addressType": "IPv4"}), now), "IPv4|<unset>|<unset>");
    }
}
