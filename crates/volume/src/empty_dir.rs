//! `emptyDir`: a directory on the node's disk, or a tmpfs.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::MsFlags;

use crate::mount;

/// Where an empty directory keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// The file system that holds the kubelet's root directory.
    Disk,
    /// A tmpfs, of at most this many bytes when given.
    Memory {
        /// Limit in bytes; half of the machine's memory when absent, as the kernel decides.
        limit_bytes: Option<u64>,
    },
}

/// Makes `path` an empty directory with `mode`; what a former run of the pod's volume left stays.
pub fn set_up(path: &Path, medium: Medium, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    if let Medium::Memory { limit_bytes } = medium
        && !mount::is_mount_point(path)?
    {
        let size = limit_bytes.map_or(String::new(), |bytes| format!(",size={bytes}"));
        mount::mount_tmpfs(path, &format!("mode={mode:o}{size}"), MsFlags::empty())?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_may_write_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        set_up(&path, Medium::Disk, 0o777).unwrap();
        fs::write(path.join("kept"), "x").unwrap();
        set_up(&path, Medium::Disk, 0o777).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o777);
        assert!(path.join("kept").exists());
    }

    #[test]
    #[ignore = "needs root"]
    fn memory_is_a_tmpfs_of_the_asked_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shm");
        let medium = Medium::Memory { limit_bytes: Some(64 * 1024) };
        set_up(&path, medium, 0o777).unwrap();
        set_up(&path, medium, 0o777).unwrap();
        let stat = nix::sys::statvfs::statvfs(&path).unwrap();
        assert_eq!(stat.blocks() * stat.fragment_size(), 64 * 1024);
        assert_eq!(mount::mounts_under(dir.path()).unwrap().len(), 1);
        mount::unmount_under(dir.path()).unwrap();
        assert!(mount::mounts_under(dir.path()).unwrap().is_empty());
    }
}
