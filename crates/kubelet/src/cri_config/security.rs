//! Security contexts: what a container may do, and as whom.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext,
};
use steersman_cri::{
    Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceMode,
    NamespaceOption, SeLinuxOption, SecurityProfile, SupplementalGroupsPolicy, security_profile::ProfileType,
};

use crate::pod::PodExt;
use crate::text::go_quote;

const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Whom an image runs as when nobody says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageUser {
    /// Numeric user.
    pub uid: Option<i64>,
    /// User by name, known only inside the image.
    pub name: String,
}

/// `runAsNonRoot` cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The pod asks for user 0 itself.
    #[error("container's runAsUser breaks non-root policy (pod: {pod}, container: {container})")]
    AsksForRoot {
        /// The pod, quoted.
        pod: String,
        /// The container.
        container: String,
    },
    /// The image runs as root.
    #[error("container has runAsNonRoot and image will run as root (pod: {pod}, container: {container})")]
    ImageIsRoot {
        /// The pod, quoted.
        pod: String,
        /// The container.
        container: String,
    },
    /// The image names a user that only its own `/etc/passwd` can resolve.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod}, container: {container})"
    )]
    CannotTell {
        /// The user of the image.
        user: String,
        /// The pod, quoted.
        pod: String,
        /// The container.
        container: String,
    },
}

/// Keeps `runAsNonRoot`.
pub fn check_non_root(pod: &Pod, container: &Container, image: &ImageUser) -> Result<(), RootError> {
    let (own, of_pod) = contexts(pod, container);
    if own.run_as_non_root.or(of_pod.run_as_non_root) != Some(true) {
        return Ok(());
    }
    let (pod, container) = (go_quote(&pod.long_name()), container.name.clone());
    match own.run_as_user.or(of_pod.run_as_user) {
        Some(0) => Err(RootError::AsksForRoot { pod, container }),
        Some(_) => Ok(()),
        None if !image.name.is_empty() => {
            Err(RootError::CannotTell { user: image.name.clone(), pod, container })
        }
        None if image.uid.unwrap_or(0) == 0 => Err(RootError::ImageIsRoot { pod, container }),
        None => Ok(()),
    }
}

/// What the container may do. `target` is the container whose processes an ephemeral one joins.
pub fn container_security(
    pod: &Pod,
    container: &Container,
    image: &ImageUser,
    target: Option<&str>,
    seccomp_root: &str,
) -> LinuxContainerSecurityContext {
    let (own, of_pod) = contexts(pod, container);
    let privileged = own.privileged == Some(true);
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let user = own.run_as_user.or(of_pod.run_as_user).or(image.uid);
    let seccomp = own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    LinuxContainerSecurityContext {
        capabilities: own.capabilities.as_ref().map(|caps| Capability {
            add_capabilities: caps.add.clone().unwrap_or_default(),
            drop_capabilities: caps.drop.clone().unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(namespaces(pod, target)),
        selinux_options: own.se_linux_options.as_ref().or(of_pod.se_linux_options.as_ref()).map(selinux),
        run_as_user: user.map(|value| Int64Value { value }),
        run_as_group: own.run_as_group.or(of_pod.run_as_group).map(|value| Int64Value { value }),
        run_as_username: if user.is_none() { image.name.clone() } else { String::new() },
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(&of_pod),
        supplemental_groups_policy: groups_policy(&of_pod),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: if unmasked { Vec::new() } else { MASKED.map(str::to_owned).into() },
        readonly_paths: if unmasked { Vec::new() } else { READ_ONLY.map(str::to_owned).into() },
        seccomp: Some(seccomp_profile(seccomp.filter(|_| !privileged), seccomp_root)),
        apparmor: own.app_armor_profile.as_ref().or(of_pod.app_armor_profile.as_ref()).map(apparmor),
    }
}

/// What the sandbox may do.
pub fn sandbox_security(pod: &Pod, seccomp_root: &str) -> LinuxSandboxSecurityContext {
    let of_pod = pod.spec().security_context.clone().unwrap_or_default();
    let privileged = pod.every_container().iter().any(|(_, container)| {
        container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true))
    });
    LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod, None)),
        selinux_options: of_pod.se_linux_options.as_ref().map(selinux),
        run_as_user: of_pod.run_as_user.map(|value| Int64Value { value }),
        run_as_group: of_pod.run_as_group.map(|value| Int64Value { value }),
        supplemental_groups: groups(&of_pod),
        supplemental_groups_policy: groups_policy(&of_pod),
        privileged,
        seccomp: Some(seccomp_profile(of_pod.seccomp_profile.as_ref(), seccomp_root)),
        ..LinuxSandboxSecurityContext::default()
    }
}

fn contexts(pod: &Pod, container: &Container) -> (SecurityContext, PodSecurityContext) {
    let own = container.security_context.clone().unwrap_or_default();
    (own, pod.spec().security_context.clone().unwrap_or_default())
}

fn namespaces(pod: &Pod, target: Option<&str>) -> NamespaceOption {
    let spec = pod.spec();
    let node_or_pod =
        |host: Option<bool>| if host == Some(true) { NamespaceMode::Node } else { NamespaceMode::Pod };
    let pid = match target {
        Some(_) => NamespaceMode::Target,
        None if spec.host_pid == Some(true) => NamespaceMode::Node,
        None if spec.share_process_namespace == Some(true) => NamespaceMode::Pod,
        None => NamespaceMode::Container,
    };
    NamespaceOption {
        network: node_or_pod(spec.host_network) as i32,
        pid: pid as i32,
        ipc: node_or_pod(spec.host_ipc) as i32,
        target_id: target.unwrap_or_default().to_owned(),
        userns_options: None,
    }
}

fn groups(of_pod: &PodSecurityContext) -> Vec<i64> {
    let supplemental = of_pod.supplemental_groups.iter().flatten();
    supplemental.chain(&of_pod.fs_group).copied().collect()
}

fn groups_policy(of_pod: &PodSecurityContext) -> i32 {
    let strict = of_pod.supplemental_groups_policy.as_deref() == Some("Strict");
    (if strict { SupplementalGroupsPolicy::Strict } else { SupplementalGroupsPolicy::Merge }) as i32
}

fn selinux(options: &k8s_openapi::api::core::v1::SELinuxOptions) -> SeLinuxOption {
    SeLinuxOption {
        user: options.user.clone().unwrap_or_default(),
        role: options.role.clone().unwrap_or_default(),
        r#type: options.type_.clone().unwrap_or_default(),
        level: options.level.clone().unwrap_or_default(),
    }
}

fn seccomp_profile(profile: Option<&SeccompProfile>, root: &str) -> SecurityProfile {
    let (kind, reference) = match profile.map(|profile| profile.type_.as_str()) {
        Some("RuntimeDefault") => (ProfileType::RuntimeDefault, String::new()),
        Some("Localhost") => {
            let file = profile.and_then(|profile| profile.localhost_profile.as_deref()).unwrap_or_default();
            (ProfileType::Localhost, format!("{root}/{file}"))
        }
        _ => (ProfileType::Unconfined, String::new()),
    };
    SecurityProfile { profile_type: kind as i32, localhost_ref: reference }
}

fn apparmor(profile: &AppArmorProfile) -> SecurityProfile {
    let (kind, reference) = match profile.type_.as_str() {
        "RuntimeDefault" => (ProfileType::RuntimeDefault, String::new()),
        "Localhost" => (ProfileType::Localhost, profile.localhost_profile.clone().unwrap_or_default()),
        _ => (ProfileType::Unconfined, String::new()),
    };
    SecurityProfile { profile_type: kind as i32, localhost_ref: reference }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::json;

    #[test]
    fn the_containers_word_goes_before_the_pods() {
        let p = pod(json!({ "hostPID": true,
            "securityContext": { "runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4],
                "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "a", "securityContext": { "runAsUser": 9, "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "Localhost", "localhostProfile": "p.json" } } }] }));
        let got = container_security(&p, &p.spec().containers[0], &ImageUser::default(), None, "/seccomp");
        assert_eq!(got.run_as_user, Some(Int64Value { value: 9 }));
        assert_eq!(got.run_as_group, Some(Int64Value { value: 2 }));
        assert_eq!(got.supplemental_groups, [4, 3]);
        assert!(got.no_new_privs && !got.privileged);
        assert_eq!(got.seccomp.unwrap().localhost_ref, "/seccomp/p.json");
        assert_eq!(got.namespace_options.unwrap().pid, NamespaceMode::Node as i32);
        assert_eq!(got.capabilities.unwrap().drop_capabilities, ["ALL"]);
    }

    #[test]
    fn the_user_of_the_image_counts_when_nobody_says_otherwise() {
        let p = pod(json!({ "containers": [{ "name": "a" }] }));
        let image = ImageUser { uid: None, name: "nginx".into() };
        let got = container_security(&p, &p.spec().containers[0], &image, None, "");
        assert_eq!((got.run_as_user, got.run_as_username.as_str()), (None, "nginx"));
    }

    #[test]
    fn root_is_refused_where_it_must_be() {
        let check = |context: serde_json::Value, image: ImageUser| {
            let p = pod(json!({ "containers": [{ "name": "a", "securityContext": context }] }));
            check_non_root(&p, &p.spec().containers[0], &image).err().map(|error| error.to_string())
        };
        let root = ImageUser { uid: Some(0), name: String::new() };
        let named = ImageUser { uid: None, name: "web".into() };
        let pod = "(pod: \"p_ns(u1)\", container: a)";
        let cases = [
            (json!({}), root.clone(), None),
            (json!({ "runAsNonRoot": true, "runAsUser": 5 }), root.clone(), None),
            (
                json!({ "runAsNonRoot": true, "runAsUser": 0 }),
                root.clone(),
                Some(format!("container's runAsUser breaks non-root policy {pod}")),
            ),
            (
                json!({ "runAsNonRoot": true }),
                root,
                Some(format!("container has runAsNonRoot and image will run as root {pod}")),
            ),
            (
                json!({ "runAsNonRoot": true }),
                named,
                Some(format!(
                    "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root {pod}"
                )),
            ),
        ];
        for (context, image, want) in cases {
            assert_eq!(check(context.clone(), image), want, "{context}");
        }
    }
}
