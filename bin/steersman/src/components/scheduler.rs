//! `steersman scheduler`: kube-scheduler.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use steersman_controller_runtime::SharedInformers;
use steersman_scheduler::{DEFAULT_SCHEDULER, Figures, Scheduler};
use steersman_secure_serving::{Check, Collector, MetricKind};

use super::connection::{ConnectionArguments, informers};
use super::election::ElectionArguments;
use super::serving::{ServingArguments, Shown};
use crate::parts::{self, Parts};

/// Where it serves if it is not told otherwise.
pub const PORT: u16 = 10259;
const NAME: &str = "kube-scheduler";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    election: ElectionArguments,
    /// Port of health and metrics over HTTPS; 0 for none.
    #[arg(long, default_value_t = PORT, value_name = "PORT")]
    secure_port: u16,
    #[command(flatten)]
    serving: ServingArguments,
}

/// Schedules until it is told to stop, or leads no more.
pub fn main(arguments: &Arguments) -> Result<()> {
    let start = async |parts: &mut Parts| {
        let connection = arguments.connection.open().await?;
        let informers = informers(&connection, parts)?;
        let scheduler = Scheduler::new(connection.client()?, informers.clone());
        let turn = arguments.election.turn(connection.client()?, NAME, DEFAULT_SCHEDULER)?;
        let shown = Shown {
            checks: turn.check().into_iter().chain([synced(&informers)]).collect(),
            collectors: turn.collector().into_iter().chain([metrics(scheduler.figures())]).collect(),
        };
        arguments.serving.start(arguments.secure_port, &connection, shown, parts).await?;
        turn.start(parts, "scheduler", |stop| scheduler.run(stop));
        Ok(informers)
    };
    parts::run(super::LOG, start, || {}, async |informers: SharedInformers| informers.stopped().await)
}

/// Starts the scheduler beside other components.
pub fn start(client: kube::Client, informers: &SharedInformers, parts: &mut Parts) {
    let (scheduler, stop) = (Scheduler::new(client, informers.clone()), parts.stop.clone());
    parts.spawn("scheduler", async move {
        scheduler.run(stop).await;
        Ok(())
    });
}

/// Whether the first lists are there. One who stands by is ready as well: its lists begin before its turn.
fn synced(informers: &SharedInformers) -> Check {
    let (nodes, pods) = (informers.informer::<Node>(), informers.informer::<Pod>());
    let check = move || match nodes.has_synced() && pods.has_synced() {
        true => Ok(()),
        false => Err("handlers are not fully synchronized".to_owned()),
    };
    Check { name: "sched-handler-sync", liveness: false, check: Box::new(check) }
}

fn metrics(figures: Figures) -> Collector {
    Box::new(move |out| {
        let (attempts, pending) = figures.read();
        let help = "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be \
                    scheduled, while 'error' means an internal scheduler problem.";
        let mut family = out.family("scheduler_schedule_attempts_total", MetricKind::Counter, help);
        for (result, count) in [
            ("scheduled", attempts.scheduled),
            ("unschedulable", attempts.unschedulable),
            ("error", attempts.error),
        ] {
            family.sample(&[("profile", DEFAULT_SCHEDULER), ("result", result)], count);
        }
        let help = "Number of pending pods, by the queue type.";
        let mut family = out.family("scheduler_pending_pods", MetricKind::Gauge, help);
        for (queue, count) in [
            ("active", pending.active),
            ("backoff", pending.backoff),
            ("unschedulable", pending.unschedulable),
            ("gated", pending.gated),
        ] {
            family.sample(&[("queue", queue)], count);
        }
    })
}
