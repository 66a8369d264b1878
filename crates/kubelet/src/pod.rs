//! Short questions about a pod's specification.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerRestartRule, EphemeralContainer, Pod, PodSpec, PodStatus,
};
use steersman_controller_runtime::ObjectRef;

use crate::quantity::{self, ResourceList};

/// Which list of the specification a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `initContainers`, sidecars among them.
    Init,
    /// `containers`.
    Regular,
    /// `ephemeralContainers`.
    Ephemeral,
}

/// The questions. Absent fields read as empty: the API has defaulted what matters.
pub trait PodExt {
    /// UID; names the pod for good.
    fn uid(&self) -> &str;
    /// Namespace.
    fn namespace(&self) -> &str;
    /// Name.
    fn name(&self) -> &str;
    /// Specification.
    fn spec(&self) -> &PodSpec;
    /// Status as last read.
    fn status_or_default(&self) -> PodStatus;
    /// `name_namespace(uid)`, as messages name pods.
    fn long_name(&self) -> String;
    /// Whether its deletion was asked for.
    fn is_deleting(&self) -> bool;
    /// Whether it uses the node's network namespace.
    fn host_network(&self) -> bool;
    /// Every container with its role: init, regular, ephemeral.
    fn every_container(&self) -> Vec<(Role, Container)>;
    /// A container by name.
    fn find_container(&self, name: &str) -> Option<(Role, Container)>;
    /// The phase last read is one that a pod never leaves.
    fn is_terminal(&self) -> bool;
    /// The annotations.
    fn annotations(&self) -> &BTreeMap<String, String>;
}

static NO_ANNOTATIONS: BTreeMap<String, String> = BTreeMap::new();

impl PodExt for Pod {
    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn spec(&self) -> &PodSpec {
        static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
        self.spec.as_ref().unwrap_or(&EMPTY)
    }

    fn status_or_default(&self) -> PodStatus {
        self.status.clone().unwrap_or_default()
    }

    fn long_name(&self) -> String {
        format!("{}_{}({})", PodExt::name(self), PodExt::namespace(self), PodExt::uid(self))
    }

    fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    fn host_network(&self) -> bool {
        PodExt::spec(self).host_network.unwrap_or(false)
    }

    fn every_container(&self) -> Vec<(Role, Container)> {
        let spec = PodExt::spec(self);
        let init = spec.init_containers.iter().flatten().map(|c| (Role::Init, c.clone()));
        let regular = spec.containers.iter().map(|c| (Role::Regular, c.clone()));
        let ephemeral =
            spec.ephemeral_containers.iter().flatten().map(|c| (Role::Ephemeral, as_container(c)));
        init.chain(regular).chain(ephemeral).collect()
    }

    fn find_container(&self, name: &str) -> Option<(Role, Container)> {
        self.every_container().into_iter().find(|(_, container)| container.name == name)
    }

    fn is_terminal(&self) -> bool {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    fn annotations(&self) -> &BTreeMap<String, String> {
        self.metadata.annotations.as_ref().unwrap_or(&NO_ANNOTATIONS)
    }
}

/// An ephemeral container read as an ordinary one; only `targetContainerName` is lost.
pub fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let c = ephemeral.clone();
    Container {
        args: c.args,
        command: c.command,
        env: c.env,
        env_from: c.env_from,
        image: c.image,
        image_pull_policy: c.image_pull_policy,
        lifecycle: c.lifecycle,
        liveness_probe: c.liveness_probe,
        name: c.name,
        ports: c.ports,
        readiness_probe: c.readiness_probe,
        resize_policy: c.resize_policy,
        resources: c.resources,
        restart_policy: c.restart_policy,
        restart_policy_rules: c.restart_policy_rules,
        security_context: c.security_context,
        startup_probe: c.startup_probe,
        stdin: c.stdin,
        stdin_once: c.stdin_once,
        termination_message_path: c.termination_message_path,
        termination_message_policy: c.termination_message_policy,
        tty: c.tty,
        volume_devices: c.volume_devices,
        volume_mounts: c.volume_mounts,
        working_dir: c.working_dir,
    }
}

/// An init container that runs beside the regular ones for the pod's life.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether a container that ended with `exit_code` is to be started again.
pub fn restarts(spec: &PodSpec, role: Role, container: &Container, exit_code: i32) -> bool {
    if role == Role::Ephemeral {
        return false;
    }
    if let Some(action) = matching_rule(container.restart_policy_rules.as_deref(), exit_code) {
        return action.starts_with("Restart");
    }
    let policy = container.restart_policy.as_deref().or(spec.restart_policy.as_deref()).unwrap_or("Always");
    match policy {
        // A plain init container that succeeded is done, whatever the policy of the pod.
        "Always" if role == Role::Init && !is_sidecar(container) => exit_code != 0,
        "Always" => true,
        "OnFailure" => exit_code != 0,
        _ => false,
    }
}

fn matching_rule(rules: Option<&[ContainerRestartRule]>, exit_code: i32) -> Option<&str> {
    let matches = |rule: &&ContainerRestartRule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let listed = codes.values.iter().flatten().any(|value| *value == exit_code);
            (codes.operator == "In") == listed
        })
    };
    rules?.iter().find(matches).map(|rule| rule.action.as_str())
}

/// `BestEffort`, `Burstable` or `Guaranteed`.
pub fn qos_class(pod: &Pod) -> &'static str {
    if let Some(known) = pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        for class in ["Guaranteed", "Burstable", "BestEffort"] {
            if known == class {
                return class;
            }
        }
    }
    computed_qos(PodExt::spec(pod))
}

fn computed_qos(spec: &PodSpec) -> &'static str {
    const COUNTED: [&str; 2] = ["cpu", "memory"];
    let positive =
        |list: Option<&ResourceList>, name: &str| quantity::milli_of(list, name).filter(|n| *n > 0);
    let own = spec.resources.as_ref().map(|r| (r.requests.as_ref(), r.limits.as_ref()));
    let per_container = spec.init_containers.iter().flatten().chain(&spec.containers).map(|container| {
        let resources = container.resources.as_ref();
        (resources.and_then(|r| r.requests.as_ref()), resources.and_then(|r| r.limits.as_ref()))
    });
    let all: Vec<_> = match own {
        Some(own) if own.0.is_some() || own.1.is_some() => vec![own],
        _ => per_container.collect(),
    };
    let any = all.iter().any(|(requests, limits)| {
        COUNTED.iter().any(|name| positive(*requests, name).or(positive(*limits, name)).is_some())
    });
    let guaranteed = all.iter().all(|(requests, limits)| {
        COUNTED.iter().all(|name| {
            let limit = positive(*limits, name);
            limit.is_some() && positive(*requests, name).is_none_or(|request| Some(request) == limit)
        })
    });
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// How an event names one container of a pod.
pub fn container_ref(pod: &Pod, role: Role, name: &str) -> ObjectRef {
    let list = match role {
        Role::Init => "initContainers",
        Role::Regular => "containers",
        Role::Ephemeral => "ephemeralContainers",
    };
    ObjectRef::of(pod).part(format!("spec.{list}{{{name}}}"))
}

/// Hash of what a running container cannot take on without a restart: its name and image (FNV-1a, hexadecimal).
pub fn container_hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let text = serde_json::json!({ "name": container.name, "image": image }).to_string();
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    fn class(resources: serde_json::Value) -> &'static str {
        let spec = serde_json::json!({ "spec": { "containers": [{ "name": "a", "resources": resources }] } });
        qos_class(&pod(spec))
    }

    #[test]
    fn quality_follows_requests_and_limits() {
        use serde_json::json;
        let cases = [
            (json!({}), "BestEffort"),
            (json!({ "requests": { "cpu": "1" } }), "Burstable"),
            (json!({ "limits": { "cpu": "1" } }), "Burstable"),
            (json!({ "limits": { "cpu": "1", "memory": "1Gi" } }), "Guaranteed"),
            (json!({ "requests": { "cpu": "1" }, "limits": { "cpu": "1", "memory": "1Gi" } }), "Guaranteed"),
            (
                json!({ "requests": { "cpu": "500m" }, "limits": { "cpu": "1", "memory": "1Gi" } }),
                "Burstable",
            ),
        ];
        for (resources, want) in cases {
            assert_eq!(class(resources.clone()), want, "{resources}");
        }
    }

    #[test]
    fn restarting_follows_rules_then_policies() {
        let container = |value| serde_json::from_value::<Container>(value).unwrap();
        let plain = container(serde_json::json!({ "name": "a" }));
        let sidecar = container(serde_json::json!({ "name": "a", "restartPolicy": "Always" }));
        let rule =
            container(serde_json::json!({ "name": "a", "restartPolicy": "Never", "restartPolicyRules": [
            { "action": "Restart", "exitCodes": { "operator": "In", "values": [42] } }] }));
        let cases = [
            ("Always", Role::Regular, &plain, 0, true),
            ("OnFailure", Role::Regular, &plain, 0, false),
            ("OnFailure", Role::Regular, &plain, 1, true),
            ("Never", Role::Regular, &plain, 1, false),
            ("Always", Role::Init, &plain, 0, false),
            ("Always", Role::Init, &plain, 1, true),
            ("Never", Role::Init, &plain, 1, false),
            ("Never", Role::Init, &sidecar, 0, true),
            ("Always", Role::Regular, &rule, 1, false),
            ("Never", Role::Regular, &rule, 42, true),
            ("Always", Role::Ephemeral, &plain, 1, false),
        ];
        for (policy, role, container, code, want) in cases {
            let spec = PodSpec { restart_policy: Some(policy.into()), ..PodSpec::default() };
            assert_eq!(restarts(&spec, role, container, code), want, "{policy} {role:?} {code}");
        }
    }
}
