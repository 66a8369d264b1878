//! Mounts inside a container: made detached, then moved to a place found without leaving the container's root.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use super::{During, InitError};
use crate::cgroup::Layout;
use crate::spec::{Mount, MountSource, Propagation};
use crate::sys::{MountAttributes, mount_setattr};

/// Flags of the usual kernel file systems.
pub const NO_SUID_DEV_EXEC: u32 = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC)
    .bits();

/// Makes one mount below `root`.
pub fn make(root: BorrowedFd<'_>, mount: &Mount, layout: &Layout) -> Result<(), InitError> {
    let what = || format!("error mounting {} to rootfs at {:?}", source_name(&mount.source), mount.target);
    match &mount.source {
        MountSource::Bind { path, propagation, recursive_readonly } => {
            let tree = open_bind(path).during(what())?;
            let directory = is_directory(path).during(what())?;
            let target = make_target(root, &mount.target, directory).during(what())?;
            set_attributes(&tree, *propagation, mount.readonly, *recursive_readonly).during(what())?;
            attach(&tree, &target).during(what())
        }
        MountSource::New { kind, options, attributes } => {
            let readonly = if mount.readonly { MountAttrFlags::MOUNT_ATTR_RDONLY.bits() } else { 0 };
            let tree = new_filesystem(kind, options, attributes | readonly).during(what())?;
            let target = make_target(root, &mount.target, true).during(what())?;
            attach(&tree, &target).during(what())
        }
        MountSource::Cgroup => cgroups(root, mount, layout).during(what()),
        MountSource::Dev => super::rootfs::populate_dev(root).during(what()),
    }
}

fn source_name(source: &MountSource) -> String {
    match source {
        MountSource::Bind { path, .. } => format!("{:?}", path.display().to_string()),
        MountSource::New { kind, .. } => format!("{kind:?}"),
        MountSource::Cgroup => "\"cgroup\"".into(),
        MountSource::Dev => "\"tmpfs\"".into(),
    }
}

/// A detached copy of what is at `path`, mounts below it included.
pub fn open_bind(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}

fn is_directory(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|m| m.is_dir())
}

fn set_attributes(
    tree: &OwnedFd,
    propagation: Propagation,
    readonly: bool,
    recursive_readonly: bool,
) -> io::Result<()> {
    let propagation = match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::HostToContainer => libc::MS_SLAVE,
        Propagation::Bidirectional => libc::MS_SHARED,
    };
    mount_setattr(tree, MountAttributes { set: 0, propagation, recursive: true })?;
    if !readonly {
        return Ok(());
    }
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
    mount_setattr(tree, MountAttributes { set, propagation: 0, recursive: recursive_readonly })
}

/// A new instance of a file system, detached. Options are `key=value` or flags.
pub fn new_filesystem(kind: &str, options: &[String], attributes: u32) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for option in options {
        match option.split_once('=') {
            // A named v1 hierarchy is the option `name=…`, which splits the same way.
            Some((key, value)) => rustix::mount::fsconfig_set_string(context.as_fd(), key, value)?,
            None => rustix::mount::fsconfig_set_flag(context.as_fd(), option.as_str())?,
        }
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::from_bits_retain(attributes);
    Ok(rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Puts a detached mount where `target` is.
pub fn attach(tree: impl AsFd, target: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree.as_fd(), "", target.as_fd(), "", flags)?)
}

/// Opens `path` as the container sees it: symbolic links and `..` stay below `root`.
pub fn open_in_root(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let path = if path.is_empty() { "." } else { path };
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename elsewhere on the machine made the kernel unsure; it asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Opens the place for a mount and makes it first where it is missing, as root with mode 0755.
pub fn make_target(root: BorrowedFd<'_>, path: &str, directory: bool) -> io::Result<OwnedFd> {
    match open_in_root(root, path, OFlags::PATH) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let (parent, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
    let parent = make_directories(root, parent)?;
    if directory {
        allow_existing(rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)))?;
    } else {
        let flags = OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::WRONLY;
        rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
    }
    open_in_root(root, path, OFlags::PATH)
}

/// How many links to nowhere may follow each other on the way to a mount.
const LINKS: u32 = 40;

/// Makes every missing directory of `path` and opens the last.
pub fn make_directories(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    make_directories_through(root, path, LINKS)
}

fn make_directories_through(root: BorrowedFd<'_>, path: &str, links: u32) -> io::Result<OwnedFd> {
    let mut done = String::new();
    let mut current = open_in_root(root, ".", OFlags::PATH | OFlags::DIRECTORY)?;
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let before = done.clone();
        done.push('/');
        done.push_str(part);
        current = match open_in_root(root, &done, OFlags::PATH | OFlags::DIRECTORY) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                match rustix::fs::mkdirat(&current, part, Mode::from_raw_mode(0o755)) {
                    // It exists and cannot be opened: a link to nowhere. Its target is made, inside the root.
                    Err(Errno::EXIST) => {
                        let links = links.checked_sub(1).ok_or(Errno::LOOP)?;
                        let target = rustix::fs::readlinkat(&current, part, Vec::new())?;
                        let target = target.into_string().map_err(|_| io::ErrorKind::InvalidInput)?;
                        let base = if target.starts_with('/') { "" } else { &before };
                        make_directories_through(root, &format!("{base}/{target}"), links)?;
                    }
                    made => made?,
                }
                open_in_root(root, &done, OFlags::PATH | OFlags::DIRECTORY)?
            }
            found => found?,
        };
    }
    Ok(current)
}

fn allow_existing(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The container's own cgroups: one mount in v2, one per hierarchy in v1 and hybrid layouts. The process is in its
/// cgroup namespace already, so that each shows its own cgroup as the root.
fn cgroups(root: BorrowedFd<'_>, mount: &Mount, layout: &Layout) -> io::Result<()> {
    let readonly = if mount.readonly { MountAttrFlags::MOUNT_ATTR_RDONLY.bits() } else { 0 };
    let attributes = NO_SUID_DEV_EXEC | readonly;
    let base = make_target(root, &mount.target, true)?;
    if layout.is_unified() {
        return attach(new_filesystem("cgroup2", &[], attributes)?, base);
    }
    let tmpfs = new_filesystem("tmpfs", &["mode=755".into()], NO_SUID_DEV_EXEC)?;
    attach(&tmpfs, base)?;
    for hierarchy in &layout.hierarchies {
        let kind = if hierarchy.is_v2() { "cgroup2" } else { "cgroup" };
        let name = hierarchy.root.file_name().and_then(|n| n.to_str()).unwrap_or(kind);
        let tree = new_filesystem(kind, &hierarchy.controllers, attributes)?;
        rustix::fs::mkdirat(&tmpfs, name, Mode::from_raw_mode(0o755))?;
        attach(tree, rustix::fs::openat(&tmpfs, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)?;
    }
    if mount.readonly {
        let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
        mount_setattr(&tmpfs, MountAttributes { set, propagation: 0, recursive: false })?;
    }
    Ok(())
}
