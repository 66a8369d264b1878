//! What webhooks and policies match: conditions in CEL, and the resources of a policy or a binding.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::path_segment_problems;

use super::expressions::expression;
use super::rules::{default_rules, rule};
use crate::checks::{Seen, invalid, known_word, label_selector, qualified, required};
use crate::tree::{Read, Write};

pub(super) const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];
const MAX_CONDITIONS: usize = 64;
const RULES: [&str; 2] = ["resourceRules", "excludeResourceRules"];

/// Checks `matchConditions`.
pub(super) fn match_conditions(found: &mut ErrorList, conditions: &[Tree], path: &Path) {
    if conditions.len() > MAX_CONDITIONS {
        found.push(Error::too_many(path.clone(), conditions.len(), MAX_CONDITIONS));
    }
    let mut names = Seen::default();
    for (index, condition) in conditions.iter().enumerate() {
        let (name, path) = (condition.text("name"), path.index(index));
        expression(found, path.child("expression"), condition.text("expression"), "");
        if required(found, path.child("name"), name) {
            qualified(found, &path.child("name"), name);
            names.unique(found, path.child("name"), name);
        }
    }
}

/// Completes what a webhook and a policy have in common.
pub(super) fn default_selection(part: &mut Tree) {
    part.default_value("matchPolicy", "Equivalent");
    part.default_value("namespaceSelector", json!({}));
    part.default_value("objectSelector", json!({}));
}

/// Completes the resources that a policy or a binding matches.
pub(super) fn default_match_resources(resources: &mut Tree) {
    default_selection(resources);
    for rules in RULES {
        default_rules(resources.items_mut(rules));
    }
}

/// Checks the resources that a policy or a binding matches; nothing is fine.
pub(super) fn match_resources(found: &mut ErrorList, resources: &Tree, path: &Path) {
    if resources.is_null() {
        return;
    }
    let at = path.child("matchPolicy");
    match resources.at("matchPolicy").as_str() {
        Some(policy) => known_word(found, at, policy, &MATCH_POLICIES),
        None => found.push(Error::required(at, "")),
    }
    for field in ["namespaceSelector", "objectSelector"] {
        match resources.at(field) {
            Tree::Null => found.push(Error::required(path.child(field), "")),
            selector => label_selector(found, selector, &path.child(field), false),
        }
    }
    for field in RULES {
        for (index, item) in resources.items(field).iter().enumerate() {
            named_rule(found, item, &path.child(field).index(index));
        }
    }
}

fn named_rule(found: &mut ErrorList, item: &Tree, path: &Path) {
    let mut names = Seen::default();
    for (index, name) in item.texts("resourceNames").into_iter().enumerate() {
        let path = path.child("resourceNames").index(index);
        invalid(found, &path, name, path_segment_problems(name, false));
        names.unique(found, path, name);
    }
    rule(found, item, path);
}

/// Reports operations that nothing can be changed at: a policy that mutates takes no deletion.
pub(super) fn mutable_operations(found: &mut ErrorList, resources: &Tree, path: &Path) {
    let path = path.child("resourceRules").child("operations");
    for operation in resources.items("resourceRules").iter().flat_map(|rule| rule.texts("operations")) {
        known_word(found, path.clone(), operation, &["*", "CONNECT", "CREATE", "UPDATE"]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn conditions_have_names_and_expressions() {
        let problems = |conditions: &[Value]| {
            let mut found = ErrorList::new();
            match_conditions(&mut found, conditions, &Path::new("m"));
            texts(&found)
        };
        let good = json!({"name": "a", "expression": "true"});
        assert!(problems(std::slice::from_ref(&good)).is_empty());
        let want = [
            "m[0].expression: Required value",
            "m[0].name: Required value",
            "m[2].name: Duplicate value: \"a\"",
        ];
        assert_eq!(problems(&[json!({}), good.clone(), good.clone()]), want);
        let named = |n: usize| json!({"name": format!("a{n}"), "expression": "true"});
        let many: Vec<Value> = (0..65).map(named).collect();
        assert_eq!(problems(&many), ["m: Too many: 65: must have at most 64 items"]);
        assert!(
            problems(&[json!({"name": "-", "expression": "true"})])[0]
                .starts_with("m[0].name: Invalid value: \"-\": name part")
        );
    }

    #[test]
    fn resources_are_selected() {
        let problems = |resources: &Value| {
            let mut found = ErrorList::new();
            match_resources(&mut found, resources, &Path::new("m"));
            texts(&found)
        };
        let mut resources = json!({"resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
            "resources": ["*"], "resourceNames": ["a"]}]});
        default_match_resources(&mut resources);
        assert!(problems(&resources).is_empty());
        assert!(problems(&Value::Null).is_empty());
        let want = [
            "m.matchPolicy: Required value",
            "m.namespaceSelector: Required value",
            "m.objectSelector: Required value",
        ];
        assert_eq!(problems(&json!({})), want);
        resources["matchPolicy"] = json!("Fuzzy");
        resources["objectSelector"] = json!({"matchLabels": {"-": ""}});
        resources["resourceRules"][0]["resourceNames"] = json!(["a", "a", "b/c"]);
        let got = problems(&resources);
        assert_eq!(
            got[0],
            "m.matchPolicy: Unsupported value: \"Fuzzy\": supported values: \"Equivalent\", \"Exact\""
        );
        assert!(got[1].starts_with("m.objectSelector.matchLabels: Invalid value: \"-\""), "{got:?}");
        assert_eq!(got[2], "m.resourceRules[0].resourceNames[1]: Duplicate value: \"a\"");
        assert_eq!(
            got[3],
            "m.resourceRules[0].resourceNames[2]: Invalid value: \"b/c\": may not contain '/'"
        );
    }
}
