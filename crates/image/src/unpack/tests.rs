use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use tar::{Builder, Header};

use super::*;

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(1000);
    header.set_gid(1001);
    header.set_mtime(1_600_000_000);
    header
}

/// Appends an entry whose path is written as it is, even if it climbs.
fn append(builder: &mut Builder<Vec<u8>>, path: &str, mut header: Header, data: &[u8]) {
    header.as_gnu_mut().expect("a GNU header").name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    builder.append(&header, data).expect("writing to memory");
}

fn file(builder: &mut Builder<Vec<u8>>, path: &str, data: &str) {
    append(builder, path, header(EntryType::Regular, 0o640, data.len() as u64), data.as_bytes());
}

fn link(builder: &mut Builder<Vec<u8>>, kind: EntryType, path: &str, target: &str) {
    let mut header = header(kind, 0o777, 0);
    header.set_link_name(target).expect("a short target");
    append(builder, path, header, &[]);
}

fn unpacked(archive: Vec<u8>) -> (tempfile::TempDir, io::Result<(Digest, u64)>) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut layer = tempfile::tempfile().expect("a file");
    layer.write_all(&archive).expect("written");
    layer.seek(SeekFrom::Start(0)).expect("rewound");
    let result = unpack(layer, dir.path());
    (dir, result)
}

#[test]
#[ignore = "needs root"]
fn files_keep_their_attributes() {
    let mut builder = Builder::new(Vec::new());
    append(&mut builder, "etc/", header(EntryType::Directory, 0o700, 0), &[]);
    file(&mut builder, "etc/passwd", "root");
    link(&mut builder, EntryType::Link, "etc/again", "etc/passwd");
    link(&mut builder, EntryType::Symlink, "etc/link", "/etc/passwd");
    append(&mut builder, "pipe", header(EntryType::Fifo, 0o600, 0), &[]);
    let archive = builder.into_inner().expect("finished");
    let want = Digest::of(&archive);
    let (dir, result) = unpacked(archive);
    assert_eq!(result.expect("unpacks"), (want, 4));
    let known = fs::metadata(dir.path().join("etc/passwd")).expect("there");
    assert_eq!((known.mode() & 0o7777, known.uid(), known.gid(), known.nlink()), (0o640, 1000, 1001, 2));
    assert_eq!(fs::metadata(dir.path().join("etc")).expect("there").mtime(), 1_600_000_000);
    assert_eq!(fs::read_link(dir.path().join("etc/link")).expect("a link"), Path::new("/etc/passwd"));
    assert!(fs::metadata(dir.path().join("pipe")).expect("there").file_type().is_fifo());
}

#[test]
#[ignore = "needs root"]
fn whiteouts_become_what_overlayfs_understands() {
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "a/.wh.gone", "");
    file(&mut builder, "b/.wh..wh..opq", "");
    let (dir, result) = unpacked(builder.into_inner().expect("finished"));
    result.expect("unpacks");
    let gone = fs::symlink_metadata(dir.path().join("a/gone")).expect("there");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let opaque = xattr::get(dir.path().join("b"), OPAQUE_ATTRIBUTE).expect("readable");
    assert_eq!(opaque.as_deref(), Some(&b"y"[..]));
}

#[test]
#[ignore = "needs root"]
fn nothing_leads_out_of_the_directory() {
    let outside = tempfile::tempdir().expect("a directory");
    let target = outside.path().to_str().expect("text").to_owned();
    let mut builder = Builder::new(Vec::new());
    link(&mut builder, EntryType::Symlink, "out", &target);
    file(&mut builder, "out/file", "escaped");
    file(&mut builder, "../climbed", "escaped");
    file(&mut builder, &format!("{target}/absolute"), "inside");
    let (dir, result) = unpacked(builder.into_inner().expect("finished"));
    // A link into nothing cannot be written through; whatever the outcome, the outside is untouched.
    drop(result);
    assert_eq!(fs::read_dir(outside.path()).expect("readable").count(), 0);
    assert!(!dir.path().parent().expect("a parent").join("climbed").exists());
}

#[test]
#[ignore = "needs root"]
fn an_absolute_link_inside_the_layer_is_followed_inside_it() {
    let mut builder = Builder::new(Vec::new());
    append(&mut builder, "run/", header(EntryType::Directory, 0o755, 0), &[]);
    link(&mut builder, EntryType::Symlink, "var", "/run");
    file(&mut builder, "var/state", "here");
    let (dir, result) = unpacked(builder.into_inner().expect("finished"));
    result.expect("unpacks");
    assert_eq!(fs::read_to_string(dir.path().join("run/state")).expect("there"), "here");
}

#[test]
#[ignore = "needs root"]
fn compressed_layers_have_the_digest_of_what_is_inside() {
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "f", "data");
    let plain = builder.into_inner().expect("finished");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("compresses");
    for packed in [gzip.finish().expect("finished"), zstd::encode_all(&plain[..], 1).expect("compresses")] {
        assert_eq!(unpacked(packed).1.expect("unpacks").0, Digest::of(&plain));
    }
}

#[test]
#[ignore = "needs root"]
fn a_cut_archive_is_an_error() {
    let mut builder = Builder::new(Vec::new());
    file(&mut builder, "f", &"x".repeat(4000));
    let mut archive = builder.into_inner().expect("finished");
    archive.truncate(2000);
    assert!(unpacked(archive).1.is_err());
}
