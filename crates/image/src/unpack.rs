//! Unpacks one layer into a directory that overlayfs takes as a lower layer.
//!
//! A layer is foreign input: its paths and links must not lead out of the directory. The thread that unpacks has the
//! directory as its root (`chroot` after `unshare(CLONE_FS)`), so the kernel holds that line, whatever the archive says.
//! Whiteouts (OCI image spec, "layer") become what overlayfs understands: a character device 0:0 for a removed file,
//! the attribute `trusted.overlay.opaque` for a directory that hides what is below.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use tar::{Archive, Entry, EntryType};

use crate::Digest;
use crate::digest::Hashing;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
const OPAQUE_ATTRIBUTE: &str = "trusted.overlay.opaque";

/// Unpacks the archive `layer` (tar, plain or compressed with gzip or zstd) into `directory`, which must be empty.
/// Gives the digest of the uncompressed archive and the bytes of its files. Blocks.
pub(crate) fn unpack(layer: File, directory: &Path) -> io::Result<(Digest, u64)> {
    let directory = directory.to_owned();
    let thread = std::thread::Builder::new().name("unpack".to_owned()).spawn(move || {
        unshare(CloneFlags::CLONE_FS)?;
        nix::unistd::chroot(&directory)?;
        std::env::set_current_dir("/")?;
        nix::sys::stat::umask(Mode::empty());
        unpack_here(layer)
    })?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that unpacks the layer panicked")))
}

fn unpack_here(layer: File) -> io::Result<(Digest, u64)> {
    let mut archive = Archive::new(Hashing::new(decompressed(layer)?));
    let mut unpacked = Unpacked::default();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        unpacked
            .entry(&mut entry)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    }
    unpacked.set_directory_times()?;
    let mut rest = archive.into_inner();
    // The digest is of the whole stream, padding included.
    io::copy(&mut rest, &mut io::sink())?;
    Ok((rest.finish(), unpacked.bytes))
}

fn decompressed(mut layer: File) -> io::Result<Box<dyn Read>> {
    let mut magic = [0; 4];
    let count = layer.read(&mut magic)?;
    layer.seek(SeekFrom::Start(0))?;
    let layer = BufReader::with_capacity(1 << 16, layer);
    Ok(match &magic[..count] {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(layer)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::with_buffer(layer)?),
        _ => Box::new(layer),
    })
}

#[derive(Default)]
struct Unpacked {
    bytes: u64,
    /// Directories get their times last: files made in them would change them.
    directories: Vec<(PathBuf, u64)>,
}

impl Unpacked {
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let Some(path) = absolute(&entry.path()?) else { return Ok(()) };
        let Some(parent) = path.parent() else { return self.directory(entry, &path) };
        fs::create_dir_all(parent)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == OPAQUE {
            return xattr::set(parent, OPAQUE_ATTRIBUTE, b"y");
        }
        if let Some(removed) = name.strip_prefix(WHITEOUT) {
            return whiteout(&parent.join(removed));
        }
        self.make(entry, &path)
    }

    fn make<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path) -> io::Result<()> {
        match entry.header().entry_type() {
            EntryType::Directory => return self.directory(entry, path),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                clear(path)?;
                self.bytes += io::copy(entry, &mut File::create_new(path)?)?;
            }
            EntryType::Link => {
                clear(path)?;
                // The file that it links to has its attributes already.
                return fs::hard_link(
                    link_target(entry).map(|target| absolute(&target))?.unwrap_or_default(),
                    path,
                );
            }
            EntryType::Symlink => {
                clear(path)?;
                std::os::unix::fs::symlink(link_target(entry)?, path)?;
            }
            EntryType::Char => node(entry, path, SFlag::S_IFCHR)?,
            EntryType::Block => node(entry, path, SFlag::S_IFBLK)?,
            EntryType::Fifo => node(entry, path, SFlag::S_IFIFO)?,
            _ => return Ok(()), // headers of the archive itself
        }
        attributes(entry, path)?;
        set_times(path, entry.header().mtime().unwrap_or(0))
    }

    fn directory<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(path).is_ok_and(|known| known.is_dir()) {
            clear(path)?;
            fs::create_dir(path)?;
        }
        self.directories.push((path.to_owned(), entry.header().mtime().unwrap_or(0)));
        attributes(entry, path)
    }

    fn set_directory_times(&mut self) -> io::Result<()> {
        for (path, mtime) in self.directories.drain(..).rev() {
            if path.is_dir() {
                set_times(&path, mtime)?;
            }
        }
        Ok(())
    }
}

/// The path from the root of the layer; `None` for one that climbs.
fn absolute(path: &Path) -> Option<PathBuf> {
    let mut absolute = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => absolute.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(absolute)
}

fn link_target<R: Read>(entry: &Entry<'_, R>) -> io::Result<PathBuf> {
    let target = entry.link_name()?.ok_or_else(|| io::Error::other("a link without a target"))?;
    Ok(target.into_owned())
}

/// A later entry replaces an earlier one of the same name.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(known) if known.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn whiteout(path: &Path) -> io::Result<()> {
    clear(path)?;
    Ok(mknod(path, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))?)
}

fn node<R: Read>(entry: &Entry<'_, R>, path: &Path, kind: SFlag) -> io::Result<()> {
    clear(path)?;
    let header = entry.header();
    let (major, minor) = match kind {
        SFlag::S_IFIFO => (0, 0), // archives leave the numbers empty
        _ => (header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)),
    };
    Ok(mknod(path, kind, Mode::from_bits_truncate(0o600), makedev(major.into(), minor.into()))?)
}

fn attributes<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> io::Result<()> {
    let header = entry.header();
    // An empty field is zero, as other readers have it.
    let (uid, gid) = (header.uid().unwrap_or(0), header.gid().unwrap_or(0));
    let (mode, kind) = (header.mode()?, header.entry_type());
    std::os::unix::fs::lchown(path, u32::try_from(uid).ok(), u32::try_from(gid).ok())?;
    if kind != EntryType::Symlink {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))?;
    }
    let Some(extensions) = entry.pax_extensions()? else { return Ok(()) };
    for extension in extensions {
        let extension = extension?;
        let name = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr."));
        // An image must not make overlayfs see what is not there.
        if let Some(name) = name.filter(|name| !name.starts_with("trusted.overlay.")) {
            set_attribute(path, name, extension.value_bytes())?;
        }
    }
    Ok(())
}

/// File systems without the attribute's kind go without it, as other runtimes do.
fn set_attribute(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    match xattr::set(path, name, value) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}

fn set_times(path: &Path, mtime: u64) -> io::Result<()> {
    let time = nix::sys::time::TimeSpec::new(mtime.try_into().unwrap_or(0), 0);
    let no_follow = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
    Ok(nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, no_follow)?)
}

#[cfg(test)]
mod tests;
