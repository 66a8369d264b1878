//! The decision: which node for a pod.

use crate::framework::{FitError, MAX_SCORE};
use crate::node_info::NodeInfo;
use crate::plugins::Profile;
use crate::pod_info::PodInfo;

/// Chooses the best of all nodes that can take `pod`; `turn` decides between equals, so that they take turns.
pub fn schedule<'a>(
    profile: &Profile,
    pod: &PodInfo,
    nodes: &'a [NodeInfo],
    turn: usize,
) -> Result<&'a NodeInfo, FitError> {
    let feasible = feasible(profile, pod, nodes)?;
    if let [only] = feasible.as_slice() {
        return Ok(only);
    }
    let totals = total_scores(profile, pod, &feasible, nodes);
    let best = totals.iter().copied().max().unwrap_or(0);
    let winners: Vec<&NodeInfo> =
        feasible.iter().zip(&totals).filter(|(_, score)| **score == best).map(|(node, _)| *node).collect();
    Ok(winners[turn % winners.len()])
}

/// The nodes that every filter lets pass, or why there is none. Each node counts with the first filter that turns it
/// away, as upstream counts.
fn feasible<'a>(
    profile: &Profile,
    pod: &PodInfo,
    nodes: &'a [NodeInfo],
) -> Result<Vec<&'a NodeInfo>, FitError> {
    let mut error = FitError::default();
    let mut passed = Vec::new();
    for node in nodes.iter().filter(|node| node.node.is_some()) {
        error.nodes += 1;
        let refusal = profile
            .plugins()
            .find_map(|plugin| plugin.filter(pod, node).err().map(|reasons| (plugin.name(), reasons)));
        match refusal {
            None => passed.push(node),
            Some((plugin, reasons)) => error.add(plugin, reasons),
        }
    }
    if passed.is_empty() { Err(error) } else { Ok(passed) }
}

/// The weighted sum of all plugins' normalized scores, node by node.
fn total_scores(profile: &Profile, pod: &PodInfo, feasible: &[&NodeInfo], all: &[NodeInfo]) -> Vec<i64> {
    let mut totals = vec![0; feasible.len()];
    for (plugin, weight) in profile.scorers() {
        let Some(mut scores) =
            feasible.iter().map(|node| plugin.score(pod, node, all)).collect::<Option<Vec<i64>>>()
        else {
            continue;
        };
        plugin.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += weight * score.clamp(0, MAX_SCORE);
        }
    }
    totals
}

#[cfg(test)]
mod tests;
