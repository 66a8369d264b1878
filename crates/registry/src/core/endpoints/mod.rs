//! Endpoints: the older form of what EndpointSlices say.

mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print::{self, first_of};
use crate::resource::Resource;
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    definition: "io.k8s.api.core.v1.Endpoints",
    storage: "services/endpoints",
    strategy: &Endpoints,
    columns: COLUMNS,
    deprecation: Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Endpoints", 0, "Ready addresses with their ports.", |endpoints, _| {
        first_of(&addresses(endpoints), 3, "<none>").into()
    }),
    print::AGE,
];

/// Ready addresses with each port of their subset; bare where a subset has no port.
fn addresses(endpoints: &Tree) -> Vec<String> {
    let mut all = Vec::new();
    for subset in endpoints.items("subsets") {
        let ips = || subset.items("addresses").iter().map(|address| address.text("ip"));
        let ports = subset.items("ports");
        if ports.is_empty() {
            all.extend(ips().map(str::to_owned));
        }
        for port in ports {
            let port = port.int("port").unwrap_or(0);
            all.extend(ips().map(|ip| join_host_port(ip, port)));
        }
    }
    all
}

fn join_host_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

struct Endpoints;

impl Strategy for Endpoints {
    fn apply_defaults(&self, tree: &mut Tree) {
        for subset in tree.items_mut("subsets") {
            for port in subset.items_mut("ports") {
                port.default_text("protocol", "TCP");
            }
        }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::endpoints(tree)
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, _context: &Context) -> ErrorList {
        validation::endpoints(new)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn endpoints_print_as_upstream() {
        let subset = json!({"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 81}]});
        let cases = [
            (json!([]), "<none>"),
            (json!([{"addresses": [{"ip": "10.0.0.1"}]}]), "10.0.0.1"),
            (json!([subset]), "10.0.0.1:80,[fd00::1]:80,10.0.0.1:81 + 1 more..."),
        ];
        for (subsets, want) in cases {
            let endpoints = json!({"subsets": subsets});
            assert_eq!(row(&COLUMNS[1..2], &endpoints, "2026-01-01T00:00:00Z"), want);
        }
    }
}
