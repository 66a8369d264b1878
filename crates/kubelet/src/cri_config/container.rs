//! The configuration of a container.

use k8s_openapi::api::core::v1::{Container, Pod};
use steersman_cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, KeyValue, LinuxContainerConfig, LinuxContainerResources,
    LinuxContainerSecurityContext, Mount, Signal,
};

use super::{annotations, labels, pod_labels};
use crate::env::{Environment, expansion};
use crate::pod::{PodExt, container_hash};

/// What was worked out for one container.
pub struct Parts {
    /// How many containers of this name came before.
    pub attempt: u32,
    /// The image by the id it was found or pulled as.
    pub image_ref: String,
    /// Environment.
    pub env: Environment,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// What it may do.
    pub security: LinuxContainerSecurityContext,
    /// Its limits.
    pub resources: LinuxContainerResources,
}

/// Where a container writes its last words unless it says otherwise.
pub const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";

/// The container's path of its last words.
pub fn message_path(container: &Container) -> &str {
    container
        .termination_message_path
        .as_deref()
        .filter(|path| !path.is_empty())
        .unwrap_or(DEFAULT_MESSAGE_PATH)
}

/// The configuration of `container`.
pub fn container_config(pod: &Pod, container: &Container, parts: Parts) -> ContainerConfig {
    let known =
        |name: &str| parts.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let expanded = |words: &Option<Vec<String>>| -> Vec<String> {
        words.iter().flatten().map(|word| expansion::expand(word, known)).collect()
    };
    let (command, args) = (expanded(&container.command), expanded(&container.args));
    let mut labels = pod_labels(pod);
    labels.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    let image = container.image.clone().unwrap_or_default();
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: container.name.clone(), attempt: parts.attempt }),
        image: Some(ImageSpec {
            image: parts.image_ref,
            user_specified_image: image,
            ..ImageSpec::default()
        }),
        command,
        args,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: parts.env.into_iter().map(|(key, value)| KeyValue { key, value: value.into_bytes() }).collect(),
        mounts: parts.mounts,
        labels,
        annotations: container_annotations(pod, container, parts.attempt),
        log_path: format!("{}/{}.log", container.name, parts.attempt),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(LinuxContainerConfig {
            resources: Some(parts.resources),
            security_context: Some(parts.security),
        }),
        stop_signal: stop_signal(container) as i32,
        ..ContainerConfig::default()
    }
}

fn container_annotations(
    pod: &Pod,
    container: &Container,
    attempt: u32,
) -> std::collections::HashMap<String, String> {
    let policy = container.termination_message_policy.as_deref().unwrap_or("File");
    let mut notes = vec![
        (annotations::HASH, container_hash(container)),
        (annotations::RESTART_COUNT, attempt.to_string()),
        (annotations::MESSAGE_PATH, message_path(container).to_owned()),
        (annotations::MESSAGE_POLICY, policy.to_owned()),
    ];
    if let Some(seconds) = pod.spec().termination_grace_period_seconds {
        notes.push((annotations::GRACE, seconds.to_string()));
    }
    notes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn stop_signal(container: &Container) -> Signal {
    let name = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    let wire = name.map(|name| {
        format!("SIGNAL_{}", name.replace(['+', '-'], if name.contains('+') { "PLUS" } else { "MINUS" }))
    });
    wire.and_then(|wire| Signal::from_str_name(&wire)).unwrap_or(Signal::RuntimeDefault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::json;

    #[test]
    fn commands_are_expanded_and_the_past_is_noted() {
        let p =
            pod(json!({ "terminationGracePeriodSeconds": 7, "containers": [{ "name": "a", "image": "x:1",
            "command": ["sh", "-c", "echo $(A)"], "args": ["$(NOPE)"], "tty": true,
            "lifecycle": { "stopSignal": "SIGRTMIN+3" } }] }));
        let parts = Parts {
            attempt: 4,
            image_ref: "sha256:1".into(),
            env: vec![("A".into(), "1".into())],
            mounts: Vec::new(),
            security: LinuxContainerSecurityContext::default(),
            resources: LinuxContainerResources::default(),
        };
        let config = container_config(&p, &p.spec().containers[0], parts);
        assert_eq!(config.command, ["sh", "-c", "echo 1"]);
        assert_eq!(config.args, ["$(NOPE)"]);
        assert_eq!(config.log_path, "a/4.log");
        assert_eq!(config.annotations[annotations::RESTART_COUNT], "4");
        assert_eq!(config.annotations[annotations::MESSAGE_PATH], "/dev/termination-log");
        assert_eq!(config.stop_signal, Signal::Sigrtminplus3 as i32);
        assert_eq!(config.image.unwrap().user_specified_image, "x:1");
    }
}
