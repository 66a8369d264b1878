//! IP addresses: each says which service holds the address that is its name.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::path_segment_problems;

use super::segment;
use crate::addresses::strict_ip;
use crate::checks::{IMMUTABLE, invalid, subdomain};
use crate::print;
use crate::resource::{Resource, Scope};
use crate::rules::differs;
use crate::tree::Read;
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "networking.k8s.io",
    kind: "IPAddress",
    plural: "ipaddresses",
    singular: "ipaddress",
    short_names: &["ip"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.networking.v1.IPAddress",
    storage: "ipaddresses",
    strategy: &IpAddress,
    columns: COLUMNS,
    ..table::BASE
};

/// Upstream fills an age in too, but declares no column for it, so that no client shows it.
const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("ParentRef", 0, "Object that holds the address.", |address, _| parent(address).into()),
];

fn parent(address: &Tree) -> String {
    let parent = address.at("spec.parentRef");
    if parent.is_null() {
        return "<none>".to_owned();
    }
    let (group, namespace) = (parent.text("group"), parent.text("namespace"));
    let dot = if group.is_empty() { "" } else { "." };
    let mut text = format!("{}{dot}{group}", parent.text("resource")).to_lowercase();
    for part in [namespace, parent.text("name")].into_iter().skip(usize::from(namespace.is_empty())) {
        text.push('/');
        text.push_str(part);
    }
    text
}

struct IpAddress;

impl Strategy for IpAddress {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let (parent, path) = (tree.at("spec.parentRef"), Path::new("spec").child("parentRef"));
        if parent.is_null() {
            found.push(Error::required(path, ""));
            return found;
        }
        let (group, namespace) = (parent.text("group"), parent.text("namespace"));
        if !group.is_empty() {
            subdomain(&mut found, &path.child("group"), group);
        }
        segment(&mut found, path.child("resource"), parent.text("resource"));
        segment(&mut found, path.child("name"), parent.text("name"));
        if !namespace.is_empty() {
            invalid(&mut found, &path.child("namespace"), namespace, path_segment_problems(namespace, false));
        }
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let mut found = self.validate(new, context);
        if differs(new, old, "spec.parentRef") {
            let path = Path::new("spec").child("parentRef");
            // Upstream's generated rules show no value.
            found.push(Error::invalid(path, Tree::Null, IMMUTABLE));
        }
        found
    }

    fn name_problems(&self, name: &str, _prefix: bool) -> Vec<String> {
        let mut found = ErrorList::new();
        strict_ip(&mut found, &Path::root(), name);
        found.into_iter().map(|error| error.detail).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            (json!({"resource": "services", "namespace": "default", "name": "a"}), vec![]),
            (json!(null), vec!["spec.parentRef: Required value"]),
            (
                json!({}),
                vec!["spec.parentRef.resource: Required value", "spec.parentRef.name: Required value"],
            ),
            (
                json!({"resource": "a/b", "name": "..", "namespace": "%"}),
                vec![
                    "spec.parentRef.resource: Invalid value: \"a/b\": may not contain '/'",
                    "spec.parentRef.name: Invalid value: \"..\": may not be '..'",
                    "spec.parentRef.namespace: Invalid value: \"%\": may not contain '%'",
                ],
            ),
        ];
        for (parent, want) in cases {
            let address = json!({"spec": {"parentRef": parent}});
            assert_eq!(texts(&IpAddress.validate(&address, &Context::default())), want);
        }
    }

    #[test]
    fn the_holder_stays() {
        let of = |name: &str| json!({"spec": {"parentRef": {"resource": "services", "name": name}}});
        let want = "spec.parentRef: Invalid value: null: field is immutable";
        let got = texts(&IpAddress.validate_update(&of("b"), &of("a"), &Context::default()));
        assert_eq!(got, [want]);
    }

    #[test]
    fn the_name_is_an_address() {
        assert!(IpAddress.name_problems("10.0.0.1", false).is_empty());
        assert_eq!(IpAddress.name_problems("FD00::1", false), ["must be in canonical form (\"fd00::1\")"]);
    }

    #[test]
    fn addresses_print_as_upstream() {
        let mut address = json!({"metadata": {"name": "10.0.0.1"},
            "spec": {"parentRef": {"group": "", "resource": "services", "namespace": "default", "name": "a"}}});
        assert_eq!(row(COLUMNS, &address, "2026-01-01T00:05:00Z"), "10.0.0.1|services/default/a");
        address["spec"]["parentRef"] = json!({"group": "G.io", "resource": "Rs", "name": "a"});
        assert_eq!(row(COLUMNS, &address, "2026-01-01T00:05:00Z"), "10.0.0.1|rs.g.io/a");
    }
}
