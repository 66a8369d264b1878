//! What is told of it: metrics, and tables for people (`/debug/api_priority_and_fairness/dump_*`).

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::admit::{FlowControl, Level, LevelSeats, Waiting};
use super::queues::{Queue, Reason, Seats};

const PREFIX: &str = "apiserver_flowcontrol";

impl FlowControl {
    /// The metrics, in Prometheus's text form.
    pub fn metrics(&self) -> String {
        let current = self.current();
        let mut out = String::new();
        let levels: [(&str, &str, fn(&Level) -> f64); 8] = [
            (
                "nominal_limit_seats",
                "Nominal number of execution seats configured for each priority level",
                |l| l.limits.nominal.into(),
            ),
            (
                "lower_limit_seats",
                "Configured lower bound on number of execution seats available to each priority level",
                |l| l.limits.lower.into(),
            ),
            (
                "upper_limit_seats",
                "Configured upper bound on number of execution seats available to each priority level",
                |l| l.limits.upper.into(),
            ),
            (
                "current_limit_seats",
                "current derived number of execution seats available to each priority level",
                |l| l.seats.limit().into(),
            ),
            (
                "demand_seats_high_watermark",
                "High watermark, over last adjustment period, of demand_seats",
                |l| l.need.high_watermark.into(),
            ),
            (
                "demand_seats_average",
                "Time-weighted average, over last adjustment period, of demand_seats",
                |l| l.need.average,
            ),
            (
                "demand_seats_stdev",
                "Time-weighted standard deviation, over last adjustment period, of demand_seats",
                |l| l.need.deviation,
            ),
            ("demand_seats_smoothed", "Smoothed seat demands", |l| l.need.smoothed),
        ];
        for (name, help, value) in levels {
            let samples = current.levels.iter();
            let samples =
                samples.map(|level| (format!("priority_level={:?}", level.plan.name), value(level)));
            metric(&mut out, name, "gauge", help, samples);
        }
        let flows: [(&str, &str, &str, fn(&super::admit::Counts) -> f64); 4] = [
            (
                "dispatched_requests_total",
                "counter",
                "Number of requests executed by API Priority and Fairness subsystem",
                |c| c.dispatched.load(Ordering::Relaxed) as f64,
            ),
            (
                "current_inqueue_requests",
                "gauge",
                "Number of requests currently pending in queues of the API Priority and Fairness subsystem",
                |c| c.waiting.load(Ordering::Relaxed) as f64,
            ),
            (
                "current_executing_requests",
                "gauge",
                "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API \
                 Priority and Fairness subsystem",
                |c| c.executing.load(Ordering::Relaxed) as f64,
            ),
            (
                "current_executing_seats",
                "gauge",
                "Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any \
                 stage otherwise) requests in the API Priority and Fairness subsystem",
                |c| c.executing_seats.load(Ordering::Relaxed) as f64,
            ),
        ];
        let labels =
            |c: &super::admit::Counts| format!("flow_schema={:?},priority_level={:?}", c.schema, c.level);
        for (name, kind, help, value) in flows {
            let samples = current.schemas.iter().map(|s| (labels(&s.counts), value(&s.counts)));
            metric(&mut out, name, kind, help, samples);
        }
        let rejected = current.schemas.iter().flat_map(|schema| {
            Reason::ALL.into_iter().filter_map(move |reason| {
                let count = schema.counts.rejections(reason);
                let labels = format!("{},reason={:?}", labels(&schema.counts), reason.label());
                (count > 0).then_some((labels, count as f64))
            })
        });
        let help = "Number of requests rejected by API Priority and Fairness subsystem";
        metric(&mut out, "rejected_requests_total", "counter", help, rejected);
        out
    }

    /// The table of that name; `None` if there is none.
    pub fn dump(&self, name: &str, details: bool) -> Option<String> {
        match name {
            "dump_priority_levels" => Some(table(&LEVEL_COLUMNS, &self.each_level(level_rows))),
            "dump_queues" => Some(table(&QUEUE_COLUMNS, &self.each_level(queue_rows))),
            "dump_requests" => {
                let more = if details { &DETAIL_COLUMNS[..] } else { &[] };
                let columns = [&REQUEST_COLUMNS[..], more].concat();
                Some(table(&columns, &self.each_level(|name, seats| request_rows(name, seats, details))))
            }
            _ => None,
        }
    }

    fn each_level(&self, rows: impl Fn(&str, &LevelSeats) -> Vec<Vec<String>>) -> Vec<Vec<String>> {
        self.current().levels.iter().flat_map(|level| rows(&level.plan.name, &level.seats)).collect()
    }
}

fn metric(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl Iterator<Item = (String, f64)>,
) {
    let mut line =
        |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a String takes every text");
    line(format_args!("# HELP {PREFIX}_{name} {help}"));
    line(format_args!("# TYPE {PREFIX}_{name} {kind}"));
    for (labels, value) in samples {
        line(format_args!("{PREFIX}_{name}{{{labels}}} {value}"));
    }
}

const LEVEL_COLUMNS: [&str; 10] = [
    "PriorityLevelName",
    "ActiveQueues",
    "IsIdle",
    "IsQuiescing",
    "WaitingRequests",
    "ExecutingRequests",
    "DispatchedRequests",
    "RejectedRequests",
    "TimedoutRequests",
    "CancelledRequests",
];

fn level_rows(name: &str, seats: &LevelSeats) -> Vec<Vec<String>> {
    let row = |seats: &Seats<Waiting>| {
        let totals = seats.totals();
        vec![
            name.to_owned(),
            seats.queues().iter().filter(|queue| !queue.waiting.is_empty()).count().to_string(),
            (seats.waiting() == 0 && seats.executing() == 0).to_string(),
            false.to_string(),
            seats.waiting().to_string(),
            seats.executing().to_string(),
            totals.dispatched.to_string(),
            totals.rejected.to_string(),
            totals.timed_out.to_string(),
            totals.cancelled.to_string(),
        ]
    };
    vec![seats.with(row)]
}

const QUEUE_COLUMNS: [&str; 9] = [
    "PriorityLevelName",
    "Index",
    "PendingRequests",
    "ExecutingRequests",
    "SeatsInUse",
    "NextDispatchR",
    "InitialSeatsSum",
    "MaxSeatsSum",
    "TotalWorkSum",
];

fn queue_rows(name: &str, seats: &LevelSeats) -> Vec<Vec<String>> {
    let row = |(index, queue): (usize, &Queue<Waiting>)| {
        let wanted: u32 = queue.waiting.iter().map(|waiter| waiter.width).sum();
        vec![
            name.to_owned(),
            index.to_string(),
            queue.waiting.len().to_string(),
            queue.executing.to_string(),
            queue.seats_in_use.to_string(),
            format!("{:.8}ss", queue.next_start),
            wanted.to_string(),
            wanted.to_string(),
            format!("{:.8}ss", f64::from(wanted) * super::queues::GUESS),
        ]
    };
    seats.with(|seats| seats.queues().iter().enumerate().map(row).collect())
}

const REQUEST_COLUMNS: [&str; 10] = [
    "PriorityLevelName",
    "FlowSchemaName",
    "QueueIndex",
    "RequestIndexInQueue",
    "FlowDistingsher",
    "ArriveTime",
    "InitialSeats",
    "FinalSeats",
    "AdditionalLatency",
    "StartTime",
];

const DETAIL_COLUMNS: [&str; 8] =
    ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"];

/// Those that wait; who runs is counted, not listed.
fn request_rows(level: &str, seats: &LevelSeats, details: bool) -> Vec<Vec<String>> {
    let row = |queue: usize, index: usize, width: u32, who: &Waiting| {
        let mut row = vec![
            level.to_owned(),
            who.counts.schema.clone(),
            queue.to_string(),
            index.to_string(),
            who.distinguisher.clone(),
            who.arrived.to_string(),
            width.to_string(),
            "0".to_owned(),
            "0s".to_owned(),
            "0001-01-01T00:00:00Z".to_owned(),
        ];
        if details {
            let info = &who.info;
            let version = match info.group.as_str() {
                "" => info.version.clone(),
                group => format!("{group}/{}", info.version),
            };
            row.extend([&who.user, &info.verb, &info.path, &info.namespace, &info.name].map(String::clone));
            row.extend([version, info.resource.clone(), info.subresource.clone()]);
        }
        row
    };
    seats.with(|seats| {
        let queues = seats.queues().iter().enumerate();
        let waiters = queues.flat_map(|(at, queue)| queue.waiting.iter().enumerate().map(move |w| (at, w)));
        waiters.map(|(queue, (index, waiter))| row(queue, index, waiter.width, &waiter.who)).collect()
    })
}

/// Cells end in a comma and are padded to their column, as upstream's tables.
fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| rows.iter().chain([&head]).map(|row| row[at].chars().count() + 2).max().unwrap_or(0).max(8))
        .collect();
    let mut out = String::new();
    for row in [&head].into_iter().chain(rows) {
        let last = row.len() - 1;
        for (at, cell) in row.iter().enumerate() {
            if at == last {
                out.push_str(cell);
            } else {
                let width = widths[at];
                write!(out, "{:<width$}", format!("{cell},")).expect("a String takes every text");
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [["catch-all", "0"], ["system", "12"]].map(|row| row.map(str::to_owned).to_vec());
        let want = "PriorityLevelName, Index\ncatch-all,         0\nsystem,            12\n";
        assert_eq!(table(&["PriorityLevelName", "Index"], &rows), want);
    }
}
