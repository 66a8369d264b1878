//! What is mounted into a container: volumes, `/etc/hosts`, the file for last words.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};
use steersman_cri::{Mount, MountPropagation};

use super::start::Ground;
use super::{PodWorker, files};
use crate::cri_config::container::message_path;
use crate::env::{Environment, expansion};
use crate::hosts;
use crate::pod::PodExt;

const HOSTS: &str = "/etc/hosts";

/// One mount before it is on the node.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    mount: Mount,
    /// The volume's root and the path below it, when only a part is mounted.
    part: Option<(PathBuf, PathBuf, PathBuf)>,
}

impl PodWorker {
    /// Makes the mounts of `container`.
    pub(super) async fn mounts(
        &self,
        container: &Container,
        ground: &Ground,
        env: &Environment,
    ) -> Result<Vec<Mount>, String> {
        let dir = self.shared.pod_dir(self.pod.uid());
        let mut wanted = Vec::new();
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let volume = ground.volumes.get(&mount.name).ok_or_else(|| {
                format!(
                    "cannot find volume \"{}\" to mount into container \"{}\"",
                    mount.name, container.name
                )
            })?;
            wanted.push(volume_mount(&dir, &container.name, index, mount, volume, env)?);
        }
        let hosts = self.hosts_text(ground);
        let (name, message_at) = (container.name.clone(), message_path(container).to_owned());
        let make = move || put_on_node(&dir, &name, wanted, hosts, &message_at);
        tokio::task::spawn_blocking(make).await.map_err(|error| error.to_string())?
    }

    /// The pod's `/etc/hosts`; `None` while it has no address.
    fn hosts_text(&self, ground: &Ground) -> Option<String> {
        let aliases = self.pod.spec().host_aliases.as_deref().unwrap_or_default();
        if self.pod.host_network() {
            let node = std::fs::read_to_string(HOSTS).unwrap_or_default();
            return Some(hosts::host_network_file(&node, aliases));
        }
        let ips = self.pod_ips();
        (!ips.is_empty()).then(|| hosts::file(&ips, &ground.name, aliases))
    }
}

fn volume_mount(
    pod_dir: &Path,
    container: &str,
    index: usize,
    mount: &VolumeMount,
    volume: &Path,
    env: &Environment,
) -> Result<Wanted, String> {
    let part = sub_path(mount, env)?;
    let target = pod_dir.join("volume-subpaths").join(&mount.name).join(container).join(index.to_string());
    let host_path = if part.is_some() { &target } else { volume };
    let propagation = match mount.mount_propagation.as_deref() {
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        _ => MountPropagation::PropagationPrivate,
    };
    let path = &mount.mount_path;
    Ok(Wanted {
        mount: Mount {
            container_path: if path.starts_with('/') { path.clone() } else { format!("/{path}") },
            host_path: host_path.to_string_lossy().into_owned(),
            readonly: mount.read_only == Some(true),
            recursive_read_only: mount.recursive_read_only.as_deref().is_some_and(|mode| mode != "Disabled"),
            propagation: propagation as i32,
            ..Mount::default()
        },
        part: part.map(|part| (volume.to_owned(), part, target.clone())),
    })
}

/// The part of the volume to mount, its variables expanded.
fn sub_path(mount: &VolumeMount, env: &Environment) -> Result<Option<PathBuf>, String> {
    if let Some(path) = mount.sub_path.as_deref().filter(|path| !path.is_empty()) {
        return Ok(Some(path.into()));
    }
    let Some(expression) = mount.sub_path_expr.as_deref().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let missing = std::cell::RefCell::new(Vec::new());
    let path = expansion::expand(expression, |name| {
        let value = env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        if value.is_none() {
            missing.borrow_mut().push(name.to_owned());
        }
        value
    });
    let missing = missing.into_inner();
    if !missing.is_empty() {
        return Err(format!("missing value for {:?}", missing.join(", ")));
    }
    if path.starts_with('/') {
        return Err(format!("error SubPath `{path}` must not be an absolute path"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(format!("unable to provision SubPath `{path}`: must not contain '..'"));
    }
    Ok(Some(path.into()))
}

fn put_on_node(
    pod_dir: &Path,
    container: &str,
    wanted: Vec<Wanted>,
    hosts: Option<String>,
    message_at: &str,
) -> Result<Vec<Mount>, String> {
    let mut mounts = Vec::new();
    for Wanted { mount, part } in wanted {
        if let Some((volume, part, target)) = part {
            steersman_volume::subpath::bind(&volume, &part, &target).map_err(|error| {
                let at = &mount.container_path;
                format!(
                    "failed to prepare subPath for volumeMount \"{at}\" of container \"{container}\": {error}"
                )
            })?;
        }
        mounts.push(mount);
    }
    let own = |path: &str, at: PathBuf| Mount {
        container_path: path.to_owned(),
        host_path: at.to_string_lossy().into_owned(),
        ..Mount::default()
    };
    let taken = mounts.iter().any(|mount| mount.container_path.trim_end_matches('/') == HOSTS);
    if let Some(text) = hosts.filter(|_| !taken) {
        let at = files::write_hosts(pod_dir, &text).map_err(|error| error.to_string())?;
        mounts.push(own(HOSTS, at));
    }
    let at = files::make_message_file(pod_dir, container).map_err(|error| error.to_string())?;
    mounts.push(own(message_at, at));
    Ok(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(sub_path: Option<&str>, expression: Option<&str>) -> Result<Option<PathBuf>, String> {
        let mount = VolumeMount {
            sub_path: sub_path.map(str::to_owned),
            sub_path_expr: expression.map(str::to_owned),
            ..VolumeMount::default()
        };
        self::sub_path(&mount, &vec![("POD".into(), "p".into()), ("ROOT".into(), "/etc".into())])
    }

    #[test]
    fn sub_paths_are_expanded_and_kept_inside() {
        assert_eq!(part(None, None), Ok(None));
        assert_eq!(part(Some("a$(POD)"), None), Ok(Some("a$(POD)".into())));
        assert_eq!(part(None, Some("logs/$(POD)")), Ok(Some("logs/p".into())));
        for bad in ["$(NOPE)", "$(ROOT)", "a/../b"] {
            assert!(part(None, Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mount_of_its_own_hosts_file_wins() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = |wanted| {
            let mounts =
                put_on_node(dir.path(), "c", wanted, Some("h".into()), "/dev/termination-log").unwrap();
            mounts
                .into_iter()
                .filter(|mount| mount.container_path == HOSTS)
                .map(|m| m.host_path)
                .collect::<Vec<_>>()
        };
        let own = Mount { container_path: HOSTS.into(), host_path: "/mine".into(), ..Mount::default() };
        assert_eq!(hosts(vec![Wanted { mount: own, part: None }]), ["/mine"]);
        assert_eq!(hosts(vec![]), [dir.path().join("etc-hosts").to_string_lossy()]);
    }
}
