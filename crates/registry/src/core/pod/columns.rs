//! What `kubectl get pods` prints. The one word under STATUS sums up phase, conditions and container states; the
//! rules are upstream's (`pkg/printers/internalversion`).

use jiff::Timestamp;
use serde_json::Value;
use steersman_apimachinery::Tree;

use crate::Column;
use crate::print::{AGE, NAME, or, since, text};
use crate::tree::Read;

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    text("Ready", 0, "Containers that are ready, of all.", |pod, _| {
        let summary = Summary::of(pod);
        format!("{}/{}", summary.ready, summary.total).into()
    }),
    text("Status", 0, "State of the pod in a word.", |pod, _| Summary::of(pod).reason.into()),
    text("Restarts", 0, "Restarts of all containers, and when the last was.", |pod, now| {
        restarts(&Summary::of(pod), now)
    }),
    AGE,
    text("IP", 1, "Address of the pod.", |pod, _| {
        let first = pod.items("status.podIPs").first().map_or("", |ip| ip.text("ip"));
        or(or(first, pod.text("status.podIP")), "<none>").into()
    }),
    text("Node", 1, "Node that runs the pod.", |pod, _| or(pod.text("spec.nodeName"), "<none>").into()),
    text("Nominated Node", 1, "Node being cleared for the pod.", |pod, _| {
        or(pod.text("status.nominatedNodeName"), "<none>").into()
    }),
    text("Readiness Gates", 1, "Readiness gates that are met, of all.", |pod, _| readiness_gates(pod).into()),
];

/// What the columns need, counted in one pass.
struct Summary<'a> {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts<'a>,
}

/// How often containers came back, and when the last one of them had ended.
#[derive(Clone, Copy, Default)]
struct Restarts<'a> {
    count: i64,
    last: Option<(Timestamp, &'a str)>,
}

impl<'a> Restarts<'a> {
    fn add(&mut self, status: &'a Tree) {
        self.count += status.int("restartCount").unwrap_or(0);
        let ended = status.text("lastState.terminated.finishedAt");
        if let Ok(when) = ended.parse::<Timestamp>() {
            self.last = self.last.max(Some((when, ended)));
        }
    }
}

fn restarts(summary: &Summary, now: Timestamp) -> Value {
    match summary.restarts {
        Restarts { count, last: Some((_, ended)) } if count != 0 => {
            format!("{count} ({} ago)", since(ended, now)).into()
        }
        Restarts { count, .. } => count.to_string().into(),
    }
}

/// What the init containers say.
struct Initialization<'a> {
    /// The word for STATUS while they are not done.
    pending: Option<String>,
    ready_sidecars: usize,
    restarts: Restarts<'a>,
    sidecar_restarts: Restarts<'a>,
}

impl<'a> Summary<'a> {
    fn of(pod: &'a Tree) -> Self {
        let phase = pod.text("status.phase");
        let init = Initialization::of(pod);
        let sidecars = pod.items("spec.initContainers").iter().filter(|c| is_sidecar(c)).count();
        let mut summary = Self {
            ready: init.ready_sidecars,
            total: pod.items("spec.containers").len() + sidecars,
            reason: or(pod.text("status.reason"), phase).to_owned(),
            restarts: init.restarts,
        };
        if condition(pod, "PodScheduled").is_some_and(|c| c.text("reason") == "SchedulingGated") {
            summary.reason = "SchedulingGated".to_owned();
        }
        let initialized = init.pending.is_none() || is_true(pod, "Initialized");
        if let Some(pending) = init.pending {
            summary.reason = pending;
        }
        if initialized {
            summary.restarts = init.sidecar_restarts;
            summary.add_containers(pod);
        }
        summary.add_deletion(pod, phase);
        summary
    }

    /// The main containers. The first one that has something to say gives the word, so they are read backwards.
    fn add_containers(&mut self, pod: &'a Tree) {
        let mut running = false;
        for status in pod.items("status.containerStatuses").iter().rev() {
            self.restarts.add(status);
            let waiting = status.text("state.waiting.reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if status.has("state.terminated") {
                self.reason = ending(status.at("state.terminated"));
            } else if status.flag("ready") && status.has("state.running") {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let word = if is_true(pod, "Ready") { "Running" } else { "NotReady" };
            self.reason = word.to_owned();
        }
    }

    fn add_deletion(&mut self, pod: &Tree, phase: &str) {
        if !pod.has("metadata.deletionTimestamp") {
            return;
        }
        if pod.text("status.reason") == "NodeLost" {
            self.reason = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            self.reason = "Terminating".to_owned();
        }
    }
}

impl<'a> Initialization<'a> {
    fn of(pod: &'a Tree) -> Self {
        let specs = pod.items("spec.initContainers");
        let mut this = Self {
            pending: None,
            ready_sidecars: 0,
            restarts: Restarts::default(),
            sidecar_restarts: Restarts::default(),
        };
        for (index, status) in pod.items("status.initContainerStatuses").iter().enumerate() {
            let sidecar = specs.iter().any(|c| c.text("name") == status.text("name") && is_sidecar(c));
            this.restarts.add(status);
            if sidecar {
                this.sidecar_restarts.add(status);
            }
            if status.int("state.terminated.exitCode") == Some(0) {
                continue;
            }
            if sidecar && status.flag("started") {
                this.ready_sidecars += usize::from(status.flag("ready"));
                continue;
            }
            this.pending = Some(init_reason(status, index, specs.len()));
            break;
        }
        this
    }
}

fn init_reason(status: &Tree, index: usize, total: usize) -> String {
    let waiting = status.text("state.waiting.reason");
    if status.has("state.terminated") {
        format!("Init:{}", ending(status.at("state.terminated")))
    } else if !waiting.is_empty() && waiting != "PodInitializing" {
        format!("Init:{waiting}")
    } else {
        format!("Init:{index}/{total}")
    }
}

fn ending(terminated: &Tree) -> String {
    match (terminated.text("reason"), terminated.int("signal").unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated.int("exitCode").unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_sidecar(container: &Tree) -> bool {
    container.text("restartPolicy") == "Always"
}

fn condition<'a>(pod: &'a Tree, kind: &str) -> Option<&'a Tree> {
    pod.items("status.conditions").iter().find(|c| c.text("type") == kind)
}

fn is_true(pod: &Tree, kind: &str) -> bool {
    condition(pod, kind).is_some_and(|c| c.text("status") == "True")
}

fn readiness_gates(pod: &Tree) -> String {
    let gates = pod.items("spec.readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let met = gates.iter().filter(|gate| is_true(pod, gate.text("conditionType"))).count();
    format!("{met}/{}", gates.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    const NOW: &str = "2026-01-01T01:00:00Z";

    /// A pod of as many containers and init containers as there are statuses.
    fn pod(phase: &str, init: Value, main: Value) -> Tree {
        let specs = |statuses: &Value| {
            let names = statuses.as_array().expect("a list").iter().enumerate();
            names
                .map(|(n, s)| json!({"name": n.to_string(), "restartPolicy": s["policy"]}))
                .collect::<Vec<_>>()
        };
        let named = |statuses: &Value| {
            let mut all = statuses.as_array().expect("a list").clone();
            all.iter_mut().enumerate().for_each(|(n, s)| s["name"] = n.to_string().into());
            all
        };
        json!({
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": specs(&main), "initContainers": specs(&init)},
            "status": {"phase": phase, "initContainerStatuses": named(&init), "containerStatuses": named(&main)},
        })
    }

    fn first_columns(pod: &Tree) -> String {
        row(&COLUMNS[1..4], pod, NOW)
    }

    #[test]
    fn status_sums_up_the_containers() {
        let up = json!({"ready": true, "state": {"running": {}}});
        let waiting = |why: &str| json!({"restartCount": 0, "state": {"waiting": {"reason": why}}});
        let ended = |t: Value| json!({"state": {"terminated": t}});
        let done = ended(json!({"exitCode": 0, "reason": "Completed"}));
        let crash = json!({"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:55:00Z", "exitCode": 1}}});
        let sidecar = json!({"policy": "Always", "started": true, "ready": true, "restartCount": 1,
            "state": {"running": {}}});
        let cases = [
            ("new", pod("Pending", json!([]), json!([])), "0/0|Pending|0"),
            (
                "creating",
                pod("Pending", json!([]), json!([waiting("ContainerCreating")])),
                "0/1|ContainerCreating|0",
            ),
            ("running", pod("Running", json!([]), json!([up, up])), "2/2|Running|0"),
            ("crashing", pod("Running", json!([]), json!([crash, up])), "1/2|CrashLoopBackOff|2 (5m ago)"),
            ("completed", pod("Succeeded", json!([]), json!([done])), "0/1|Completed|0"),
            ("one of two done", pod("Running", json!([]), json!([done, up])), "1/2|NotReady|0"),
            (
                "exit code",
                pod("Failed", json!([]), json!([ended(json!({"exitCode": 3}))])),
                "0/1|ExitCode:3|0",
            ),
            (
                "signal",
                pod("Failed", json!([]), json!([ended(json!({"exitCode": 137, "signal": 9}))])),
                "0/1|Signal:9|0",
            ),
            (
                "first init container",
                pod("Pending", json!([{"state": {"running": {}}}, {}]), json!([waiting("PodInitializing")])),
                "0/1|Init:0/2|0",
            ),
            (
                "second init container",
                pod(
                    "Pending",
                    json!([done, waiting("PodInitializing")]),
                    json!([waiting("PodInitializing")]),
                ),
                "0/1|Init:1/2|0",
            ),
            (
                "init crash",
                pod("Pending", json!([crash]), json!([{}])),
                "0/1|Init:CrashLoopBackOff|2 (5m ago)",
            ),
            (
                "init error",
                pod("Failed", json!([ended(json!({"exitCode": 1, "reason": "Error"}))]), json!([{}])),
                "0/1|Init:Error|0",
            ),
            (
                "init exit code",
                pod("Failed", json!([ended(json!({"exitCode": 7}))]), json!([{}])),
                "0/1|Init:ExitCode:7|0",
            ),
            ("sidecar counts", pod("Running", json!([sidecar]), json!([up])), "2/2|Running|1"),
        ];
        for (name, pod, want) in cases {
            assert_eq!(first_columns(&pod), want, "{name}");
        }
    }

    #[test]
    fn deletion_and_gates_override() {
        let up = json!({"ready": true, "state": {"running": {}}});
        let mut deleted = pod("Running", json!([]), json!([up]));
        deleted["metadata"]["deletionTimestamp"] = json!(NOW);
        assert_eq!(first_columns(&deleted), "1/1|Terminating|0");
        deleted["status"]["reason"] = json!("NodeLost");
        assert_eq!(first_columns(&deleted), "1/1|Unknown|0");
        deleted["status"] = json!({"phase": "Failed", "reason": "Evicted"});
        assert_eq!(first_columns(&deleted), "0/1|Evicted|0");
        let mut gated = pod("Pending", json!([]), json!([]));
        gated["status"]["conditions"] =
            json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
        assert_eq!(first_columns(&gated), "0/0|SchedulingGated|0");
    }

    #[test]
    fn wide_columns() {
        let mut pod = pod("Running", json!([]), json!([]));
        assert_eq!(row(&COLUMNS[4..], &pod, NOW), "60m|<none>|<none>|<none>|<none>");
        pod["spec"]["nodeName"] = json!("n1");
        pod["spec"]["readinessGates"] = json!([{"conditionType": "a"}, {"conditionType": "b"}]);
        pod["status"] = json!({"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}],
            "conditions": [{"type": "a", "status": "True"}]});
        assert_eq!(row(&COLUMNS[4..], &pod, NOW), "60m|10.0.0.2|n1|<none>|1/2");
    }
}
