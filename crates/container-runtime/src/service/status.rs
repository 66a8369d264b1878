//! Records and runs as CRI messages, and the filters of lists. Pure.

use std::collections::HashMap;

use steersman_cri as cri;

use crate::record::{ContainerRecord, SandboxRecord};
use crate::spec::{ContainerRun, Identity};

/// The state that follows from what is known.
pub fn state(run: &ContainerRun) -> cri::ContainerState {
    match (&run.exit, run.pid) {
        (Some(_), _) => cri::ContainerState::ContainerExited,
        (None, Some(_)) => cri::ContainerState::ContainerRunning,
        (None, None) => cri::ContainerState::ContainerCreated,
    }
}

/// Why it is over, in the words that become the reason of a terminated container.
pub fn reason(run: &ContainerRun) -> &'static str {
    match &run.exit {
        None => "",
        Some(exit) if exit.start_error.is_some() => "StartError",
        Some(exit) if exit.oom_killed => "OOMKilled",
        Some(exit) if exit.code == 0 => "Completed",
        Some(_) => "Error",
    }
}

pub fn container_status(record: &ContainerRecord, run: &ContainerRun) -> cri::ContainerStatus {
    let config = &record.config;
    let exit = run.exit.clone().unwrap_or(crate::spec::Exit {
        code: 0,
        finished_at: 0,
        oom_killed: false,
        start_error: None,
    });
    cri::ContainerStatus {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: state(run) as i32,
        created_at: record.created_at,
        started_at: run.started_at,
        finished_at: exit.finished_at,
        exit_code: exit.code,
        image: config.image.clone(),
        image_ref: record.image_ref.clone(),
        reason: reason(run).to_owned(),
        message: exit.start_error.unwrap_or_default(),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        mounts: config.mounts.clone(),
        log_path: record.spec.io.log_file.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
        resources: config
            .linux
            .as_ref()
            .map(|linux| cri::ContainerResources { linux: linux.resources.clone() }),
        image_id: record.image_id.clone(),
        user: run.pid.or(run.exit.as_ref().map(|_| 0)).map(|_| user(&run.identity)),
        stop_signal: cri::Signal::from_number(record.stop_signal).unwrap_or_default() as i32,
    }
}

fn user(identity: &Identity) -> cri::ContainerUser {
    let linux = cri::LinuxContainerUser {
        uid: identity.uid.into(),
        gid: identity.gid.into(),
        supplemental_groups: identity.groups.iter().map(|g| (*g).into()).collect(),
    };
    cri::ContainerUser { linux: Some(linux) }
}

pub fn container(record: &ContainerRecord, run: &ContainerRun) -> cri::Container {
    let config = &record.config;
    cri::Container {
        id: record.id.clone(),
        pod_sandbox_id: record.sandbox.clone(),
        metadata: config.metadata.clone(),
        image: config.image.clone(),
        image_ref: record.image_ref.clone(),
        state: state(run) as i32,
        created_at: record.created_at,
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        image_id: record.image_id.clone(),
    }
}

fn sandbox_state(ready: bool) -> cri::PodSandboxState {
    if ready { cri::PodSandboxState::SandboxReady } else { cri::PodSandboxState::SandboxNotready }
}

pub fn sandbox_status(record: &SandboxRecord, ready: bool) -> cri::PodSandboxStatus {
    let config = &record.config;
    let mut addresses = record.addresses.iter().map(ToString::to_string);
    let options = config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref())
        .and_then(|security| security.namespace_options.clone());
    cri::PodSandboxStatus {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: sandbox_state(ready) as i32,
        created_at: record.created_at,
        network: Some(cri::PodSandboxNetworkStatus {
            ip: addresses.next().unwrap_or_default(),
            additional_ips: addresses.map(|ip| cri::PodIp { ip }).collect(),
        }),
        linux: Some(cri::LinuxPodSandboxStatus { namespaces: Some(cri::Namespace { options }) }),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        runtime_handler: record.runtime_handler.clone(),
    }
}

pub fn sandbox(record: &SandboxRecord, ready: bool) -> cri::PodSandbox {
    let config = &record.config;
    cri::PodSandbox {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: sandbox_state(ready) as i32,
        created_at: record.created_at,
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        runtime_handler: record.runtime_handler.clone(),
    }
}

/// Whether a container passes a filter; no filter passes everything.
pub fn container_matches(container: &cri::Container, filter: Option<&cri::ContainerFilter>) -> bool {
    filter.is_none_or(|f| {
        id_matches(&container.id, &f.id)
            && id_matches(&container.pod_sandbox_id, &f.pod_sandbox_id)
            && f.state.as_ref().is_none_or(|s| s.state == container.state)
            && labels_match(&container.labels, &f.label_selector)
    })
}

/// Whether a sandbox passes a filter.
pub fn sandbox_matches(sandbox: &cri::PodSandbox, filter: Option<&cri::PodSandboxFilter>) -> bool {
    filter.is_none_or(|f| {
        id_matches(&sandbox.id, &f.id)
            && f.state.as_ref().is_none_or(|s| s.state == sandbox.state)
            && labels_match(&sandbox.labels, &f.label_selector)
    })
}

pub fn id_matches(id: &str, wanted: &str) -> bool {
    id.starts_with(wanted)
}

pub fn labels_match(labels: &HashMap<String, String>, wanted: &HashMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Exit;

    fn ended(code: i32, oom_killed: bool, start_error: Option<&str>) -> ContainerRun {
        let start_error = start_error.map(str::to_owned);
        ContainerRun {
            exit: Some(Exit { code, finished_at: 1, oom_killed, start_error }),
            ..Default::default()
        }
    }

    #[test]
    fn ends_have_reasons() {
        let cases = [
            (ContainerRun::default(), ""),
            (ended(0, false, None), "Completed"),
            (ended(1, false, None), "Error"),
            (ended(137, true, None), "OOMKilled"),
            (ended(128, false, Some("no such file")), "StartError"),
        ];
        for (run, wanted) in cases {
            assert_eq!(reason(&run), wanted, "{run:?}");
        }
    }

    #[test]
    fn filters_are_conjunctions() {
        let container = cri::Container {
            id: "abcdef".into(),
            pod_sandbox_id: "box1".into(),
            state: cri::ContainerState::ContainerRunning as i32,
            labels: HashMap::from([("app".into(), "web".into())]),
            ..Default::default()
        };
        let filter =
            |id: &str, sandbox: &str, state: Option<cri::ContainerState>, label: &str| cri::ContainerFilter {
                id: id.into(),
                pod_sandbox_id: sandbox.into(),
                state: state.map(|s| cri::ContainerStateValue { state: s as i32 }),
                label_selector: HashMap::from([("app".into(), label.into())]),
            };
        let running = Some(cri::ContainerState::ContainerRunning);
        let exited = Some(cri::ContainerState::ContainerExited);
        let cases = [
            (filter("abc", "box1", running, "web"), true),
            (filter("", "", None, "web"), true),
            (filter("abx", "", None, "web"), false),
            (filter("", "box2", None, "web"), false),
            (filter("", "", exited, "web"), false),
            (filter("", "", None, "db"), false),
        ];
        for (filter, wanted) in cases {
            assert_eq!(container_matches(&container, Some(&filter)), wanted, "{filter:?}");
        }
        assert!(container_matches(&container, None));
    }
}
