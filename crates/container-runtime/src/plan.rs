//! From a CRI request and an image to what the shim starts. Pure.

use std::path::{Path, PathBuf};

use rustix::mount::MountAttrFlags;
use steersman_cri as cri;

use crate::cgroup::{Access, DeviceRule, Resources, default_device_rules};
use crate::init::mounts::NO_SUID_DEV_EXEC;
use crate::seams::{ImageConfig, PreparedImage};
use crate::security::capabilities::{self, UnknownCapability};
use crate::spec::{
    ContainerIo, ContainerSpec, Device, Mount, MountSource, PidNamespace, Process, Propagation, Seccomp, User,
};

/// Why a request cannot be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Neither request nor image names a program.
    #[error("no command specified")]
    NoCommand,
    /// A group without a user.
    #[error("user group is specified without user")]
    GroupWithoutUser,
    /// A capability that does not exist.
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
    /// A number out of range or a path that is not absolute.
    #[error("invalid {field}: {value}")]
    Invalid {
        /// Name of the field.
        field: &'static str,
        /// What it held.
        value: String,
    },
}

/// Files and directories that a sandbox lends to its containers.
#[derive(Clone, Debug)]
pub struct SandboxFiles {
    /// Directory with `hostname`, `hosts` and `resolv.conf`.
    pub directory: PathBuf,
    /// What is mounted at `/dev/shm`.
    pub shared_memory: PathBuf,
}

/// Everything that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Id of the new container.
    pub id: &'a str,
    /// What was asked for.
    pub config: &'a cri::ContainerConfig,
    /// The sandbox it goes into.
    pub sandbox: &'a cri::PodSandboxConfig,
    /// What the image says.
    pub image: &'a PreparedImage,
    /// What the sandbox lends.
    pub files: &'a SandboxFiles,
    /// Cgroup of the pod.
    pub cgroup_parent: &'a str,
    /// Where the shim keeps the state.
    pub state_file: &'a Path,
    /// Device numbers of the requested devices, in order: whether block, major, minor.
    pub device_numbers: &'a [(bool, u32, u32)],
}

/// Decides everything about a container.
pub fn container(request: Request<'_>) -> Result<ContainerSpec, PlanError> {
    let config = request.config;
    let linux = config.linux.clone().unwrap_or_default();
    let security = linux.security_context.unwrap_or_default();
    let resources = linux.resources.unwrap_or_default();
    let log_file = log_file(&request.sandbox.log_directory, &config.log_path);
    Ok(ContainerSpec {
        id: request.id.to_owned(),
        rootfs: request.image.rootfs.clone(),
        readonly_rootfs: security.readonly_rootfs,
        mounts: mounts(&request, &security)?,
        devices: devices(config, security.privileged),
        masked_paths: if security.privileged { vec![] } else { security.masked_paths.clone() },
        readonly_paths: if security.privileged { vec![] } else { security.readonly_paths.clone() },
        pid_namespace: pid_namespace(&security),
        cgroup_path: format!("{}/{}", request.cgroup_parent.trim_end_matches('/'), request.id),
        resources: self::resources(&resources),
        device_rules: if security.privileged { vec![] } else { device_rules(config, request.device_numbers) },
        process: process(&request, &security, resources.oom_score_adj)?,
        io: ContainerIo { log_file, stdin: config.stdin, stdin_once: config.stdin_once },
        state_file: request.state_file.to_owned(),
    })
}

fn log_file(directory: &str, path: &str) -> Option<PathBuf> {
    (!directory.is_empty() && !path.is_empty()).then(|| Path::new(directory).join(path))
}

fn process(
    request: &Request<'_>,
    security: &cri::LinuxContainerSecurityContext,
    oom_score_adj: i64,
) -> Result<Process, PlanError> {
    let (config, image) = (request.config, &request.image.config);
    let capability = security.capabilities.clone().unwrap_or_default();
    let first = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
    Ok(Process {
        args: arguments(config, image)?,
        env: environment(config, image, &request.sandbox.hostname),
        cwd: first(&first(&config.working_dir, &image.working_dir), "/"),
        user: user(security, image)?,
        capabilities: capabilities::for_container(
            security.privileged,
            &capability.add_capabilities,
            &capability.drop_capabilities,
            &capability.add_ambient_capabilities,
        )?,
        no_new_privileges: security.no_new_privs,
        seccomp: seccomp(security),
        apparmor: apparmor(security),
        selinux: None,
        oom_score_adj: Some(
            i32::try_from(oom_score_adj).map_err(|_| PlanError::Invalid {
                field: "oom_score_adj",
                value: oom_score_adj.to_string(),
            })?,
        ),
        terminal: config.tty,
    })
}

/// A command replaces the image's entry point and, by that, its arguments; arguments alone replace arguments alone.
fn arguments(config: &cri::ContainerConfig, image: &ImageConfig) -> Result<Vec<String>, PlanError> {
    let (head, tail) = match (config.command.is_empty(), config.args.is_empty()) {
        (true, true) => (&image.entrypoint, &image.cmd),
        (true, false) => (&image.entrypoint, &config.args),
        (false, _) => (&config.command, &config.args),
    };
    let all: Vec<String> = head.iter().chain(tail).cloned().collect();
    if all.is_empty() { Err(PlanError::NoCommand) } else { Ok(all) }
}

/// The host name, then the image's variables, then the request's; a later one replaces an earlier one in its place.
fn environment(config: &cri::ContainerConfig, image: &ImageConfig, hostname: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut set = |variable: String| {
        let name = variable.split_once('=').map_or(variable.as_str(), |(name, _)| name).to_owned();
        match out.iter_mut().find(|v| v.split_once('=').is_some_and(|(n, _)| n == name)) {
            Some(existing) => *existing = variable,
            None => out.push(variable),
        }
    };
    if !hostname.is_empty() {
        set(format!("HOSTNAME={hostname}"));
    }
    image.env.iter().filter(|v| v.contains('=')).cloned().for_each(&mut set);
    config.envs.iter().map(|e| format!("{}={}", e.key, String::from_utf8_lossy(&e.value))).for_each(set);
    out
}

fn user(security: &cri::LinuxContainerSecurityContext, image: &ImageConfig) -> Result<User, PlanError> {
    let number = |field, value: i64| {
        u32::try_from(value).map_err(|_| PlanError::Invalid { field, value: value.to_string() })
    };
    let gid = security.run_as_group.as_ref().map(|g| number("run_as_group", g.value)).transpose()?;
    let name = match (&security.run_as_user, security.run_as_username.as_str()) {
        (Some(uid), _) => number("run_as_user", uid.value)?.to_string(),
        (None, "") if gid.is_some() && image.user.is_empty() => return Err(PlanError::GroupWithoutUser),
        (None, "") => image.user.clone(),
        (None, name) => name.to_owned(),
    };
    let supplemental = security.supplemental_groups.iter().map(|g| number("supplemental_groups", *g));
    Ok(User {
        name,
        gid,
        supplemental: supplemental.collect::<Result<_, _>>()?,
        strict: security.supplemental_groups_policy() == cri::SupplementalGroupsPolicy::Strict,
    })
}

fn seccomp(security: &cri::LinuxContainerSecurityContext) -> Seccomp {
    use cri::security_profile::ProfileType;
    let Some(profile) = &security.seccomp else { return Seccomp::Unconfined };
    match profile.profile_type() {
        _ if security.privileged => Seccomp::Unconfined,
        ProfileType::Unconfined => Seccomp::Unconfined,
        ProfileType::RuntimeDefault => Seccomp::RuntimeDefault,
        ProfileType::Localhost => {
            let path = &profile.localhost_ref;
            Seccomp::Localhost(path.strip_prefix("localhost/").unwrap_or(path).into())
        }
    }
}

fn apparmor(security: &cri::LinuxContainerSecurityContext) -> Option<String> {
    use cri::security_profile::ProfileType;
    let profile = security.apparmor.as_ref().filter(|_| !security.privileged)?;
    let name = &profile.localhost_ref;
    (profile.profile_type() == ProfileType::Localhost)
        .then(|| name.strip_prefix("localhost/").unwrap_or(name).to_owned())
}

fn pid_namespace(security: &cri::LinuxContainerSecurityContext) -> PidNamespace {
    let options = security.namespace_options.clone().unwrap_or_default();
    match options.pid() {
        cri::NamespaceMode::Pod => PidNamespace::Pod,
        cri::NamespaceMode::Container => PidNamespace::Own,
        cri::NamespaceMode::Node => PidNamespace::Node,
        cri::NamespaceMode::Target => PidNamespace::Container(options.target_id),
    }
}

/// CRI's resources as limits; zero and empty mean "not set".
pub fn resources(linux: &cri::LinuxContainerResources) -> Resources {
    let positive = |v: i64| u64::try_from(v).ok().filter(|v| *v > 0);
    let set = |v: i64| (v != 0).then_some(v);
    let text = |s: &String| (!s.is_empty()).then(|| s.clone());
    let mut unified: Vec<_> = linux.unified.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    unified.sort();
    Resources {
        cpu_shares: positive(linux.cpu_shares),
        cpu_quota_us: set(linux.cpu_quota),
        cpu_period_us: positive(linux.cpu_period),
        cpuset_cpus: text(&linux.cpuset_cpus),
        cpuset_mems: text(&linux.cpuset_mems),
        memory_limit_bytes: set(linux.memory_limit_in_bytes),
        memory_swap_limit_bytes: set(linux.memory_swap_limit_in_bytes),
        pids_limit: None,
        hugepages: linux
            .hugepage_limits
            .iter()
            .map(|h| (h.page_size.trim_end_matches('i').to_owned(), h.limit))
            .map(|(size, limit)| (size.replace("Mi", "M").replace("Gi", "G"), limit))
            .collect(),
        unified,
    }
}

fn devices(config: &cri::ContainerConfig, privileged: bool) -> Vec<Device> {
    let all = Device { target: "/dev".into(), source: "/dev".into() };
    let asked = config.devices.iter().map(|d| Device {
        target: if d.container_path.is_empty() { d.host_path.clone() } else { d.container_path.clone() },
        source: PathBuf::from(&d.host_path),
    });
    privileged.then_some(all).into_iter().chain(asked).collect()
}

fn device_rules(config: &cri::ContainerConfig, numbers: &[(bool, u32, u32)]) -> Vec<DeviceRule> {
    let asked = config.devices.iter().zip(numbers).map(|(device, (block, major, minor))| {
        let letters = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
        DeviceRule { block: *block, major: Some(*major), minor: Some(*minor), access: Access::parse(letters) }
    });
    default_device_rules().into_iter().chain(asked).collect()
}

fn mounts(
    request: &Request<'_>,
    security: &cri::LinuxContainerSecurityContext,
) -> Result<Vec<Mount>, PlanError> {
    let mut asked = request.config.mounts.iter().map(requested_mount).collect::<Result<Vec<_>, _>>()?;
    // A mount must not hide one below it that was made first.
    asked.sort_by_key(|m| m.target.split('/').filter(|p| !p.is_empty()).count());
    let is_asked = |target: &str| asked.iter().any(|m| m.target.trim_end_matches('/') == target);
    let mut out = standard_mounts(!security.privileged);
    if !is_asked("/dev/shm") {
        out.push(plain_bind("/dev/shm", request.files.shared_memory.clone(), false));
    }
    for name in ["hostname", "hosts", "resolv.conf"] {
        let target = format!("/etc/{name}");
        if !is_asked(&target) {
            out.push(plain_bind(&target, request.files.directory.join(name), security.readonly_rootfs));
        }
    }
    // Standard mounts give way to requested ones of the same place.
    out.retain(|m| m.source == MountSource::Dev || !is_asked(&m.target));
    out.extend(asked);
    Ok(out)
}

fn standard_mounts(restricted: bool) -> Vec<Mount> {
    let no_suid_exec = (MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC).bits();
    let new = |target: &str, kind: &str, options: &[&str], attributes, readonly| Mount {
        target: target.into(),
        source: MountSource::New {
            kind: kind.into(),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            attributes,
        },
        readonly,
    };
    let devpts = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    vec![
        new("/proc", "proc", &[], NO_SUID_DEV_EXEC, false),
        Mount { target: "/dev".into(), source: MountSource::Dev, readonly: false },
        new("/dev/pts", "devpts", &devpts, no_suid_exec, false),
        new("/dev/mqueue", "mqueue", &[], NO_SUID_DEV_EXEC, false),
        new("/sys", "sysfs", &[], NO_SUID_DEV_EXEC, restricted),
        Mount { target: "/sys/fs/cgroup".into(), source: MountSource::Cgroup, readonly: restricted },
    ]
}

fn plain_bind(target: &str, path: PathBuf, readonly: bool) -> Mount {
    let source = MountSource::Bind { path, propagation: Propagation::Private, recursive_readonly: false };
    Mount { target: target.into(), source, readonly }
}

fn requested_mount(mount: &cri::Mount) -> Result<Mount, PlanError> {
    if !mount.container_path.starts_with('/') {
        return Err(PlanError::Invalid { field: "container_path", value: mount.container_path.clone() });
    }
    let propagation = match mount.propagation() {
        cri::MountPropagation::PropagationPrivate => Propagation::Private,
        cri::MountPropagation::PropagationHostToContainer => Propagation::HostToContainer,
        cri::MountPropagation::PropagationBidirectional => Propagation::Bidirectional,
    };
    Ok(Mount {
        target: mount.container_path.clone(),
        source: MountSource::Bind {
            path: PathBuf::from(&mount.host_path),
            propagation,
            recursive_readonly: mount.recursive_read_only,
        },
        readonly: mount.readonly,
    })
}

/// The process of an exec: as the container's main process, but for its arguments and terminal.
pub fn exec(container: &ContainerSpec, args: Vec<String>, terminal: bool) -> Process {
    Process { args, terminal, ..container.process.clone() }
}

/// The signal that asks a container to stop: the request's, the image's, or SIGTERM.
pub fn stop_signal(config: &cri::ContainerConfig, image: &ImageConfig) -> Result<i32, PlanError> {
    if let Some(number) = config.stop_signal().number() {
        return Ok(number);
    }
    let word = image.stop_signal.trim();
    if word.is_empty() {
        return Ok(libc::SIGTERM);
    }
    let invalid = || PlanError::Invalid { field: "stop signal", value: word.to_owned() };
    if let Ok(number) = word.parse() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper).replace('+', "PLUS").replace('-', "MINUS");
    cri::Signal::from_str_name(&format!("SIGNAL_SIG{name}")).and_then(cri::Signal::number).ok_or_else(invalid)
}

/// The text of `/etc/resolv.conf`.
pub fn resolv_conf(dns: &cri::DnsConfig) -> String {
    let mut out = String::new();
    if !dns.searches.is_empty() {
        out.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        out.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        out.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    out
}

#[cfg(test)]
mod tests;
