//! What is known of an image.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// An image on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Digest of its configuration.
    pub id: Digest,
    /// Full names with tag.
    pub tags: Vec<String>,
    /// Repositories with the digest under which they have it.
    pub digests: Vec<String>,
    /// Diff ids of its layers, the lowest first.
    pub layers: Vec<Digest>,
    /// Bytes of its unpacked layers.
    pub size: u64,
    /// How its containers are run.
    pub config: ImageConfig,
}

impl Image {
    /// Whether `name` (an id with or without `sha256:`, or a full tag or digest name) is this image.
    pub fn is_called(&self, name: &str) -> bool {
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        let by_id = hex.len() >= 12 && self.id.hex().starts_with(hex);
        by_id || self.tags.iter().chain(&self.digests).any(|known| known == name)
    }
}

/// The part of the image configuration that runtimes use (OCI image spec, "config").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// `user[:group]`, names or numbers.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// Comes before the command.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// Command, or its default arguments.
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// Where it starts.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// The signal that asks it to stop.
    #[serde(deserialize_with = "or_default")]
    pub stop_signal: String,
}

/// Image builders write `null` for what is empty.
fn or_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// The configuration file of an image, as far as it is used.
#[derive(Debug, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default)]
    pub(crate) config: Option<ImageConfig>,
    pub(crate) rootfs: RootfsSection,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RootfsSection {
    pub(crate) diff_ids: Vec<Digest>,
}
