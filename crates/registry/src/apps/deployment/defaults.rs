//! Defaults of deployments.

use steersman_apimachinery::Tree;

use crate::core::podspec::defaults::template;
use crate::tree::{Read, Write};

/// Completes a deployment.
pub(super) fn deployment(tree: &mut Tree) {
    template(tree);
    let Some(spec) = tree.object_mut("spec") else { return };
    spec.default_value("replicas", 1);
    spec.default_value("revisionHistoryLimit", 10);
    spec.default_value("progressDeadlineSeconds", 600);
    let Some(strategy) = spec.object_mut("strategy") else { return };
    strategy.default_text("type", "RollingUpdate");
    if strategy.text("type") != "RollingUpdate" {
        return;
    }
    if let Some(rolling) = strategy.object_mut("rollingUpdate") {
        rolling.default_value("maxUnavailable", "25%");
        rolling.default_value("maxSurge", "25%");
    }
}
