//! How much of a capacity that is shared may be asked for: one of some amounts, or one of a range.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quantity::Quantity;

use crate::dra::checks::limited;
use crate::tree::Read;

const MAX_VALUES: usize = 10;

/// Checks the policy of a capacity of which there is `value`.
pub(super) fn request_policy(found: &mut ErrorList, value: &Tree, policy: &Tree, path: &Path) {
    let capacity = amount(value);
    let values = policy.items("validValues");
    let (field, by_values) = match (values.is_empty(), policy.has("validRange")) {
        (true, false) => return,
        (false, true) => {
            let why = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the \
                       same time";
            found.push(Error::forbidden(path.clone(), why));
            return;
        }
        (by_range, _) => (if by_range { "validRange" } else { "validValues" }, !by_range),
    };
    if !policy.has("default") {
        let why = format!("required when {field} is defined");
        found.push(Error::required(path.child("default"), why));
        return;
    }
    let default = amount(policy.at("default"));
    match by_values {
        true => choices(found, values, &default, &capacity, &path.child(field)),
        false => range(found, policy.at(field), &default, &capacity, &path.child(field)),
    }
}

fn amount(value: &Tree) -> Quantity {
    Quantity::from_tree(value).unwrap_or_default()
}

fn choices(found: &mut ErrorList, values: &[Tree], default: &Quantity, capacity: &Quantity, path: &Path) {
    for (index, pair) in values.windows(2).enumerate() {
        let next = amount(&pair[1]);
        if amount(&pair[0]) > next {
            let why = "values must be sorted in ascending order";
            found.push(Error::invalid(path.index(index + 1), next.to_string(), why));
        }
    }
    limited(found, values, MAX_VALUES, path, |found, value, path| {
        let value = amount(value);
        if value > *capacity {
            let why = format!("option is larger than capacity value: {capacity}");
            found.push(Error::invalid(path.clone(), value.to_string(), why));
        }
    });
    if values.len() <= MAX_VALUES {
        for (index, value) in values.iter().enumerate() {
            let whole = amount(value).value();
            if values[..index].iter().any(|earlier| amount(earlier).value() == whole) {
                found.push(Error::duplicate(path.index(index), whole.to_string()));
            }
        }
    }
    // Upstream stops looking at a list that is too long before it meets the default.
    if values.len() > MAX_VALUES || !values.iter().any(|value| amount(value) == *default) {
        let why = "default value is not valid according to the requestPolicy";
        found.push(Error::invalid(path.clone(), default.to_string(), why));
    }
}

fn range(found: &mut ErrorList, range: &Tree, default: &Quantity, capacity: &Quantity, path: &Path) {
    if !range.has("min") {
        found.push(Error::required(path.child("min"), "required when validRange is defined"));
        return;
    }
    let min = amount(range.at("min"));
    let max = range.has("max").then(|| amount(range.at("max")));
    let mut wrong = |applies: bool, field: &str, shown: &Quantity, why: String| {
        if applies {
            found.push(Error::invalid(path.child(field), shown.to_string(), why));
        }
    };
    wrong(min > *capacity, "min", &min, format!("min is larger than capacity value: {capacity}"));
    wrong(*default < min, "min", default, format!("default is less than min: {min}"));
    if let Some(max) = &max {
        wrong(min > *max, "max", &min, format!("min is larger than max: {max}"));
        wrong(max > capacity, "max", max, format!("max is larger than capacity value: {capacity}"));
        wrong(default > max, "max", default, format!("default is more than max: {max}"));
    }
    if range.has("step") {
        let step = amount(range.at("step"));
        let mut first = min.clone();
        first.add(&step);
        let why = format!("one step {first} is larger than capacity value: {capacity}");
        wrong(first > *capacity, "step", &step, why);
        for value in [Some(default), max.as_ref()].into_iter().flatten() {
            let why = format!("value is not a multiple of a given step ({step}) from ({min})");
            wrong(!is_steps_from(value, &min, &step), "step", value, why);
        }
    }
}

fn is_steps_from(value: &Quantity, min: &Quantity, step: &Quantity) -> bool {
    let distance = i128::from(value.value()) - i128::from(min.value());
    match step.value() {
        0 => distance == 0,
        step => distance % i128::from(step) == 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::assert_problems;

    fn check(capacity: &Tree) -> ErrorList {
        let mut found = ErrorList::new();
        request_policy(&mut found, capacity.at("value"), capacity.at("requestPolicy"), &Path::new("p"));
        found
    }

    #[test]
    fn one_of_some_amounts_is_the_default() {
        let good = json!({"value": "8Gi", "requestPolicy": {"default": "1Gi", "validValues": ["1Gi", "2Gi", "4Gi"]}});
        let many: Vec<Value> = (1..12).map(|n| json!(n.to_string())).collect();
        let cases = [
            (
                "/requestPolicy/validRange",
                json!({}),
                vec![
                    "p: Forbidden: exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time",
                ],
            ),
            (
                "/requestPolicy/default",
                json!(null),
                vec!["p.default: Required value: required when validValues is defined"],
            ),
            (
                "/requestPolicy/default",
                json!("3Gi"),
                vec![
                    "p.validValues: Invalid value: \"3Gi\": default value is not valid according to the requestPolicy",
                ],
            ),
            (
                "/requestPolicy/validValues/3",
                json!("3Gi"),
                vec!["p.validValues[3]: Invalid value: \"3Gi\": values must be sorted in ascending order"],
            ),
            (
                "/requestPolicy/validValues/3",
                json!("9Gi"),
                vec!["p.validValues[3]: Invalid value: \"9Gi\": option is larger than capacity value: 8Gi"],
            ),
            (
                "/requestPolicy/validValues/3",
                json!("4Gi"),
                vec!["p.validValues[3]: Duplicate value: \"4294967296\""],
            ),
            (
                "/requestPolicy/validValues",
                many.into(),
                vec![
                    "p.validValues: Too many: 11: must have at most 10 items",
                    "p.validValues: Invalid value: \"1Gi\": default value is not valid according to the requestPolicy",
                ],
            ),
        ];
        assert_problems(&good, check, cases);
        assert!(check(&json!({"value": "1", "requestPolicy": {}})).is_empty());
    }

    #[test]
    fn the_default_is_in_the_range() {
        let good = json!({"value": "10", "requestPolicy": {
            "default": "4", "validRange": {"min": "2", "max": "8", "step": "2"}}});
        let cases = [
            (
                "/requestPolicy/validRange/min",
                json!(null),
                vec!["p.validRange.min: Required value: required when validRange is defined"],
            ),
            (
                "/requestPolicy/default",
                json!(null),
                vec!["p.default: Required value: required when validRange is defined"],
            ),
            (
                "/requestPolicy/default",
                json!("0"),
                vec!["p.validRange.min: Invalid value: \"0\": default is less than min: 2"],
            ),
            (
                "/requestPolicy/default",
                json!("10"),
                vec!["p.validRange.max: Invalid value: \"10\": default is more than max: 8"],
            ),
            (
                "/requestPolicy/default",
                json!("5"),
                vec![
                    "p.validRange.step: Invalid value: \"5\": value is not a multiple of a given step (2) from (2)",
                ],
            ),
            (
                "/requestPolicy/validRange/max",
                json!("12"),
                vec!["p.validRange.max: Invalid value: \"12\": max is larger than capacity value: 10"],
            ),
            (
                "/requestPolicy/validRange",
                json!({"min": "12"}),
                vec![
                    "p.validRange.min: Invalid value: \"12\": min is larger than capacity value: 10",
                    "p.validRange.min: Invalid value: \"4\": default is less than min: 12",
                ],
            ),
            (
                "/requestPolicy/validRange",
                json!({"min": "4", "max": "3"}),
                vec![
                    "p.validRange.max: Invalid value: \"4\": min is larger than max: 3",
                    "p.validRange.max: Invalid value: \"4\": default is more than max: 3",
                ],
            ),
            (
                "/requestPolicy/validRange",
                json!({"min": "4", "step": "7"}),
                vec![
                    "p.validRange.step: Invalid value: \"7\": one step 11 is larger than capacity value: 10",
                ],
            ),
        ];
        assert_problems(&good, check, cases);
    }
}
