//! A container's root: mounted, filled with devices, entered for good.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, UnmountFlags};

use super::mounts::{attach, make_directories, make_target, new_filesystem, open_bind, open_in_root};
use super::{During, InitError};
use crate::spec::{ContainerSpec, Device, MountSource, Propagation, RootFs};
use crate::sys::{MountAttributes, mount_setattr};

/// Mounts the root file system at `staging` and returns it opened. The caller is in a mount namespace of its own.
pub fn mount(spec: &ContainerSpec, staging: &Path) -> Result<OwnedFd, InitError> {
    separate_from_host(spec, staging).during("could not set the propagation of the root")?;
    let tree = match &spec.rootfs {
        RootFs::Directory(path) => open_bind(path).and_then(|tree| {
            let propagation = libc::MS_PRIVATE;
            mount_setattr(&tree, MountAttributes { set: 0, propagation, recursive: true })?;
            Ok(tree)
        }),
        RootFs::Overlay { lower, upper, work } => overlay(lower, upper, work),
    }
    .during("could not mount the root file system")?;
    let target = rustix::fs::open(staging, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .during("could not open the place of the root file system")?;
    attach(&tree, target).during("could not attach the root file system")?;
    rustix::process::chdir(staging).during("could not enter the root file system")?;
    rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .during("could not open the root file system")
}

/// Nothing mounted here may reach the host. What the host mounts later still arrives, for mounts that ask for it;
/// only a bidirectional mount needs the namespace to stay a full peer, and then just the place of the root leaves it.
fn separate_from_host(spec: &ContainerSpec, staging: &Path) -> io::Result<()> {
    let bidirectional = spec
        .mounts
        .iter()
        .any(|m| matches!(m.source, MountSource::Bind { propagation: Propagation::Bidirectional, .. }));
    if !bidirectional {
        let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        return Ok(rustix::mount::mount_change("/", flags)?);
    }
    for ancestor in staging.ancestors() {
        // Refused for what is no mount point; the first that is one holds the staging directory.
        if rustix::mount::mount_change(ancestor, MountPropagationFlags::PRIVATE).is_ok() {
            return Ok(());
        }
    }
    Ok(())
}

/// An overlay, detached. Layers are passed one by one (Linux 6.5), which has no limit on the length of their paths
/// together; older kernels take them joined, in one page.
fn overlay(lower: &[std::path::PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &str, value: &Path| rustix::mount::fsconfig_set_string(context.as_fd(), key, value);
    if lower.iter().try_for_each(|layer| set("lowerdir+", layer)).is_err() {
        return overlay_by_mount(lower, upper, work);
    }
    set("upperdir", upper)?;
    set("workdir", work)?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    Ok(rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

/// The form of kernels before 6.5: mounts over `upper`'s sibling `work` is impossible, so the mount goes onto a
/// directory of its own beside them and is taken from there.
fn overlay_by_mount(lower: &[std::path::PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let place = upper.with_file_name("merged");
    fs::create_dir_all(&place)?;
    let lower: Vec<_> = lower.iter().map(|l| l.display().to_string()).collect();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
    let options = std::ffi::CString::new(options)?;
    rustix::mount::mount(
        "overlay",
        &place,
        "overlay",
        rustix::mount::MountFlags::empty(),
        options.as_c_str(),
    )?;
    open_bind(&place)
}

/// `/dev` as the OCI runtime specification lists it.
pub fn populate_dev(root: BorrowedFd<'_>) -> io::Result<()> {
    const NODES: [(&str, u32, u32); 6] =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    const LINKS: [(&str, &str); 6] = [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
        ("/proc/kcore", "core"),
    ];
    let options = ["mode=755".to_owned(), "size=65536k".to_owned()];
    let tree = new_filesystem("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID.bits())?;
    attach(&tree, make_target(root, "/dev", true)?)?;
    let dev = open_in_root(root, "/dev", OFlags::PATH | OFlags::DIRECTORY)?;
    let mode = Mode::from_raw_mode(0o666);
    for (name, major, minor) in NODES {
        rustix::fs::mknodat(&dev, name, FileType::CharacterDevice, mode, rustix::fs::makedev(major, minor))?;
    }
    for (target, name) in LINKS {
        rustix::fs::symlinkat(target, &dev, name)?;
    }
    Ok(())
}

/// Parts of the host's `/dev` that a container has of its own even when it is given the whole.
const NOT_SHARED: [&str; 5] = ["pts", "shm", "mqueue", "console", "fd"];

/// Makes the nodes of `devices`; a directory stands for all devices in it.
pub fn make_devices(root: BorrowedFd<'_>, devices: &[Device]) -> Result<(), InitError> {
    for device in devices {
        make_device(root, &device.source, &device.target)
            .during(format!("error creating device {:?}", device.target))?;
    }
    Ok(())
}

fn make_device(root: BorrowedFd<'_>, source: &Path, target: &str) -> io::Result<()> {
    let meta = fs::metadata(source)?;
    if meta.is_dir() {
        for entry in fs::read_dir(source)?.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if target == "/dev" && NOT_SHARED.contains(&name) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() || kind.is_char_device() || kind.is_block_device() {
                make_device(root, &entry.path(), &format!("{target}/{name}"))?;
            }
        }
        return Ok(());
    }
    let kind =
        if meta.file_type().is_block_device() { FileType::BlockDevice } else { FileType::CharacterDevice };
    let (parent, name) = target.rsplit_once('/').unwrap_or(("", target));
    let parent = make_directories(root, parent)?;
    match rustix::fs::mknodat(&parent, name, kind, Mode::from_raw_mode(meta.mode() & 0o777), meta.rdev()) {
        Err(rustix::io::Errno::EXIST) => return Ok(()),
        made => made?,
    }
    let owner = (rustix::fs::Uid::from_raw(meta.uid()), rustix::fs::Gid::from_raw(meta.gid()));
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::chownat(&parent, name, Some(owner.0), Some(owner.1), flags)?)
}

/// Makes the opened root the root of the namespace and lets go of the host's.
pub fn enter(root: BorrowedFd<'_>) -> Result<(), InitError> {
    let pivot = || -> io::Result<()> {
        rustix::process::fchdir(root)?;
        // The old root ends up stacked on the new one, at ".".
        rustix::process::pivot_root(".", ".")?;
        let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change(".", flags)?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir("/")?)
    };
    pivot().during("could not change the root")
}

/// Makes the root mount read-only; what is mounted below stays as it is.
pub fn make_root_readonly() -> Result<(), InitError> {
    let change = || -> io::Result<()> {
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
        mount_setattr(root, MountAttributes { set, propagation: 0, recursive: false })
    };
    change().during("could not make the root file system read-only")
}

/// Hides paths: files behind `/dev/null`, directories behind an empty read-only file system.
pub fn mask(root: BorrowedFd<'_>, paths: &[String]) -> Result<(), InitError> {
    for path in paths {
        hide(root, path).during(format!("could not mask {path:?}"))?;
    }
    Ok(())
}

fn hide(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    let Some(target) = open_existing(root, path)? else { return Ok(()) };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode);
    if kind == FileType::Directory {
        let tree = new_filesystem("tmpfs", &["size=0k".into()], MountAttrFlags::MOUNT_ATTR_RDONLY.bits())?;
        return attach(tree, target);
    }
    attach(open_bind(Path::new("/dev/null"))?, target)
}

/// Lets paths only be read.
pub fn make_readonly(root: BorrowedFd<'_>, paths: &[String]) -> Result<(), InitError> {
    for path in paths {
        freeze(root, path).during(format!("could not make {path:?} read-only"))?;
    }
    Ok(())
}

fn freeze(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    use rustix::mount::OpenTreeFlags as Tree;
    let Some(target) = open_existing(root, path)? else { return Ok(()) };
    let flags = Tree::OPEN_TREE_CLONE | Tree::OPEN_TREE_CLOEXEC | Tree::AT_RECURSIVE | Tree::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&target, "", flags)?;
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
    mount_setattr(&tree, MountAttributes { set, propagation: 0, recursive: false })?;
    attach(tree, target)
}

/// A path that the kernel does not have needs no hiding.
fn open_existing(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<OwnedFd>> {
    match open_in_root(root, path, OFlags::PATH) {
        Ok(found) => Ok(Some(found)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}
