//! Pods and containers in the terms of the runtime interface. Pure.
//!
//! Labels and annotations are upstream's, so that `crictl` shows names and a kubelet that restarts finds its own.

use std::collections::BTreeMap;

pub mod container;
pub mod sandbox;
pub mod security;

/// Labels of sandboxes and containers.
pub mod labels {
    /// Name of the pod.
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    /// Namespace of the pod.
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    /// UID of the pod.
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    /// Name of the container.
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
}

/// Annotations of containers.
pub mod annotations {
    /// Hash of the specification.
    pub const HASH: &str = "io.kubernetes.container.hash";
    /// How many came before.
    pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
    /// Where the container writes its termination message.
    pub const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
    /// Whether its log stands in for an empty message.
    pub const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
    /// Seconds it has to end, as the pod had it when the container was made.
    pub const GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
}

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;

use crate::pod::PodExt;

/// The labels that tell whose a sandbox or container is.
pub(crate) fn pod_labels(pod: &Pod) -> HashMap<String, String> {
    [(labels::POD_NAME, pod.name()), (labels::POD_NAMESPACE, pod.namespace()), (labels::POD_UID, pod.uid())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

pub(crate) fn copied(map: Option<&BTreeMap<String, String>>) -> HashMap<String, String> {
    map.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}
