//! Validation of flow schemas.

use serde_json::{Map, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_label_problems, dns1123_subdomain_problems};

use crate::checks::{invalid, required, subdomain};
use crate::flowcontrol::{CATCH_ALL, EXEMPT};
use crate::tree::{Read, same};

const MAX_PRECEDENCE: i64 = 10000;
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const SUBJECTS: [(&str, &str); 3] =
    [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];

/// Checks a schema.
pub(super) fn flow_schema(schema: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (name, spec, path) = (schema.text("metadata.name"), schema.at("spec"), Path::new("spec"));
    precedence(
        &mut found,
        name,
        spec.int("matchingPrecedence").unwrap_or(0),
        &path.child("matchingPrecedence"),
    );
    if spec.has("distinguisherMethod") {
        let (method, known) = (spec.text("distinguisherMethod.type"), ["ByNamespace", "ByUser"]);
        if !known.contains(&method) {
            let at = path.child("distinguisherMethod").child("type");
            found.push(Error::not_supported_in_order(at, json!({"Type": method}), &known));
        }
    }
    let at = path.child("priorityLevelConfiguration").child("name");
    match spec.text("priorityLevelConfiguration.name") {
        "" => found.push(Error::required(at, "must reference a priority level")),
        level => subdomain(&mut found, &at, level),
    }
    for (index, rule) in spec.items("rules").iter().enumerate() {
        self::rule(&mut found, rule, &path.child("rules").index(index));
    }
    if let Some(fixed) = fixed(name)
        && !same(spec, &fixed)
    {
        let why = format!("spec of '{name}' must equal the fixed value");
        found.push(Error::invalid(path, as_go(spec), why));
    }
    found
}

fn precedence(found: &mut ErrorList, name: &str, precedence: i64, path: &Path) {
    let mut push = |why: &str| found.push(Error::invalid(path.clone(), precedence, why));
    if precedence <= 0 {
        push("must be a positive value");
    }
    if precedence > MAX_PRECEDENCE {
        push("must not be greater than 10000");
    }
    if precedence == 1 && name != EXEMPT {
        push("only the schema named 'exempt' may have matchingPrecedence 1");
    }
}

/// The spec that a schema of this name must have.
fn fixed(name: &str) -> Option<Tree> {
    let (groups, precedence, method) = match name {
        EXEMPT => (vec!["system:masters"], 1, Tree::Null),
        CATCH_ALL => {
            (vec!["system:unauthenticated", "system:authenticated"], 10000, json!({"type": "ByUser"}))
        }
        _ => return None,
    };
    let subjects: Vec<Tree> =
        groups.into_iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect();
    Some(json!({
        "priorityLevelConfiguration": {"name": name}, "matchingPrecedence": precedence, "distinguisherMethod": method,
        "rules": [{
            "subjects": subjects,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"],
                "clusterScope": true}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }],
    }))
}

/// The spec with the names of its Go fields, as upstream shows it.
fn as_go(tree: &Tree) -> Tree {
    match tree {
        Tree::Object(map) => {
            let named = map.iter().map(|(field, value)| {
                let name = if field == "apiGroups" { "APIGroups".to_owned() } else { capitalized(field) };
                (name, as_go(value))
            });
            Tree::Object(named.collect::<Map<_, _>>())
        }
        Tree::Array(items) => items.iter().map(as_go).collect(),
        other => other.clone(),
    }
}

fn capitalized(field: &str) -> String {
    let mut letters = field.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn rule(found: &mut ErrorList, rule: &Tree, path: &Path) {
    let subjects = rule.items("subjects");
    if subjects.is_empty() {
        found.push(Error::required(path.child("subjects"), "subjects must contain at least one value"));
    }
    for (index, subject) in subjects.iter().enumerate() {
        self::subject(found, subject, &path.child("subjects").index(index));
    }
    let (resources, others) = (rule.items("resourceRules"), rule.items("nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        found.push(Error::required(path.clone(), why));
    }
    for (index, rule) in resources.iter().enumerate() {
        resource_rule(found, rule, &path.child("resourceRules").index(index));
    }
    for (index, rule) in others.iter().enumerate() {
        other_rule(found, rule, &path.child("nonResourceRules").index(index));
    }
}

fn subject(found: &mut ErrorList, subject: &Tree, path: &Path) {
    let kind = subject.text("kind");
    let Some((_, field)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        let known = SUBJECTS.map(|(kind, _)| kind);
        found.push(Error::not_supported_in_order(path.child("kind"), kind, &known));
        return;
    };
    let (named, at) = (subject.at(field), path.child(field));
    if named.is_null() {
        found.push(Error::required(at, format!("{field} is required when subject kind is '{kind}'")));
    } else {
        let name = named.text("name");
        let given = required(found, at.child("name"), name);
        if *field == "serviceAccount" {
            if given && name != "*" {
                invalid(found, &at.child("name"), name, dns1123_subdomain_problems(name, false));
            }
            service_account_namespace(found, named.text("namespace"), &at.child("namespace"));
        }
    }
    // In this order, whichever of them is the right one.
    for other in ["serviceAccount", "user", "group"].into_iter().filter(|other| other != field) {
        if subject.has(other) {
            let of = capitalized(other);
            let why = format!("{other} is forbidden when subject kind is not '{of}'");
            found.push(Error::forbidden(path.child(other), why));
        }
    }
}

fn service_account_namespace(found: &mut ErrorList, namespace: &str, path: &Path) {
    match namespace {
        "" => found.push(Error::required(path.clone(), "must specify namespace for service account")),
        name => invalid(found, path, name, dns1123_label_problems(name, false)),
    }
}

/// A list that has something in it, and nothing beside a `*`.
fn wildcard_list(found: &mut ErrorList, rule: &Tree, path: &Path, field: &str, empty: &str, others: &str) {
    let values = rule.texts(field);
    if values.is_empty() {
        found.push(Error::required(path.child(field), empty));
    } else if values.len() > 1 && values.contains(&"*") {
        let why = format!("if '*' is present, must not specify other {others}");
        found.push(Error::invalid(path.child(field), rule.at(field).clone(), why));
    }
}

fn verbs(found: &mut ErrorList, rule: &Tree, path: &Path) {
    wildcard_list(found, rule, path, "verbs", "verbs must contain at least one value", "verbs");
    let verbs = rule.texts("verbs");
    if !verbs.contains(&"*") && !verbs.iter().all(|verb| VERBS.contains(verb)) {
        found.push(Error::not_supported_in_order(path.child("verbs"), rule.at("verbs").clone(), &VERBS));
    }
}

fn resource_rule(found: &mut ErrorList, rule: &Tree, path: &Path) {
    verbs(found, rule, path);
    let empty = "resource rules must supply at least one api group";
    wildcard_list(found, rule, path, "apiGroups", empty, "api groups");
    let empty = "resource rules must supply at least one resource";
    wildcard_list(found, rule, path, "resources", empty, "resources");
    let namespaces = rule.texts("namespaces");
    if !namespaces.is_empty() || !rule.flag("clusterScope") {
        let empty = "resource rules that are not cluster scoped must supply at least one namespace";
        wildcard_list(found, rule, path, "namespaces", empty, "namespaces");
    }
    if namespaces.contains(&"*") {
        return;
    }
    for (index, name) in namespaces.into_iter().enumerate() {
        let intro = "each member of this list must be '*' or a DNS-1123 label; ";
        let problems = dns1123_label_problems(name, false).into_iter();
        let at = path.child("namespaces").index(index);
        invalid(found, &at, name, problems.map(|why| format!("{intro}{why}")).collect());
    }
}

fn other_rule(found: &mut ErrorList, rule: &Tree, path: &Path) {
    verbs(found, rule, path);
    let empty = "nonResourceURLs must contain at least one value";
    wildcard_list(found, rule, path, "nonResourceURLs", empty, "non-resource URLs");
    let urls = rule.texts("nonResourceURLs");
    if urls.contains(&"*") {
        return;
    }
    for (index, url) in urls.into_iter().enumerate() {
        let at = path.child("nonResourceURLs").index(index);
        found.extend(url_problem(url).map(|why| Error::invalid(at, url, why)));
    }
}

fn url_problem(url: &str) -> Option<&'static str> {
    let wildcards = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !url.starts_with('/') => Some("must start with slash"),
        _ if url.contains(' ') => Some("must not contain white-space"),
        _ if url.contains("//") => Some("must not contain double slash"),
        _ if wildcards > 1 || (wildcards == 1 && !url.ends_with("/*")) => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::texts;

    fn schema(spec: Value) -> Value {
        let mut base = json!({"priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 10});
        for (field, value) in spec.as_object().expect("a map") {
            base[field] = value.clone();
        }
        json!({"metadata": {"name": "s"}, "spec": base})
    }

    fn with_rule(rule: Value) -> Value {
        schema(json!({"rules": [rule]}))
    }

    fn with_subject(subject: Value) -> Value {
        with_rule(
            json!({"subjects": [subject], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}),
        )
    }

    fn with_resources(rule: Value) -> Value {
        let mut base =
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]});
        for (field, value) in rule.as_object().expect("a map") {
            base[field] = value.clone();
        }
        with_rule(json!({"subjects": [{"kind": "User", "user": {"name": "*"}}], "resourceRules": [base]}))
    }

    fn with_urls(urls: Value) -> Value {
        with_rule(json!({"subjects": [{"kind": "User", "user": {"name": "*"}}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": urls}]}))
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let (subject, resources) = ("spec.rules[0].subjects[0]", "spec.rules[0].resourceRules[0]");
        let url = "spec.rules[0].nonResourceRules[0].nonResourceURLs";
        let verbs = "\"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"";
        let cases: Vec<(Value, Vec<String>)> = vec![
            (schema(json!({})), vec![]),
            (with_resources(json!({"namespaces": [], "clusterScope": true})), vec![]),
            (
                schema(json!({"matchingPrecedence": -1})),
                vec!["spec.matchingPrecedence: Invalid value: -1: must be a positive value".into()],
            ),
            (
                schema(json!({"matchingPrecedence": 10001})),
                vec!["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000".into()],
            ),
            (
                schema(json!({"matchingPrecedence": 1})),
                vec![
                    "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1".into(),
                ],
            ),
            (
                schema(json!({"distinguisherMethod": {"type": "ByColor"}})),
                vec![
                    "spec.distinguisherMethod.type: Unsupported value: {\"Type\":\"ByColor\"}: supported values: \"ByNamespace\", \"ByUser\"".into(),
                ],
            ),
            (
                schema(json!({"priorityLevelConfiguration": {}})),
                vec!["spec.priorityLevelConfiguration.name: Required value: must reference a priority level".into()],
            ),
            (
                with_rule(json!({})),
                vec![
                    "spec.rules[0].subjects: Required value: subjects must contain at least one value".into(),
                    "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty".into(),
                ],
            ),
            (
                with_subject(json!({"kind": "Robot"})),
                vec![format!(
                    "{subject}.kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\""
                )],
            ),
            (
                with_subject(json!({"kind": "User", "group": {}, "serviceAccount": {}})),
                vec![
                    format!("{subject}.user: Required value: user is required when subject kind is 'User'"),
                    format!(
                        "{subject}.serviceAccount: Forbidden: serviceAccount is forbidden when subject kind is not 'ServiceAccount'"
                    ),
                    format!("{subject}.group: Forbidden: group is forbidden when subject kind is not 'Group'"),
                ],
            ),
            (
                with_subject(json!({"kind": "Group", "group": {}, "user": {}})),
                vec![
                    format!("{subject}.group.name: Required value"),
                    format!("{subject}.user: Forbidden: user is forbidden when subject kind is not 'User'"),
                ],
            ),
            (
                with_subject(json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*"}})),
                vec![format!(
                    "{subject}.serviceAccount.namespace: Required value: must specify namespace for service account"
                )],
            ),
            (
                with_resources(json!({"verbs": [], "apiGroups": [], "resources": [], "namespaces": []})),
                vec![
                    format!("{resources}.verbs: Required value: verbs must contain at least one value"),
                    format!("{resources}.apiGroups: Required value: resource rules must supply at least one api group"),
                    format!("{resources}.resources: Required value: resource rules must supply at least one resource"),
                    format!(
                        "{resources}.namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace"
                    ),
                ],
            ),
            (
                with_resources(json!({"verbs": ["*", "get"], "apiGroups": ["*", ""], "resources": ["*", "pods"],
                    "namespaces": ["*", "a"]})),
                vec![
                    format!("{resources}.verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs"),
                    format!("{resources}.apiGroups: Invalid value: [\"*\",\"\"]: if '*' is present, must not specify other api groups"),
                    format!("{resources}.resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources"),
                    format!("{resources}.namespaces: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other namespaces"),
                ],
            ),
            (
                with_resources(json!({"verbs": ["fly"]})),
                vec![format!("{resources}.verbs: Unsupported value: [\"fly\"]: supported values: {verbs}")],
            ),
            (
                with_urls(json!([])),
                vec![format!("{url}: Required value: nonResourceURLs must contain at least one value")],
            ),
            (
                with_urls(json!(["*", "/"])),
                vec![format!("{url}: Invalid value: [\"*\",\"/\"]: if '*' is present, must not specify other non-resource URLs")],
            ),
            (
                with_urls(json!(["", "/", "/a/*", "a", "/a b", "/a//b", "/a*"])),
                vec![
                    format!("{url}[0]: Invalid value: \"\": must not be empty"),
                    format!("{url}[3]: Invalid value: \"a\": must start with slash"),
                    format!("{url}[4]: Invalid value: \"/a b\": must not contain white-space"),
                    format!("{url}[5]: Invalid value: \"/a//b\": must not contain double slash"),
                    format!("{url}[6]: Invalid value: \"/a*\": wildcard can only do suffix matching"),
                ],
            ),
        ];
        for (schema, want) in cases {
            assert_eq!(texts(&flow_schema(&schema)), want, "{schema}");
        }
        let names = texts(&flow_schema(&with_resources(json!({"namespaces": ["A"]}))));
        let want = format!(
            "{resources}.namespaces[0]: Invalid value: \"A\": each member of this list must be '*' or a DNS-1123 label; "
        );
        assert!(names.len() == 1 && names[0].starts_with(&want), "{names:?}");
    }

    #[test]
    fn mandatory_schemas_stay_as_they_are() {
        for name in [EXEMPT, CATCH_ALL] {
            let mut schema = json!({"metadata": {"name": name}, "spec": fixed(name)});
            assert_eq!(texts(&flow_schema(&schema)), Vec::<String>::new());
            schema["spec"]["matchingPrecedence"] = json!(5);
            let got = texts(&flow_schema(&schema));
            assert!(got[0].ends_with(&format!(": spec of '{name}' must equal the fixed value")), "{got:?}");
            assert!(got[0].contains("\"APIGroups\":[\"*\"]"), "{got:?}");
        }
    }
}
