//! Defaults of autoscalers.

use serde_json::json;
use steersman_apimachinery::Tree;

use crate::tree::{Read, Write};

/// The share of the requested CPU at which pods are kept, in percent.
const CPU_UTILIZATION: i64 = 80;

/// Completes a `v1` autoscaler; the metric comes with the conversion.
pub(super) fn v1(tree: &mut Tree) {
    if let Some(spec) = tree.object_mut("spec") {
        spec.default_value("minReplicas", 1);
    }
}

/// Completes a `v2` autoscaler.
pub(super) fn v2(tree: &mut Tree) {
    let Some(spec) = tree.object_mut("spec") else { return };
    spec.default_value("minReplicas", 1);
    if spec.items("metrics").is_empty() {
        spec.set("metrics", json!([cpu_metric(CPU_UTILIZATION)]));
    }
    let Some(behavior) = spec.part_mut("behavior") else { return };
    let up = json!([
        {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]);
    let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
    // How long to wait before scaling down is a setting of the controller.
    for (direction, window, policies) in [("scaleUp", Some(0), up), ("scaleDown", None, down)] {
        let Some(rules) = behavior.object_mut(direction) else { continue };
        rules.default_value("selectPolicy", "Max");
        rules.default_value("policies", policies);
        if let Some(seconds) = window {
            rules.default_value("stabilizationWindowSeconds", seconds);
        }
    }
}

/// The metric of an autoscaler that names none.
pub(super) fn default_metric() -> Tree {
    cpu_metric(CPU_UTILIZATION)
}

/// Use of CPU, in percent of what is requested.
pub(super) fn cpu_metric(percent: i64) -> Tree {
    json!({"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviour_is_completed_only_if_there_is_some() {
        let mut plain = json!({"spec": {}});
        v2(&mut plain);
        assert_eq!(plain["spec"], json!({"minReplicas": 1, "metrics": [cpu_metric(80)]}));

        let mut tree =
            json!({"spec": {"behavior": {"scaleDown": {"selectPolicy": "Disabled", "tolerance": "0.1"}}}});
        v2(&mut tree);
        let want = json!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"selectPolicy": "Disabled", "tolerance": "0.1", "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 15}]},
        });
        assert_eq!(tree["spec"]["behavior"], want);
    }
}
