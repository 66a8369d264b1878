//! Probes: startup, liveness and readiness, each by exec, HTTP, TCP or gRPC.
//!
//! [`counter`] decides when a run of results changes the verdict, [`pace`] when to ask, [`check`] asks the container
//! once, and [`task`] does that in time. Verdicts are kept in [`Results`] by container id, so that a new container starts
//! without its predecessor's past.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, Probe};

pub mod counter;
mod pace;

pub mod check;
mod exec;
mod grpc;
mod http;
pub mod task;
mod tcp;

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Gates the other two until it succeeds; failing restarts the container.
    Startup,
    /// Failing restarts the container.
    Liveness,
    /// Failing takes the pod out of its services.
    Readiness,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// The word that events begin with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    /// The container's probe of this kind.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// Verdicts of the probes of one pod, by container id.
#[derive(Debug, Default, Clone)]
pub struct Results {
    verdicts: HashMap<(String, Kind), bool>,
}

impl Results {
    /// Notes a verdict; says whether it is new.
    pub fn set(&mut self, container_id: &str, kind: Kind, success: bool) -> bool {
        self.verdicts.insert((container_id.to_owned(), kind), success) != Some(success)
    }

    /// The verdict, if there is one yet.
    pub fn get(&self, container_id: &str, kind: Kind) -> Option<bool> {
        self.verdicts.get(&(container_id.to_owned(), kind)).copied()
    }

    /// Whether the probe has failed for good.
    pub fn failed(&self, container_id: &str, kind: Kind) -> bool {
        self.get(container_id, kind) == Some(false)
    }

    /// Whether a running container counts as started.
    pub fn started(&self, container: &Container, container_id: &str) -> bool {
        container.startup_probe.is_none() || self.get(container_id, Kind::Startup) == Some(true)
    }

    /// Whether a running container that has started counts as ready.
    pub fn ready(&self, container: &Container, container_id: &str) -> bool {
        container.readiness_probe.is_none() || self.get(container_id, Kind::Readiness) == Some(true)
    }

    /// Forgets every container but these.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.verdicts.retain(|(id, _), _| keep(id));
    }
}
