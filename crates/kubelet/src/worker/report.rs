//! What the worker tells the API, and what it reads back from containers for that.

use k8s_openapi::api::core::v1::PodCondition;

use super::PodWorker;
use super::files;
use crate::pod::{PodExt, Role};
use crate::probe::Kind;
use crate::status::conditions::OWNED;
use crate::status::{self, Input};
use crate::view::State;

impl PodWorker {
    /// Works out the status and hands it to the writer. With `stopped` nothing of the pod runs or will run.
    pub(super) fn report(&mut self, stopped: bool) {
        self.adopt_foreign_conditions();
        let status = status::pod_status(Input {
            pod: &self.pod,
            old: &self.status,
            view: &self.view,
            probes: &self.probes,
            waiting: &self.waiting,
            messages: &self.messages,
            runtime: &self.shared.runtime.name,
            host_ips: &self.shared.config.node_ips,
            stopped,
            failed: self.failed.as_ref(),
            now: jiff::Timestamp::now(),
        });
        self.status = status.clone();
        if !self.removed {
            self.shared.statuses.set(&self.pod, status);
        }
    }

    /// Conditions that others set are taken over as they are now.
    fn adopt_foreign_conditions(&mut self) {
        let foreign = |condition: &&PodCondition| !OWNED.contains(&condition.type_.as_str());
        let theirs = self.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let theirs: Vec<PodCondition> = theirs.into_iter().flatten().filter(foreign).cloned().collect();
        let own = self.status.conditions.take().into_iter().flatten();
        let own = own.filter(|condition| OWNED.contains(&condition.type_.as_str()));
        self.status.conditions = Some(own.chain(theirs).collect());
    }

    /// After a restart of the kubelet: probes have not spoken yet, but what was true of a container that still runs
    /// is taken to be true, so that nothing flaps.
    pub(super) fn remember(&mut self) {
        for (role, container) in self.pod.every_container() {
            let statuses = match role {
                Role::Init => self.status.init_container_statuses.as_deref(),
                Role::Regular => self.status.container_statuses.as_deref(),
                Role::Ephemeral => continue,
            };
            let Some(told) = status::find(statuses, &container.name) else { continue };
            let Some(current) = self.view.latest(&container.name) else { continue };
            let id = told.container_id.as_deref().and_then(|id| id.split_once("://")).map(|(_, id)| id);
            if current.state != State::Running || id != Some(current.id.as_str()) {
                continue;
            }
            if told.started == Some(true) && container.startup_probe.is_some() {
                self.probes.set(&current.id, Kind::Startup, true);
            }
            if container.readiness_probe.is_some() {
                self.probes.set(&current.id, Kind::Readiness, told.ready);
            }
        }
    }

    /// Reads the last words of containers that have ended since the last step.
    pub(super) async fn read_messages(&mut self) {
        let ended: Vec<_> = self
            .view
            .containers
            .iter()
            .filter(|container| {
                container.state == State::Exited && !self.messages.contains_key(&container.id)
            })
            .cloned()
            .collect();
        for container in ended {
            let told = self.told_message(&container.id);
            let id = container.id.clone();
            let read = tokio::task::spawn_blocking(move || files::last_words(&container)).await;
            let message = read.ok().flatten().or(told);
            if let Some(message) = message {
                self.messages.insert(id, message);
            }
        }
        let view = &self.view;
        self.messages.retain(|id, _| view.by_id(id).is_some());
        self.probes.retain(|id| view.by_id(id).is_some());
    }

    /// What the API was told of a container's last words, when their file has gone since.
    fn told_message(&self, id: &str) -> Option<String> {
        let lists = [&self.status.init_container_statuses, &self.status.container_statuses];
        let states =
            lists.into_iter().flatten().flatten().flat_map(|status| [&status.state, &status.last_state]);
        let mut ended = states.flatten().filter_map(|state| state.terminated.as_ref());
        let same = |told: &str| told.split_once("://").is_some_and(|(_, told)| told == id);
        ended.find(|ended| ended.container_id.as_deref().is_some_and(same))?.message.clone()
    }
}
