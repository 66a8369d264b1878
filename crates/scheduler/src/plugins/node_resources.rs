//! NodeResourcesFit and NodeResourcesBalancedAllocation: whether there is room, and where it is best used.

use crate::framework::{ClusterEvent, MAX_SCORE, Plugin, Reasons};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub(super) struct Fit;

impl Plugin for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Reasons> {
        let (asked, used, offered) = (&pod.requests, &node.requested, &node.allocatable);
        let mut reasons = Vec::new();
        if node.pod_count() as i64 + 1 > node.allowed_pods {
            reasons.push("Too many pods".to_owned());
        }
        let amounts = [
            ("cpu", asked.milli_cpu, used.milli_cpu, offered.milli_cpu),
            ("memory", asked.memory, used.memory, offered.memory),
            ("ephemeral-storage", asked.ephemeral_storage, used.ephemeral_storage, offered.ephemeral_storage),
        ];
        for (name, asked, used, offered) in amounts {
            if asked > 0 && asked > offered - used {
                reasons.push(format!("Insufficient {name}"));
            }
        }
        for (name, asked) in asked.scalar.iter().filter(|(_, asked)| **asked > 0) {
            let amount = |of: &crate::resources::Resources| of.scalar.get(name).copied().unwrap_or(0);
            if *asked > amount(offered) - amount(used) {
                reasons.push(format!("Insufficient {name}"));
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// LeastAllocated over CPU and memory: the share that stays free, averaged.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, _all: &[NodeInfo]) -> Option<i64> {
        let (asked, used, offered) = (&pod.scoring_requests, &node.scoring_requested, &node.allocatable);
        let pairs = [
            (asked.milli_cpu + used.milli_cpu, offered.milli_cpu),
            (asked.memory + used.memory, offered.memory),
        ];
        let shares: Vec<i64> = pairs
            .into_iter()
            .filter(|(_, offered)| *offered > 0)
            .map(|(used, offered)| if used > offered { 0 } else { (offered - used) * MAX_SCORE / offered })
            .collect();
        Some(if shares.is_empty() { 0 } else { shares.iter().sum::<i64>() / shares.len() as i64 })
    }

    fn helped_by(&self, _event: ClusterEvent) -> bool {
        true
    }
}

pub(super) struct BalancedAllocation;

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    /// Favours nodes whose CPU and memory use grow alike: 75 if the pod does not change the balance, more if it
    /// betters it, less if it worsens it. Pods that request nothing cannot change it.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, _all: &[NodeInfo]) -> Option<i64> {
        let asked = &pod.requests;
        if asked.milli_cpu == 0 && asked.memory == 0 {
            return None;
        }
        let (used, offered) = (&node.requested, &node.allocatable);
        let without = balance([(used.milli_cpu, offered.milli_cpu), (used.memory, offered.memory)]);
        let with = balance([
            (used.milli_cpu + asked.milli_cpu, offered.milli_cpu),
            (used.memory + asked.memory, offered.memory),
        ]);
        Some(MAX_SCORE / 2 + (MAX_SCORE / 2 + with - without) / 2)
    }
}

/// 100 if both are used to the same share, down to 50 if one is full and the other empty.
fn balance(pairs: [(i64, i64); 2]) -> i64 {
    let [cpu, memory] =
        pairs.map(|(used, offered)| if offered <= 0 { 0.0 } else { (used as f64 / offered as f64).min(1.0) });
    ((1.0 - (cpu - memory).abs() / 2.0) * MAX_SCORE as f64) as i64
}
