//! The mounts a volume needs, and finding and undoing them again.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mounts a tmpfs on `target`.
pub fn mount_tmpfs(target: &Path, options: &str, flags: MsFlags) -> io::Result<()> {
    Ok(mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options))?)
}

/// Binds `source` (and what is mounted below it) to `target`.
pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    Ok(mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?)
}

/// Unmounts `target`; a mount still in use goes away with its last user.
pub fn unmount(target: &Path) -> io::Result<()> {
    match umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether something is mounted exactly on `path`.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    let path = fs::canonicalize(path)?;
    Ok(read_mounts()?.contains(&path))
}

/// The mount points at and below `root`, in the order they were made.
pub fn mounts_under(root: &Path) -> io::Result<Vec<PathBuf>> {
    let root = match fs::canonicalize(root) {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(read_mounts()?.into_iter().filter(|point| point.starts_with(&root)).collect())
}

/// Unmounts everything at and below `root`, the newest first.
pub fn unmount_under(root: &Path) -> io::Result<()> {
    mounts_under(root)?.iter().rev().try_for_each(|point| unmount(point))
}

/// Removes `root` and all it holds. What is mounted below it is unmounted first and never descended into:
/// the data of a host path must outlive the pod.
pub fn remove_tree(root: &Path) -> io::Result<()> {
    unmount_under(root)?;
    if let Some(left) = mounts_under(root)?.first() {
        return Err(io::Error::other(format!("{} is still mounted", left.display())));
    }
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn read_mounts() -> io::Result<Vec<PathBuf>> {
    Ok(parse_mounts(&fs::read("/proc/self/mountinfo")?))
}

/// The mount points (5th field) of a `mountinfo` file, proc(5).
fn parse_mounts(table: &[u8]) -> Vec<PathBuf> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| OsString::from_vec(unescape(field)).into())
        .collect()
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) = (first, tail) {
            out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = tail;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let table = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
            37 35 0:5 / /with\\040space rw - tmpfs tmpfs rw\n";
        assert_eq!(parse_mounts(table), [PathBuf::from("/mnt2"), PathBuf::from("/with space")]);
    }

    #[test]
    fn the_root_is_a_mount_point() {
        assert!(is_mount_point(Path::new("/")).unwrap());
        assert!(!is_mount_point(tempfile::tempdir().unwrap().path()).unwrap());
    }

    #[test]
    fn a_tree_that_is_gone_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        remove_tree(&dir.path().join("absent")).unwrap();
    }
}
