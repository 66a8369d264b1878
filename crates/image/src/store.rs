//! The images of a node on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::record::ConfigFile;
use crate::unpack::unpack;
use crate::{Digest, Image, ImageName};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system.
    #[error("could not {what} {path}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// What was unpacked is not what the image says.
    #[error("the layer {wanted} unpacked to {got}")]
    LayerMismatch {
        /// The diff id of the image's configuration.
        wanted: Digest,
        /// What it was.
        got: Digest,
    },
    /// The configuration is no image configuration.
    #[error("the configuration of image {id} cannot be read")]
    BadConfig {
        /// The image.
        id: Digest,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No such image.
    #[error("image {0:?} not found")]
    NoImage(String),
}

impl StoreError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}

/// A container's root file system, to be mounted with overlayfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFs {
    /// Read-only directories, the topmost first.
    pub lower: Vec<PathBuf>,
    /// What the container writes.
    pub upper: PathBuf,
    /// overlayfs's own.
    pub work: PathBuf,
}

/// Space that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

/// The images below one directory. Shared by everything in the process; no other process may use the directory.
pub struct ImageStore {
    root: PathBuf,
    images: RwLock<BTreeMap<Digest, Arc<Image>>>,
    /// Held while layers come or go, so that none is removed under an image that is about to need it.
    pub(crate) layers: Mutex<()>,
    pub(crate) busy: crate::pull::Busy,
    drafts: AtomicU64,
}

/// What a container uses, so that its layers outlive the image's removal.
#[derive(Serialize, serde::Deserialize)]
struct Lease {
    layers: Vec<Digest>,
}

impl ImageStore {
    /// Opens the store at `root`, makes its directories, and removes what a crash left half done.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        for part in ["layers", "images", "containers", "downloads"] {
            let path = root.join(part);
            fs::create_dir_all(&path).map_err(StoreError::io("create", &path))?;
        }
        let store = Self {
            images: RwLock::default(),
            layers: Mutex::default(),
            busy: crate::pull::Busy::default(),
            drafts: AtomicU64::new(0),
            root,
        };
        store.remove_drafts()?;
        store.load()?;
        Ok(store)
    }

    /// All images, by id.
    pub fn list(&self) -> Vec<Arc<Image>> {
        self.images.read().values().cloned().collect()
    }

    /// The image that `name` (short or full name, digest, id) means.
    pub fn get(&self, name: &str) -> Option<Arc<Image>> {
        let full = name.parse::<ImageName>().map(|name| name.to_string()).unwrap_or_default();
        let images = self.images.read();
        let mut called = images.values().filter(|image| image.is_called(name) || image.is_called(&full));
        called.next().cloned()
    }

    /// Removes an image with all its names, and the layers that nothing else uses; nothing happens if there is none.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let Some(image) = self.get(name) else { return Ok(()) };
        let path = self.image_path(&image.id);
        remove_file(&path)?;
        self.images.write().remove(&image.id);
        self.collect_garbage()
    }

    /// Makes the writable layer of `container` on top of an image, or gives the one that it has.
    pub fn prepare(&self, image: &str, container: &str) -> Result<(Arc<Image>, RootFs), StoreError> {
        let _held = self.layers.lock();
        let image = self.get(image).ok_or_else(|| StoreError::NoImage(image.to_owned()))?;
        let dir = self.container_dir(container);
        let rootfs = RootFs {
            lower: image.layers.iter().rev().map(|layer| self.layer_path(layer)).collect(),
            upper: dir.join("upper"),
            work: dir.join("work"),
        };
        for path in [&rootfs.upper, &rootfs.work] {
            fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        }
        // A container's root is a directory that everybody may enter, whatever the umask.
        fs::set_permissions(&rootfs.upper, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(StoreError::io("open up", &rootfs.upper))?;
        self.write_json(&dir.join("lease.json"), &Lease { layers: image.layers.clone() })?;
        Ok((image, rootfs))
    }

    /// Removes the writable layer of `container`; nothing happens if there is none.
    pub fn release(&self, container: &str) -> Result<(), StoreError> {
        remove_tree(&self.container_dir(container))?;
        self.collect_garbage()
    }

    /// Space taken by images, and by containers' writable layers. Walks the latter.
    pub fn usage(&self) -> Result<(Usage, Usage), StoreError> {
        let layers = self.root.join("layers");
        let containers = self.root.join("containers");
        let walk = |path: &Path| usage_of(path).map_err(StoreError::io("measure", path));
        Ok((walk(&layers)?, walk(&containers)?))
    }

    /// The directory of everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a layer is unpacked.
    pub(crate) fn has_layer(&self, diff_id: &Digest) -> bool {
        self.layer_path(diff_id).is_dir()
    }

    /// Unpacks `archive` as the layer `diff_id` unless it is there; whole and on disk when it returns. Blocks.
    pub(crate) fn add_layer(&self, archive: File, diff_id: &Digest) -> Result<(), StoreError> {
        let target = self.layer_path(diff_id);
        if target.is_dir() {
            return Ok(());
        }
        let draft = self.draft_path();
        fs::create_dir(&draft).map_err(StoreError::io("create", &draft))?;
        fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(StoreError::io("open up", &draft))?;
        let done = self.unpack_and_rename(archive, diff_id, &draft, &target);
        if done.is_err() {
            // The first error is the one to report; a draft that stays goes at the next start.
            drop(fs::remove_dir_all(&draft));
        }
        done
    }

    fn unpack_and_rename(
        &self,
        archive: File,
        wanted: &Digest,
        draft: &Path,
        to: &Path,
    ) -> Result<(), StoreError> {
        let (got, _) = unpack(archive, draft).map_err(StoreError::io("unpack the layer into", draft))?;
        if got != *wanted {
            return Err(StoreError::LayerMismatch { wanted: wanted.clone(), got });
        }
        let sync = |path: &Path| File::open(path).and_then(|file| Ok(nix::unistd::syncfs(file)?));
        sync(draft).map_err(StoreError::io("write to disk", draft))?;
        match fs::rename(draft, to) {
            // Somebody else was faster: theirs is as good.
            Err(_) if to.is_dir() => remove_tree(draft),
            other => other.map_err(StoreError::io("put into place", to)),
        }
    }

    /// Records an image whose layers are all unpacked, under `tags` and `digests`; a tag moves to it from another.
    pub(crate) fn add_image(
        &self,
        config: &[u8],
        tags: Vec<String>,
        digests: Vec<String>,
    ) -> Result<Arc<Image>, StoreError> {
        let id = Digest::of(config);
        let file = parse_config(config)?;
        let _held = self.layers.lock();
        let sizes =
            file.rootfs.diff_ids.iter().map(|layer| usage_of(&self.layer_path(layer)).map(|u| u.bytes));
        let size = sizes.sum::<io::Result<u64>>().map_err(StoreError::io("measure", &self.root))?;
        let known = self.images.read().get(&id).cloned();
        let merged = |old: Option<&Vec<String>>, new: Vec<String>| -> Vec<String> {
            old.into_iter().flatten().cloned().chain(new).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let image = Image {
            tags: merged(known.as_ref().map(|image| &image.tags), tags.clone()),
            digests: merged(known.as_ref().map(|image| &image.digests), digests),
            layers: file.rootfs.diff_ids,
            size,
            config: file.config.unwrap_or_default(),
            id,
        };
        self.take_tags(&image, &tags)?;
        self.save(image)
    }

    /// Other images lose the tags that `image` has now.
    fn take_tags(&self, image: &Image, tags: &[String]) -> Result<(), StoreError> {
        for other in self.list() {
            if other.id == image.id || !other.tags.iter().any(|tag| tags.contains(tag)) {
                continue;
            }
            let mut untagged = (*other).clone();
            untagged.tags.retain(|tag| !tags.contains(tag));
            self.save(untagged)?;
        }
        Ok(())
    }

    fn save(&self, image: Image) -> Result<Arc<Image>, StoreError> {
        self.write_json(&self.image_path(&image.id), &image)?;
        let image = Arc::new(image);
        self.images.write().insert(image.id.clone(), image.clone());
        Ok(image)
    }

    /// Removes the layers that no image and no container uses.
    fn collect_garbage(&self) -> Result<(), StoreError> {
        let _held = self.layers.lock();
        let mut used: BTreeSet<String> =
            self.list().iter().flat_map(|image| &image.layers).map(|layer| layer.hex().to_owned()).collect();
        for dir in entries(&self.root.join("containers"))? {
            // A container without a lease is being made or removed just now; it has no layers yet, or none any more.
            if let Some(lease) = read_json::<Lease>(&dir.join("lease.json"))? {
                used.extend(lease.layers.iter().map(|layer| layer.hex().to_owned()));
            }
        }
        for path in entries(&self.root.join("layers"))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with('.') && !used.contains(name) && !self.busy.protects(name) {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    fn load(&self) -> Result<(), StoreError> {
        let mut images = self.images.write();
        for path in entries(&self.root.join("images"))? {
            let Some(image) = read_json::<Image>(&path)? else { continue };
            if image.layers.iter().all(|layer| self.has_layer(layer)) {
                images.insert(image.id.clone(), Arc::new(image));
            }
        }
        Ok(())
    }

    fn remove_drafts(&self) -> Result<(), StoreError> {
        for part in ["layers", "images"] {
            for path in entries(&self.root.join(part))? {
                if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                    remove_tree(&path)?;
                }
            }
        }
        Ok(())
    }

    fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }

    fn image_path(&self, id: &Digest) -> PathBuf {
        self.root.join("images").join(format!("{}.json", id.hex()))
    }

    fn container_dir(&self, container: &str) -> PathBuf {
        self.root.join("containers").join(container)
    }

    fn draft_path(&self) -> PathBuf {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        self.root.join("layers").join(format!(".draft-{number}"))
    }

    /// Writes beside and renames, so that the file is always whole.
    fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_file_name(format!(".draft-{number}"));
        let text = serde_json::to_vec(value).map_err(|e| StoreError::io("encode", path)(e.into()))?;
        let write = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, path)
        };
        write().map_err(StoreError::io("write", path))
    }
}

/// Reads an image's configuration file.
pub(crate) fn parse_config(config: &[u8]) -> Result<ConfigFile, StoreError> {
    serde_json::from_slice(config).map_err(|source| StoreError::BadConfig { id: Digest::of(config), source })
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>();
    list().map_err(StoreError::io("list", dir))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).map(Some).map_err(|e| StoreError::io("read", path)(e.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// What a tree takes. Files that vanish while it is walked are not counted.
fn usage_of(path: &Path) -> io::Result<Usage> {
    use std::os::unix::fs::MetadataExt;
    let mut usage = Usage::default();
    let mut stack = vec![path.to_owned()];
    while let Some(path) = stack.pop() {
        let known = match fs::symlink_metadata(&path) {
            Ok(known) => known,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        usage.inodes += 1;
        usage.bytes += known.blocks() * 512;
        if known.is_dir() {
            for entry in fs::read_dir(&path)? {
                stack.push(entry?.path());
            }
        }
    }
    Ok(usage)
}
