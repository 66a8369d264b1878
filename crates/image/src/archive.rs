//! Imports images from archives: what `docker save` and `skopeo copy … docker-archive:` write (docker-archive), and OCI
//! image layouts in a tar file (oci-archive). Either may be compressed with gzip.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::store::parse_config;
use crate::{Digest, Image, ImageName, ImageStore, StoreError};

/// Why an archive was not imported. Images that came before in it have been.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error("could not read {path}")]
    Read {
        /// The archive.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Not an image archive.
    #[error("{0} is neither a docker-archive (no manifest.json) nor an OCI archive (no index.json)")]
    NotAnArchive(PathBuf),
    /// The archive names a part that is not in it.
    #[error("the archive lacks {0}")]
    Missing(String),
    /// A part of it cannot be read.
    #[error("{part} of the archive is not valid")]
    Invalid {
        /// Its name in the archive.
        part: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Nothing in it is for this machine.
    #[error("the archive has no image for linux/{0}")]
    NoPlatform(&'static str),
    /// This node's side.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportError {
    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

/// `manifest.json` of a docker-archive.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The part of an OCI descriptor that is used.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    annotations: HashMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl ImageStore {
    /// Imports every image of the archive; `name` is given to an archive's only image that has none. Blocks.
    pub fn import(&self, path: &Path, name: Option<&ImageName>) -> Result<Vec<Arc<Image>>, ImportError> {
        let archive = Parts::open(path)?;
        let mut images = if archive.has("manifest.json") {
            self.import_docker(&archive)?
        } else if archive.has("index.json") {
            self.import_oci(&archive)?
        } else {
            return Err(ImportError::NotAnArchive(path.to_owned()));
        };
        if let ([only], Some(name)) = (images.as_mut_slice(), name) {
            let config = archive.bytes_of_image(&only.id)?;
            *only = self.add_image(&config, vec![name.to_string()], Vec::new())?;
        }
        Ok(images)
    }

    fn import_docker(&self, archive: &Parts) -> Result<Vec<Arc<Image>>, ImportError> {
        let list: Vec<DockerImage> = archive.json("manifest.json")?;
        list.into_iter()
            .map(|image| {
                let tags = image.repo_tags.iter().flatten().filter_map(|tag| full_name(tag)).collect();
                let layers: Vec<&str> = image.layers.iter().map(String::as_str).collect();
                self.import_image(archive, &image.config, &layers, tags, Vec::new())
            })
            .collect()
    }

    fn import_oci(&self, archive: &Parts) -> Result<Vec<Arc<Image>>, ImportError> {
        let index: Index = archive.json("index.json")?;
        index.manifests.iter().map(|entry| self.import_descriptor(archive, entry)).collect()
    }

    fn import_descriptor(&self, archive: &Parts, entry: &Descriptor) -> Result<Arc<Image>, ImportError> {
        let mut chosen = entry.clone();
        while chosen.media_type.ends_with("index.v1+json")
            || chosen.media_type.ends_with("manifest.list.v2+json")
        {
            let nested: Index = archive.json(&blob(&chosen.digest))?;
            let mut matching = nested.manifests.into_iter().filter(is_for_this_machine);
            chosen = matching.next().ok_or(ImportError::NoPlatform(architecture()))?;
        }
        let manifest: Manifest = archive.json(&blob(&chosen.digest))?;
        let layers: Vec<String> = manifest.layers.iter().map(|layer| blob(&layer.digest)).collect();
        let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
        let annotation = |key: &str| entry.annotations.get(key).and_then(|name| full_name(name));
        // containerd's annotation has the full name; the OCI one may be the tag alone.
        let names = annotation("io.containerd.image.name")
            .or_else(|| annotation("org.opencontainers.image.ref.name").filter(|name| name.contains('/')));
        let digests =
            names.iter().filter_map(|name| repository_of(name)).map(|r| format!("{r}@{}", entry.digest));
        let digests = digests.collect();
        self.import_image(
            archive,
            &blob(&manifest.config.digest),
            &layers,
            names.into_iter().collect(),
            digests,
        )
    }

    fn import_image(
        &self,
        archive: &Parts,
        config: &str,
        layers: &[&str],
        tags: Vec<String>,
        digests: Vec<String>,
    ) -> Result<Arc<Image>, ImportError> {
        let config = archive.bytes(config)?;
        let diff_ids = parse_config(&config)?.rootfs.diff_ids;
        let _protected = self.busy.protect(&diff_ids);
        for (layer, diff_id) in layers.iter().zip(&diff_ids) {
            if !self.has_layer(diff_id) {
                self.add_layer(archive.file(layer)?, diff_id)?;
            }
        }
        Ok(self.add_image(&config, tags, digests)?)
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn full_name(name: &str) -> Option<String> {
    name.parse::<ImageName>().ok().map(|name| name.to_string())
}

fn repository_of(name: &str) -> Option<String> {
    name.parse::<ImageName>().ok().map(|name| name.repository())
}

fn is_for_this_machine(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_none_or(|p| p.os == "linux" && p.architecture == architecture())
}

/// This machine's architecture by its Go name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The files of an archive. A plain archive is read in place; a compressed one is unpacked beside first.
struct Parts {
    path: PathBuf,
    archive: File,
    places: HashMap<String, Place>,
}

#[derive(Clone)]
enum Place {
    At {
        offset: u64,
        length: u64,
    },
    /// docker-archives have links for layers that images share.
    Link(String),
}

impl Parts {
    fn open(path: &Path) -> Result<Self, ImportError> {
        let read = || -> io::Result<Self> {
            let mut archive = plain(File::open(path)?)?;
            let places = places(&mut archive)?;
            Ok(Self { path: path.to_owned(), archive, places })
        };
        read().map_err(ImportError::read(path))
    }

    fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    fn place(&self, name: &str) -> Result<(u64, u64), ImportError> {
        let mut name = name.to_owned();
        for _ in 0..8 {
            match self.places.get(&name) {
                Some(Place::At { offset, length }) => return Ok((*offset, *length)),
                Some(Place::Link(target)) => name = target.clone(),
                None => break,
            }
        }
        Err(ImportError::Missing(name))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, ImportError> {
        let (offset, length) = self.place(name)?;
        let mut bytes = Vec::new();
        let mut archive = &self.archive;
        let read =
            archive.seek(SeekFrom::Start(offset)).and_then(|_| archive.take(length).read_to_end(&mut bytes));
        read.map_err(ImportError::read(&self.path))?;
        Ok(bytes)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, ImportError> {
        let bytes = self.bytes(name)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ImportError::Invalid { part: name.to_owned(), source })
    }

    /// A part as a file of its own.
    fn file(&self, name: &str) -> Result<File, ImportError> {
        let (offset, length) = self.place(name)?;
        let copy = || -> io::Result<File> {
            let mut file = anonymous()?;
            let mut archive = &self.archive;
            archive.seek(SeekFrom::Start(offset))?;
            io::copy(&mut archive.take(length), &mut file)?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        copy().map_err(ImportError::read(&self.path))
    }

    /// The configuration whose digest is `id`.
    fn bytes_of_image(&self, id: &Digest) -> Result<Vec<u8>, ImportError> {
        let named = [blob(id), format!("{}.json", id.hex()), id.hex().to_owned()];
        let name = named.iter().find(|name| self.has(name)).ok_or_else(|| ImportError::Missing(blob(id)))?;
        self.bytes(name)
    }
}

/// A file without a name, on disk: archives are larger than memory.
fn anonymous() -> io::Result<File> {
    let dir = std::env::temp_dir();
    let path =
        dir.join(format!(".steersman-import-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn plain(mut file: File) -> io::Result<File> {
    let mut magic = [0; 2];
    let count = file.read(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    if magic[..count] != [0x1f, 0x8b] {
        return Ok(file);
    }
    let mut unpacked = anonymous()?;
    io::copy(&mut GzDecoder::new(BufReader::new(file)), &mut unpacked)?;
    unpacked.seek(SeekFrom::Start(0))?;
    Ok(unpacked)
}

fn places(archive: &mut File) -> io::Result<HashMap<String, Place>> {
    let mut places = HashMap::new();
    let mut tar = tar::Archive::new(BufReader::new(archive));
    for entry in tar.entries_with_seek()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let place = match (entry.header().entry_type(), entry.link_name()?) {
            (kind, Some(target)) if kind.is_symlink() || kind.is_hard_link() => {
                Place::Link(resolve(&path, &target))
            }
            (kind, _) if kind.is_file() => {
                Place::At { offset: entry.raw_file_position(), length: entry.size() }
            }
            _ => continue,
        };
        places.insert(path.to_string_lossy().trim_start_matches("./").to_owned(), place);
    }
    Ok(places)
}

/// `a/layer.tar` → `../b/layer.tar` is `b/layer.tar`.
fn resolve(from: &Path, target: &Path) -> String {
    let mut resolved: Vec<String> = Vec::new();
    let base = from.parent().unwrap_or(Path::new(""));
    for component in base.join(target).components() {
        match component {
            std::path::Component::ParentDir => drop(resolved.pop()),
            std::path::Component::Normal(name) => resolved.push(name.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    resolved.join("/")
}
