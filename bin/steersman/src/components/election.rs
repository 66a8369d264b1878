//! The flags of leader election, and work that only a leader does.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ArgAction;
use steersman_controller_runtime::election::Timing;
use steersman_controller_runtime::{
    EventSource, LeaderElectionConfig, LeaderElector, LeaderEvents, LeaderStatus, holder_identity,
};
use steersman_secure_serving::{Check, Collector, MetricKind};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::flags::duration;
use crate::parts::Parts;
use crate::settings::host_name;

/// How long after its Lease has run out a leader that is still there counts as ill, as upstream.
const WATCHDOG: Duration = Duration::from_secs(20);

#[derive(clap::Args, Clone, Debug)]
pub struct ElectionArguments {
    /// Work only while holding a Lease, so that several replicas can stand by.
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    leader_elect: bool,
    /// How long a candidate waits after the last renewal that it saw before it takes over.
    #[arg(long, default_value = "15s", value_parser = duration, value_name = "DURATION")]
    leader_elect_lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "DURATION")]
    leader_elect_renew_deadline: Duration,
    /// The pause between two tries.
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    leader_elect_retry_period: Duration,
    /// Kind of the lock; leases are the only one that there still is.
    #[arg(long, default_value = "leases", value_parser = ["leases"], value_name = "KIND")]
    leader_elect_resource_lock: String,
    /// Namespace of the Lease.
    #[arg(long, default_value = "kube-system", value_name = "NAMESPACE")]
    leader_elect_resource_namespace: String,
    /// Name of the Lease; the component's upstream name if not given.
    #[arg(long, value_name = "NAME")]
    leader_elect_resource_name: Option<String>,
}

/// Work that waits for its turn.
pub struct Turn {
    elector: Option<(LeaderElector, LeaderEvents)>,
    status: Option<(watch::Receiver<LeaderStatus>, Duration)>,
    name: String,
}

impl ElectionArguments {
    /// Takes part in the election of `component` if there is to be one; `source` reports its outcome.
    pub fn turn(&self, client: kube::Client, component: &str, source: &str) -> Result<Turn> {
        let name = self.leader_elect_resource_name.clone().unwrap_or_else(|| component.to_owned());
        if !self.leader_elect {
            return Ok(Turn { elector: None, status: None, name });
        }
        let timing = Timing {
            lease: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry: self.leader_elect_retry_period,
        };
        let timing = timing.check().context("the --leader-elect-* durations do not fit together")?;
        let config = LeaderElectionConfig {
            namespace: self.leader_elect_resource_namespace.clone(),
            name: name.clone(),
            identity: holder_identity(&host_name().context("could not read the host's name")?),
            timing,
        };
        let source = EventSource { component: source.to_owned(), host: String::new() };
        let (elector, events) = LeaderElector::new(client, config, source);
        let status = Some((elector.status(), timing.lease));
        Ok(Turn { elector: Some((elector, events)), status, name })
    }
}

impl Turn {
    /// Upstream's check of a leader that does not notice that it leads no more.
    pub fn check(&self) -> Option<Check> {
        let (status, lease) = self.status.clone()?;
        let check = move || match status.borrow().renewed {
            Some(renewed) if renewed.elapsed() > lease + WATCHDOG => {
                Err("failed election to renew leadership on lease".to_owned())
            }
            _ => Ok(()),
        };
        Some(Check { name: "leaderElection", liveness: true, check: Box::new(check) })
    }

    /// Whether we lead, as a metric.
    pub fn collector(&self) -> Option<Collector> {
        let (status, name) = (self.status.clone()?.0, self.name.clone());
        Some(Box::new(move |out| {
            let help = "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 \
                        indicates master. 'name' is the string used to identify the lease.";
            let leads = u8::from(status.borrow().is_leader());
            out.family("leader_election_master_status", MetricKind::Gauge, help)
                .sample(&[("name", &name)], leads);
        }))
    }

    /// Runs `work` as the part `name` when its turn comes; losing the turn is an error that ends the process.
    pub fn start<W>(
        self,
        parts: &mut Parts,
        name: &'static str,
        work: impl FnOnce(CancellationToken) -> W + Send + 'static,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        let stop = parts.stop.clone();
        parts.spawn(name, async move {
            match self.elector {
                None => work(stop).await,
                Some((elector, events)) => drop(elector.run(events, stop, work).await?),
            }
            Ok(())
        });
    }
}
