//! `subPath`: one file or directory of a volume, bound so that the container cannot lead it elsewhere.
//!
//! Containers may write to the volume and swap any part of the path for a link at any time. So the path is
//! opened once by the kernel with `RESOLVE_BENEATH`, which never leaves the volume, and what is bound is the
//! open file, not the path.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};

use crate::mount;

/// A sub-path could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum SubPathError {
    /// It is absolute, or it leads out of the volume.
    #[error("subpath {path:?} not within volume path {volume:?}")]
    Escapes {
        /// The sub-path.
        path: PathBuf,
        /// Root of the volume.
        volume: PathBuf,
    },
    /// The file system refused.
    #[error("could not {action} subpath {path:?}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The sub-path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Binds `subpath` of `volume` to `target` (made as needed, replaced if it is bound already).
/// A directory is made where the sub-path does not exist yet.
pub fn bind(volume: &Path, subpath: &Path, target: &Path) -> Result<(), SubPathError> {
    let source = open_or_create(volume, subpath)?;
    let failed = |action| move |source| SubPathError::Io { action, path: subpath.to_owned(), source };
    prepare_target(&source, target).map_err(failed("prepare the target of"))?;
    let by_fd = PathBuf::from(format!("/proc/self/fd/{}", source.as_raw_fd()));
    mount::bind(&by_fd, target).map_err(failed("bind"))
}

fn open_or_create(volume: &Path, subpath: &Path) -> Result<OwnedFd, SubPathError> {
    let escapes = || SubPathError::Escapes { path: subpath.to_owned(), volume: volume.to_owned() };
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if subpath.as_os_str().is_empty() || !subpath.components().all(plain) {
        return Err(escapes());
    }
    let root = File::open(volume).map_err(|source| SubPathError::Io {
        action: "open the volume of",
        path: subpath.to_owned(),
        source,
    })?;
    let opened = match beneath(&root, subpath) {
        Err(Errno::ENOENT) => make_dirs(&root, subpath).and_then(|()| beneath(&root, subpath)),
        opened => opened,
    };
    opened.map_err(|errno| match errno {
        Errno::EXDEV | Errno::ELOOP => escapes(),
        errno => SubPathError::Io { action: "open", path: subpath.to_owned(), source: errno.into() },
    })
}

fn beneath(root: impl std::os::fd::AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how)
}

/// Makes the missing directories of `path`, with the permissions of the volume's root, as upstream does.
fn make_dirs(root: &File, path: &Path) -> Result<(), Errno> {
    let permissions = root.metadata().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let mode = Mode::from_bits_truncate(std::os::unix::fs::PermissionsExt::mode(&permissions.permissions()));
    let mut parent = beneath(root, Path::new("."))?;
    let mut seen = PathBuf::new();
    for part in path.components() {
        seen.push(part);
        parent = match beneath(root, &seen) {
            Err(Errno::ENOENT) => {
                mkdirat(&parent, Path::new(part.as_os_str()), Mode::S_IRWXU)?;
                let how = OpenHow::new()
                    .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
                    .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
                let made = openat2(&parent, Path::new(part.as_os_str()), how)?;
                fchmod(&made, mode)?;
                made
            }
            found => found?,
        };
    }
    Ok(())
}

fn prepare_target(source: &OwnedFd, target: &Path) -> io::Result<()> {
    mount::unmount_under(target)?;
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let is_dir = fs::metadata(format!("/proc/self/fd/{}", source.as_raw_fd()))?.is_dir();
    match fs::symlink_metadata(target) {
        Ok(meta) if meta.is_dir() && !is_dir => fs::remove_dir(target)?,
        Ok(meta) if !meta.is_dir() && is_dir => fs::remove_file(target)?,
        _ => {}
    }
    if is_dir {
        fs::create_dir_all(target)
    } else {
        OpenOptions::new().create(true).write(true).truncate(false).open(target).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_leads_out_of_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("volume");
        fs::create_dir_all(volume.join("inside")).unwrap();
        fs::create_dir(dir.path().join("secret")).unwrap();
        symlink("../secret", volume.join("relative")).unwrap();
        symlink("/etc", volume.join("absolute")).unwrap();
        symlink("inside", volume.join("fine")).unwrap();
        for bad in ["..", "../secret", "/etc", "relative", "absolute", "absolute/passwd", "relative/new", ""]
        {
            let error = open_or_create(&volume, Path::new(bad)).unwrap_err();
            assert!(matches!(error, SubPathError::Escapes { .. }), "{bad}: {error}");
        }
        for good in ["inside", "fine", "fine/new/deep", "./inside"] {
            open_or_create(&volume, Path::new(good)).unwrap();
        }
        assert!(volume.join("inside/new/deep").is_dir());
        assert!(!dir.path().join("secret/new").exists());
    }

    #[test]
    #[ignore = "needs root"]
    fn files_and_directories_are_bound_and_bound_again() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("a"), "first").unwrap();
        fs::write(volume.join("b"), "second").unwrap();
        let target = dir.path().join("targets/0");
        bind(&volume, Path::new("a"), &target).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "first");
        bind(&volume, Path::new("b"), &target).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "second");
        bind(&volume, Path::new("dir"), &target).unwrap();
        assert!(target.is_dir());
        assert_eq!(mount::mounts_under(dir.path()).unwrap().len(), 1);
        mount::remove_tree(dir.path()).unwrap();
    }
}
