//! Policy rules: what a rule allows, and whether rules cover another rule.
//!
//! Matching is upstream's, to the letter: `*` for everything, `*/scale` for one subresource of everything, no
//! `pods/*`; an empty list of names means every name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steersman_apimachinery::quote::quote;

use crate::request::Attributes;

const ALL: &str = "*";

/// `rbac/v1` `PolicyRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicyRule {
    /// What may be done.
    #[serde(deserialize_with = "null_as_empty")]
    pub verbs: Vec<String>,
    /// In which API groups; the empty string is the core group.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub api_groups: Vec<String>,
    /// To which resources and subresources.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub resources: Vec<String>,
    /// To which names; to all if empty.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub resource_names: Vec<String>,
    /// To which paths that are no resources; `/healthz/*` for all below.
    #[serde(
        rename = "nonResourceURLs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub non_resource_urls: Vec<String>,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl PolicyRule {
    /// The rules of a `Role` or `ClusterRole`; what is malformed allows nothing.
    pub fn of_role(role: &steersman_apimachinery::Tree) -> Vec<Self> {
        let rules = crate::view::items(role, "/rules");
        rules.iter().filter_map(|rule| Self::deserialize(rule).ok()).collect()
    }

    /// Whether the rule allows the request.
    pub fn allows(&self, asked: &Attributes) -> bool {
        if !has(&self.verbs, &asked.verb) {
            return false;
        }
        if asked.resource.is_empty() {
            return self.non_resource_urls.iter().any(|url| url_covers(url, &asked.path));
        }
        has(&self.api_groups, &asked.group)
            && self
                .resources
                .iter()
                .any(|resource| resource_matches(resource, &asked.resource, &asked.subresource))
            && (self.resource_names.is_empty() || self.resource_names.contains(&asked.name))
    }

    /// Whether this rule allows all that `part` (of [`Self::parts`]) allows.
    fn covers(&self, part: &Self) -> bool {
        part.verbs.iter().all(|verb| has(&self.verbs, verb))
            && part.api_groups.iter().all(|group| has(&self.api_groups, group))
            && part.resources.iter().all(|resource| self.covers_resource(resource))
            && part
                .non_resource_urls
                .iter()
                .all(|url| self.non_resource_urls.iter().any(|u| url_covers(u, url)))
            && self.covers_names(part)
    }

    fn covers_resource(&self, wanted: &str) -> bool {
        if has(&self.resources, wanted) {
            return true;
        }
        let everywhere = wanted.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
        everywhere.is_some_and(|everywhere| self.resources.contains(&everywhere))
    }

    fn covers_names(&self, part: &Self) -> bool {
        self.resource_names.is_empty()
            || (!part.resource_names.is_empty()
                && part.resource_names.iter().all(|name| self.resource_names.contains(name)))
    }

    /// The rule taken apart: one verb and one resource of one group (and one name), or one verb and one path, each. The
    /// order is upstream's: groups, then resources, then verbs, then names.
    fn parts(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let names: Vec<Vec<String>> = match self.resource_names.as_slice() {
            [] => vec![Vec::new()],
            names => names.iter().map(one).collect(),
        };
        let resources = self
            .api_groups
            .iter()
            .flat_map(|group| self.resources.iter().map(move |resource| (group, resource)))
            .flat_map(|target| self.verbs.iter().map(move |verb| (target, verb)))
            .flat_map(|target| names.iter().map(move |names| (target, names)))
            .map(|(((group, resource), verb), names)| Self {
                verbs: one(verb),
                api_groups: one(group),
                resources: one(resource),
                resource_names: names.clone(),
                non_resource_urls: Vec::new(),
            });
        let urls = self
            .non_resource_urls
            .iter()
            .flat_map(|url| self.verbs.iter().map(move |verb| (url, verb)))
            .map(|(url, verb)| Self { verbs: one(verb), non_resource_urls: one(url), ..Self::default() });
        resources.chain(urls).collect()
    }

    /// The rule on one line, as upstream's messages show it.
    fn described(&self) -> String {
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let given = fields.iter().filter(|(_, values)| !values.is_empty());
        let texts: Vec<String> = given.map(|(name, values)| format!("{name}:{}", quoted(values))).collect();
        format!("{{{}}}", texts.join(", "))
    }
}

/// The parts of `wanted` that `held` does not cover: one verb and one resource or path, each.
pub fn uncovered(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let parts = wanted.iter().flat_map(PolicyRule::parts);
    parts.filter(|part| !held.iter().any(|rule| rule.covers(part))).collect()
}

/// The same, joined where they are about the same thing and described one a line, sorted; empty if all is covered.
pub fn missing(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<String> {
    let rules = joined(uncovered(held, wanted));
    let mut lines: Vec<String> = rules.iter().map(PolicyRule::described).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Parts of the same resource and name are one rule again, with all their verbs.
fn joined(parts: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut by_target: BTreeMap<PolicyRule, Vec<String>> = BTreeMap::new();
    for mut part in parts {
        let verbs = std::mem::take(&mut part.verbs);
        let known = by_target.entry(part).or_default();
        known.extend(verbs.into_iter().filter(|verb| !known.contains(verb)).collect::<Vec<_>>());
    }
    by_target.into_iter().map(|(target, verbs)| PolicyRule { verbs, ..target }).collect()
}

/// A list as Go's `%q` prints it.
pub(super) fn quoted(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
    format!("[{}]", values.join(" "))
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|have| have == ALL || have == wanted)
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == ALL {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some((kind, sub)) => {
            !subresource.is_empty() && sub == subresource && (kind == ALL || kind == resource)
        }
    }
}

fn url_covers(rule: &str, path: &str) -> bool {
    rule == ALL || rule == path || rule.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> Vec<String> {
        text.split_whitespace().map(|word| if word == "core" { "" } else { word }.to_owned()).collect()
    }

    fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
        PolicyRule {
            verbs: list(verbs),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: list(names),
            ..PolicyRule::default()
        }
    }

    fn urls(verbs: &str, urls: &str) -> PolicyRule {
        PolicyRule { verbs: list(verbs), non_resource_urls: list(urls), ..PolicyRule::default() }
    }

    /// `verb group resource[/subresource] name`.
    fn asked(text: &str) -> Attributes {
        let [verb, group, resource, name] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let [verb, group, resource, subresource, name] =
            [verb, if group == "core" { "" } else { group }, resource, subresource, name].map(str::to_owned);
        Attributes { verb, group, resource, subresource, name, ..Attributes::default() }
    }

    #[test]
    fn rules_match_as_upstream() {
        let cases = [
            (rule("get", "core", "pods", ""), "get core pods a", true),
            (rule("get", "core", "pods", ""), "list core pods a", false),
            (rule("get", "core", "pods", ""), "get apps pods a", false),
            (rule("get", "core", "pods", ""), "get core pods/log a", false),
            (rule("get", "core", "pods/log", ""), "get core pods/log a", true),
            (rule("get", "core", "pods/log", ""), "get core pods a", false),
            (rule("get", "core", "pods/*", ""), "get core pods/log a", false),
            (rule("get", "core", "*/log", ""), "get core pods/log a", true),
            (rule("get", "core", "*/log", ""), "get core pods a", false),
            (rule("*", "*", "*", ""), "delete apps deployments/scale a", true),
            (rule("get", "core", "pods", "a b"), "get core pods b", true),
            (rule("get", "core", "pods", "a b"), "get core pods c", false),
            (rule("create", "core", "pods", "a"), "create core pods ", false),
            (urls("*", "*"), "get core pods a", false),
        ];
        for (rule, question, want) in cases {
            assert_eq!(rule.allows(&asked(question)), want, "{rule:?} {question}");
        }
    }

    #[test]
    fn paths_match_as_upstream() {
        let cases = [
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/etcd", false),
            ("/healthz/*", "/healthz/etcd", true),
            ("/healthz/*", "/healthz", false),
            ("/apis*", "/apis/apps/v1", true),
            ("*", "/anything", true),
        ];
        for (rule, path, want) in cases {
            let asked = Attributes { verb: "get".to_owned(), path: path.to_owned(), ..Attributes::default() };
            assert_eq!(urls("get", rule).allows(&asked), want, "{rule} {path}");
        }
    }

    #[test]
    fn what_is_missing_is_joined_and_described() {
        let held = [rule("get list", "core", "pods", ""), rule("*", "apps", "*/scale", "")];
        let cases: [(PolicyRule, &[&str]); 6] = [
            (rule("get", "core", "pods", "a"), &[]),
            (rule("update", "apps", "deployments/scale", ""), &[]),
            (
                rule("get watch", "core", "pods", ""),
                &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["watch"]}"#],
            ),
            (
                rule("create delete", "core", "secrets pods", ""),
                &[
                    r#"{APIGroups:[""], Resources:["pods"], Verbs:["create" "delete"]}"#,
                    r#"{APIGroups:[""], Resources:["secrets"], Verbs:["create" "delete"]}"#,
                ],
            ),
            (rule("*", "core", "pods", ""), &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["*"]}"#]),
            (urls("get", "/metrics"), &[r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#]),
        ];
        for (wanted, lines) in cases {
            assert_eq!(missing(&held, &[wanted]), lines);
        }
        assert_eq!(missing(&[rule("get", "core", "pods", "a")], &[rule("get", "core", "pods", "")]).len(), 1);
    }

    fn any_rule() -> impl Strategy<Value = PolicyRule> {
        let some = |words: &'static [&'static str]| proptest::sample::subsequence(words, 0..=words.len());
        (
            some(&["get", "list", "*"]),
            some(&["", "apps", "*"]),
            some(&["pods", "pods/log", "*/log", "*"]),
            some(&["a", "b"]),
        )
            .prop_map(|(verbs, groups, resources, names)| {
                let own = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
                PolicyRule {
                    verbs: own(verbs),
                    api_groups: own(groups),
                    resources: own(resources),
                    resource_names: own(names),
                    ..PolicyRule::default()
                }
            })
    }

    proptest! {
        /// Whoever holds all of a rule is refused nothing that it allows.
        #[test]
        fn covered_rules_give_nothing_new(
            held in proptest::collection::vec(any_rule(), 0..3),
            wanted in any_rule(),
        ) {
            prop_assume!(missing(&held, std::slice::from_ref(&wanted)).is_empty());
            for verb in ["get", "list", "delete"] {
                for group in ["core", "apps", "batch"] {
                    for resource in ["pods", "pods/log", "nodes/log", "nodes"] {
                        for name in ["a", "b", "c"] {
                            let question = asked(&format!("{verb} {group} {resource} {name}"));
                            prop_assert!(!wanted.allows(&question) || held.iter().any(|r| r.allows(&question)));
                        }
                    }
                }
            }
        }
    }
}
