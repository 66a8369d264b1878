//! Device taint rules.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::time;

use super::GROUP;
use super::checks::{pool_name, taint};
use crate::checks::{driver_name, label};
use crate::conditions::conditions;
use crate::print::{self, since};
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{count_generation, differs, keep_apart, keep_metadata_for_status, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "DeviceTaintRule",
    plural: "devicetaintrules",
    singular: "devicetaintrule",
    scope: Scope::Cluster,
    subresources: &[table::part("status", "resource.k8s.io", "DeviceTaintRule", Verb::READ_WRITE)],
    definition: "io.k8s.api.resource.v1.DeviceTaintRule",
    storage: "devicetaintrules",
    strategy: &DeviceTaintRule,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Key", 0, "Key of the taint.", |rule, _| rule.text("spec.taint.key").into()),
    print::text("Value", 0, "Value of the taint.", |rule, _| rule.text("spec.taint.value").into()),
    print::text("Effect", 0, "What the taint does.", |rule, _| rule.text("spec.taint.effect").into()),
    print::text("TimeAdded", 0, "Time since the taint does it.", |rule, now| {
        match rule.text("spec.taint.timeAdded") {
            "" => "".into(),
            stamp => since(stamp, now).into(),
        }
    }),
    print::AGE,
];

const MAX_CONDITIONS: usize = 8;
const TIME: &str = "timeAdded";

struct DeviceTaintRule;

impl Strategy for DeviceTaintRule {
    fn prepare_for_create(&self, tree: &mut Tree, context: &Context) {
        tree.set("status", json!({}));
        set_generation(tree, 1);
        note_time(tree, &Tree::Null, context);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if keep_apart(new, old, context) {
            keep_metadata_for_status(new, old);
            return;
        }
        note_time(new, old, context);
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        check(tree, None)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => status(new),
            _ => check(new, Some(old.at("spec.taint"))),
        }
    }
}

/// The time of a taint is when it began to do what it does: it is set if it was left out, or if the effect changed and
/// the time did not.
fn note_time(rule: &mut Tree, old: &Tree, context: &Context) {
    let effect_changed = old.is_object() && differs(rule, old, "spec.taint.effect");
    let stale = effect_changed && !differs(rule, old, "spec.taint.timeAdded");
    let taint = rule.object_mut("spec").and_then(|spec| spec.object_mut("taint"));
    if let Some(taint) = taint
        && (stale || !taint.has(TIME))
    {
        taint.set(TIME, time::format(context.now));
    }
}

fn check(rule: &Tree, old_taint: Option<&Tree>) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (rule.at("spec"), Path::new("spec"));
    let at = path.child("deviceSelector");
    let chosen = |field: &str| spec.at("deviceSelector").at(field).as_str();
    if let Some(driver) = chosen("driver") {
        driver_name(&mut found, &at.child("driver"), driver, Error::too_long);
    }
    if let Some(pool) = chosen("pool") {
        pool_name(&mut found, pool, &at.child("pool"));
    }
    if let Some(device) = chosen("device") {
        label(&mut found, &at.child("device"), device);
    }
    taint(&mut found, spec.at("taint"), old_taint, &path.child("taint"));
    found
}

fn status(rule: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (list, path) = (rule.items("status.conditions"), Path::new("status").child("conditions"));
    conditions(&mut found, list, &path);
    if list.len() > MAX_CONDITIONS {
        found.push(Error::too_many(path, list.len(), MAX_CONDITIONS));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::{assert_problems, texts};
    use crate::print::tests::row;

    fn rule() -> Value {
        json!({
            "metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "deviceSelector": {"driver": "d", "pool": "p", "device": "gpu-0"},
                "taint": {"key": "broken", "value": "yes", "effect": "NoSchedule"},
            },
        })
    }

    fn context(now: &str) -> Context {
        Context { now: now.parse().expect("a time"), ..Context::default() }
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            ("/spec/deviceSelector/driver", json!(""), vec!["spec.deviceSelector.driver: Required value"]),
            ("/spec/deviceSelector/pool", json!(""), vec!["spec.deviceSelector.pool: Required value"]),
            (
                "/spec/deviceSelector/device",
                json!("a.b"),
                vec!["spec.deviceSelector.device: Invalid value: \"a.b\": must not contain dots"],
            ),
            ("/spec/taint/effect", json!(""), vec!["spec.taint.effect: Required value"]),
        ];
        assert_problems(&rule(), |rule| DeviceTaintRule.validate(rule, &Context::default()), cases);
        let many: Vec<Value> = (0..9)
            .map(|n| json!({"type": format!("T{n}"), "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}))
            .collect();
        let got = texts(&status(&json!({"status": {"conditions": many}})));
        assert_eq!(got, ["status.conditions: Too many: 9: must have at most 8 items"]);
        let mut odd = rule();
        odd["spec"]["taint"]["effect"] = json!("Odd");
        let kept = DeviceTaintRule.validate_update(&odd, &odd, &Context::default());
        assert!(kept.is_empty(), "an effect that was there stays");
    }

    #[test]
    fn the_time_is_that_of_the_effect() {
        let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let mut old = rule();
        DeviceTaintRule.prepare_for_create(&mut old, &context(first));
        assert_eq!(row(COLUMNS, &old, "2026-01-01T00:00:10Z"), "r|broken|yes|NoSchedule|10s|10s");
        let update = |change: fn(&mut Value)| {
            let mut new = old.clone();
            change(&mut new["spec"]["taint"]);
            DeviceTaintRule.prepare_for_update(&mut new, &old, &context(second));
            (new["spec"]["taint"]["timeAdded"].clone(), new["metadata"]["generation"].clone())
        };
        assert_eq!(update(|_| {}), (json!(first), json!(1)));
        assert_eq!(update(|taint| taint["value"] = json!("no")), (json!(first), json!(2)));
        assert_eq!(update(|taint| taint["effect"] = json!("NoExecute")), (json!(second), json!(2)));
        let said = |taint: &mut Value| {
            taint["effect"] = json!("None");
            taint["timeAdded"] = json!("2025-01-01T00:00:00Z");
        };
        assert_eq!(update(said).0, json!("2025-01-01T00:00:00Z"));
    }
}
