//! What a plugin is. Names, extension points and weights are upstream's scheduling framework's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// The best score a plugin gives a node.
pub const MAX_SCORE: i64 = 100;

/// Why a node cannot take a pod; the texts are upstream's, since people read and tools match them.
pub type Reasons = Vec<String>;

/// A change in the cluster that may let a pod be scheduled that could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterEvent {
    /// A node came, or became schedulable, or its labels, taints or resources changed.
    NodeChanged,
    /// An assigned pod ended or is gone, or requests less.
    PodFreed,
}

/// A scheduling plugin. All methods are pure.
pub trait Plugin: Send + Sync {
    /// Its upstream name.
    fn name(&self) -> &'static str;

    /// Whether the pod may enter the queue at all (PreEnqueue). The reason if not.
    fn pre_enqueue(&self, _pod: &PodInfo) -> Result<(), String> {
        Ok(())
    }

    /// Whether the node can take the pod; the reasons if not.
    fn filter(&self, _pod: &PodInfo, _node: &NodeInfo) -> Result<(), Reasons> {
        Ok(())
    }

    /// How good the node is for the pod; `None` if the plugin has no opinion on this pod.
    fn score(&self, _pod: &PodInfo, _node: &NodeInfo, _all: &[NodeInfo]) -> Option<i64> {
        None
    }

    /// Brings the scores of all nodes into `0..=MAX_SCORE`.
    fn normalize(&self, _scores: &mut [i64]) {}

    /// Whether a pod that this plugin turned away should be tried again after `event`.
    fn helped_by(&self, _event: ClusterEvent) -> bool {
        false
    }
}

/// Scales scores so that the highest becomes [`MAX_SCORE`]; `reverse` if a high raw score is bad.
pub fn default_normalize(scores: &mut [i64], reverse: bool) {
    let most = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if most == 0 { 0 } else { MAX_SCORE * *score / most };
        *score = if reverse { MAX_SCORE - scaled } else { scaled };
    }
}

/// The pod fits no node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FitError {
    /// How many nodes there are.
    pub nodes: usize,
    /// On how many nodes each reason was met.
    pub reasons: BTreeMap<String, usize>,
    /// The plugins that turned it away.
    pub plugins: BTreeSet<&'static str>,
}

impl FitError {
    /// Counts the reasons of one node.
    pub fn add(&mut self, plugin: &'static str, reasons: Reasons) {
        self.plugins.insert(plugin);
        for reason in reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available:", self.nodes)?;
        let mut texts: Vec<String> =
            self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        texts.sort();
        if !texts.is_empty() {
            write!(f, " {}.", texts.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for FitError {}
