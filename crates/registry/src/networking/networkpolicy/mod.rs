//! Network policies.

mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::addresses::cidr_warnings;
use crate::print::{self, or};
use crate::resource::Resource;
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "networking.k8s.io",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    short_names: &["netpol"],
    definition: "io.k8s.api.networking.v1.NetworkPolicy",
    storage: "networkpolicies",
    strategy: &NetworkPolicy,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Pod-Selector", 0, "Pods that the policy is about.", |policy, _| {
        or(&print::selector(policy.at("spec.podSelector")), "<none>").into()
    }),
    print::AGE,
];

/// The lists of rules, and in each rule the list of peers.
const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn apply_defaults(&self, tree: &mut Tree) {
        let Some(spec) = tree.object_mut("spec") else { return };
        for (direction, _) in DIRECTIONS {
            for rule in spec.items_mut(direction) {
                for port in rule.items_mut("ports").iter_mut().filter(|port| port.is_object()) {
                    port.default_value("protocol", "TCP");
                }
            }
        }
        let types = spec.at("policyTypes");
        if types.is_null() || types.as_array().is_some_and(Vec::is_empty) {
            let both = !spec.items("egress").is_empty();
            let types: Vec<Tree> =
                if both { vec!["Ingress".into(), "Egress".into()] } else { vec!["Ingress".into()] };
            spec.set("policyTypes", types);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::update(new, old)
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, _context: &Context) -> Vec<String> {
        let mut warnings = Vec::new();
        for (block, path) in blocks(new.at("spec")) {
            warnings.extend(cidr_warnings(&path.child("cidr"), block.text("cidr")));
            for (index, except) in block.texts("except").into_iter().enumerate() {
                warnings.extend(cidr_warnings(&path.child("except").index(index), except));
            }
        }
        warnings
    }
}

/// Every `ipBlock` with its path.
fn blocks(spec: &Tree) -> Vec<(&Tree, Path)> {
    let mut blocks = Vec::new();
    for (direction, peers) in DIRECTIONS {
        for (index, rule) in spec.items(direction).iter().enumerate() {
            let path = Path::new("spec").child(direction).index(index).child(peers);
            for (index, peer) in rule.items(peers).iter().enumerate().filter(|(_, peer)| peer.has("ipBlock"))
            {
                blocks.push((peer.at("ipBlock"), path.index(index).child("ipBlock")));
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn the_types_follow_the_rules() {
        let cases = [
            (json!({}), json!(["Ingress"])),
            (json!({"egress": [{}]}), json!(["Ingress", "Egress"])),
            (json!({"egress": [{}], "policyTypes": ["Egress"]}), json!(["Egress"])),
        ];
        for (spec, want) in cases {
            let mut policy = json!({"spec": spec});
            NetworkPolicy.apply_defaults(&mut policy);
            assert_eq!(policy["spec"]["policyTypes"], want);
        }
        let mut policy = json!({"spec": {"ingress": [{"ports": [{"port": 80}, {"protocol": "UDP"}]}]}});
        NetworkPolicy.apply_defaults(&mut policy);
        let want = json!([{"port": 80, "protocol": "TCP"}, {"protocol": "UDP"}]);
        assert_eq!(policy["spec"]["ingress"][0]["ports"], want);
    }

    #[test]
    fn odd_networks_are_warned_about() {
        let policy = json!({"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "FD00::/8", "except": ["FD01::/16"]}}]}]}});
        let path = "spec.egress[0].to[0].ipBlock";
        let want = [
            format!(
                "{path}.cidr: IPv6 CIDR value \"FD00::/8\" should be in RFC 5952 canonical format (\"fd00::/8\")"
            ),
            format!(
                "{path}.except[0]: IPv6 CIDR value \"FD01::/16\" should be in RFC 5952 canonical format (\"fd01::/16\")"
            ),
        ];
        assert_eq!(NetworkPolicy.warnings(&policy, None, &Context::default()), want);
    }

    #[test]
    fn policies_print_as_upstream() {
        let mut policy = json!({"metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"podSelector": {"matchLabels": {"b": "1", "a": "2"}}}});
        assert_eq!(row(COLUMNS, &policy, "2026-01-01T00:05:00Z"), "p|a=2,b=1|5m");
        policy["spec"]["podSelector"] = json!({});
        assert_eq!(row(COLUMNS, &policy, "2026-01-01T00:05:00Z"), "p|<none>|5m");
    }
}
