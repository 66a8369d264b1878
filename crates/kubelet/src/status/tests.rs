use serde_json::{Value, json};

use super::*;
use crate::testing::{container, pod, view};
use crate::view::{Container, PodView, State};

struct World {
    pod: Pod,
    old: PodStatus,
    view: PodView,
    probes: Results,
    waiting: HashMap<String, Waiting>,
    stopped: bool,
    failed: Option<Waiting>,
}

impl World {
    fn new(spec: Value) -> Self {
        Self {
            pod: pod(spec),
            old: PodStatus::default(),
            view: PodView::default(),
            probes: Results::default(),
            waiting: HashMap::new(),
            stopped: false,
            failed: None,
        }
    }

    fn with(mut self, containers: &[(&str, u32, State, i32)]) -> Self {
        let make = |(name, attempt, state, code): &(&str, u32, State, i32)| -> Container {
            container(&self.pod, name, *attempt, *state, *code)
        };
        self.view = view(containers.iter().map(make).collect());
        self
    }

    fn status(&self) -> PodStatus {
        pod_status(Input {
            pod: &self.pod,
            old: &self.old,
            view: &self.view,
            probes: &self.probes,
            waiting: &self.waiting,
            messages: &HashMap::new(),
            runtime: "steersman",
            host_ips: &["192.0.2.1".to_owned()],
            stopped: self.stopped,
            failed: self.failed.as_ref(),
            now: Timestamp::from_second(5_000).unwrap(),
        })
    }

    fn phase(&self) -> String {
        self.status().phase.unwrap()
    }

    fn tree(&self) -> Value {
        serde_json::to_value(self.status()).unwrap()
    }
}

fn one(policy: &str) -> World {
    World::new(json!({ "restartPolicy": policy, "containers": [{ "name": "a", "image": "x:1" }] }))
}

#[test]
fn a_new_pod_is_pending_and_says_what_it_waits_for() {
    let world = one("Always");
    let tree = world.tree();
    assert_eq!(tree["phase"], "Pending");
    assert_eq!(
        tree["containerStatuses"][0]["state"],
        json!({ "waiting": { "reason": "ContainerCreating" } })
    );
    assert_eq!(tree["startTime"], "1970-01-01T01:23:20Z");
    assert_eq!(tree["observedGeneration"], 3);
    assert_eq!(tree["qosClass"], "BestEffort");
    let kinds: Vec<_> = tree["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["type"].clone(), c["status"].clone()))
        .collect();
    let want = [
        ("PodReadyToStartContainers", "False"),
        ("Initialized", "True"),
        ("Ready", "False"),
        ("ContainersReady", "False"),
        ("PodScheduled", "True"),
    ];
    assert_eq!(kinds, want.map(|(kind, status)| (json!(kind), json!(status))));
    assert_eq!(tree["conditions"][2]["message"], "containers with unready status: [a]");
}

#[test]
fn a_running_pod_shows_where_it_is() {
    let tree = one("Always").with(&[("a", 0, State::Running, 0)]).tree();
    assert_eq!(tree["phase"], "Running");
    assert_eq!(tree["podIP"], "10.0.0.7");
    assert_eq!(tree["hostIPs"], json!([{ "ip": "192.0.2.1" }]));
    let status = &tree["containerStatuses"][0];
    assert_eq!(status["containerID"], "steersman://a-0");
    assert_eq!((&status["ready"], &status["started"]), (&json!(true), &json!(true)));
    assert_eq!(status["state"], json!({ "running": { "startedAt": "1970-01-01T00:16:40Z" } }));
    assert_eq!(tree["conditions"][0]["status"], "True");
}

#[test]
fn phases_follow_the_containers() {
    let cases = [
        ("Always", State::Exited, 1, false, "Running"),
        ("Always", State::Exited, 0, false, "Running"),
        ("OnFailure", State::Exited, 0, false, "Succeeded"),
        ("OnFailure", State::Exited, 1, false, "Running"),
        ("Never", State::Exited, 1, false, "Failed"),
        ("Always", State::Exited, 0, true, "Succeeded"),
        ("Always", State::Exited, 137, true, "Failed"),
        ("Never", State::Running, 0, false, "Running"),
    ];
    for (policy, state, code, stopped, want) in cases {
        let mut world = one(policy).with(&[("a", 0, state, code)]);
        world.stopped = stopped;
        assert_eq!(world.phase(), want, "{policy} {state:?} {code} {stopped}");
    }
}

#[test]
fn a_crash_loop_shows_why_it_waits_and_how_it_ended() {
    let mut world = one("Always").with(&[("a", 1, State::Exited, 7), ("a", 0, State::Exited, 6)]);
    let waiting = Waiting { reason: "CrashLoopBackOff".into(), message: "back-off 10s".into() };
    world.waiting.insert("a".into(), waiting);
    let tree = world.tree();
    assert_eq!(tree["phase"], "Running");
    let status = &tree["containerStatuses"][0];
    let want = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } });
    assert_eq!(status["state"], want);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 7);
    assert_eq!(status["lastState"]["terminated"]["reason"], "Error");
    assert_eq!(status["restartCount"], 1);
    world.waiting.clear();
    let status = &world.tree()["containerStatuses"][0];
    assert_eq!(status["state"]["terminated"]["exitCode"], 7);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 6);
}

#[test]
fn what_was_told_survives_the_loss_of_old_containers() {
    let mut world = one("Always").with(&[("a", 4, State::Running, 0)]);
    world.old =
        serde_json::from_value(json!({ "containerStatuses": [{ "name": "a", "image": "", "imageID": "",
        "ready": true, "restartCount": 9, "containerID": "steersman://a-4",
        "lastState": { "terminated": { "exitCode": 3 } }, "state": {} }] }))
        .unwrap();
    let status = &world.tree()["containerStatuses"][0];
    assert_eq!(status["restartCount"], 9);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
}

#[test]
fn probes_gate_started_and_ready() {
    let probe = json!({ "tcpSocket": { "port": 1 } });
    let mut world = World::new(
        json!({ "containers": [{ "name": "a", "startupProbe": probe, "readinessProbe": probe }] }),
    )
    .with(&[("a", 0, State::Running, 0)]);
    let seen = |world: &World| {
        let status = world.status().container_statuses.unwrap().remove(0);
        (status.started, status.ready)
    };
    assert_eq!(seen(&world), (Some(false), false));
    world.probes.set("a-0", crate::probe::Kind::Readiness, true);
    assert_eq!(seen(&world), (Some(false), false), "readiness does not count before the start");
    world.probes.set("a-0", crate::probe::Kind::Startup, true);
    assert_eq!(seen(&world), (Some(true), true));
}

#[test]
fn init_containers_hold_the_pod_in_pending() {
    let spec = json!({ "restartPolicy": "Never", "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }] });
    let world = World::new(spec.clone()).with(&[("i", 0, State::Running, 0)]);
    let tree = world.tree();
    assert_eq!(tree["phase"], "Pending");
    assert_eq!(tree["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    assert_eq!(tree["conditions"][1]["message"], "containers with incomplete status: [i]");
    let world = World::new(spec).with(&[("i", 0, State::Exited, 1)]);
    assert_eq!(world.phase(), "Failed");
}

#[test]
fn a_pod_is_over_only_when_its_sidecars_are() {
    let sidecar = json!({ "name": "s", "restartPolicy": "Always" });
    let spec =
        json!({ "restartPolicy": "Never", "initContainers": [sidecar], "containers": [{ "name": "a" }] });
    let done = ("a", 0, State::Exited, 0);
    let world = World::new(spec.clone()).with(&[("s", 0, State::Running, 0), done]);
    assert_eq!(world.phase(), "Running");
    let mut world = World::new(spec).with(&[("s", 0, State::Exited, 143), done]);
    world.stopped = true;
    assert_eq!(world.phase(), "Succeeded");
}

#[test]
fn terminal_phases_stay_and_foreign_conditions_too() {
    let mut world = one("Never").with(&[("a", 0, State::Running, 0)]);
    world.old = serde_json::from_value(json!({ "phase": "Failed",
        "conditions": [{ "type": "DisruptionTarget", "status": "True" }] }))
    .unwrap();
    let tree = world.tree();
    assert_eq!(tree["phase"], "Failed");
    assert_eq!(tree["conditions"][5]["type"], "DisruptionTarget");
    assert_eq!(tree["conditions"][2]["reason"], "PodFailed");
}

#[test]
fn the_same_input_gives_the_same_status_after_a_restart() {
    let mut world = one("Always").with(&[("a", 2, State::Running, 0), ("a", 1, State::Exited, 1)]);
    let first = world.status();
    world.old = first.clone();
    assert_eq!(patch::patch("u1", &first, &world.status()), None);
}

#[test]
fn a_vanished_container_is_told_as_lost_when_the_pod_stops() {
    let mut world = one("Always").with(&[("a", 0, State::Running, 0)]);
    world.old = world.status();
    world.view = PodView::default();
    world.stopped = true;
    let status = &world.tree()["containerStatuses"][0];
    assert_eq!(status["state"]["terminated"]["reason"], "ContainerStatusUnknown");
    assert_eq!(status["state"]["terminated"]["exitCode"], 137);
}

#[test]
fn a_pod_past_its_deadline_has_failed_once_nothing_of_it_runs() {
    let spec = || json!({ "containers": [{ "name": "a" }] });
    let late = || Some(Waiting { reason: "DeadlineExceeded".into(), message: "m".into() });
    let mut ending = World::new(spec()).with(&[("a", 0, State::Running, 0)]);
    (ending.failed, ending.old.phase) = (late(), Some("Running".into()));
    assert_eq!((ending.phase().as_str(), ending.status().reason), ("Running", None));
    let mut ended = World::new(spec()).with(&[("a", 0, State::Exited, 137)]);
    (ended.failed, ended.old.phase, ended.stopped) = (late(), Some("Running".into()), true);
    assert_eq!(
        (ended.phase().as_str(), ended.status().reason.as_deref()),
        ("Failed", Some("DeadlineExceeded"))
    );
}
