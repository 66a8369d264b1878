//! Service CIDRs: the networks that services get their addresses from.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::addresses::{Cidr, strict_cidr};
use crate::checks::IMMUTABLE;
use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{keep_metadata_for_status, keep_spec};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "networking.k8s.io",
    kind: "ServiceCIDR",
    plural: "servicecidrs",
    singular: "servicecidr",
    scope: Scope::Cluster,
    subresources: &[table::part("status", "networking.k8s.io", "ServiceCIDR", Verb::READ_WRITE)],
    definition: "io.k8s.api.networking.v1.ServiceCIDR",
    storage: "servicecidrs",
    strategy: &ServiceCidr,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("CIDRs", 0, "Networks, at most one of each family.", |cidr, _| {
        cidr.texts("spec.cidrs").join(",").into()
    }),
    print::AGE,
];

struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource.is_some() {
            keep_spec(new, old);
            keep_metadata_for_status(new, old);
        } else {
            new.copy(old, "status");
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        networks(tree.at("spec"))
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        if context.subresource.is_some() { ErrorList::new() } else { changed_networks(new, old) }
    }
}

fn path() -> Path {
    Path::new("spec").child("cidrs")
}

fn networks(spec: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let cidrs = spec.texts("cidrs");
    match cidrs.len() {
        0 => found.push(Error::required(path(), "at least one CIDR required")),
        3.. => {
            // Upstream shows the whole spec, as Go names its field.
            let shown = json!({"CIDRs": cidrs});
            found.push(Error::invalid(path(), shown, "may only hold up to 2 values"));
        }
        _ => {}
    }
    if !found.is_empty() {
        return found;
    }
    for (index, cidr) in cidrs.iter().enumerate() {
        strict_cidr(&mut found, &path().index(index), cidr);
    }
    if let [first, second] = cidrs.as_slice()
        && let (Some(first), Some(second)) = (Cidr::parse(first), Cidr::parse(second))
        && first.is_v4() == second.is_v4()
    {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        found.push(Error::invalid(path(), spec.at("cidrs").clone(), why));
    }
    found
}

/// A second family may be added; nothing else changes.
fn changed_networks(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (now, before) = (new.texts("spec.cidrs"), old.texts("spec.cidrs"));
    let added = before.len() == 1 && now.len() == 2;
    if now.len() != before.len() && !added {
        found.push(Error::invalid(path(), new.at("spec.cidrs").clone(), IMMUTABLE));
        return found;
    }
    for (index, (now, _)) in now.iter().zip(&before).enumerate().filter(|(_, (now, before))| now != before) {
        found.push(Error::invalid(path().index(index), *now, IMMUTABLE));
    }
    if added {
        found.extend(networks(new.at("spec")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    fn of(cidrs: &[&str]) -> Tree {
        json!({"metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"cidrs": cidrs}})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let families =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        let cases: [(&[&str], String); 5] = [
            (&["10.0.0.0/8", "fd00::/108"], String::new()),
            (&[], "spec.cidrs: Required value: at least one CIDR required".into()),
            (
                &["a", "b", "c"],
                "spec.cidrs: Invalid value: {\"CIDRs\":[\"a\",\"b\",\"c\"]}: may only hold up to 2 values".into(),
            ),
            (
                &["10.0.0.1/8"],
                "spec.cidrs[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length".into(),
            ),
            (
                &["10.0.0.0/8", "10.0.0.0/9"],
                format!("spec.cidrs: Invalid value: [\"10.0.0.0/8\",\"10.0.0.0/9\"]: {families}"),
            ),
        ];
        for (cidrs, want) in cases {
            let got = texts(&ServiceCidr.validate(&of(cidrs), &Context::default())).join("\n");
            assert_eq!(got, want);
        }
    }

    #[test]
    fn only_a_family_may_be_added() {
        let cases: [(&[&str], &[&str]); 5] = [
            (&["10.0.0.0/8"], &[]),
            (&["10.0.0.0/8", "fd00::/108"], &[]),
            (&["10.0.0.0/9"], &["spec.cidrs[0]: Invalid value: \"10.0.0.0/9\": field is immutable"]),
            (
                &["10.0.0.0/9", "fd00::/108"],
                &["spec.cidrs[0]: Invalid value: \"10.0.0.0/9\": field is immutable"],
            ),
            (&[], &["spec.cidrs: Invalid value: []: field is immutable"]),
        ];
        for (now, want) in cases {
            let got =
                texts(&ServiceCidr.validate_update(&of(now), &of(&["10.0.0.0/8"]), &Context::default()));
            assert_eq!(got, want);
        }
    }

    #[test]
    fn only_a_status_write_changes_the_status() {
        let old = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"cidrs": ["10.0.0.0/8"]}, "status": {"a": 1}});
        let new = json!({"metadata": {"labels": {"a": "2"}}, "spec": {"cidrs": []}, "status": {"a": 2}});
        let (mut by_spec, mut by_status) = (new.clone(), new.clone());
        ServiceCidr.prepare_for_update(&mut by_spec, &old, &Context::default());
        assert_eq!((&by_spec["spec"], &by_spec["status"]), (&new["spec"], &old["status"]));
        let status = Context { subresource: Some("status"), ..Context::default() };
        ServiceCidr.prepare_for_update(&mut by_status, &old, &status);
        let want = json!({"metadata": {"labels": {"a": "1"}}, "spec": old["spec"], "status": {"a": 2}});
        assert_eq!(by_status, want);
    }

    #[test]
    fn networks_print_as_upstream() {
        let cidr = of(&["10.0.0.0/8", "fd00::/108"]);
        assert_eq!(row(COLUMNS, &cidr, "2026-01-01T00:05:00Z"), "c|10.0.0.0/8,fd00::/108|5m");
    }
}
