//! The volumes of one pod: prepared from their sources, put in place, and put in place again when those change.
//!
//! [`prepare`] is pure and says what each volume is to hold; [`put_in_place`] acts. Doing it twice changes nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, Volume, VolumeProjection};
use steersman_volume::empty_dir::{self, Medium};
use steersman_volume::ownership::{self, FsGroup};
use steersman_volume::payload::{self, Selection, mode_bits};
use steersman_volume::{AtomicWriter, File, Payload, host_path};

use crate::env::Objects;
use crate::env::downward::Downward;
use crate::pod::PodExt;
use crate::quantity;

pub mod tokens;

/// What a volume is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// Files made from objects.
    Files {
        /// Directory name of the kind of volume.
        plugin: &'static str,
        /// Whether they must not touch the disk.
        in_memory: bool,
        /// The files.
        payload: Payload,
    },
    /// A directory that lives as long as the pod.
    EmptyDir {
        /// Where its data is.
        medium: Medium,
        /// Its permissions.
        mode: u32,
    },
    /// A path of the node.
    HostPath {
        /// The path.
        path: PathBuf,
        /// `hostPath.type`.
        kind: String,
    },
}

/// A volume that could not be made, in the words of the event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {message}")]
pub struct VolumeError {
    /// Name of the volume.
    pub volume: String,
    /// What is wrong.
    pub message: String,
}

/// Tokens by volume and path, as [`tokens::Tokens`] got them.
pub type TokenFiles = HashMap<(String, String), Result<String, String>>;

/// Works out what one volume is to hold.
pub fn prepare(
    volume: &Volume,
    objects: &Objects,
    downward: &Downward<'_>,
    tokens: &TokenFiles,
) -> Result<Prepared, VolumeError> {
    let source = Source { name: &volume.name, objects, downward, tokens };
    source.prepare(volume).map_err(|message| VolumeError { volume: volume.name.clone(), message })
}

struct Source<'a> {
    name: &'a str,
    objects: &'a Objects,
    downward: &'a Downward<'a>,
    tokens: &'a TokenFiles,
}

const DEFAULT_MODE: i32 = 0o644;

impl Source<'_> {
    fn prepare(&self, volume: &Volume) -> Result<Prepared, String> {
        if let Some(source) = &volume.config_map {
            let payload = self.config_map(
                &source.name,
                source.items.as_deref(),
                source.default_mode,
                None,
                source.optional == Some(true),
            )?;
            return Ok(Prepared::Files { plugin: "configmap", in_memory: false, payload });
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let optional = source.optional == Some(true);
            let payload = self.secret(name, source.items.as_deref(), source.default_mode, None, optional)?;
            return Ok(Prepared::Files { plugin: "secret", in_memory: true, payload });
        }
        if let Some(source) = &volume.downward_api {
            let payload = self.downward(source.items.as_deref(), source.default_mode, None)?;
            return Ok(Prepared::Files { plugin: "downward-api", in_memory: true, payload });
        }
        if let Some(source) = &volume.projected {
            let (mode, user) = (source.default_mode, source.default_user);
            let payload = self.projected(source.sources.as_deref().unwrap_or_default(), mode, user)?;
            return Ok(Prepared::Files { plugin: "projected", in_memory: true, payload });
        }
        if let Some(source) = &volume.host_path {
            let kind = source.type_.clone().unwrap_or_default();
            return Ok(Prepared::HostPath { path: source.path.clone().into(), kind });
        }
        if let Some(source) = &volume.empty_dir {
            let limit = source.size_limit.as_ref().map(quantity::value).and_then(|n| u64::try_from(n).ok());
            let medium = match source.medium.as_deref() {
                None | Some("") => Medium::Disk,
                Some("Memory") => Medium::Memory { limit_bytes: limit.filter(|limit| *limit > 0) },
                Some(other) => return Err(format!("unknown storage medium {other:?}")),
            };
            return Ok(Prepared::EmptyDir { medium, mode: source.mode.map_or(0o777, mode_bits) });
        }
        Err("no volume plugin matched".to_owned())
    }

    fn config_map(
        &self,
        name: &str,
        items: Option<&[k8s_openapi::api::core::v1::KeyToPath]>,
        mode: Option<i32>,
        user: Option<i64>,
        optional: bool,
    ) -> Result<Payload, String> {
        let object = self.objects.config_map(name, optional).map_err(|missing| missing.to_string())?;
        let selection = selection(items, mode, user, optional);
        object.map_or(Ok(Payload::new()), |object| payload::config_map(&object, selection)).map_err(text)
    }

    fn secret(
        &self,
        name: &str,
        items: Option<&[k8s_openapi::api::core::v1::KeyToPath]>,
        mode: Option<i32>,
        user: Option<i64>,
        optional: bool,
    ) -> Result<Payload, String> {
        let object = self.objects.secret(name, optional).map_err(|missing| missing.to_string())?;
        let selection = selection(items, mode, user, optional);
        object.map_or(Ok(Payload::new()), |object| payload::secret(&object, selection)).map_err(text)
    }

    fn downward(
        &self,
        items: Option<&[k8s_openapi::api::core::v1::DownwardAPIVolumeFile]>,
        mode: Option<i32>,
        user: Option<i64>,
    ) -> Result<Payload, String> {
        let mut payload = Payload::new();
        for item in items.unwrap_or_default() {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => self.downward.field(&field.field_path),
                (None, Some(resource)) => self.downward.resource(resource, None),
                (None, None) => continue,
            };
            let file = File {
                data: value.map_err(text)?.into_bytes(),
                mode: mode_bits(item.mode.or(mode).unwrap_or(DEFAULT_MODE)),
                user: item.user.or(user).and_then(|user| u32::try_from(user).ok()),
            };
            payload.insert(item.path.clone(), file);
        }
        Ok(payload)
    }

    fn projected(
        &self,
        sources: &[VolumeProjection],
        mode: Option<i32>,
        user: Option<i64>,
    ) -> Result<Payload, String> {
        let (mut all, mut errors) = (Payload::new(), Vec::new());
        for source in sources {
            match self.projection(source, mode, user) {
                Ok(payload) => all.extend(payload),
                Err(error) => errors.push(error),
            }
        }
        match errors.len() {
            0 => Ok(all),
            1 => Err(errors.remove(0)),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }

    fn projection(
        &self,
        source: &VolumeProjection,
        mode: Option<i32>,
        user: Option<i64>,
    ) -> Result<Payload, String> {
        if let Some(map) = &source.config_map {
            let optional = map.optional == Some(true);
            return self.config_map(&map.name, map.items.as_deref(), mode, user, optional);
        }
        if let Some(secret) = &source.secret {
            let optional = secret.optional == Some(true);
            return self.secret(&secret.name, secret.items.as_deref(), mode, user, optional);
        }
        if let Some(downward) = &source.downward_api {
            return self.downward(downward.items.as_deref(), mode, user);
        }
        if let Some(token) = &source.service_account_token {
            let key = (self.name.to_owned(), token.path.clone());
            let missing = || Err("failed to fetch token: not requested yet".to_owned());
            let data = self.tokens.get(&key).cloned().unwrap_or_else(missing)?.into_bytes();
            let (own_mode, owner) = token_access(self.downward.pod, mode, token.user.or(user));
            let file = File { data, mode: own_mode, user: owner };
            return Ok([(token.path.clone(), file)].into());
        }
        Err("unsupported projected volume source".to_owned())
    }
}

/// A token is for its user alone where that user is known.
fn token_access(pod: &Pod, mode: Option<i32>, user: Option<i64>) -> (u32, Option<u32>) {
    let runs_as = |container: &k8s_openapi::api::core::v1::Container| {
        let own = container.security_context.as_ref().and_then(|context| context.run_as_user);
        own.or(pod.spec().security_context.as_ref().and_then(|context| context.run_as_user))
    };
    let users: Vec<Option<i64>> =
        pod.every_container().iter().map(|(_, container)| runs_as(container)).collect();
    let same =
        users.first().copied().flatten().filter(|first| users.iter().all(|user| *user == Some(*first)));
    let owner = user.or(same).and_then(|user| u32::try_from(user).ok());
    let grouped = fs_group(pod).is_some();
    let mode = if owner.is_some() || grouped { 0o600 } else { mode_bits(mode.unwrap_or(DEFAULT_MODE)) };
    (mode, owner)
}

fn selection(
    items: Option<&[k8s_openapi::api::core::v1::KeyToPath]>,
    mode: Option<i32>,
    user: Option<i64>,
    optional: bool,
) -> Selection<'_> {
    Selection {
        items: items.unwrap_or_default(),
        default_mode: mode_bits(mode.unwrap_or(DEFAULT_MODE)),
        default_user: user.and_then(|user| u32::try_from(user).ok()),
        optional,
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// The group that the pod's volumes belong to.
pub fn fs_group(pod: &Pod) -> Option<u32> {
    pod.spec().security_context.as_ref()?.fs_group.and_then(|group| u32::try_from(group).ok())
}

/// Where a volume is on the node.
pub fn location(pod_dir: &Path, name: &str, prepared: &Prepared) -> PathBuf {
    let plugin = match prepared {
        Prepared::HostPath { path, .. } => return path.clone(),
        Prepared::Files { plugin, .. } => plugin,
        Prepared::EmptyDir { .. } => "empty-dir",
    };
    pod_dir.join("volumes").join(format!("kubernetes.io~{plugin}")).join(name)
}

/// Makes the volume be what was prepared. Blocks on the file system.
pub fn put_in_place(at: &Path, prepared: &Prepared, group: Option<u32>) -> Result<(), String> {
    match prepared {
        Prepared::HostPath { path, kind } => host_path::prepare(path, kind).map_err(text),
        Prepared::EmptyDir { medium, mode } => {
            empty_dir::set_up(at, *medium, *mode).map_err(text)?;
            match group.map(|gid| FsGroup { gid, read_only: false }) {
                Some(group) if !ownership::root_matches(at, group).map_err(text)? => {
                    ownership::apply(at, group).map_err(text)
                }
                _ => Ok(()),
            }
        }
        Prepared::Files { in_memory, payload, .. } => {
            let medium = if *in_memory { Medium::Memory { limit_bytes: None } } else { Medium::Disk };
            empty_dir::set_up(at, medium, 0o777).map_err(text)?;
            let group = group.map(|gid| FsGroup { gid, read_only: true });
            AtomicWriter::new(at).write(payload, group).map(drop).map_err(text)?;
            match group {
                Some(group) if !ownership::root_matches(at, group).map_err(text)? => {
                    ownership::apply(at, group).map_err(text)
                }
                _ => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
