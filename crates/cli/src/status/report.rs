//! Puts the state of a cluster into words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::ClusterState;
use super::health::{self, Trouble};

/// The phases of a pod, in the order of its life.
const PHASES: [&str; 5] = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];
/// What is shown of a message at most, in characters; `kubectl describe` has the whole.
const MOST_MESSAGE: usize = 200;

/// The report: version, nodes, pods by namespace and phase, then everything that is not well with its reason.
pub fn report(state: &ClusterState) -> String {
    let sections =
        [format!("Kubernetes {}\n", state.version), nodes(&state.nodes), pods(&state.pods), troubles(state)];
    sections.join("\n")
}

fn nodes(nodes: &[Node]) -> String {
    if nodes.is_empty() {
        return "No nodes.\n".to_owned();
    }
    let mut rows = vec![["NODE", "STATUS", "VERSION"].map(str::to_owned).to_vec()];
    for node in nodes {
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let version = info.map_or("", |info| info.kubelet_version.as_str());
        rows.push(vec![name(&node.metadata), node_status(node), version.to_owned()]);
    }
    rows[1..].sort();
    table(&rows)
}

fn node_status(node: &Node) -> String {
    let ready = if health::is_ready(node) { "Ready" } else { "NotReady" };
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    if cordoned { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn pods(pods: &[Pod]) -> String {
    if pods.is_empty() {
        return "No pods.\n".to_owned();
    }
    let mut counts: BTreeMap<String, [usize; PHASES.len()]> = BTreeMap::new();
    for pod in pods {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
        let column = PHASES.iter().position(|known| *known == phase).unwrap_or(PHASES.len() - 1);
        counts.entry(pod.metadata.namespace.clone().unwrap_or_default()).or_default()[column] += 1;
    }
    let headings = PHASES.iter().map(|phase| phase.to_uppercase());
    let mut rows: Vec<Vec<String>> = vec![std::iter::once("NAMESPACE".to_owned()).chain(headings).collect()];
    for (namespace, counts) in counts {
        let counts = counts.iter().map(ToString::to_string);
        rows.push(std::iter::once(namespace).chain(counts).collect());
    }
    table(&rows)
}

fn troubles(state: &ClusterState) -> String {
    let nodes =
        state.nodes.iter().filter_map(|node| Some(line("node", &node.metadata, &health::node(node)?)));
    let deployments = state.deployments.iter().filter_map(|deployment| {
        Some(line("deployment", &deployment.metadata, &health::deployment(deployment)?))
    });
    let pods = state.pods.iter().filter_map(|pod| Some(line("pod", &pod.metadata, &health::pod(pod)?)));
    let mut lines: Vec<Vec<String>> = vec![nodes.collect(), deployments.collect(), pods.collect()];
    lines.iter_mut().for_each(|kind| kind.sort());
    if state.nodes.is_empty() {
        lines.push(vec!["  cluster: no node has joined, so no pod can run\n".to_owned()]);
    }
    match lines.concat() {
        lines if lines.is_empty() => "Everything is healthy.\n".to_owned(),
        lines => format!("Not healthy:\n{}", lines.concat()),
    }
}

fn line(kind: &str, metadata: &ObjectMeta, trouble: &Trouble) -> String {
    let mut line = format!("  {kind} ");
    if let Some(namespace) = &metadata.namespace {
        let _ = write!(line, "{namespace}/"); // writing to a String cannot fail
    }
    line.push_str(&name(metadata));
    for part in [&trouble.reason, &shortened(&trouble.message)] {
        if !part.is_empty() {
            line.push_str(": ");
            line.push_str(part);
        }
    }
    line.push('\n');
    line
}

/// On one line, and not too long.
fn shortened(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match message.char_indices().nth(MOST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// Columns as wide as their widest cell and three blanks, as kubectl has them.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("   ").trim_end());
        text.push('\n');
    }
    text
}
