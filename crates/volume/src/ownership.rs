//! `fsGroup`: gives a volume to a group.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// The group that owns a volume and what its members may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsGroup {
    /// Group id.
    pub gid: u32,
    /// Members may only read.
    pub read_only: bool,
}

/// Gives everything below `root` to the group. Directories get the set-group-id bit, so that new files follow.
/// Symbolic links change owner only; nothing outside `root` is reached through them.
pub fn apply(root: &Path, group: FsGroup) -> io::Result<()> {
    let meta = fs::symlink_metadata(root)?;
    lchown(root, None, Some(group.gid))?;
    if meta.is_symlink() {
        return Ok(());
    }
    let mode = mode_with_group(meta.permissions().mode(), meta.is_dir(), group.read_only);
    fs::set_permissions(root, fs::Permissions::from_mode(mode))?;
    if meta.is_dir() {
        for entry in fs::read_dir(root)? {
            apply(&entry?.path(), group)?;
        }
    }
    Ok(())
}

/// Whether the root of a volume already belongs to the group, for `fsGroupChangePolicy: OnRootMismatch`.
pub fn root_matches(root: &Path, group: FsGroup) -> io::Result<bool> {
    let meta = fs::symlink_metadata(root)?;
    let mode = meta.permissions().mode();
    Ok(meta.gid() == group.gid && mode_with_group(mode, meta.is_dir(), group.read_only) == mode)
}

fn mode_with_group(mode: u32, is_dir: bool, read_only: bool) -> u32 {
    let access = if read_only { 0o440 } else { 0o660 };
    let directory = if is_dir { 0o2110 } else { 0 };
    mode | access | directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_gain_what_the_group_needs() {
        let cases = [
            (0o644, false, false, 0o664),
            (0o644, false, true, 0o644),
            (0o400, false, true, 0o440),
            (0o755, true, false, 0o2775),
            (0o700, true, true, 0o2750),
        ];
        for (mode, is_dir, read_only, want) in cases {
            assert_eq!(mode_with_group(mode, is_dir, read_only), want, "{mode:o} {is_dir} {read_only}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let before = fs::metadata(outside.path()).unwrap().permissions().mode();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        let gid = nix::unistd::getgid().as_raw();
        let group = FsGroup { gid, read_only: false };
        apply(dir.path(), group).unwrap();
        assert_eq!(fs::metadata(outside.path()).unwrap().permissions().mode(), before);
        assert!(root_matches(dir.path(), group).unwrap());
    }
}
