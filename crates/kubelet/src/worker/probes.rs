//! Keeps a probe task for every probe that applies now.

use std::time::Duration;

use steersman_controller_runtime::EventType;

use super::{PodWorker, now};
use crate::pod::PodExt;
use crate::probe::Kind;
use crate::probe::check::{Answer, Target};
use crate::probe::task::{ProbeTask, Report};
use crate::view::State;

impl PodWorker {
    /// Starts the probes of containers that run and stops those of containers that do not.
    pub(super) fn sync_probes(&mut self, allowed: &[Kind]) {
        let running = |id: &str| self.view.by_id(id).is_some_and(|c| c.state == State::Running);
        self.probe_stops.retain(|(id, kind), stop| {
            let keep = running(id) && allowed.contains(kind);
            if !keep {
                stop.cancel();
            }
            keep
        });
        for (_, container) in self.pod.every_container() {
            let Some(current) = self.view.latest(&container.name).filter(|c| c.state == State::Running)
            else {
                continue;
            };
            let started = self.probes.started(&container, &current.id);
            for kind in allowed {
                let Some(probe) = kind.of(&container) else { continue };
                let settled = *kind != Kind::Readiness && self.probes.failed(&current.id, *kind);
                let applies = if *kind == Kind::Startup { !started } else { started };
                let key = (current.id.clone(), *kind);
                if !applies || settled || self.probe_stops.contains_key(&key) {
                    continue;
                }
                let age = now().saturating_sub(current.started_at);
                let task = ProbeTask {
                    kind: *kind,
                    probe: probe.clone(),
                    container: container.clone(),
                    target: self.target(&current.id),
                    age: Duration::from_nanos(u64::try_from(age).unwrap_or(0)),
                    reports: self.reports.0.clone(),
                };
                let stop = tokio_util::sync::CancellationToken::new();
                self.probe_stops.insert(key, stop.clone());
                self.probe_tasks.spawn(task.run(stop));
            }
        }
    }

    /// Where probes and hooks find a container.
    pub(super) fn target(&self, container_id: &str) -> Target {
        let ip = match self.view.sandbox().and_then(|sandbox| sandbox.ips.first()) {
            Some(ip) if !self.pod.host_network() => ip.clone(),
            _ => self.shared.config.node_ips.first().cloned().unwrap_or_default(),
        };
        Target {
            runtime: self.shared.runtime.service.clone(),
            container_id: container_id.to_owned(),
            pod_ip: ip,
        }
    }

    /// Takes a report; true when it changes what is to be done.
    pub(super) fn heard(&mut self, report: Report) -> bool {
        let word = report.kind.word();
        let event = match &report.answer {
            Answer::Success => None,
            Answer::Warning(text) => Some(("ProbeWarning", format!("{word} probe warning: {text}"))),
            Answer::Failure(text) => Some(("Unhealthy", format!("{word} probe failed: {text}"))),
            Answer::Unknown(text) => {
                Some(("Unhealthy", format!("{word} probe errored and resulted in unknown state: {text}")))
            }
        };
        if let Some((reason, message)) = event {
            self.shared.container_event(&self.pod, &report.container, EventType::Warning, reason, message);
        }
        match report.verdict {
            Some(success) => self.probes.set(&report.container_id, report.kind, success),
            None => false,
        }
    }
}
