//! What is warned of in the specs of jobs.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::Path;

use super::is_indexed;
use crate::core::podspec::warnings::pod_spec;
use crate::tree::Read;

const MANY_COMPLETIONS: i64 = 100_000;
const MANY_AT_ONCE: i64 = 10_000;

/// Warnings of a job's spec at `path`.
pub(in crate::batch) fn job_spec(spec: &Tree, path: &Path) -> Vec<String> {
    let more = |field: &str, limit: i64| spec.int(field).unwrap_or(0) > limit;
    let mut found = Vec::new();
    if is_indexed(spec) && more("completions", MANY_COMPLETIONS) && more("parallelism", MANY_AT_ONCE) {
        found.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    found.extend(pod_spec(spec.at("template.spec"), &path.child("template").child("spec")));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn very_large_jobs_are_warned_of() {
        let spec = json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001});
        let found = job_spec(&spec, &Path::new("spec"));
        assert!(
            found[0].starts_with("spec: In Indexed Jobs with a number of completions higher"),
            "{found:?}"
        );
        let spec = json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_000});
        assert!(job_spec(&spec, &Path::new("spec")).is_empty());
    }
}
