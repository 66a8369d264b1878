//! Pulls images from registries (OCI distribution spec): layers in parallel, downloads resumed after a broken
//! connection, everything verified.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use oci_client::Reference;
use oci_client::client::{
    BlobResponse, Certificate, CertificateEncoding, ClientConfig, ClientProtocol, SizedStream,
};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex as AsyncMutex;

use crate::digest::Hashing;
use crate::store::parse_config;
use crate::{Digest, DigestError, Image, ImageName, ImageStore, StoreError};

/// Layers of one image that are fetched at once.
const PARALLEL: usize = 3;
/// Tries of one layer before the pull fails.
const TRIES: u32 = 5;
/// The wait after the first failed try; doubled each time.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// A connection that is silent for this long has failed.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Who pulls.
#[derive(Clone, Default)]
pub enum Auth {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// User and password.
    Basic(String, String),
    /// A token of the registry.
    Bearer(String),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic(..) => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// Another place that has the images of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The registry as names have it, such as `docker.io`.
    pub registry: String,
    /// `host:port` of the place.
    pub host: String,
}

/// How registries are reached: by HTTPS, except those named here and those on the loopback.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// Asked before the registry itself, in this order.
    pub mirrors: Vec<Mirror>,
    /// `host:port` of registries that speak plain HTTP.
    pub plain_http: Vec<String>,
    /// PEM certificates of authorities to trust beside the usual ones.
    pub extra_authorities: Vec<Vec<u8>>,
}

impl Registries {
    fn protocol(&self, registry: &str) -> ClientProtocol {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if loopback || self.plain_http.iter().any(|known| known == registry) {
            return ClientProtocol::Http;
        }
        ClientProtocol::Https
    }

    /// Where to ask for the image, in order: the mirrors of its registry, then the registry.
    fn places(&self, name: &ImageName) -> Vec<Reference> {
        let mirrors = self.mirrors.iter().filter(|mirror| mirror.registry == name.registry());
        let through = mirrors.map(|mirror| {
            let mut reference = name.reference().clone();
            reference.set_mirror_registry(mirror.host.clone());
            reference
        });
        through.chain([name.reference().clone()]).collect()
    }
}

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry has no such image.
    #[error("{image}: not found")]
    NotFound {
        /// Its full name.
        image: String,
    },
    /// The registry wants other credentials.
    #[error("pull access denied for {image}, repository does not exist or may require authorization")]
    Unauthorized {
        /// Its full name.
        image: String,
    },
    /// The registry could not be asked, or broke off.
    #[error("could not pull {image}")]
    Registry {
        /// Its full name.
        image: String,
        /// What it said.
        source: Box<OciDistributionError>,
    },
    /// What arrived is not what was asked for.
    #[error("layer {wanted} arrived with digest {got}")]
    DigestMismatch {
        /// As the manifest has it.
        wanted: Digest,
        /// As it was.
        got: Digest,
    },
    /// The manifest names content in a way we do not know.
    #[error("the manifest of {image} is not usable")]
    BadManifest {
        /// Its full name.
        image: String,
        /// What is wrong.
        source: DigestError,
    },
    /// Manifest and configuration do not belong together.
    #[error("the manifest of {image} has {layers} layers, its configuration {diff_ids}")]
    LayerCount {
        /// Its full name.
        image: String,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        diff_ids: usize,
    },
    /// This node's side.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PullError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Registry { source, .. } => match &**source {
                OciDistributionError::ServerError { code, .. } => *code >= 500 || *code == 429,
                OciDistributionError::RequestError(_) | OciDistributionError::IoError(_) => true,
                _ => false,
            },
            // A resumed download may have been of another file; the next try starts anew.
            Self::DigestMismatch { .. } => true,
            _ => false,
        }
    }

    fn from_registry(image: &ImageName, error: OciDistributionError) -> Self {
        let image = image.to_string();
        match &error {
            OciDistributionError::ImageManifestNotFoundError(_) => Self::NotFound { image },
            OciDistributionError::ServerError { code: 404, .. } => Self::NotFound { image },
            OciDistributionError::RegistryError { envelope, .. } => {
                match envelope.errors.first().map(|e| &e.code) {
                    Some(
                        OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound,
                    ) => Self::NotFound { image },
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => Self::Unauthorized { image },
                    _ => Self::Registry { image, source: Box::new(error) },
                }
            }
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => Self::Unauthorized { image },
            _ => Self::Registry { image, source: Box::new(error) },
        }
    }
}

/// Layers that are on their way: protected from garbage collection, fetched once at a time.
#[derive(Default)]
pub(crate) struct Busy {
    layers: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
}

impl Busy {
    /// The lock of a layer; the layer is protected while it is held by anybody.
    fn layer(&self, diff_id: &Digest) -> Arc<AsyncMutex<()>> {
        let mut layers = self.layers.lock();
        layers.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = layers.get(diff_id.hex()).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(AsyncMutex::new(()));
        layers.insert(diff_id.hex().to_owned(), Arc::downgrade(&lock));
        lock
    }

    pub(crate) fn protect(&self, layers: &[Digest]) -> Vec<Arc<AsyncMutex<()>>> {
        layers.iter().map(|layer| self.layer(layer)).collect()
    }

    pub(crate) fn protects(&self, hex: &str) -> bool {
        self.layers.lock().get(hex).is_some_and(|lock| lock.strong_count() > 0)
    }
}

/// One pull.
struct Pull<'a> {
    store: &'a Arc<ImageStore>,
    client: oci_client::Client,
    name: &'a ImageName,
    /// The name with the place to ask.
    reference: Reference,
}

impl ImageStore {
    /// Pulls `name` for this machine's platform. What is here already is not fetched again. A mirror that does not
    /// answer or does not have it is passed over.
    pub async fn pull(
        self: &Arc<Self>,
        name: &ImageName,
        auth: Auth,
        registries: &Registries,
    ) -> Result<Arc<Image>, PullError> {
        let auth = match auth {
            Auth::Anonymous => RegistryAuth::Anonymous,
            Auth::Basic(user, password) => RegistryAuth::Basic(user, password),
            Auth::Bearer(token) => RegistryAuth::Bearer(token),
        };
        let mut places = registries.places(name);
        let last = places.pop().expect("the registry itself is always among them");
        for reference in places {
            let mirror = reference.resolve_registry().to_owned();
            match self.pull_from(name, reference, &auth, registries).await {
                Err(error) if !matches!(error, PullError::Store(_)) => {
                    tracing::info!(image = %name, mirror, error = &error as &dyn std::error::Error, "not pulled from a mirror");
                }
                done => return done,
            }
        }
        self.pull_from(name, last, &auth, registries).await
    }

    async fn pull_from(
        self: &Arc<Self>,
        name: &ImageName,
        reference: Reference,
        auth: &RegistryAuth,
        registries: &Registries,
    ) -> Result<Arc<Image>, PullError> {
        let client = client(registries, reference.resolve_registry());
        let pull = Pull { store: self, client, name, reference };
        let (manifest, digest, config, list_digest) = pull
            .client
            .pull_manifest_and_config_and_list_digest(&pull.reference, auth)
            .await
            .map_err(|error| PullError::from_registry(name, error))?;
        let diff_ids = parse_config(config.as_bytes())?.rootfs.diff_ids;
        let (layers, count) = (manifest.layers.len(), diff_ids.len());
        if layers != count {
            return Err(PullError::LayerCount { image: name.to_string(), layers, diff_ids: count });
        }
        let protected = self.busy.protect(&diff_ids);
        let work = manifest.layers.iter().zip(diff_ids.iter()).zip(&protected);
        // Collected first: a closure over borrowed layers inside the stream would keep the future from being `Send`.
        let layers: Vec<_> = work.map(|((layer, diff_id), lock)| pull.layer(layer, diff_id, lock)).collect();
        futures::stream::iter(layers).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        // A name that pins a digest is no tag.
        let tags = if name.digest().is_some() { Vec::new() } else { vec![name.to_string()] };
        let digests = vec![format!("{}@{}", name.repository(), list_digest.unwrap_or(digest))];
        Ok(self.add_image(config.as_bytes(), tags, digests)?)
    }
}

fn client(registries: &Registries, host: &str) -> oci_client::Client {
    let certificate = |pem: &Vec<u8>| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone() };
    oci_client::Client::new(ClientConfig {
        protocol: registries.protocol(host),
        extra_root_certificates: registries.extra_authorities.iter().map(certificate).collect(),
        read_timeout: Some(READ_TIMEOUT),
        connect_timeout: Some(CONNECT_TIMEOUT),
        user_agent: concat!("steersman/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    })
}

impl Pull<'_> {
    async fn layer(
        &self,
        layer: &OciDescriptor,
        diff_id: &Digest,
        lock: &AsyncMutex<()>,
    ) -> Result<(), PullError> {
        let _alone = lock.lock().await;
        if self.store.has_layer(diff_id) {
            return Ok(());
        }
        let digest = layer
            .digest
            .parse::<Digest>()
            .map_err(|source| PullError::BadManifest { image: self.name.to_string(), source })?;
        let path = self.store.root().join("downloads").join(digest.hex());
        self.download_with_retries(layer, &digest, &path).await?;
        let (store, diff_id, archive) = (self.store.clone(), diff_id.clone(), path.clone());
        let unpacked = blocking(move || {
            let file = File::open(&archive).map_err(StoreError::io("open", &archive))?;
            store.add_layer(file, &diff_id)
        });
        let unpacked = unpacked.await;
        // Only a whole download is worth keeping, and it has been used.
        tokio::fs::remove_file(&path).await.map_err(StoreError::io("remove", &path))?;
        Ok(unpacked?)
    }

    async fn download_with_retries(
        &self,
        layer: &OciDescriptor,
        digest: &Digest,
        to: &Path,
    ) -> Result<(), PullError> {
        let mut tries = 0;
        loop {
            let error = match self.download(layer, digest, to).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            tries += 1;
            if tries == TRIES || !error.is_transient() {
                return Err(error);
            }
            tracing::debug!(image = %self.name, layer = %digest, %error, tries, "download interrupted, going on");
            tokio::time::sleep(RETRY_AFTER * 2_u32.pow(tries - 1)).await;
        }
    }

    /// Goes on where the file ends, if the registry can; verifies the whole.
    async fn download(&self, layer: &OciDescriptor, wanted: &Digest, to: &Path) -> Result<(), PullError> {
        let have = tokio::fs::metadata(to).await.map_or(0, |known| known.len());
        let size = u64::try_from(layer.size).unwrap_or(0);
        if have < size || have == 0 {
            self.fetch(layer, have, size, to).await?;
        }
        let (path, got) = (to.to_owned(), to.to_owned());
        let got = blocking(move || digest_of(&path).map_err(StoreError::io("read", &got))).await?;
        if got != *wanted {
            tokio::fs::remove_file(to).await.map_err(StoreError::io("remove", to))?;
            return Err(PullError::DigestMismatch { wanted: wanted.clone(), got });
        }
        Ok(())
    }

    async fn fetch(&self, layer: &OciDescriptor, have: u64, size: u64, to: &Path) -> Result<(), PullError> {
        let registry_error = |error| PullError::from_registry(self.name, error);
        let reference = &self.reference;
        let (stream, append) = if have == 0 {
            (self.client.pull_blob_stream(reference, layer).await.map_err(registry_error)?, false)
        } else {
            let rest = size.saturating_sub(have);
            let partial = self.client.pull_blob_stream_partial(reference, layer, have, Some(rest)).await;
            match partial.map_err(registry_error)? {
                BlobResponse::Partial(stream) => (stream, true),
                BlobResponse::Full(stream) => (stream, false),
            }
        };
        write_stream(stream, to, append).await.map_err(|error| match error {
            WriteError::Stream(error) => registry_error(OciDistributionError::IoError(error)),
            WriteError::File(error) => StoreError::io("write", to)(error).into(),
        })
    }
}

enum WriteError {
    Stream(io::Error),
    File(io::Error),
}

async fn write_stream(mut stream: SizedStream, to: &Path, append: bool) -> Result<(), WriteError> {
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).append(append).write(true).truncate(!append);
    let mut file = options.open(to).await.map_err(WriteError::File)?;
    let copied = async {
        while let Some(chunk) = stream.next().await {
            file.write_all(&chunk.map_err(WriteError::Stream)?).await.map_err(WriteError::File)?;
        }
        Ok(())
    };
    let copied = copied.await;
    // What has arrived is kept even if the rest did not: the next try goes on from there.
    file.flush().await.map_err(WriteError::File)?;
    copied
}

fn digest_of(path: &PathBuf) -> io::Result<Digest> {
    let mut file = Hashing::new(BufReader::with_capacity(1 << 17, File::open(path)?));
    io::copy(&mut file, &mut io::sink())?;
    Ok(file.finish())
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic and is not cancelled")
}
