//! Defaults of cron jobs. Their jobs get theirs when they are made.

use steersman_apimachinery::Tree;

use crate::batch::job::pod_failure_policy_defaults;
use crate::core::podspec::defaults::template_of;
use crate::tree::Write;

/// Completes a cron job.
pub(super) fn cron_job(tree: &mut Tree) {
    let Some(spec) = tree.object_mut("spec") else { return };
    spec.default_text("concurrencyPolicy", "Allow");
    spec.default_value("suspend", false);
    spec.default_value("successfulJobsHistoryLimit", 3);
    spec.default_value("failedJobsHistoryLimit", 1);
    let Some(job) = spec.object_mut("jobTemplate") else { return };
    job.object_mut("metadata");
    if let Some(spec) = job.object_mut("spec") {
        template_of(spec);
        pod_failure_policy_defaults(spec);
    }
}
