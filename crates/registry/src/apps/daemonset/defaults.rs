//! Defaults of daemon sets.

use steersman_apimachinery::Tree;

use crate::core::podspec::defaults::template;
use crate::tree::{Read, Write};

/// Completes a daemon set.
pub(super) fn daemon_set(tree: &mut Tree) {
    template(tree);
    let Some(spec) = tree.object_mut("spec") else { return };
    spec.default_value("revisionHistoryLimit", 10);
    let Some(strategy) = spec.object_mut("updateStrategy") else { return };
    strategy.default_text("type", "RollingUpdate");
    if strategy.text("type") == "RollingUpdate"
        && let Some(rolling) = strategy.object_mut("rollingUpdate")
    {
        rolling.default_value("maxUnavailable", 1);
        rolling.default_value("maxSurge", 0);
    }
}
