//! Files that are whole or absent: written beside their place with their final mode, then renamed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::PkiError;

/// Only the owner may read: private keys and kubeconfigs.
pub(crate) const SECRET: u32 = 0o600;
/// Everybody may read: certificates and public keys.
pub(crate) const PUBLIC: u32 = 0o644;

/// The file's text; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            String::from_utf8(bytes).map(Some).map_err(|_| PkiError::corrupt(path, "it is not a text file"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::Io { action: "read", path: path.to_owned(), source }),
    }
}

/// Puts `content` at `path`, durably and in one step: readers see the old file or the new one.
pub(crate) fn write(path: &Path, content: &str, mode: u32) -> Result<(), PkiError> {
    replace(path, content.as_bytes(), mode).map_err(|source| PkiError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Makes `dir` and its parents; only the owner may enter a directory made here.
pub(crate) fn create_dir(dir: &Path) -> Result<(), PkiError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| PkiError::Io {
        action: "create",
        path: dir.to_owned(),
        source,
    })
}

fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = parent.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&temporary, content, mode).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report; a left-over is overwritten by the next try.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    File::open(parent)?.sync_all()
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let _ = std::fs::remove_file(path); // left by a killed process; its mode may be another
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_rewrite_tightens_the_mode_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.key");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, "new", SECRET).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().as_deref(), Some("new"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn failures_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no/such/dir/ca.key");
        assert!(write(&path, "x", SECRET).unwrap_err().to_string().contains("no/such/dir/ca.key"));
        let binary = dir.path().join("ca.crt");
        std::fs::write(&binary, [0xff, 0xfe]).unwrap();
        assert!(read(&binary).unwrap_err().to_string().contains("ca.crt is not usable"));
        assert!(read(&dir.path().join("absent")).unwrap().is_none());
    }
}
