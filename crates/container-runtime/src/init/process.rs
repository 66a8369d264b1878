//! The last steps before the user's program: who it is, what it may do, where its file is.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{During, InitError, plain, users};
use crate::security::seccomp;
use crate::spec::{Identity, Process, Seccomp};
use crate::sys;

/// Descriptors a container may open; what other runtimes give on a usual host.
const OPEN_FILES: u64 = 1_048_576;

/// A program ready to run; all that can fail with words of its own has been done.
pub struct Ready {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

/// Who `process` runs as, by the files of the current root.
pub fn identify(process: &Process) -> Result<Identity, InitError> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    users::resolve(&process.user, &read("/etc/passwd"), &read("/etc/group")).map_err(InitError)
}

/// Drops privileges and finds the program. The current root is the container's.
pub fn prepare(
    process: &Process,
    identity: &Identity,
    filter: Option<&seccomp::Program>,
) -> Result<Ready, InitError> {
    set_limits(process)?;
    set_labels(process)?;
    enter_directory(&process.cwd, identity)?;
    let bounding = CapabilitySet::from_bits_retain(process.capabilities.bounding);
    drop_bounding(bounding).during("could not drop capabilities")?;
    // A filter needs either no_new_privs or CAP_SYS_ADMIN, which is about to go.
    if !process.no_new_privileges {
        install(filter)?;
    }
    change_user(identity).during("could not change the user")?;
    set_capabilities(bounding, process.capabilities.ambient).during("could not set capabilities")?;
    // Once more as the user: a directory that only root may enter is an error here, as it would be on a login.
    rustix::process::chdir(process.cwd.as_str())
        .during(format!("chdir to cwd ({:?}) set in config.json failed", process.cwd))?;
    let env = environment(process, identity);
    let path = find_program(&process.args, &env)?;
    let c = |s: &String| CString::new(s.as_str()).during("an argument or variable holds a zero byte");
    let ready = Ready {
        path: CString::new(path).during("a program's path holds a zero byte")?,
        args: process.args.iter().map(c).collect::<Result<_, _>>()?,
        env: env.iter().map(c).collect::<Result<_, _>>()?,
    };
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).during("could not set no_new_privs")?;
        install(filter)?;
    }
    Ok(ready)
}

impl Ready {
    /// Becomes the program. Returns only when that fails, with what a shell would say.
    pub fn exec(self) -> String {
        let error = sys::execve(&self.path, &self.args, &self.env);
        format!("exec {}: {}", self.path.to_string_lossy(), plain(&error))
    }
}

/// Compiles the process's filter; while files of the host can still be read.
pub fn compile_filter(process: &Process) -> Result<Option<seccomp::Program>, InitError> {
    match &process.seccomp {
        Seccomp::Unconfined => Ok(None),
        Seccomp::RuntimeDefault => Ok(Some(seccomp::runtime_default(process.capabilities.bounding))),
        Seccomp::Localhost(path) => {
            let text = fs::read_to_string(path)
                .during(format!("could not read the seccomp profile {:?}", path.display().to_string()))?;
            seccomp::from_profile(&text, process.capabilities.bounding)
                .map(Some)
                .map_err(|e| InitError(format!("seccomp profile {:?}: {e}", path.display().to_string())))
        }
    }
}

fn install(filter: Option<&seccomp::Program>) -> Result<(), InitError> {
    match filter {
        Some(program) => sys::install_seccomp(&program.instructions, program.log)
            .during("could not install the seccomp filter"),
        None => Ok(()),
    }
}

fn set_limits(process: &Process) -> Result<(), InitError> {
    let ceiling = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(OPEN_FILES);
    let files = Some(OPEN_FILES.min(ceiling));
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files })
        .during("could not set the limit of open files")?;
    sys::set_oom_score(process.oom_score_adj.unwrap_or_default()).during("could not set oom_score_adj")
}

fn set_labels(process: &Process) -> Result<(), InitError> {
    if let Some(profile) = &process.apparmor {
        fs::write("/proc/self/attr/apparmor/exec", format!("exec {profile}"))
            .or_else(|_| fs::write("/proc/self/attr/exec", format!("exec {profile}")))
            .during(format!("unable to apply apparmor profile {profile:?}"))?;
    }
    if let Some(label) = &process.selinux {
        fs::write("/proc/self/attr/exec", label).during("could not set the SELinux label")?;
    }
    Ok(())
}

/// Makes the directory if it is missing, as the runtime specification of images expects.
fn enter_directory(cwd: &str, identity: &Identity) -> Result<(), InitError> {
    if rustix::process::chdir(cwd).is_ok() {
        return Ok(());
    }
    match fs::create_dir_all(cwd) {
        Ok(()) => std::os::unix::fs::chown(cwd, Some(identity.uid), Some(identity.gid))
            .during(format!("could not give away the working directory {cwd:?}"))?,
        // Root without the capability may not; the user may still be able to enter it.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(e) => return Err(e).during(format!("mkdir {cwd:?}")),
    }
    Ok(())
}

fn drop_bounding(keep: CapabilitySet) -> io::Result<()> {
    let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .ok()
        .and_then(|s| s.trim().parse().ok())
        .unwrap_or(40);
    for bit in 0..=last {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if !keep.contains(capability) {
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
    }
    Ok(())
}

fn change_user(identity: &Identity) -> io::Result<()> {
    use rustix::fs::{Gid, Uid};
    rustix::thread::set_keep_capabilities(true)?;
    let groups: Vec<Gid> = identity.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(rustix::thread::set_keep_capabilities(false)?)
}

/// The inheritable set stays empty but for ambient capabilities: it would let a file's capabilities through that the
/// container was not given (CVE-2022-24769).
fn set_capabilities(keep: CapabilitySet, ambient: u64) -> io::Result<()> {
    let ambient = CapabilitySet::from_bits_retain(ambient) & keep;
    // What the shim itself lacks cannot be given.
    let own = rustix::thread::capabilities(None)?.permitted;
    let keep = keep & own;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: keep, permitted: keep, inheritable: ambient },
    )?;
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if ambient.contains(capability) {
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
    }
    Ok(())
}

/// The process's variables with `PATH` and `HOME` where it has none.
fn environment(process: &Process, identity: &Identity) -> Vec<String> {
    let mut env = process.env.clone();
    let has = |env: &[String], name: &str| env.iter().any(|v| v.starts_with(name));
    if !has(&env, "PATH=") {
        env.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    }
    if !has(&env, "HOME=") {
        env.push(format!("HOME={}", identity.home));
    }
    if process.terminal && !has(&env, "TERM=") {
        env.push("TERM=xterm".into());
    }
    env
}

/// Finds the program as a shell would, and says why not in the words users know from other runtimes.
fn find_program(args: &[String], env: &[String]) -> Result<String, InitError> {
    let Some(name) = args.first().filter(|n| !n.is_empty()) else {
        return Err(InitError("args must not be empty".into()));
    };
    if name.contains('/') {
        return executable(name)
            .map(|()| name.clone())
            .map_err(|why| InitError(format!("exec: {name:?}: {why}")));
    }
    let path = env.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or_default();
    let mut denied = false;
    for directory in path.split(':') {
        let candidate = format!("{}/{name}", if directory.is_empty() { "." } else { directory });
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(why) => denied |= why == "permission denied",
        }
    }
    let why = if denied { "permission denied" } else { "executable file not found in $PATH" };
    Err(InitError(format!("exec: {name:?}: {why}")))
}

fn executable(path: &str) -> Result<(), String> {
    let meta = fs::metadata(path).map_err(|e| format!("stat {path}: {}", plain(&e)))?;
    if meta.is_dir() {
        return Err("is a directory".into());
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err("permission denied".into());
    }
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).map_err(|_| "permission denied".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_said_in_known_words() {
        let find = |name: &str| find_program(&[name.to_owned()], &["PATH=/bin:/usr/bin".to_owned()]);
        let says = |name: &str| find(name).unwrap_err().0;
        assert_eq!(find("sh").unwrap(), "/bin/sh");
        assert_eq!(says("no-such-tool"), r#"exec: "no-such-tool": executable file not found in $PATH"#);
        assert_eq!(says("/no/such"), r#"exec: "/no/such": stat /no/such: no such file or directory"#);
        assert_eq!(says("/etc"), r#"exec: "/etc": is a directory"#);
        assert_eq!(says("/etc/passwd"), r#"exec: "/etc/passwd": permission denied"#);
        assert_eq!(says(""), "args must not be empty");
    }

    #[test]
    fn variables_the_user_set_win() {
        let process = Process {
            args: vec![],
            env: vec!["HOME=/x".into()],
            cwd: "/".into(),
            user: Default::default(),
            capabilities: Default::default(),
            no_new_privileges: false,
            seccomp: Seccomp::Unconfined,
            apparmor: None,
            selinux: None,
            oom_score_adj: None,
            terminal: true,
        };
        let env = environment(&process, &Identity { home: "/root".into(), ..Default::default() });
        assert_eq!(env[0], "HOME=/x");
        assert!(env[1].starts_with("PATH=/usr/local/sbin") && env[2] == "TERM=xterm", "{env:?}");
    }
}
