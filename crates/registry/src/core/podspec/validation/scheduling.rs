//! Where a pod may run: affinity, tolerations, spread.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;
use steersman_apimachinery::names::{
    dns1123_label_problems, dns1123_subdomain_problems, label_value_problems,
};

use crate::checks::{Seen, invalid, known_word, qualified};
use crate::tree::Read;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const BAD_OPERATOR: &str = "not a valid selector operator";

/// The field `affinity`.
pub(super) fn affinity(found: &mut ErrorList, affinity: &Tree, path: &Path) {
    node_affinity(found, affinity.at("nodeAffinity"), &path.child("nodeAffinity"));
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (terms, path) = (affinity.at(kind), path.child(kind));
        for (index, term) in terms.items(REQUIRED).iter().enumerate() {
            pod_term(found, term, &path.child(REQUIRED).index(index));
        }
        for (index, term) in terms.items(PREFERRED).iter().enumerate() {
            let path = path.child(PREFERRED).index(index);
            weight(found, term, &path);
            pod_term(found, term.at("podAffinityTerm"), &path.child("podAffinityTerm"));
        }
    }
}

fn node_affinity(found: &mut ErrorList, affinity: &Tree, path: &Path) {
    if affinity.has(REQUIRED) {
        node_selector(found, affinity.at(REQUIRED), &path.child(REQUIRED));
    }
    for (index, term) in affinity.items(PREFERRED).iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(found, term, &path);
        node_term(found, term.at("preference"), &path.child("preference"));
    }
}

/// A choice of nodes by labels and fields.
pub(crate) fn node_selector(found: &mut ErrorList, selector: &Tree, path: &Path) {
    let (terms, path) = (selector.items("nodeSelectorTerms"), path.child("nodeSelectorTerms"));
    if terms.is_empty() {
        found.push(Error::required(path.clone(), "must have at least one node selector term"));
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(found, term, &path.index(index));
    }
}

fn weight(found: &mut ErrorList, term: &Tree, path: &Path) {
    let weight = term.int("weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        found.push(Error::invalid(path.child("weight"), weight, "must be in the range 1-100"));
    }
}

fn node_term(found: &mut ErrorList, term: &Tree, path: &Path) {
    for (index, rule) in term.items("matchExpressions").iter().enumerate() {
        by_label(found, rule, &path.child("matchExpressions").index(index));
    }
    for (index, rule) in term.items("matchFields").iter().enumerate() {
        by_field(found, rule, &path.child("matchFields").index(index));
    }
}

fn by_label(found: &mut ErrorList, rule: &Tree, path: &Path) {
    let values = rule.texts("values");
    let at = path.child("values");
    match (rule.text("operator"), values.len()) {
        ("In" | "NotIn", 0) => {
            found.push(Error::required(at.clone(), "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        ("Exists" | "DoesNotExist", 1..) => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            found.push(Error::forbidden(at.clone(), why));
        }
        ("Gt" | "Lt", 0 | 2..) => {
            let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            found.push(Error::required(at.clone(), why));
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt", _) => {}
        (other, _) => found.push(Error::invalid(path.child("operator"), other, BAD_OPERATOR)),
    }
    qualified(found, &path.child("key"), rule.text("key"));
    for (index, value) in values.iter().enumerate() {
        invalid(found, &at.index(index), value, label_value_problems(value));
    }
}

/// The only field of a node that can be selected by is its name.
fn by_field(found: &mut ErrorList, rule: &Tree, path: &Path) {
    let values = rule.texts("values");
    match rule.text("operator") {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                found.push(Error::required(path.child("values"), why));
            }
        }
        other => found.push(Error::invalid(path.child("operator"), other, BAD_OPERATOR)),
    }
    if rule.text("key") != "metadata.name" {
        found.push(Error::invalid(path.child("key"), rule.text("key"), "not a valid field selector key"));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        let path = path.child("values").index(index);
        invalid(found, &path, value, dns1123_subdomain_problems(value, false));
    }
}

fn pod_term(found: &mut ErrorList, term: &Tree, path: &Path) {
    for field in ["labelSelector", "namespaceSelector"].into_iter().filter(|field| term.has(field)) {
        found.extend(validate_label_selector(term.at(field), &path.child(field)));
    }
    for name in term.texts("namespaces") {
        invalid(found, &path.child("namespace"), name, dns1123_label_problems(name, false));
    }
    topology_key(found, term, path);
}

fn topology_key(found: &mut ErrorList, term: &Tree, path: &Path) {
    let (key, path) = (term.text("topologyKey"), path.child("topologyKey"));
    if key.is_empty() {
        found.push(Error::required(path.clone(), "can not be empty"));
    }
    qualified(found, &path, key);
}

/// The list `tolerations`.
pub(crate) fn tolerations(found: &mut ErrorList, tolerations: &[Tree], path: &Path) {
    for (index, toleration) in tolerations.iter().enumerate() {
        self::toleration(found, toleration, &path.index(index));
    }
}

fn toleration(found: &mut ErrorList, toleration: &Tree, path: &Path) {
    let (key, value) = (toleration.text("key"), toleration.text("value"));
    let (operator, effect) = (toleration.text("operator"), toleration.text("effect"));
    if !key.is_empty() {
        qualified(found, &path.child("key"), key);
    } else if operator != "Exists" {
        let why =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        found.push(Error::invalid(path.child("operator"), operator, why));
    }
    if toleration.has("tolerationSeconds") && effect != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        found.push(Error::invalid(path.child("effect"), effect, why));
    }
    match operator {
        "" | "Equal" => {
            let problems = label_value_problems(value);
            if !problems.is_empty() {
                found.push(Error::invalid(path.child("operator"), value, problems.join(";")));
            }
        }
        "Exists" if !value.is_empty() => {
            let why = "value must be empty when `operator` is 'Exists'";
            found.push(Error::invalid(path.child("operator"), toleration.clone(), why));
        }
        other => known_word(found, path.child("operator"), other, &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        taint_effect(found, effect, path.child("effect"));
    }
}

/// What a taint does.
pub(crate) fn taint_effect(found: &mut ErrorList, effect: &str, path: Path) {
    if effect.is_empty() {
        found.push(Error::required(path, ""));
    } else {
        known_word(found, path, effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    }
}

/// The list `topologySpreadConstraints`.
pub(super) fn spread(found: &mut ErrorList, constraints: &[Tree], path: &Path) {
    const WHEN: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];
    const POSITIVE: &str = "must be greater than zero";
    let mut seen = Seen::default();
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            found.push(Error::invalid(path.child("maxSkew"), skew, POSITIVE));
        }
        let (key, when) = (constraint.text("topologyKey"), constraint.text("whenUnsatisfiable"));
        if key.is_empty() {
            found.push(Error::required(path.child("topologyKey"), "can not be empty"));
        } else {
            qualified(found, &path.child("topologyKey"), key);
        }
        known_word(found, path.child("whenUnsatisfiable"), when, &WHEN);
        let pair = format!("{{{key}, {when}}}");
        if !seen.first(pair.clone()) {
            found.push(Error::duplicate(path.child("{topologyKey, whenUnsatisfiable}"), pair));
        }
        if let Some(domains) = constraint.int("minDomains") {
            if domains <= 0 {
                found.push(Error::invalid(path.child("minDomains"), domains, POSITIVE));
            }
            if when != "DoNotSchedule" {
                let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
                found.push(Error::invalid(path.child("minDomains"), domains, why));
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if constraint.has(field) {
                known_word(found, path.child(field), constraint.text(field), &["Honor", "Ignore"]);
            }
        }
        if constraint.has("labelSelector") {
            let path = path.child("labelSelector");
            found.extend(validate_label_selector(constraint.at("labelSelector"), &path));
        }
    }
}
