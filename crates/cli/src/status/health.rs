//! What is wrong with an object, in the words that the cluster has for it.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use k8s_openapi::api::core::v1::{ContainerStatus, Node, NodeCondition, Pod, PodCondition, PodStatus};

/// A reason (one word) and what there is to say about it; either may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub reason: String,
    pub message: String,
}

impl Trouble {
    fn new(reason: Option<&str>, message: Option<&str>) -> Self {
        Self {
            reason: reason.unwrap_or_default().to_owned(),
            message: message.unwrap_or_default().to_owned(),
        }
    }
}

/// A condition, whatever it is a condition of.
trait Condition {
    fn kind(&self) -> &str;
    fn status(&self) -> &str;
    fn trouble(&self) -> Trouble;
}

impl Condition for NodeCondition {
    fn kind(&self) -> &str {
        &self.type_
    }

    fn status(&self) -> &str {
        &self.status
    }

    fn trouble(&self) -> Trouble {
        Trouble::new(self.reason.as_deref(), self.message.as_deref())
    }
}

impl Condition for PodCondition {
    fn kind(&self) -> &str {
        &self.type_
    }

    fn status(&self) -> &str {
        &self.status
    }

    fn trouble(&self) -> Trouble {
        Trouble::new(self.reason.as_deref(), self.message.as_deref())
    }
}

impl Condition for DeploymentCondition {
    fn kind(&self) -> &str {
        self.type_.as_deref().unwrap_or_default()
    }

    fn status(&self) -> &str {
        self.status.as_deref().unwrap_or_default()
    }

    fn trouble(&self) -> Trouble {
        Trouble::new(self.reason.as_deref(), self.message.as_deref())
    }
}

fn condition<'a, C: Condition>(conditions: Option<&'a Vec<C>>, kind: &str) -> Option<&'a C> {
    conditions.into_iter().flatten().find(|condition| condition.kind() == kind)
}

/// The trouble of a condition that should be true, and is there but is not.
fn unless_true<C: Condition>(conditions: Option<&Vec<C>>, kind: &str) -> Option<Trouble> {
    condition(conditions, kind).filter(|condition| condition.status() != "True").map(Condition::trouble)
}

/// The trouble of a condition that should not be true.
fn if_true<C: Condition>(conditions: Option<&Vec<C>>, kind: &str) -> Option<Trouble> {
    condition(conditions, kind).filter(|condition| condition.status() == "True").map(Condition::trouble)
}

/// What keeps a node from being ready, or presses on it.
pub(super) fn node(node: &Node) -> Option<Trouble> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    if condition(conditions, "Ready").is_none() {
        return Some(Trouble::new(Some("NodeStatusUnknown"), Some("the kubelet has not reported yet")));
    }
    let pressures = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];
    unless_true(conditions, "Ready")
        .or_else(|| pressures.iter().find_map(|pressure| if_true(conditions, pressure)))
}

/// Whether a node is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    condition(conditions, "Ready").is_some_and(|ready| ready.status() == "True")
}

/// What keeps a Deployment from its replicas.
pub(super) fn deployment(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    if_true(conditions, "ReplicaFailure")
        .or_else(|| unless_true(conditions, "Progressing"))
        .or_else(|| unless_true(conditions, "Available"))
}

/// What keeps a pod from running well. What is done, or is being deleted, is no trouble.
pub(super) fn pod(pod: &Pod) -> Option<Trouble> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let Some(status) = &pod.status else {
        return Some(Trouble::new(Some("Pending"), None));
    };
    match status.phase.as_deref() {
        Some("Succeeded") => None,
        Some("Failed") => Some(failure(status)),
        phase => {
            let conditions = status.conditions.as_ref();
            unless_true(conditions, "PodScheduled")
                .or_else(|| containers(status).find_map(waiting))
                .or_else(|| unless_true(conditions, "Ready"))
                .or_else(|| (phase != Some("Running")).then(|| Trouble::new(phase.or(Some("Pending")), None)))
        }
    }
}

fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let lists = [&status.init_container_statuses, &status.container_statuses];
    lists.into_iter().flatten().flatten()
}

/// What a container waits for; one that merely waits for its turn says nothing.
fn waiting(container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| *reason != "PodInitializing")?;
    let message = match waiting.message.as_deref() {
        Some(message) if !message.is_empty() => format!("container {}: {message}", container.name),
        _ => format!("container {}", container.name),
    };
    Some(Trouble::new(Some(reason), Some(&message)))
}

/// Why a pod failed: its own reason, or that of the first container that ended badly.
fn failure(status: &PodStatus) -> Trouble {
    if status.reason.is_some() || status.message.is_some() {
        return Trouble::new(status.reason.as_deref().or(Some("Failed")), status.message.as_deref());
    }
    let ended = containers(status).find_map(|container| {
        let terminated = container.state.as_ref()?.terminated.as_ref()?;
        (terminated.exit_code != 0).then(|| {
            let message =
                format!("container {} ended with exit code {}", container.name, terminated.exit_code);
            Trouble::new(terminated.reason.as_deref().or(Some("Error")), Some(&message))
        })
    });
    ended.unwrap_or_else(|| Trouble::new(Some("Failed"), None))
}
