//! Validation of limit ranges.

use std::collections::BTreeSet;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::qualified_name_problems;
use steersman_apimachinery::quantity::{Format, Quantity};

use crate::checks::{Seen, invalid};
use crate::core::podspec::validation::{container_resource, may_overcommit, resource_name};
use crate::tree::Read;

const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];
/// The largest amount whose thousandths still are a number in Go.
const MAX_MILLI: i64 = i64::MAX / 1000;

/// Checks a limit range.
pub(super) fn check(range: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec").child("limits");
    let mut types = Seen::default();
    for (index, limit) in range.items("spec.limits").iter().enumerate() {
        let path = path.index(index);
        let kind = limit.text("type");
        limit_type(&mut found, kind, &path.child("type"));
        types.unique(&mut found, path.child("type"), kind);
        self::limit(&mut found, limit, &path);
    }
    found
}

fn limit_type(found: &mut ErrorList, kind: &str, path: &Path) {
    let problems = qualified_name_problems(kind);
    if problems.is_empty() && !kind.contains('/') && !TYPES.contains(&kind) {
        let why = "must be a standard limit type or fully qualified";
        found.push(Error::invalid(path.clone(), kind, why));
    }
    invalid(found, path, kind, problems);
}

fn limit(found: &mut ErrorList, limit: &Tree, path: &Path) {
    let kind = limit.text("type");
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for part in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let at = path.child(part);
        if part == "maxLimitRequestRatio" {
            of_storage(found, limit, path);
        }
        if kind == "Pod" && part.starts_with("default") {
            if limit.entries(part).next().is_some() {
                found.push(Error::forbidden(at, "may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (name, _) in limit.entries(part) {
            names.insert(name);
            match kind {
                "Pod" | "Container" => container_resource(found, name, &at.key(name)),
                _ => {
                    resource_name(found, name, &at.key(name));
                }
            }
        }
    }
    for name in names {
        Amounts::of(limit, name).check(found, name, path);
    }
}

fn of_storage(found: &mut ErrorList, limit: &Tree, path: &Path) {
    let has = |part: &str| limit.at(part).get("storage").is_some();
    if limit.text("type") == "PersistentVolumeClaim" && !has("min") && !has("max") {
        let why = "either minimum or maximum storage value is required, but neither was provided";
        found.push(Error::required(path.child("limits"), why));
    }
}

/// All that a limit says of one resource.
struct Amounts {
    min: Option<Quantity>,
    max: Option<Quantity>,
    default: Option<Quantity>,
    request: Option<Quantity>,
    ratio: Option<Quantity>,
}

impl Amounts {
    fn of(limit: &Tree, name: &str) -> Self {
        let is_pod = limit.text("type") == "Pod";
        let amount = |part: &str| {
            let value = limit.at(part).get(name).filter(|_| !(is_pod && part.starts_with("default")))?;
            Quantity::from_tree(value).ok()
        };
        Self {
            min: amount("min"),
            max: amount("max"),
            default: amount("default"),
            request: amount("defaultRequest"),
            ratio: amount("maxLimitRequestRatio"),
        }
    }

    /// Each of two amounts that are in the wrong order is reported at a place and with a value of upstream's choice.
    fn check(&self, found: &mut ErrorList, name: &str, path: &Path) {
        let Self { min, max, default, request, .. } = self;
        let pairs = [
            (min, max, "min value", "max value", "min", min),
            (min, request, "min value", "default request value", "defaultRequest", request),
            (request, max, "default request value", "max value", "defaultRequest", request),
            (request, default, "default request value", "default limit value", "defaultRequest", request),
            (min, default, "min value", "default value", "default", min),
            (default, max, "default value", "max value", "default", max),
        ];
        for (less, more, less_name, more_name, place, shown) in pairs {
            if let (Some(less), Some(more), Some(shown)) = (less, more, shown)
                && less > more
            {
                let why = format!("{less_name} {less} is greater than {more_name} {more}");
                found.push(Error::invalid(path.child(place).key(name), shown.to_string(), why));
            }
        }
        self.check_ratio(found, &path.child("maxLimitRequestRatio").key(name));
        if let (Some(default), Some(request)) = (default, request)
            && !may_overcommit(name)
            && default != request
        {
            let why =
                format!("default value {default} must equal to defaultRequest value {request} in {name}");
            found.push(Error::invalid(path.child("defaultRequest").key(name), request.to_string(), why));
        }
    }

    fn check_ratio(&self, found: &mut ErrorList, path: &Path) {
        let Some(ratio) = &self.ratio else { return };
        if *ratio < Quantity::new(1, Format::DecimalSi) {
            let why = format!("ratio {ratio} is less than 1");
            found.push(Error::invalid(path.clone(), ratio.to_string(), why));
        }
        let (Some(min), Some(max)) = (&self.min, &self.max) else { return };
        let fine = [ratio, min, max].iter().all(|amount| amount.value() < MAX_MILLI);
        let (asked, most) = match fine {
            true => {
                (ratio.milli_value() as f64 / 1000.0, max.milli_value() as f64 / min.milli_value() as f64)
            }
            false => (ratio.value() as f64, max.value() as f64 / min.value() as f64),
        };
        if asked > most {
            let why = format!("ratio {ratio} is greater than max/min = {most:.6}");
            found.push(Error::invalid(path.clone(), ratio.to_string(), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::assert_problems;

    fn range() -> Value {
        json!({"spec": {"limits": [
            {
                "type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "4"}, "default": {"cpu": "3"},
                "defaultRequest": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "2"},
            },
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}},
        ]}})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            (
                "/spec/limits/1/type",
                json!("Node"),
                vec![
                    "spec.limits[1].type: Invalid value: \"Node\": must be a standard limit type or fully qualified",
                ],
            ),
            ("/spec/limits/3", json!({"type": "Pod"}), vec!["spec.limits[3].type: Duplicate value: \"Pod\""]),
            (
                "/spec/limits/1/max/storage",
                json!("1"),
                vec![
                    "spec.limits[1].max[storage]: Invalid value: \"storage\": must be a standard resource for containers",
                ],
            ),
            (
                "/spec/limits/2/max/disks",
                json!("1"),
                vec![
                    "spec.limits[2].max[disks]: Invalid value: \"disks\": must be a standard resource type or fully qualified",
                ],
            ),
            (
                "/spec/limits/1/default",
                json!({"memory": "1"}),
                vec!["spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'"],
            ),
            (
                "/spec/limits/1/defaultRequest",
                json!({"memory": "1"}),
                vec!["spec.limits[1].defaultRequest: Forbidden: may not be specified when `type` is 'Pod'"],
            ),
            (
                "/spec/limits/2/min",
                json!({}),
                vec![
                    "spec.limits[2].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
                ],
            ),
            (
                "/spec/limits/1/min/memory",
                json!("2Gi"),
                vec![
                    "spec.limits[1].min[memory]: Invalid value: \"2Gi\": min value 2Gi is greater than max value 1Gi",
                ],
            ),
            (
                "/spec/limits/0/defaultRequest/cpu",
                json!("500m"),
                vec![
                    "spec.limits[0].defaultRequest[cpu]: Invalid value: \"500m\": min value 1 is greater than default request value 500m",
                ],
            ),
            (
                "/spec/limits/0/defaultRequest/cpu",
                json!("5"),
                vec![
                    "spec.limits[0].defaultRequest[cpu]: Invalid value: \"5\": default request value 5 is greater than max value 4",
                    "spec.limits[0].defaultRequest[cpu]: Invalid value: \"5\": default request value 5 is greater than default limit value 3",
                ],
            ),
            (
                "/spec/limits/0/default/cpu",
                json!("5"),
                vec![
                    "spec.limits[0].default[cpu]: Invalid value: \"4\": default value 5 is greater than max value 4",
                ],
            ),
            (
                "/spec/limits/0",
                json!({"type": "Container", "min": {"cpu": "2"}, "default": {"cpu": "1"}}),
                vec![
                    "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1",
                ],
            ),
            (
                "/spec/limits/0/maxLimitRequestRatio/cpu",
                json!("500m"),
                vec![
                    "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1",
                ],
            ),
            (
                "/spec/limits/0/maxLimitRequestRatio/cpu",
                json!("5"),
                vec![
                    "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"5\": ratio 5 is greater than max/min = 4.000000",
                ],
            ),
            (
                "/spec/limits/0",
                json!({"type": "Container", "default": {"a.io/gpu": "2"}, "defaultRequest": {"a.io/gpu": "1"}}),
                vec![
                    "spec.limits[0].defaultRequest[a.io/gpu]: Invalid value: \"1\": default value 2 must equal to defaultRequest value 1 in a.io/gpu",
                ],
            ),
        ];
        assert_problems(&range(), check, cases);
    }
}
