//! The policies of a job: which failures of pods count, what is success, when pods are replaced.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::{indexes, is_indexed};
use crate::checks::{capitalized, known_word, not_negative, qualified};
use crate::tree::Read;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const MAX_FAILURE_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_PATTERNS: usize = 20;
const MAX_SUCCESS_RULES: usize = 20;
const MAX_INDEXES_BYTES: usize = 64 * 1024;

/// Checks the policies of a job's spec.
pub(super) fn all(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let failure = path.child("podFailurePolicy").child("rules");
    at_most(found, spec.items("podFailurePolicy.rules"), MAX_FAILURE_RULES, &failure);
    for (index, rule) in spec.items("podFailurePolicy.rules").iter().enumerate() {
        failure_rule(found, spec, rule, &failure.index(index));
    }
    if spec.has("successPolicy") {
        success(found, spec, &path.child("successPolicy"));
    }
    if spec.has("podReplacementPolicy") {
        // Where failures are looked at, a pod must have failed before it is replaced.
        let known: &[&str] =
            if spec.has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        known_word(found, path.child("podReplacementPolicy"), spec.text("podReplacementPolicy"), known);
    }
}

fn at_most(found: &mut ErrorList, list: &[Tree], max: usize, path: &Path) {
    if list.len() > max {
        found.push(Error::too_many(path.clone(), list.len(), max));
    }
}

/// A word that must be given, with the choice named if it is not.
fn chosen(found: &mut ErrorList, path: Path, word: &str, known: &[&str]) {
    if word.is_empty() {
        let quoted: Vec<String> = known.iter().map(|word| format!("{word:?}")).collect();
        found.push(Error::required(path, format!("valid values: [{}]", quoted.join(" "))));
    } else {
        known_word(found, path, word, known);
    }
}

fn failure_rule(found: &mut ErrorList, spec: &Tree, rule: &Tree, path: &Path) {
    let (action, codes, patterns) =
        (rule.text("action"), rule.at("onExitCodes"), rule.items("onPodConditions"));
    chosen(found, path.child("action"), action, &ACTIONS);
    if action == "FailIndex" && !spec.has("backoffLimitPerIndex") {
        let why = "requires the backoffLimitPerIndex to be set";
        found.push(Error::invalid(path.child("action"), action, why));
    }
    if !codes.is_null() {
        exit_codes(found, spec, codes, &path.child("onExitCodes"));
    }
    let at = path.child("onPodConditions");
    at_most(found, patterns, MAX_PATTERNS, &at);
    for (index, pattern) in patterns.iter().enumerate() {
        let path = at.index(index);
        qualified(found, &path.child("type"), pattern.text("type"));
        chosen(found, path.child("status"), pattern.text("status"), &STATUSES);
    }
    let why = match (codes.is_null(), patterns.is_empty()) {
        (false, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (true, true) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    found.push(Error::invalid_unshown(path.clone(), why));
}

fn exit_codes(found: &mut ErrorList, spec: &Tree, codes: &Tree, path: &Path) {
    chosen(found, path.child("operator"), codes.text("operator"), &["In", "NotIn"]);
    let containers = ["containers", "initContainers"].map(|list| spec.at("template.spec").items(list));
    let name = codes.text("containerName");
    let named = containers.into_iter().flatten().any(|container| container.text("name") == name);
    if codes.has("containerName") && !named {
        let why = "must be one of the container or initContainer names in the pod template";
        found.push(Error::invalid(path.child("containerName"), name, why));
    }
    exit_values(found, codes, &path.child("values"));
}

fn exit_values(found: &mut ErrorList, codes: &Tree, path: &Path) {
    let values: Vec<i64> = codes.items("values").iter().map(|value| value.as_i64().unwrap_or(0)).collect();
    if values.is_empty() {
        found.push(Error::invalid(
            path.clone(),
            codes.at("values").clone(),
            "at least one value is required",
        ));
    }
    at_most(found, codes.items("values"), MAX_EXIT_CODES, path);
    for (index, value) in values.iter().enumerate() {
        if codes.text("operator") == "In" && *value == 0 {
            found.push(Error::invalid(path.index(index), 0, "must not be 0 for the In operator"));
        }
        if values[..index].contains(value) {
            found.push(Error::duplicate(path.index(index), *value));
        }
    }
    if !values.is_sorted() {
        found.push(Error::invalid(path.clone(), codes.at("values").clone(), "must be ordered"));
    }
}

fn success(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (policy, rules) = (spec.at("successPolicy"), path.child("rules"));
    if !is_indexed(spec) {
        let why = "requires indexed completion mode";
        return found.push(Error::invalid(path.clone(), capitalized(policy), why));
    }
    if policy.items("rules").is_empty() {
        let why = "at least one rules must be specified when the successPolicy is specified";
        found.push(Error::required(rules.clone(), why));
    }
    at_most(found, policy.items("rules"), MAX_SUCCESS_RULES, &rules);
    for (index, rule) in policy.items("rules").iter().enumerate() {
        success_rule(found, rule, spec.int("completions").unwrap_or(0), &rules.index(index));
    }
}

fn success_rule(found: &mut ErrorList, rule: &Tree, completions: i64, path: &Path) {
    let named = rule.has("succeededIndexes");
    if !rule.has("succeededCount") && !named {
        let why = "at least one of succeededCount or succeededIndexes must be specified";
        found.push(Error::required(path.clone(), why));
    }
    let indexes = if named { success_indexes(found, rule, completions, path) } else { 0 };
    not_negative(found, rule, path, &["succeededCount"]);
    let Some(count) = rule.int("succeededCount") else { return };
    let limits = [
        (completions, "the number of specified completions"),
        (indexes, "the number of indexes in the specified succeededIndexes field"),
    ];
    for (limit, what) in limits.into_iter().take(if named { 2 } else { 1 }) {
        if count > limit {
            let why = format!("must be less than or equal to {limit} ({what})");
            found.push(Error::invalid(path.child("succeededCount"), count, why));
        }
    }
}

/// How many indexes the rule names; none if they cannot be read.
fn success_indexes(found: &mut ErrorList, rule: &Tree, completions: i64, path: &Path) -> i64 {
    let (text, path) = (rule.text("succeededIndexes"), path.child("succeededIndexes"));
    if text.len() > MAX_INDEXES_BYTES {
        found.push(Error::too_long(path.clone(), MAX_INDEXES_BYTES));
    }
    indexes::count(text, completions).unwrap_or_else(|why| {
        found.push(Error::invalid(path, text, format!("error parsing succeededIndexes: {why}")));
        0
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    fn problems(spec: &Tree) -> Vec<String> {
        let mut found = ErrorList::new();
        all(&mut found, spec, &Path::new("spec"));
        texts(&found)
    }

    #[test]
    fn rules_of_failure_are_checked() {
        let codes = |operator: &str, values: Tree| json!({"operator": operator, "values": values});
        let at = "spec.podFailurePolicy.rules[0]";
        let cases = [
            (
                json!({"onExitCodes": codes("In", json!([1]))}),
                vec![
                    ".action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]",
                ],
            ),
            (
                json!({"action": "Odd", "onExitCodes": codes("In", json!([1]))}),
                vec![
                    ".action: Unsupported value: \"Odd\": supported values: \"Count\", \"FailIndex\", \"FailJob\", \
                     \"Ignore\"",
                ],
            ),
            (
                json!({"action": "FailIndex", "onExitCodes": codes("NotIn", json!([0]))}),
                vec![".action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set"],
            ),
            (
                json!({"action": "Count"}),
                vec![": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"],
            ),
            (
                json!({"action": "Count", "onExitCodes": codes("In", json!([1])),
                    "onPodConditions": [{"type": "A", "status": "True"}]}),
                vec![": Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"],
            ),
            (
                json!({"action": "Count", "onPodConditions": [{"type": "A"}, {"type": "A", "status": "Odd"}]}),
                vec![
                    ".onPodConditions[0].status: Required value: valid values: [\"False\" \"True\" \"Unknown\"]",
                    ".onPodConditions[1].status: Unsupported value: \"Odd\": supported values: \"False\", \"True\", \
                     \"Unknown\"",
                ],
            ),
            (
                json!({"action": "Count", "onExitCodes": codes("", json!([1]))}),
                vec![".onExitCodes.operator: Required value: valid values: [\"In\" \"NotIn\"]"],
            ),
            (
                json!({"action": "Count", "onExitCodes": codes("Odd", json!([]))}),
                vec![
                    ".onExitCodes.operator: Unsupported value: \"Odd\": supported values: \"In\", \"NotIn\"",
                    ".onExitCodes.values: Invalid value: []: at least one value is required",
                ],
            ),
            (
                json!({"action": "Count", "onExitCodes": codes("In", json!([5, 0, 5]))}),
                vec![
                    ".onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
                    ".onExitCodes.values[2]: Duplicate value: 5",
                    ".onExitCodes.values: Invalid value: [5,0,5]: must be ordered",
                ],
            ),
            (
                json!({"action": "Count", "onExitCodes": {"operator": "In", "values": [1], "containerName": "x"}}),
                vec![
                    ".onExitCodes.containerName: Invalid value: \"x\": must be one of the container or initContainer \
                     names in the pod template",
                ],
            ),
        ];
        for (rule, want) in cases {
            let want: Vec<String> = want.iter().map(|text| format!("{at}{text}")).collect();
            assert_eq!(problems(&json!({"podFailurePolicy": {"rules": [rule]}})), want);
        }
    }

    #[test]
    fn lists_have_their_limits() {
        let rule = json!({"action": "Count", "onPodConditions": [{"type": "A", "status": "True"}]});
        let codes: Vec<i64> = (1..=256).collect();
        let patterns = vec![json!({"type": "A", "status": "True"}); 21];
        let cases = [
            (json!(vec![rule; 21]), "spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"),
            (
                json!([{"action": "Count", "onExitCodes": {"operator": "In", "values": codes}}]),
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Too many: 256: must have at most 255 items",
            ),
            (
                json!([{"action": "Count", "onPodConditions": patterns}]),
                "spec.podFailurePolicy.rules[0].onPodConditions: Too many: 21: must have at most 20 items",
            ),
        ];
        for (rules, want) in cases {
            assert_eq!(problems(&json!({"podFailurePolicy": {"rules": rules}})), [want]);
        }
        let rules = vec![json!({"succeededCount": 1}); 21];
        let spec = json!({"completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": rules}});
        assert_eq!(problems(&spec), ["spec.successPolicy.rules: Too many: 21: must have at most 20 items"]);
    }

    #[test]
    fn rules_of_success_are_checked() {
        let long = "1,".repeat(MAX_INDEXES_BYTES);
        let at = "spec.successPolicy.rules[0]";
        let cases = [
            (
                json!({}),
                vec![
                    ": Required value: at least one of succeededCount or succeededIndexes must be specified",
                ],
            ),
            (
                json!({"succeededCount": -1}),
                vec![".succeededCount: Invalid value: -1: must be greater than or equal to 0"],
            ),
            (
                json!({"succeededCount": 6}),
                vec![
                    ".succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified \
                     completions)",
                ],
            ),
            (
                json!({"succeededIndexes": "0-1", "succeededCount": 3}),
                vec![
                    ".succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the \
                     specified succeededIndexes field)",
                ],
            ),
            (
                json!({"succeededIndexes": "7"}),
                vec![
                    ".succeededIndexes: Invalid value: \"7\": error parsing succeededIndexes: too large index: \"7\"",
                ],
            ),
        ];
        for (rule, want) in cases {
            let want: Vec<String> = want.iter().map(|text| format!("{at}{text}")).collect();
            let policy = json!({"rules": [rule]});
            assert_eq!(
                problems(&json!({"completionMode": "Indexed", "completions": 5, "successPolicy": policy})),
                want
            );
        }
        let policy = json!({"rules": [{"succeededIndexes": long}]});
        let found =
            problems(&json!({"completionMode": "Indexed", "completions": 5, "successPolicy": policy}));
        assert_eq!(found[0], format!("{at}.succeededIndexes: Too long: may not be more than 65536 bytes"));
        let none = "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy \
                    is specified";
        assert_eq!(problems(&json!({"completionMode": "Indexed", "successPolicy": {"rules": []}})), [none]);
        let mode = "spec.successPolicy: Invalid value: {\"Rules\":[]}: requires indexed completion mode";
        assert_eq!(problems(&json!({"successPolicy": {"rules": []}})), [mode]);
    }

    #[test]
    fn replacement_follows_the_policy_of_failure() {
        let cases = [
            (json!({"podReplacementPolicy": "TerminatingOrFailed"}), None),
            (
                json!({"podReplacementPolicy": "Odd"}),
                Some("\"Odd\": supported values: \"Failed\", \"TerminatingOrFailed\""),
            ),
            (
                json!({"podReplacementPolicy": "TerminatingOrFailed", "podFailurePolicy": {}}),
                Some("\"TerminatingOrFailed\": supported values: \"Failed\""),
            ),
        ];
        for (spec, want) in cases {
            let want = want.map(|want| format!("spec.podReplacementPolicy: Unsupported value: {want}"));
            assert_eq!(problems(&spec).first(), want.as_ref());
        }
    }
}
