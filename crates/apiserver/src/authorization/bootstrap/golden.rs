//! The whole default policy as a text, so that a change of it shows in review.

use std::fmt::Write;

use super::*;
use crate::view::{items, text};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/default-policy.txt");

/// `kind [namespace/]name`, then what is special about it, then a line for each rule or subject.
fn described(object: &Tree) -> String {
    let [kind, namespace, name, role_kind, role] =
        ["/kind", "/metadata/namespace", "/metadata/name", "/roleRef/kind", "/roleRef/name"]
            .map(|field| text(object, field));
    let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    let mut said = format!("{kind} {place}{name}");
    for (label, value) in object["metadata"]["labels"].as_object().expect("labels") {
        if label != "kubernetes.io/bootstrapping" {
            write!(said, " {label}={}", value.as_str().expect("a text")).expect("a string");
        }
    }
    if !role.is_empty() {
        write!(said, " = {role_kind} {role}").expect("a string");
    }
    for selector in items(object, "/aggregationRule/clusterRoleSelectors") {
        write!(said, "\n  sum of {}", selector["matchLabels"]).expect("a string");
    }
    for rule in PolicyRule::of_role(object) {
        write!(said, "\n  {}", line(&rule)).expect("a string");
    }
    for subject in items(object, "/subjects") {
        let words = ["/kind", "/namespace", "/name"].map(|field| text(subject, field));
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        write!(said, "\n  {}", words.join(" ")).expect("a string");
    }
    said
}

/// `verbs: groups: resources`, `verbs: groups: resources: only names`, or `verbs: paths`.
fn line(rule: &PolicyRule) -> String {
    let list = |words: &[String]| words.join(" ");
    let groups = rule.api_groups.iter().map(|group| if group.is_empty() { "core" } else { group });
    let groups = groups.collect::<Vec<_>>().join("+");
    let mut said = match rule.non_resource_urls.as_slice() {
        [] => format!("{}: {groups}: {}", list(&rule.verbs), list(&rule.resources)),
        urls => format!("{}: {}", list(&rule.verbs), list(urls)),
    };
    if !rule.resource_names.is_empty() {
        write!(said, ": only {}", list(&rule.resource_names)).expect("a string");
    }
    said
}

#[test]
fn the_policy_is_the_reviewed_one() {
    let got: String = wanted().iter().map(|wanted| described(&wanted.object) + "\n").collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &got).expect("written");
    }
    let reviewed = std::fs::read_to_string(GOLDEN).expect("a golden file");
    let changed = got.lines().zip(reviewed.lines()).find(|(got, reviewed)| got != reviewed);
    assert!(got == reviewed, "UPDATE_GOLDEN=1 accepts the new policy; first change: {changed:?}");
}

#[test]
fn every_object_is_marked_as_default_and_updated() {
    for Wanted { object, .. } in wanted() {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["kubernetes.io/bootstrapping"], "rbac-defaults", "{object}");
        assert_eq!(metadata["annotations"], json!({ AUTO_UPDATE: "true" }), "{object}");
    }
}
