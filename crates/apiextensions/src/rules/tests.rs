use std::collections::BTreeMap;

use serde_json::json;

use super::*;

/// Answers by the rule's text: `true`, `false`, `changed`, `slow`, `broken`, `overload`, `limit`.
struct Table {
    texts: BTreeMap<RuleId, String>,
}

impl Table {
    fn of(schema: &Schema) -> Self {
        Self { texts: schema.rules().iter().map(|r| (r.id, r.rule.rule.clone())).collect() }
    }
}

impl Evaluator for Table {
    fn uses_old_self(&self, rule: RuleId) -> bool {
        self.texts[&rule] == "changed"
    }

    fn evaluate(&self, call: &Call<'_>) -> Evaluation<bool> {
        let outcome = match self.texts[&call.rule.id].as_str() {
            "true" => Ok(true),
            "changed" => Ok(call.old == Some(call.this)),
            "broken" => Err(EvaluationError::Failed("no such key: a".into())),
            "overload" => Err(EvaluationError::NoOverload("no such overload".into())),
            "limit" => {
                Err(EvaluationError::CostLimit("operation cancelled: actual cost limit exceeded".into()))
            }
            _ => Ok(false),
        };
        Evaluation { cost: if self.texts[&call.rule.id] == "slow" { COST_BUDGET + 1 } else { 1 }, outcome }
    }

    fn message(&self, call: &Call<'_>) -> Evaluation<String> {
        let text = match call.rule.rule.message_expression.as_str() {
            "broken" => return Evaluation { cost: 1, outcome: Err(EvaluationError::Failed("x".into())) },
            text => format!(" {text} of {} ", call.this),
        };
        Evaluation { cost: 1, outcome: Ok(text) }
    }
}

fn report(schema: &Tree, new: &Tree, old: Option<&Tree>) -> RuleReport {
    let schema = Schema::parse(schema).unwrap();
    schema.validate_rules(new, old, &Table::of(&schema))
}

fn errors(schema: &Tree, new: &Tree, old: Option<&Tree>) -> Vec<String> {
    report(schema, new, old).errors.iter().map(ToString::to_string).collect()
}

fn with_rule(rule: Tree) -> Tree {
    json!({"type": "object", "properties": {
        "n": {"type": "integer", "x-kubernetes-validations": [rule]}, "o": {"type": "string"}}})
}

#[test]
fn a_violation_is_worded_as_the_rule_says() {
    let cases = [
        (json!({"rule": "false"}), "n: Invalid value: 5: failed rule: false"),
        (json!({"rule": "false", "message": " no "}), "n: Invalid value: 5: no"),
        (
            json!({"rule": "false", "message": "m", "messageExpression": "size"}),
            "n: Invalid value: 5: size of 5",
        ),
        (json!({"rule": "false", "message": "m", "messageExpression": "broken"}), "n: Invalid value: 5: m"),
        (json!({"rule": "false", "message": "m", "reason": "FieldValueForbidden"}), "n: Forbidden: m"),
        (json!({"rule": "false", "message": "m", "reason": "FieldValueRequired"}), "n: Required value: m"),
        (json!({"rule": "false", "message": "m", "reason": "FieldValueDuplicate"}), "n: Duplicate value: 5"),
        (json!({"rule": "broken"}), "n: Invalid value: \"integer\": no such key: a evaluating rule: broken"),
        (
            json!({"rule": "overload"}),
            "n: Invalid value: \"integer\": 'no such overload': call arguments did not match a supported operator, \
             function or macro signature for rule: overload",
        ),
        (
            json!({"rule": "limit", "message": "m"}),
            "n: Invalid value: \"integer\": 'operation cancelled: actual cost limit exceeded': no further validation \
             rules will be run due to call cost exceeds limit for rule: m",
        ),
        (
            json!({"rule": "slow"}),
            "n: Invalid value: \"integer\": validation failed due to running out of cost budget, no further validation \
             rules will be run",
        ),
    ];
    for (rule, want) in cases {
        assert_eq!(errors(&with_rule(rule.clone()), &json!({"n": 5}), None), [want], "{rule}");
    }
    assert!(errors(&with_rule(json!({"rule": "true"})), &json!({"n": 5}), None).is_empty());
    assert!(errors(&with_rule(json!({"rule": "false"})), &json!({"n": null}), None).is_empty());
}

#[test]
fn objects_are_not_shown_and_a_field_path_is_followed() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "properties": {"a": {"type": "string"}},
        "x-kubernetes-validations": [{"rule": "false", "message": "m"},
            {"rule": "false", "message": "m", "fieldPath": ".a"}]}}});
    let want = ["spec: Invalid value: m", "spec.a: Invalid value: m"];
    assert_eq!(errors(&schema, &json!({"spec": {}}), None), want);
}

#[test]
fn transition_rules_need_an_old_value() {
    let schema = json!({"type": "object", "properties": {
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "x-kubernetes-validations": [{"rule": "changed", "message": "m"}]}},
        "atomic": {"type": "array", "items": {"type": "object",
            "x-kubernetes-validations": [{"rule": "changed", "message": "m"}]}},
        "opt": {"type": "string", "x-kubernetes-validations": [
            {"rule": "changed", "message": "o", "optionalOldSelf": true}]}}});
    let new = json!({"list": [{"k": 2, "v": 1}, {"k": 1, "v": 1}], "atomic": [{"x": 1}], "opt": "a"});
    assert_eq!(errors(&schema, &new, None), ["opt: Invalid value: \"a\": o"]);
    let old = json!({"list": [{"k": 1, "v": 1}, {"k": 2, "v": 0}], "atomic": [{"x": 0}], "opt": "a"});
    assert_eq!(errors(&schema, &new, Some(&old)), ["list[0]: Invalid value: m"]);
}

#[test]
fn what_did_not_change_is_warned_about() {
    let schema = with_rule(json!({"rule": "false", "message": "m"}));
    let old = json!({"n": 5, "o": "a"});
    let kept = report(&schema, &json!({"n": 5, "o": "b"}), Some(&old));
    assert_eq!((kept.errors.len(), kept.warnings), (0, vec!["n: Invalid value: 5: m".to_owned()]));
    assert_eq!(errors(&schema, &json!({"n": 6, "o": "a"}), Some(&old)).len(), 1);
}

#[test]
fn nothing_more_is_run_when_the_budget_is_used_up() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string", "x-kubernetes-validations": [{"rule": "slow"}, {"rule": "false"}]},
        "b": {"type": "string", "x-kubernetes-validations": [{"rule": "false"}]}}});
    assert_eq!(errors(&schema, &json!({"a": "", "b": ""}), None).len(), 1);
}

#[test]
fn rules_within_all_of_are_about_the_same_value() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "allOf": [
        {"properties": {"n": {"x-kubernetes-validations": [{"rule": "false", "message": "m"}]}}}]});
    assert_eq!(errors(&schema, &json!({"n": 1}), None), ["n: Invalid value: 1: m"]);
    let parsed = Schema::parse(&schema).unwrap();
    assert_eq!(parsed.rules()[0].schema.kind(), Some(crate::Type::Integer));
}

#[test]
fn malformed_objects_block_rules() {
    let errors = vec![Error::required(Path::new("a"), "")];
    assert!(
        blocked_by(&errors)
            .unwrap()
            .to_string()
            .starts_with("<nil>: Invalid value: null: some validation rules")
    );
    assert_eq!(blocked_by(&vec![Error::invalid(Path::new("a"), 1, "")]), None);
}
