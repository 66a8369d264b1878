//! Defaults of stateful sets.

use steersman_apimachinery::Tree;

use crate::core::claimspec;
use crate::core::podspec::defaults::template;
use crate::tree::{Read, Write};

/// Completes a stateful set.
pub(super) fn stateful_set(tree: &mut Tree) {
    template(tree);
    let Some(spec) = tree.object_mut("spec") else { return };
    spec.default_value("serviceName", "");
    spec.default_text("podManagementPolicy", "OrderedReady");
    spec.default_value("replicas", 1);
    spec.default_value("revisionHistoryLimit", 10);
    if let Some(strategy) = spec.object_mut("updateStrategy") {
        update_strategy(strategy);
    }
    if let Some(policy) = spec.object_mut("persistentVolumeClaimRetentionPolicy") {
        policy.default_text("whenDeleted", "Retain");
        policy.default_text("whenScaled", "Retain");
    }
    if let Some(ordinals) = spec.part_mut("ordinals") {
        ordinals.default_value("start", 0);
    }
    spec.items_mut("volumeClaimTemplates").iter_mut().for_each(claim);
}

fn update_strategy(strategy: &mut Tree) {
    if strategy.text("type").is_empty() {
        strategy.default_text("type", "RollingUpdate");
        strategy.object_mut("rollingUpdate");
    }
    if strategy.text("type") == "RollingUpdate"
        && let Some(rolling) = strategy.part_mut("rollingUpdate")
    {
        rolling.default_value("partition", 0);
    }
}

/// A template of a claim says its kind, whatever the user wrote.
fn claim(claim: &mut Tree) {
    claim.set("apiVersion", "v1");
    claim.set("kind", "PersistentVolumeClaim");
    claim.object_mut("metadata");
    if let Some(spec) = claim.object_mut("spec") {
        claimspec::defaults(spec);
    }
    if let Some(status) = claim.object_mut("status") {
        status.default_text("phase", "Pending");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_strategy_is_completed() {
        let cases = [
            (json!({}), json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})),
            (json!({"type": "RollingUpdate"}), json!({"type": "RollingUpdate"})),
            (
                json!({"type": "RollingUpdate", "rollingUpdate": {}}),
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            ),
            (json!({"type": "OnDelete"}), json!({"type": "OnDelete"})),
        ];
        for (mut strategy, want) in cases {
            update_strategy(&mut strategy);
            assert_eq!(strategy, want);
        }
    }

    #[test]
    fn claims_say_what_they_are() {
        let mut set = json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}});
        stateful_set(&mut set);
        let want = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"volumeMode": "Filesystem", "resources": {}}, "status": {"phase": "Pending"},
        });
        assert_eq!(set["spec"]["volumeClaimTemplates"][0], want);
        let retention = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
        assert_eq!(set["spec"]["persistentVolumeClaimRetentionPolicy"], retention);
    }
}
