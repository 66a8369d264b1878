//! Sandboxes and containers on disk. The runtime writes what they are, the shim what became of them.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use steersman_cri as cri;

use crate::spec::{ContainerRun, ContainerSpec};

/// A sandbox as it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxRecord {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// The request's configuration.
    #[serde(with = "as_protobuf")]
    pub config: cri::PodSandboxConfig,
    /// Runtime class handler.
    pub runtime_handler: String,
    /// Addresses, the main one first; empty on the host's network.
    pub addresses: Vec<IpAddr>,
    /// Whether it was stopped on request.
    pub stopped: bool,
    /// Whether the network has (or may have) something of it.
    pub network_attached: bool,
    /// Cgroup of the pod.
    pub cgroup_parent: String,
    /// Cgroup directories that the runtime made on the way, outermost first.
    pub made_cgroups: Vec<PathBuf>,
}

/// A container as it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Sandbox it belongs to.
    pub sandbox: String,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// The request's configuration.
    #[serde(with = "as_protobuf")]
    pub config: cri::ContainerConfig,
    /// Repository and digest of the image.
    pub image_ref: String,
    /// Id of the image.
    pub image_id: String,
    /// Signal that asks it to stop, as a Linux number.
    pub stop_signal: i32,
    /// What the shim starts.
    pub spec: ContainerSpec,
}

/// Name of a sandbox's file in its directory.
pub const SANDBOX_FILE: &str = "sandbox.json";
/// Name of a container's file in its directory.
pub const CONTAINER_FILE: &str = "container.json";
/// Name of the file in which the shim keeps a container's state.
pub const STATE_FILE: &str = "state.json";

/// Writes a file so that a reader sees the old or the new content, whatever happens.
pub fn save(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    fs::rename(fresh, path)
}

/// Reads every record below `directory`. One that cannot be read is logged and passed over: it must not keep the
/// others from being found again.
pub fn load_all<T: DeserializeOwned>(directory: &Path, file: &str) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut out = Vec::new();
    for entry in entries {
        let path = entry?.path().join(file);
        match fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
            Ok(record) => out.push(record),
            Err(error) => tracing::warn!(path = %path.display(), %error, "passing over an unreadable record"),
        }
    }
    Ok(out)
}

/// What the shim wrote about a container, if it wrote anything.
pub fn load_run(path: &Path) -> ContainerRun {
    let read = fs::read(path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    read.unwrap_or_default()
}

/// A CRI message inside JSON: its wire form, in hexadecimal.
mod as_protobuf {
    use prost::Message;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(message: &impl Message, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(message.encode_to_vec()))
    }

    pub fn deserialize<'de, M: Message + Default, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<M, D::Error> {
        let bytes = hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        M::decode(bytes.as_slice()).map_err(D::Error::custom)
    }
}
