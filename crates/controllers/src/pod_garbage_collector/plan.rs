//! Which pods are too many, and which nodes are given up. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::nodes::{has_taint, is_ready};
use crate::pods::created;

/// The ended pods beyond `threshold`, oldest first; none when the threshold is zero.
pub(super) fn surplus(mut ended: Vec<Arc<Pod>>, threshold: usize) -> Vec<Arc<Pod>> {
    if threshold == 0 || ended.len() <= threshold {
        return Vec::new();
    }
    ended.sort_by_key(|pod| (created(pod), pod.metadata.name.clone()));
    ended.truncate(ended.len() - threshold);
    ended
}

/// A person has declared the node dead, and it does not contradict.
pub(super) fn is_out_of_service(node: &Node) -> bool {
    has_taint(node, "node.kubernetes.io/out-of-service") && !is_ready(node)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_oldest_are_too_many() {
        let pod = |day: u8| -> Arc<Pod> {
            let created = format!("2026-01-0{day}T00:00:00Z");
            let meta = json!({"name": day.to_string(), "creationTimestamp": created});
            Arc::new(serde_json::from_value(json!({"metadata": meta})).expect("a pod"))
        };
        let ended = vec![pod(3), pod(1), pod(2)];
        assert!(surplus(ended.clone(), 3).is_empty());
        assert!(surplus(ended.clone(), 0).is_empty(), "zero means no limit");
        let names: Vec<_> = surplus(ended, 1).iter().filter_map(|pod| pod.metadata.name.clone()).collect();
        assert_eq!(names, ["1", "2"]);
    }
}
