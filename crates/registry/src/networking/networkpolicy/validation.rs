//! Validation of network policies.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;

use super::{DIRECTIONS, blocks};
use crate::addresses::{Cidr, legacy_cidr};
use crate::checks::{known_word, label_selector, optional_word, port_number, port_number_or_name, required};
use crate::tree::Read;

const TYPES: [&str; 2] = ["Ingress", "Egress"];

/// What an update may leave as it was though it would not be allowed anew.
#[derive(Default)]
struct Tolerated<'a> {
    label_values: bool,
    cidrs: Vec<&'a str>,
}

/// Checks a new policy.
pub(super) fn create(policy: &Tree) -> ErrorList {
    spec(policy.at("spec"), &Tolerated::default())
}

/// Checks a change. Networks that were anywhere in the old policy are not checked again.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let old = old.at("spec");
    let mut cidrs = Vec::new();
    for (block, _) in blocks(old) {
        cidrs.push(block.text("cidr"));
        cidrs.extend(block.texts("except"));
    }
    let label_values = !validate_label_selector(old.at("podSelector"), &Path::root()).is_empty();
    spec(new.at("spec"), &Tolerated { label_values, cidrs })
}

fn spec(spec: &Tree, tolerated: &Tolerated) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    let at = path.child("podSelector");
    label_selector(&mut found, spec.at("podSelector"), &at, tolerated.label_values);
    for (direction, peers) in DIRECTIONS {
        for (index, rule) in spec.items(direction).iter().enumerate() {
            let path = path.child(direction).index(index);
            for (index, port) in rule.items("ports").iter().enumerate() {
                self::port(&mut found, port, &path.child("ports").index(index));
            }
            for (index, peer) in rule.items(peers).iter().enumerate() {
                self::peer(&mut found, peer, &path.child(peers).index(index), tolerated);
            }
        }
    }
    policy_types(&mut found, spec, &path.child("policyTypes"));
    found
}

fn policy_types(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let types = spec.texts("policyTypes");
    if types.len() > TYPES.len() {
        let why = "may not specify more than two policyTypes";
        found.push(Error::invalid(path.clone(), spec.at("policyTypes").clone(), why));
        return;
    }
    for (index, word) in types.into_iter().enumerate() {
        known_word(found, path.index(index), word, &TYPES);
    }
}

fn port(found: &mut ErrorList, port: &Tree, path: &Path) {
    optional_word(found, port, path, "protocol", &["TCP", "UDP", "SCTP"]);
    let (first, last, at) = (port.at("port"), port.int("endPort"), path.child("endPort"));
    match (first.as_i64(), last) {
        (Some(first), last) => {
            port_number(found, &path.child("port"), first);
            let Some(last) = last else { return };
            if last < first {
                // The first port is shown, not the last, as upstream does.
                found.push(Error::invalid(at.clone(), first, "must be greater than or equal to `port`"));
            }
            port_number(found, &at, last);
        }
        (None, last) => {
            let kind = if first.is_null() { "not specified" } else { "non-numeric" };
            if let Some(last) = last {
                found.push(Error::invalid(at, last, format!("may not be specified when `port` is {kind}")));
            }
            if !first.is_null() {
                port_number_or_name(found, &path.child("port"), first);
            }
        }
    }
}

fn peer(found: &mut ErrorList, peer: &Tree, path: &Path, tolerated: &Tolerated) {
    let mut kinds = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if peer.has(field) {
            kinds += 1;
            label_selector(found, peer.at(field), &path.child(field), tolerated.label_values);
        }
    }
    if peer.has("ipBlock") {
        kinds += 1;
        block(found, peer.at("ipBlock"), &path.child("ipBlock"), tolerated);
    }
    if kinds == 0 {
        found.push(Error::required(path.clone(), "must specify a peer"));
    } else if kinds > 1 && peer.has("ipBlock") {
        found.push(Error::forbidden(path.clone(), "may not specify both ipBlock and another peer"));
    }
}

fn block(found: &mut ErrorList, block: &Tree, path: &Path, tolerated: &Tolerated) {
    let mut network = |text: &str, path: &Path| {
        let mut problems = ErrorList::new();
        legacy_cidr(&mut problems, path, text);
        if !tolerated.cidrs.contains(&text) {
            found.append(&mut problems);
        }
        Cidr::parse(text)
    };
    let at = path.child("cidr");
    if block.text("cidr").is_empty() {
        required(found, at, "");
        return;
    }
    let Some(whole) = network(block.text("cidr"), &at) else { return };
    let mut outside = ErrorList::new();
    for (index, text) in block.texts("except").into_iter().enumerate() {
        let path = path.child("except").index(index);
        let Some(except) = network(text, &path) else { continue };
        if !whole.contains(except.network()) || whole.bits() >= except.bits() {
            outside.push(Error::invalid(path, text, "must be a strict subset of `cidr`"));
        }
    }
    found.append(&mut outside);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn with_port(port: Value) -> Value {
        json!({"spec": {"ingress": [{"ports": [port]}]}})
    }

    fn with_peer(peer: Value) -> Value {
        json!({"spec": {"egress": [{"to": [peer]}]}})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let (port, peer) = ("spec.ingress[0].ports[0]", "spec.egress[0].to[0]");
        let cases: Vec<(Value, Vec<String>)> = vec![
            (json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}), vec![]),
            (with_port(json!({"port": 80, "endPort": 90})), vec![]),
            (
                with_port(json!({"protocol": "ICMP"})),
                vec![format!(
                    "{port}.protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\""
                )],
            ),
            (
                with_port(json!({"port": 0})),
                vec![format!("{port}.port: Invalid value: 0: must be between 1 and 65535, inclusive")],
            ),
            (
                with_port(json!({"port": 90, "endPort": 80})),
                vec![format!("{port}.endPort: Invalid value: 90: must be greater than or equal to `port`")],
            ),
            (
                with_port(json!({"port": "http", "endPort": 80})),
                vec![format!("{port}.endPort: Invalid value: 80: may not be specified when `port` is non-numeric")],
            ),
            (
                with_port(json!({"endPort": 80})),
                vec![format!("{port}.endPort: Invalid value: 80: may not be specified when `port` is not specified")],
            ),
            (
                with_port(json!({"port": "1"})),
                vec![format!("{port}.port: Invalid value: \"1\": must contain at least one letter (a-z)")],
            ),
            (with_peer(json!({})), vec![format!("{peer}: Required value: must specify a peer")]),
            (
                with_peer(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
                vec![format!("{peer}: Forbidden: may not specify both ipBlock and another peer")],
            ),
            (with_peer(json!({"ipBlock": {}})), vec![format!("{peer}.ipBlock.cidr: Required value")]),
            (
                with_peer(json!({"ipBlock": {"cidr": "x"}})),
                vec![format!(
                    "{peer}.ipBlock.cidr: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
                )],
            ),
            (
                with_peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8", "10.1.0.0/16"]}})),
                vec![format!(
                    "{peer}.ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`"
                )],
            ),
            (
                json!({"spec": {"policyTypes": ["Ingress", "Egress", "Ingress"]}}),
                vec![
                    "spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"Ingress\"]: may not specify more than two policyTypes".into(),
                ],
            ),
            (
                json!({"spec": {"policyTypes": ["Both"]}}),
                vec![
                    "spec.policyTypes[0]: Unsupported value: \"Both\": supported values: \"Ingress\", \"Egress\"".into(),
                ],
            ),
            (
                json!({"spec": {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}}),
                vec![
                    "spec.podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'".into(),
                ],
            ),
        ];
        for (policy, want) in cases {
            assert_eq!(texts(&create(&policy)), want, "{policy}");
        }
    }

    #[test]
    fn an_update_tolerates_what_was_there() {
        let mut old = with_peer(json!({"ipBlock": {"cidr": "10.0.0.1/8"}}));
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]});
        old["spec"]["podSelector"] = selector;
        assert_eq!(create(&old).len(), 2);
        assert_eq!(texts(&update(&old, &old)), Vec::<String>::new());
        assert_eq!(update(&old, &json!({})).len(), 2);
    }
}
