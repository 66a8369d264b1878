//! Security contexts of pods and containers, and what sharing the host's namespaces asks for.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::Owner;
use crate::checks::{Seen, id, known_word, optional_word, required};
use crate::tree::Read;

/// The security context of a pod.
pub(super) fn pod(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (context, path) = (spec.at("securityContext"), path.child("securityContext"));
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(found, path.child(field), context.int(field));
    }
    for (index, group) in context.items("supplementalGroups").iter().enumerate() {
        id(found, path.child("supplementalGroups").index(index), group.as_i64());
    }
    if spec.flag("shareProcessNamespace") && spec.flag("hostPID") {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        found.push(Error::invalid(path.child("shareProcessNamespace"), true, why));
    }
    sysctls(found, context.items("sysctls"), &path.child("sysctls"));
    optional_word(found, context, &path, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]);
    profiles(found, context, &path);
    optional_word(found, context, &path, "supplementalGroupsPolicy", &["Merge", "Strict"]);
    optional_word(found, context, &path, "seLinuxChangePolicy", &["MountOption", "Recursive"]);
}

/// The security context of a container.
pub(super) fn container(found: &mut ErrorList, context: &Tree, path: &Path) {
    for field in ["runAsUser", "runAsGroup"] {
        id(found, path.child(field), context.int(field));
    }
    optional_word(found, context, path, "procMount", &["Default", "Unmasked"]);
    profiles(found, context, path);
    if context.at("allowPrivilegeEscalation").as_bool() != Some(false) {
        return;
    }
    let refuse = |found: &mut ErrorList, what: &str| {
        let why = format!("cannot set `allowPrivilegeEscalation` to false and {what}");
        found.push(Error::invalid(path.clone(), context.clone(), why));
    };
    if context.flag("privileged") {
        refuse(found, "`privileged` to true");
    }
    if context.texts("capabilities.add").contains(&"CAP_SYS_ADMIN") {
        refuse(found, "`capabilities.Add` CAP_SYS_ADMIN");
    }
}

fn profiles(found: &mut ErrorList, context: &Tree, path: &Path) {
    for (field, name) in [("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")] {
        if context.has(field) {
            profile(found, context.at(field), name, field, &path.child(field));
        }
    }
}

fn profile(found: &mut ErrorList, profile: &Tree, name: &str, field: &str, path: &Path) {
    let local = path.child("localhostProfile");
    match profile.text("type") {
        "" => {
            let why = format!("type is required when {field} is set");
            found.push(Error::required(path.child("type"), why));
        }
        "Localhost" => {
            if profile.text("localhostProfile").is_empty() {
                let why = format!("must be set when {name} type is Localhost");
                found.push(Error::required(local, why));
            } else {
                super::mounts::local_path(found, &local, profile.text("localhostProfile"));
            }
        }
        other => {
            known_word(found, path.child("type"), other, &["Localhost", "RuntimeDefault", "Unconfined"]);
            if profile.has("localhostProfile") {
                let why = format!("can only be set when {name} type is Localhost");
                found.push(Error::invalid(local, profile.text("localhostProfile"), why));
            }
        }
    }
}

fn sysctls(found: &mut ErrorList, sysctls: &[Tree], path: &Path) {
    const MAX: usize = 253;
    const SHAPE: &str = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
    let mut seen = Seen::default();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let (name, path) = (sysctl.text("name"), path.index(index).child("name"));
        if required(found, path.clone(), name) && (name.len() > MAX || !is_sysctl_shaped(name)) {
            let why = format!("must have at most {MAX} characters and match regex ^{SHAPE}$");
            found.push(Error::invalid(path.clone(), name, why));
        } else {
            seen.unique(found, path, name);
        }
    }
}

fn is_sysctl_shaped(name: &str) -> bool {
    let letter = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.split(['.', '/']).all(|part| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(letter)
            && bytes.last().is_some_and(letter)
            && bytes.iter().all(|c| letter(c) || matches!(c, b'-' | b'_'))
    })
}

/// In the host's network a container's port is the host's port.
pub(super) fn host_network_ports(found: &mut ErrorList, spec: &Tree, path: &Path, owner: Owner) {
    if !spec.flag("hostNetwork") {
        return;
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in spec.items(list).iter().enumerate() {
            let path = path.child(list).index(index).child("ports");
            for (index, port) in container.items("ports").iter().enumerate() {
                let host = port.int("hostPort").unwrap_or(0);
                let given = owner == Owner::Pod || host != 0;
                if given && host != port.int("containerPort").unwrap_or(0) {
                    let why = "must match `containerPort` when `hostNetwork` is true";
                    found.push(Error::invalid(path.index(index).child("hostPort"), host, why));
                }
            }
        }
    }
}

/// A user namespace of its own does not go with namespaces of the host.
pub(super) fn host_namespaces(found: &mut ErrorList, spec: &Tree, path: &Path) {
    if spec.at("hostUsers").as_bool() != Some(false) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.flag(field) {
            found.push(Error::forbidden(path.child(shown), "when `pod.Spec.HostUsers` is false"));
        }
    }
}
