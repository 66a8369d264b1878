//! What the node object says of the node. Pure, after [`observe`] has looked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures,
    NodeRuntimeHandler, NodeRuntimeHandlerFeatures, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steersman_cri as cri;

use super::machine::{Pressure, architecture};
use crate::shared::Shared;
use crate::status::whole_second;

/// Images the status lists at most, the largest first.
const MAX_IMAGES: usize = 50;
/// Names of one image the status lists at most.
const MAX_IMAGE_NAMES: usize = 5;

/// What was seen just now.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    runtime: Option<cri::StatusResponse>,
    runtime_error: String,
    images: Vec<cri::Image>,
    pressure: Pressure,
}

/// Looks at the runtime and the machine.
pub async fn observe(shared: &Shared) -> Observed {
    let (runtime, runtime_error) = match shared.runtime.status().await {
        Ok(status) => (Some(status), String::new()),
        Err(status) => (None, crate::text::rpc_error(&status)),
    };
    let images = shared.runtime.list_images().await.unwrap_or_default();
    Observed { runtime, runtime_error, images, pressure: Pressure::look(&shared.config.root_dir) }
}

/// Labels of a node of this machine.
pub fn labels(shared: &Shared) -> BTreeMap<String, String> {
    let arch = architecture();
    let mut labels: BTreeMap<String, String> = [
        ("kubernetes.io/hostname", shared.config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", arch),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    labels.extend(shared.config.labels.clone());
    labels
}

/// Annotations of a node that a kubelet registers.
pub fn annotations() -> BTreeMap<String, String> {
    [("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned())].into()
}

/// The status of the node.
pub fn node_status(shared: &Shared, observed: &Observed, old: &NodeStatus, now: Timestamp) -> NodeStatus {
    let machine = &shared.machine;
    let internal = |ip: &String| NodeAddress { type_: "InternalIP".to_owned(), address: ip.clone() };
    let mut addresses: Vec<NodeAddress> = shared.config.node_ips.iter().map(internal).collect();
    addresses.push(NodeAddress { type_: "Hostname".to_owned(), address: shared.config.node_name.clone() });
    let runtime = observed.runtime.clone().unwrap_or_default();
    NodeStatus {
        addresses: Some(addresses),
        capacity: Some(machine.capacity.clone()),
        allocatable: Some(machine.allocatable.clone()),
        conditions: Some(conditions(observed, old, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(shared.config.listen.port()) }),
        }),
        features: runtime.features.as_ref().map(|features| NodeFeatures {
            supplemental_groups_policy: Some(features.supplemental_groups_policy),
        }),
        images: Some(images(&observed.images)),
        node_info: Some(NodeSystemInfo {
            architecture: architecture().to_owned(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: format!("{}://{}", shared.runtime.name, shared.runtime.version),
            kernel_version: machine.kernel.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: crate::VERSION.to_owned(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.system_uuid.clone(),
            ..NodeSystemInfo::default()
        }),
        runtime_handlers: handlers(&runtime.runtime_handlers),
        ..old.clone()
    }
}

fn handlers(handlers: &[cri::RuntimeHandler]) -> Option<Vec<NodeRuntimeHandler>> {
    let read = |handler: &cri::RuntimeHandler| NodeRuntimeHandler {
        name: Some(handler.name.clone()),
        features: handler.features.as_ref().map(|features| NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(features.recursive_read_only_mounts),
            user_namespaces: Some(features.user_namespaces),
        }),
    };
    (!handlers.is_empty()).then(|| handlers.iter().map(read).collect())
}

fn images(images: &[cri::Image]) -> Vec<ContainerImage> {
    let mut images: Vec<&cri::Image> = images.iter().collect();
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let read = |image: &&cri::Image| ContainerImage {
        names: Some(
            image.repo_digests.iter().chain(&image.repo_tags).take(MAX_IMAGE_NAMES).cloned().collect(),
        ),
        size_bytes: i64::try_from(image.size).ok(),
    };
    images.iter().take(MAX_IMAGES).map(read).collect()
}

fn conditions(observed: &Observed, old: &NodeStatus, now: Timestamp) -> Vec<NodeCondition> {
    let pressure = &observed.pressure;
    let (ready, message) = readiness(observed);
    let rows = [
        row("MemoryPressure", pressure.memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"),
        row("DiskPressure", pressure.disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure"),
        row("PIDPressure", pressure.pids, "KubeletHasInsufficientPID", "KubeletHasSufficientPID"),
        ("Ready", ready, if ready { "KubeletReady" } else { "KubeletNotReady" }, message),
    ];
    rows.into_iter()
        .map(|(kind, status, reason, message)| {
            let status = if status { "True" } else { "False" };
            let before =
                old.conditions.iter().flatten().find(|old| old.type_ == kind && old.status == status);
            let since = before.and_then(|old| old.last_transition_time.clone());
            NodeCondition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message),
                last_heartbeat_time: Some(Time(whole_second(now))),
                last_transition_time: Some(since.unwrap_or_else(|| Time(whole_second(now)))),
            }
        })
        .collect()
}

fn row(
    kind: &'static str,
    pressed: bool,
    bad: &'static str,
    good: &'static str,
) -> (&'static str, bool, &'static str, String) {
    let reason = if pressed { bad } else { good };
    let message = match reason {
        "KubeletHasInsufficientMemory" => "kubelet has insufficient memory available",
        "KubeletHasSufficientMemory" => "kubelet has sufficient memory available",
        "KubeletHasDiskPressure" => "kubelet has disk pressure",
        "KubeletHasNoDiskPressure" => "kubelet has no disk pressure",
        "KubeletHasInsufficientPID" => "kubelet has insufficient PID available",
        _ => "kubelet has sufficient PID available",
    };
    (kind, pressed, reason, message.to_owned())
}

/// Whether the node is ready, and the sentence for it.
fn readiness(observed: &Observed) -> (bool, String) {
    let Some(runtime) = &observed.runtime else {
        return (false, format!("container runtime is down: {}", observed.runtime_error));
    };
    let conditions = runtime.status.clone().unwrap_or_default().conditions;
    let mut problems = Vec::new();
    for (kind, prefix) in [
        ("RuntimeReady", "container runtime not ready"),
        ("NetworkReady", "container runtime network not ready"),
    ] {
        match conditions.iter().find(|condition| condition.r#type == kind) {
            Some(condition) if condition.status => {}
            Some(condition) => problems.push(format!(
                "{prefix}: {kind}=false reason:{} message:{}",
                condition.reason, condition.message
            )),
            None => problems.push(format!("{prefix}: condition {kind} is not set")),
        }
    }
    match problems.len() {
        0 => (true, "kubelet is posting ready status".to_owned()),
        1 => (false, problems.remove(0)),
        _ => (false, format!("[{}]", problems.join(", "))),
    }
}

/// Whether the status says that the node is ready.
pub fn is_ready(status: &NodeStatus) -> bool {
    condition(status, "Ready") == Some("True")
}

fn condition<'a>(status: &'a NodeStatus, kind: &str) -> Option<&'a str> {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == kind)?;
    Some(&condition.status)
}

/// Whether anything but the heartbeat differs.
pub fn differs(old: &NodeStatus, new: &NodeStatus) -> bool {
    let still = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        // Written by the controller that attaches volumes.
        status.volumes_attached = None;
        status
    };
    still(old) != still(new)
}

/// Reasons of the events for conditions that turned.
pub fn transitions(old: &NodeStatus, new: &NodeStatus) -> Vec<&'static str> {
    const TOLD: [(&str, &str, &str); 4] = [
        ("MemoryPressure", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
        ("DiskPressure", "NodeHasDiskPressure", "NodeHasNoDiskPressure"),
        ("PIDPressure", "NodeHasInsufficientPID", "NodeHasSufficientPID"),
        ("Ready", "NodeReady", "NodeNotReady"),
    ];
    let turned = TOLD.iter().filter(|(kind, ..)| condition(old, kind) != condition(new, kind));
    turned.map(|(kind, yes, no)| if condition(new, kind) == Some("True") { *yes } else { *no }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(ready: bool) -> Observed {
        let condition = |kind: &str, status: bool| cri::RuntimeCondition {
            r#type: kind.into(),
            status,
            reason: "NetworkPluginNotReady".into(),
            message: "cni plugin not initialized".into(),
        };
        let conditions = vec![condition("RuntimeReady", true), condition("NetworkReady", ready)];
        let status = Some(cri::RuntimeStatus { conditions });
        Observed {
            runtime: Some(cri::StatusResponse { status, ..Default::default() }),
            ..Observed::default()
        }
    }

    fn with_conditions(conditions: Vec<NodeCondition>) -> NodeStatus {
        NodeStatus { conditions: Some(conditions), ..NodeStatus::default() }
    }

    #[test]
    fn readiness_is_the_runtimes_and_its_networks() {
        assert_eq!(readiness(&observed(true)), (true, "kubelet is posting ready status".into()));
        let want = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
            message:cni plugin not initialized";
        assert_eq!(readiness(&observed(false)), (false, want.into()));
        let down = Observed { runtime_error: "gone".into(), ..Observed::default() };
        assert_eq!(readiness(&down), (false, "container runtime is down: gone".into()));
    }

    #[test]
    fn a_heartbeat_alone_is_no_change_and_a_turn_is_told() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let first = with_conditions(conditions(&observed(false), &NodeStatus::default(), at(10)));
        let later = with_conditions(conditions(&observed(false), &first, at(20)));
        assert!(!differs(&first, &later));
        let ready = with_conditions(conditions(&observed(true), &later, at(30)));
        assert!(differs(&later, &ready));
        assert_eq!(transitions(&later, &ready), ["NodeReady"]);
        let memory = &ready.conditions.as_ref().unwrap()[0];
        assert_eq!(memory.last_transition_time, Some(Time(at(10))));
    }
}
