//! `hostPath`: checks the path on the node, or makes it, as its type asks.

use std::fs::{self, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The host path is not what its type asks for.
#[derive(Debug, thiserror::Error)]
pub enum HostPathError {
    /// It is something else or does not exist.
    #[error("hostPath type check failed: {path} is not a {wanted}", path = .path.display())]
    WrongType {
        /// The path of the volume.
        path: PathBuf,
        /// Upstream's name of the wanted type.
        wanted: &'static str,
    },
    /// It could not be made.
    #[error("could not create {path}: {source}", path = .path.display())]
    Create {
        /// The path of the volume.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The type is none of the API's.
    #[error("{0} is an invalid volume type")]
    UnknownType(String),
}

/// Makes sure `path` is what `kind` (the field `hostPath.type`) asks for.
///
/// No type means no check; what does not exist is then made as a directory, as container runtimes do.
pub fn prepare(path: &Path, kind: &str) -> Result<(), HostPathError> {
    let wrong = |wanted| Err(HostPathError::WrongType { path: path.to_owned(), wanted });
    let create = |source| HostPathError::Create { path: path.to_owned(), source };
    let is = |test: fn(&FileType) -> bool| fs::metadata(path).is_ok_and(|meta| test(&meta.file_type()));
    match kind {
        "" if path.exists() => Ok(()),
        "" => fs::create_dir_all(path).map_err(create),
        "DirectoryOrCreate" if !path.exists() => fs::create_dir_all(path).map_err(create),
        "FileOrCreate" if !path.exists() => create_file(path).map_err(create),
        "Directory" | "DirectoryOrCreate" if !is(FileType::is_dir) => wrong("directory"),
        "File" | "FileOrCreate" if !is(FileType::is_file) => wrong("file"),
        "Socket" if !is(FileType::is_socket) => wrong("socket file"),
        "CharDevice" if !is(FileType::is_char_device) => wrong("character device"),
        "BlockDevice" if !is(FileType::is_block_device) => wrong("block device"),
        "Directory" | "DirectoryOrCreate" | "File" | "FileOrCreate" | "Socket" | "CharDevice"
        | "BlockDevice" => Ok(()),
        other => Err(HostPathError::UnknownType(other.to_owned())),
    }
}

fn create_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().create_new(true).write(true).mode(0o644).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_checks_or_makes_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "").unwrap();
        fs::create_dir(at("dir")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let null = PathBuf::from("/dev/null");
        let cases = [
            (at("dir"), "Directory", None),
            (at("file"), "Directory", Some("is not a directory")),
            (at("absent"), "Directory", Some("is not a directory")),
            (at("file"), "File", None),
            (at("dir"), "File", Some("is not a file")),
            (at("socket"), "Socket", None),
            (at("file"), "Socket", Some("is not a socket file")),
            (null.clone(), "CharDevice", None),
            (null, "BlockDevice", Some("is not a block device")),
            (at("new/dir"), "DirectoryOrCreate", None),
            (at("file"), "DirectoryOrCreate", Some("is not a directory")),
            (at("new/file"), "FileOrCreate", None),
            (at("no/parent"), "FileOrCreate", Some("could not create")),
            (at("dir"), "FileOrCreate", Some("is not a file")),
            (at("file"), "", None),
            (at("any/dir"), "", None),
            (at("dir"), "Nope", Some("Nope is an invalid volume type")),
        ];
        for (path, kind, want) in cases {
            match (prepare(&path, kind), want) {
                (Ok(()), None) => {}
                (Err(error), Some(text)) => {
                    assert!(error.to_string().contains(text), "{kind} {path:?}: {error}");
                }
                (got, want) => panic!("{kind} {path:?}: {got:?}, wanted {want:?}"),
            }
        }
        assert!(at("new/dir").is_dir() && at("new/file").is_file() && at("any/dir").is_dir());
    }
}
