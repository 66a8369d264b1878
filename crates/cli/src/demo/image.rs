//! The demo's image: a docker-archive whose one layer holds the binary and nothing that it does not need.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Why the image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The binary cannot be read.
    #[error("could not read {path}")]
    Binary {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive cannot be written, mostly for want of space.
    #[error("could not write the image archive {path}")]
    Archive {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// Writes an image named `tag` to the file `archive`, with the static `binary` as `/steersman`. The same binary gives
/// the same bytes. Blocks.
pub fn write_image_archive(binary: &Path, tag: &str, archive: &Path) -> Result<(), ImageError> {
    let mut file =
        File::open(binary).map_err(|source| ImageError::Binary { path: binary.to_owned(), source })?;
    write_archive(&mut file, tag, archive)
        .map_err(|source| ImageError::Archive { path: archive.to_owned(), source })
}

fn write_archive(binary: &mut File, tag: &str, archive: &Path) -> io::Result<()> {
    // The layer's digest comes before the layer, so the layer is written aside first.
    let mut layer = tempfile::tempfile_in(archive.parent().unwrap_or(Path::new(".")))?;
    let digest = write_layer(binary, &layer)?;
    layer.rewind()?;
    let config = config(&digest).to_string();
    let config_name = format!("{}.json", hex::encode(Sha256::digest(&config)));
    let layer_name = format!("{digest}/layer.tar");
    let manifest = json!([{ "Config": config_name, "RepoTags": [tag], "Layers": [layer_name] }]).to_string();

    let mut tar = Builder::new(BufWriter::new(File::create(archive)?));
    append(&mut tar, "manifest.json", 0o644, manifest.as_bytes())?;
    append(&mut tar, &config_name, 0o644, config.as_bytes())?;
    let mut header = header(EntryType::Regular, 0o644, layer.metadata()?.len());
    tar.append_data(&mut header, &layer_name, &mut layer)?;
    tar.into_inner()?.into_inner()?.sync_all()
}

fn config(layer: &str) -> serde_json::Value {
    json!({
        "architecture": architecture(), "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": ["/steersman"], "Env": ["PATH=/"], "User": "65532:65532", "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "steersman" }],
    })
}

/// The architecture in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Writes the layer to `out`; gives its SHA-256 in hexadecimal.
fn write_layer(binary: &mut File, out: &File) -> io::Result<String> {
    let hashing = Hashing { inner: BufWriter::new(out), hasher: Sha256::new() };
    let mut tar = Builder::new(hashing);
    append_directory(&mut tar, "etc/", 0o755)?;
    append(&mut tar, "etc/passwd", 0o644, PASSWD.as_bytes())?;
    append(&mut tar, "etc/group", 0o644, GROUP.as_bytes())?;
    append_directory(&mut tar, "tmp/", 0o1777)?;
    let size = binary.metadata()?.len();
    // Should the file grow meanwhile, the layer stays whole.
    tar.append_data(&mut header(EntryType::Regular, 0o755, size), "steersman", binary.take(size))?;
    let mut hashing = tar.into_inner()?;
    hashing.inner.flush()?;
    Ok(hex::encode(hashing.hasher.finalize()))
}

fn append(tar: &mut Builder<impl Write>, path: &str, mode: u32, data: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Regular, mode, data.len() as u64), path, data)
}

fn append_directory(tar: &mut Builder<impl Write>, path: &str, mode: u32) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Directory, mode, 0), path, io::empty())
}

/// Root's, and as old as can be, so that equal contents are equal bytes.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Hashes what passes through.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn entries(bytes: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.expect("an entry");
            let mut data = Vec::new();
            entry.read_to_end(&mut data).expect("read");
            let path = entry.path().expect("a path").display().to_string();
            (path, (entry.header().mode().expect("a mode"), data))
        };
        archive.entries().expect("a tar").map(read).collect()
    }

    #[test]
    fn the_archive_is_a_docker_archive_and_always_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let (binary, first, second) =
            (dir.path().join("b"), dir.path().join("1.tar"), dir.path().join("2.tar"));
        std::fs::write(&binary, b"\x7fELF").expect("written");
        write_image_archive(&binary, "example/demo:1", &first).expect("made");
        write_image_archive(&binary, "example/demo:1", &second).expect("made");
        let bytes = std::fs::read(&first).expect("read");
        assert_eq!(bytes, std::fs::read(&second).expect("read"));

        let files = entries(&bytes);
        let json = |name: &str| -> Value { serde_json::from_slice(&files[name].1).expect("JSON") };
        let manifest = json("manifest.json");
        assert_eq!(manifest[0]["RepoTags"][0], "example/demo:1");
        let config = json(manifest[0]["Config"].as_str().expect("a name"));
        let layer = &files[manifest[0]["Layers"][0].as_str().expect("a name")].1;
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hex::encode(Sha256::digest(layer))));
        let layer = entries(layer);
        assert_eq!(layer["steersman"], (0o755, b"\x7fELF".to_vec()));
        assert_eq!(layer["tmp/"].0, 0o1777);
        assert_eq!(layer["etc/passwd"].1, PASSWD.as_bytes());
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = dir.path().join("missing");
        let error = write_image_archive(&missing, "demo", &dir.path().join("a")).expect_err("no binary");
        assert!(matches!(&error, ImageError::Binary { path, .. } if *path == missing), "{error}");
        std::fs::write(&missing, b"x").expect("written");
        let nowhere = dir.path().join("no/where.tar");
        let error = write_image_archive(&missing, "demo", &nowhere).expect_err("no directory");
        assert!(matches!(&error, ImageError::Archive { path, .. } if *path == nowhere), "{error}");
    }
}
