//! Validation of priority level configurations.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::required_word;
use crate::flowcontrol::{CATCH_ALL, EXEMPT};
use crate::tree::{Read, Write, same};

const MAX_QUEUES: i64 = 10_000_000;
const MAX_HASH_BITS: i64 = 60;
const OLD_ANNOTATION: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";

/// Checks a level.
pub(super) fn priority_level(level: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    if level.at("metadata.annotations").get(OLD_ANNOTATION).is_some() {
        let path = Path::new("metadata").child("annotations");
        found.push(Error::forbidden(path, format!("annotation '{OLD_ANNOTATION}' is forbidden")));
    }
    let (name, spec, path) = (level.text("metadata.name"), level.at("spec"), Path::new("spec"));
    self::spec(&mut found, name, spec, &path);
    if let Some((fixed, except)) = fixed(name) {
        let mut have = spec.clone();
        if !except.is_empty() {
            have.copy(&fixed, "exempt");
        }
        if !same(&have, &fixed) {
            let why = format!("spec of '{name}'{except} must equal the fixed value");
            found.push(Error::invalid(path, as_go(spec), why));
        }
    }
    found
}

/// The spec that a level of this name must have, and what of it may differ all the same.
fn fixed(name: &str) -> Option<(Tree, &'static str)> {
    match name {
        EXEMPT => {
            let exempt = json!({"nominalConcurrencyShares": 0, "lendablePercent": 0});
            Some((json!({"type": "Exempt", "exempt": exempt}), " except the 'spec.exempt' field"))
        }
        CATCH_ALL => {
            let limited = json!({"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}});
            Some((json!({"type": "Limited", "limited": limited}), ""))
        }
        _ => None,
    }
}

/// The spec with the names of its Go fields, as upstream shows it.
fn as_go(spec: &Tree) -> Tree {
    let (limited, exempt) = (spec.at("limited"), spec.at("exempt"));
    let queuing = limited.at("limitResponse.queuing");
    let number = |part: &Tree, field: &str| part.int(field).unwrap_or(0);
    let queuing = (!queuing.is_null()).then(|| {
        json!({"Queues": number(queuing, "queues"), "HandSize": number(queuing, "handSize"),
            "QueueLengthLimit": number(queuing, "queueLengthLimit")})
    });
    let limited = (!limited.is_null()).then(|| {
        json!({
            "NominalConcurrencyShares": number(limited, "nominalConcurrencyShares"),
            "LimitResponse": {"Type": limited.text("limitResponse.type"), "Queuing": queuing},
            "LendablePercent": limited.at("lendablePercent"),
            "BorrowingLimitPercent": limited.at("borrowingLimitPercent"),
        })
    });
    let exempt = (!exempt.is_null()).then(|| {
        json!({"NominalConcurrencyShares": exempt.at("nominalConcurrencyShares"),
            "LendablePercent": exempt.at("lendablePercent")})
    });
    json!({"Type": spec.text("type"), "Limited": limited, "Exempt": exempt})
}

fn spec(found: &mut ErrorList, name: &str, spec: &Tree, path: &Path) {
    let kind = spec.text("type");
    if (name == EXEMPT) != (kind == "Exempt") {
        let why = "must be 'Exempt' if and only if `name` is 'exempt'";
        found.push(Error::invalid(path.child("type"), kind, why));
    }
    let (limited, exempt) = (path.child("limited"), path.child("exempt"));
    match kind {
        "Exempt" => shares(found, spec.at("exempt"), &exempt),
        "Limited" => self::limited(found, spec.at("limited"), &limited),
        _ => required_word(found, path.child("type"), kind, &["Exempt", "Limited"]),
    }
    only_for(found, spec, limited, "limited", kind == "Limited");
    if kind == "Limited" && !spec.has("limited") {
        found.push(Error::required(path.child("limited"), ""));
    }
    only_for(found, spec, exempt, "exempt", kind == "Exempt");
}

/// A field that only one type may have. Upstream generates this rule since 1.37, and it says no more than this.
fn only_for(found: &mut ErrorList, part: &Tree, path: Path, field: &str, allowed: bool) {
    if part.has(field) && !allowed {
        found.push(Error::forbidden(path, ""));
    }
}

fn limited(found: &mut ErrorList, limited: &Tree, path: &Path) {
    if limited.is_null() {
        return;
    }
    nominal_shares(found, limited, path);
    response(found, limited.at("limitResponse"), &path.child("limitResponse"));
    lendable(found, limited, path);
    if let Some(percent) = limited.int("borrowingLimitPercent").filter(|percent| *percent < 0) {
        let why = "if specified, must be a non-negative integer";
        found.push(Error::invalid(path.child("borrowingLimitPercent"), percent, why));
    }
}

fn shares(found: &mut ErrorList, part: &Tree, path: &Path) {
    nominal_shares(found, part, path);
    lendable(found, part, path);
}

fn nominal_shares(found: &mut ErrorList, part: &Tree, path: &Path) {
    if let Some(shares) = part.int("nominalConcurrencyShares").filter(|shares| *shares < 0) {
        let at = path.child("nominalConcurrencyShares");
        found.push(Error::invalid(at, shares, "must be a non-negative integer"));
    }
}

fn lendable(found: &mut ErrorList, part: &Tree, path: &Path) {
    if let Some(percent) = part.int("lendablePercent").filter(|percent| !(0..=100).contains(percent)) {
        let why = "must be between 0 and 100, inclusive";
        found.push(Error::invalid(path.child("lendablePercent"), percent, why));
    }
}

fn response(found: &mut ErrorList, response: &Tree, path: &Path) {
    let (queuing, at) = (response.at("queuing"), path.child("queuing"));
    match response.text("type") {
        "Reject" => {}
        "Queue" if queuing.is_null() => found.push(Error::required(at.clone(), "")),
        "Queue" => self::queuing(found, queuing, &at),
        other => required_word(found, path.child("type"), other, &["Queue", "Reject"]),
    }
    only_for(found, response, at, "queuing", response.text("type") == "Queue");
}

fn queuing(found: &mut ErrorList, queuing: &Tree, path: &Path) {
    let number = |field: &str| queuing.int(field).unwrap_or(0);
    let (limit, queues, hand) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    let mut push = |field: &str, value: i64, why: String| {
        found.push(Error::invalid(path.child(field), value, why));
    };
    if limit <= 0 {
        push("queueLengthLimit", limit, "must be positive".to_owned());
    }
    if queues <= 0 {
        push("queues", queues, "must be positive".to_owned());
    } else if queues > MAX_QUEUES {
        push("queues", queues, format!("must not be greater than {MAX_QUEUES}"));
    }
    if hand <= 0 {
        push("handSize", hand, "must be positive".to_owned());
    } else if hand > queues {
        push("handSize", hand, format!("should not be greater than queues ({queues})"));
    } else if entropy_bits(queues, hand) > MAX_HASH_BITS {
        let why = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        );
        push("handSize", hand, why);
    }
}

/// How many bits of a hash it takes to deal a hand.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn entropy_bits(deck: i64, hand: i64) -> i64 {
    ((deck as f64).log2() * hand as f64).ceil() as i64
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::texts;

    fn level(name: &str, spec: Value) -> Value {
        json!({"metadata": {"name": name}, "spec": spec})
    }

    fn with_queuing(queues: i64, hand: i64, limit: i64) -> Value {
        let queuing = json!({"queues": queues, "handSize": hand, "queueLengthLimit": limit});
        let response = json!({"type": "Queue", "queuing": queuing});
        level("p", json!({"type": "Limited", "limited": {"limitResponse": response}}))
    }

    fn with_limited(limited: Value) -> Value {
        let mut base = json!({"limitResponse": {"type": "Reject"}});
        for (field, value) in limited.as_object().expect("a map") {
            base[field] = value.clone();
        }
        level("p", json!({"type": "Limited", "limited": base}))
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let queuing = "spec.limited.limitResponse.queuing";
        let cases: Vec<(Value, Vec<String>)> = vec![
            (with_queuing(64, 8, 50), vec![]),
            (with_limited(json!({"nominalConcurrencyShares": 0})), vec![]),
            (level("p", json!({})), vec!["spec.type: Required value".into()]),
            (
                level("p", json!({"type": "Free"})),
                vec!["spec.type: Unsupported value: \"Free\": supported values: \"Exempt\", \"Limited\"".into()],
            ),
            (
                level("p", json!({"type": "Exempt", "limited": {}, "exempt": {"nominalConcurrencyShares": -1, "lendablePercent": 101}})),
                vec![
                    "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'".into(),
                    "spec.exempt.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer".into(),
                    "spec.exempt.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive".into(),
                    "spec.limited: Forbidden".into(),
                ],
            ),
            (
                level("p", json!({"type": "Limited", "exempt": {}})),
                vec![
                    "spec.limited: Required value".into(),
                    "spec.exempt: Forbidden".into(),
                ],
            ),
            (
                with_limited(json!({"nominalConcurrencyShares": -1, "borrowingLimitPercent": -1,
                    "limitResponse": {"type": "Reject", "queuing": {}}})),
                vec![
                    "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer".into(),
                    format!("{queuing}: Forbidden"),
                    "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer".into(),
                ],
            ),
            (
                with_limited(json!({"limitResponse": {}})),
                vec!["spec.limited.limitResponse.type: Required value".into()],
            ),
            (
                with_limited(json!({"limitResponse": {"type": "Drop"}})),
                vec![
                    "spec.limited.limitResponse.type: Unsupported value: \"Drop\": supported values: \"Queue\", \"Reject\"".into(),
                ],
            ),
            (
                with_limited(json!({"limitResponse": {"type": "Queue"}})),
                vec![format!("{queuing}: Required value")],
            ),
            (
                with_queuing(0, 0, 0),
                vec![
                    format!("{queuing}.queueLengthLimit: Invalid value: 0: must be positive"),
                    format!("{queuing}.queues: Invalid value: 0: must be positive"),
                    format!("{queuing}.handSize: Invalid value: 0: must be positive"),
                ],
            ),
            (
                with_queuing(10_000_001, 1, 1),
                vec![format!("{queuing}.queues: Invalid value: 10000001: must not be greater than 10000000")],
            ),
            (
                with_queuing(4, 5, 1),
                vec![format!("{queuing}.handSize: Invalid value: 5: should not be greater than queues (4)")],
            ),
            (
                with_queuing(128, 10, 1),
                vec![format!(
                    "{queuing}.handSize: Invalid value: 10: required entropy bits of deckSize 128 and handSize 10 should not be greater than 60"
                )],
            ),
            (
                json!({"metadata": {"name": "p", "annotations": {OLD_ANNOTATION: ""}},
                    "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}}),
                vec![format!("metadata.annotations: Forbidden: annotation '{OLD_ANNOTATION}' is forbidden")],
            ),
        ];
        for (level, want) in cases {
            assert_eq!(texts(&priority_level(&level)), want, "{level}");
        }
    }

    #[test]
    fn mandatory_levels_stay_as_they_are() {
        let exempt = |shares: i64| {
            level(EXEMPT, json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": shares}}))
        };
        assert_eq!(texts(&priority_level(&exempt(7))), Vec::<String>::new());
        let mut limited = exempt(0);
        limited["spec"]["limited"] = json!({"nominalConcurrencyShares": 1});
        let got = texts(&priority_level(&limited)).pop().unwrap_or_default();
        assert!(
            got.ends_with(": spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"),
            "{got}"
        );
        let (fixed, _) = fixed(CATCH_ALL).expect("a spec");
        let mut catch_all = level(CATCH_ALL, fixed);
        assert_eq!(texts(&priority_level(&catch_all)), Vec::<String>::new());
        catch_all["spec"]["limited"]["nominalConcurrencyShares"] = json!(6);
        let want = "spec: Invalid value: {\"Exempt\":null,\"Limited\":{\"BorrowingLimitPercent\":null,\"LendablePercent\":0,\
            \"LimitResponse\":{\"Queuing\":null,\"Type\":\"Reject\"},\"NominalConcurrencyShares\":6},\"Type\":\"Limited\"}: \
            spec of 'catch-all' must equal the fixed value";
        assert_eq!(texts(&priority_level(&catch_all)), [want]);
    }
}
