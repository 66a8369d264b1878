//! Validation of validating admission policies.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::admissionregistration::expressions::expression;
use crate::admissionregistration::policies;
use crate::checks::{Seen, optional_word, qualified, required};
use crate::conditions::conditions;
use crate::tree::Read;

const MAX_ANNOTATIONS: usize = 20;
const MAX_EXPRESSION_BYTES: usize = 5 * 1024;
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

/// Checks a policy. `same_conditions` leaves out the match conditions, which are as they were.
pub(super) fn policy(policy: &Tree, same_conditions: bool) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (policy.at("spec"), Path::new("spec"));
    policies::head(&mut found, spec, &path);
    policies::conditions_and_variables(&mut found, spec, &path, same_conditions);
    let (validations, annotations) = (spec.items("validations"), spec.items("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        for field in ["validations", "auditAnnotations"] {
            let why = "validations or auditAnnotations must contain at least one item";
            found.push(Error::required(path.child(field), why));
        }
    }
    for (index, item) in validations.iter().enumerate() {
        validation(&mut found, item, &path.child("validations").index(index));
    }
    audit_annotations(&mut found, policy.text("metadata.name"), annotations, &path.child("auditAnnotations"));
    found
}

fn validation(found: &mut ErrorList, item: &Tree, path: &Path) {
    expression(found, path.child("expression"), item.text("expression"), "expression is not specified");
    let blank = |text: &str| !text.is_empty() && text.trim().is_empty();
    let message = item.text("messageExpression");
    if blank(message) {
        let why = "must be non-empty if specified";
        found.push(Error::invalid(path.child("messageExpression"), message, why));
    } else if !message.is_empty() {
        expression(found, path.child("messageExpression"), message, "");
    }
    let message = item.text("message");
    let why = match message.trim() {
        _ if blank(message) => Some("must be non-empty if specified"),
        text if text.contains(['\n', '\r']) => Some("must not contain line breaks"),
        _ => None,
    };
    found.extend(why.map(|why| Error::invalid(path.child("message"), message, why)));
    optional_word(found, item, path, "reason", &REASONS);
}

fn audit_annotations(found: &mut ErrorList, name: &str, annotations: &[Tree], path: &Path) {
    if annotations.len() > MAX_ANNOTATIONS {
        // With the names of Go's fields, as upstream shows it.
        let shown: Vec<Tree> = annotations
            .iter()
            .map(|a| json!({"Key": a.text("key"), "ValueExpression": a.text("valueExpression")}))
            .collect();
        let why = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        found.push(Error::invalid(path.clone(), shown, why));
    }
    let mut keys = Seen::default();
    for (index, annotation) in annotations.iter().enumerate() {
        let (key, path) = (annotation.text("key"), path.index(index));
        if name.is_empty() {
            found.push(Error::invalid(path.child("key"), key, "requires metadata.name be non-empty"));
        } else {
            qualified(found, &path.child("key"), &format!("{name}/{key}"));
        }
        let (value, at) = (annotation.text("valueExpression"), path.child("valueExpression"));
        if value.trim().len() > MAX_EXPRESSION_BYTES {
            let why = format!("must not exceed {MAX_EXPRESSION_BYTES} bytes in length");
            found.push(Error::required(at, why));
        } else {
            expression(found, at, value, "valueExpression is not specified");
        }
        keys.unique(found, path.child("key"), key);
    }
}

/// Checks a status: the warnings of type checking, and conditions.
pub(super) fn status(status: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("status");
    let at = path.child("typeChecking").child("expressionWarnings");
    for (index, warning) in status.items("typeChecking.expressionWarnings").iter().enumerate() {
        let path = at.index(index);
        required(&mut found, path.child("warning"), warning.text("warning"));
        let reference = warning.text("fieldRef").trim();
        if required(&mut found, path.child("fieldRef"), reference)
            && let Some(why) = json_path_problem(reference)
        {
            let why = format!("invalid JSONPath: {why}");
            found.push(Error::invalid(path.child("fieldRef"), reference, why));
        }
    }
    conditions(&mut found, status.items("conditions"), &path.child("conditions"));
    found
}

/// What keeps a path from being read at all: something that is opened and not closed.
fn json_path_problem(path: &str) -> Option<&'static str> {
    let (mut brackets, mut quote) = (0_usize, None);
    for c in path.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => brackets += 1,
            (None, ']') if brackets == 0 => return Some("unrecognized character in action: U+005D ']'"),
            (None, ']') => brackets -= 1,
            (None, _) => {}
        }
    }
    match (quote, brackets) {
        (Some(_), _) => Some("unterminated quoted string"),
        (None, 1..) => Some("unterminated array"),
        (None, 0) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admissionregistration::policies::tests::policy as make;
    use crate::checks::tests::texts;

    fn problems(changes: &Tree) -> Vec<String> {
        texts(&policy(&make(json!({"validations": [{"expression": "true"}]}), changes), false))
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let validation = |item: Tree| json!({"validations": [item]});
        let annotation = |item: Tree| json!({"auditAnnotations": [item]});
        let long = "x".repeat(MAX_EXPRESSION_BYTES + 1);
        let cases: Vec<(Tree, &[&str])> = vec![
            (json!({}), &[]),
            (annotation(json!({"key": "k", "valueExpression": "'a'"})), &[]),
            (
                json!({"validations": []}),
                &[
                    "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                    "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
                ],
            ),
            (
                validation(json!({"expression": " "})),
                &["spec.validations[0].expression: Required value: expression is not specified"],
            ),
            (
                validation(json!({"expression": "true", "messageExpression": " "})),
                &[
                    "spec.validations[0].messageExpression: Invalid value: \" \": must be non-empty if specified",
                ],
            ),
            (
                validation(json!({"expression": "true", "message": " "})),
                &["spec.validations[0].message: Invalid value: \" \": must be non-empty if specified"],
            ),
            (
                validation(json!({"expression": "true", "message": "a\nb"})),
                &["spec.validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks"],
            ),
            (
                validation(json!({"expression": "true", "reason": "Because"})),
                &[
                    "spec.validations[0].reason: Unsupported value: \"Because\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
                ],
            ),
            (
                annotation(json!({"key": "k"})),
                &[
                    "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified",
                ],
            ),
            (
                annotation(json!({"key": "k", "valueExpression": long})),
                &[
                    "spec.auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length",
                ],
            ),
            (
                json!({"auditAnnotations": [{"key": "k", "valueExpression": "'a'"}, {"key": "k", "valueExpression": "'a'"}]}),
                &["spec.auditAnnotations[1].key: Duplicate value: \"k\""],
            ),
        ];
        for (changes, want) in cases {
            assert_eq!(problems(&changes), want, "{changes}");
        }
        let many: Vec<Tree> =
            (0..21).map(|n| json!({"key": format!("k{n}"), "valueExpression": "'a'"})).collect();
        let got = problems(&json!({"auditAnnotations": many}));
        assert!(
            got.len() == 1 && got[0].ends_with(": must not have more than 20 auditAnnotations"),
            "{got:?}"
        );
        assert!(got[0].contains("{\"Key\":\"k0\",\"ValueExpression\":\"'a'\"}"), "{got:?}");
        let got = problems(&annotation(json!({"key": "-", "valueExpression": "'a'"})));
        assert!(
            got[0].starts_with("spec.auditAnnotations[0].key: Invalid value: \"p/-\": name part "),
            "{got:?}"
        );
        let mut nameless = make(json!({}), &annotation(json!({"key": "k", "valueExpression": "'a'"})));
        nameless["metadata"] = json!({});
        let want = "spec.auditAnnotations[0].key: Invalid value: \"k\": requires metadata.name be non-empty";
        assert_eq!(texts(&policy(&nameless, false)), [want]);
    }

    #[test]
    fn unchanged_conditions_are_not_checked_again() {
        let old = make(
            json!({"validations": [{"expression": "true"}]}),
            &json!({"matchConditions": [{"name": "a"}]}),
        );
        assert_eq!(policy(&old, false).len(), 1);
        assert!(policies::same_conditions(&old, &old) && policy(&old, true).is_empty());
        let mut new = old.clone();
        new["spec"]["paramKind"] = json!({"apiVersion": "v1", "kind": "K"});
        assert!(!policies::same_conditions(&new, &old));
    }

    #[test]
    fn a_status_has_warnings_with_places() {
        let warnings = json!([{"warning": "w", "fieldRef": "spec.validations[0].expression"}, {},
            {"warning": "w", "fieldRef": "spec.a[0"}, {"warning": "w", "fieldRef": "a['b]"},
            {"warning": "w", "fieldRef": "a]"}]);
        let path = "status.typeChecking.expressionWarnings";
        let want = [
            format!("{path}[1].warning: Required value"),
            format!("{path}[1].fieldRef: Required value"),
            format!("{path}[2].fieldRef: Invalid value: \"spec.a[0\": invalid JSONPath: unterminated array"),
            format!(
                "{path}[3].fieldRef: Invalid value: \"a['b]\": invalid JSONPath: unterminated quoted string"
            ),
            format!(
                "{path}[4].fieldRef: Invalid value: \"a]\": invalid JSONPath: unrecognized character in action: U+005D ']'"
            ),
        ];
        assert_eq!(texts(&status(&json!({"typeChecking": {"expressionWarnings": warnings}}))), want);
        let got =
            texts(&status(&json!({"conditions": [{"type": "Ready", "status": "True", "reason": "R"}]})));
        assert_eq!(got, ["status.conditions[0].lastTransitionTime: Required value"]);
    }
}
