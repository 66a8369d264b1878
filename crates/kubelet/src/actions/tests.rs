use serde_json::json;

use super::*;
use crate::testing::{container, pod, sandbox, view};

fn start(role: Role, name: &str, attempt: u32) -> Start {
    Start { role, name: name.into(), attempt }
}

fn starts(names: &[(Role, &str, u32)]) -> Plan {
    let start = names.iter().map(|(role, name, attempt)| start(*role, name, *attempt)).collect();
    Plan { start, ..Plan::default() }
}

fn kill_pod() -> Plan {
    Plan { kill_pod: true, ..Plan::default() }
}

const REGULAR: Role = Role::Regular;
const INIT: Role = Role::Init;

#[test]
fn a_new_pod_gets_a_sandbox_and_all_its_containers() {
    let p = pod(json!({ "containers": [{ "name": "a" }, { "name": "b" }] }));
    let plan = plan(&p, &PodView::default(), &Results::default());
    assert_eq!(plan.create_sandbox, Some(0));
    assert_eq!(plan.start, [start(REGULAR, "a", 0), start(REGULAR, "b", 0)]);
}

#[test]
fn init_containers_go_first_and_one_by_one() {
    let p =
        pod(json!({ "initContainers": [{ "name": "i" }, { "name": "j" }], "containers": [{ "name": "a" }] }));
    let none = Results::default();
    assert_eq!(plan(&p, &PodView::default(), &none).start, [start(INIT, "i", 0)]);
    let running = container(&p, "i", 0, State::Running, 0);
    assert_eq!(plan(&p, &view(vec![running]), &none), Plan::default());
    let done = container(&p, "i", 0, State::Exited, 0);
    assert_eq!(plan(&p, &view(vec![done.clone()]), &none), starts(&[(INIT, "j", 0)]));
    let failed = container(&p, "j", 0, State::Exited, 1);
    assert_eq!(plan(&p, &view(vec![done.clone(), failed]), &none), starts(&[(INIT, "j", 1)]));
    let both = vec![done, container(&p, "j", 0, State::Exited, 0)];
    assert_eq!(plan(&p, &view(both), &none), starts(&[(REGULAR, "a", 0)]));
}

#[test]
fn removed_init_containers_do_not_run_again() {
    let p = pod(json!({ "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }] }));
    let running = container(&p, "a", 0, State::Running, 0);
    assert_eq!(plan(&p, &view(vec![running]), &Results::default()), Plan::default());
}

#[test]
fn a_failed_init_container_that_may_not_restart_ends_the_pod() {
    let p = pod(json!({ "restartPolicy": "Never", "initContainers": [{ "name": "i" }],
        "containers": [{ "name": "a" }] }));
    let failed = container(&p, "i", 0, State::Exited, 1);
    assert_eq!(plan(&p, &view(vec![failed]), &Results::default()), kill_pod());
}

#[test]
fn a_sidecar_lets_others_begin_once_it_has_started() {
    let p = pod(json!({ "initContainers": [
            { "name": "s", "restartPolicy": "Always", "startupProbe": { "tcpSocket": { "port": 1 } } }],
        "containers": [{ "name": "a" }] }));
    let sidecar = container(&p, "s", 0, State::Running, 0);
    let mut probes = Results::default();
    assert_eq!(plan(&p, &view(vec![sidecar.clone()]), &probes), Plan::default());
    probes.set("s-0", Kind::Startup, true);
    assert_eq!(plan(&p, &view(vec![sidecar]), &probes), starts(&[(REGULAR, "a", 0)]));
    let dead = vec![container(&p, "s", 0, State::Exited, 0), container(&p, "a", 0, State::Running, 0)];
    assert_eq!(plan(&p, &view(dead), &probes), starts(&[(INIT, "s", 1)]));
    let finished = pod(json!({ "restartPolicy": "Never",
        "initContainers": [{ "name": "s", "restartPolicy": "Always" }], "containers": [{ "name": "a" }] }));
    let rest =
        vec![container(&finished, "s", 0, State::Running, 0), container(&finished, "a", 0, State::Exited, 0)];
    assert_eq!(plan(&finished, &view(rest), &probes), kill_pod());
}

#[test]
fn dead_containers_follow_the_restart_policy() {
    let cases = [
        ("Always", 0, starts(&[(REGULAR, "a", 1)])),
        ("Always", 1, starts(&[(REGULAR, "a", 1)])),
        ("OnFailure", 0, kill_pod()),
        ("OnFailure", 1, starts(&[(REGULAR, "a", 1)])),
        ("Never", 1, kill_pod()),
    ];
    for (policy, code, want) in cases {
        let p = pod(json!({ "restartPolicy": policy, "containers": [{ "name": "a" }] }));
        let dead = container(&p, "a", 0, State::Exited, code);
        assert_eq!(plan(&p, &view(vec![dead]), &Results::default()), want, "{policy} {code}");
    }
}

#[test]
fn one_finished_container_leaves_the_others_running() {
    let p = pod(json!({ "restartPolicy": "Never", "containers": [{ "name": "a" }, { "name": "b" }] }));
    let both = vec![container(&p, "a", 0, State::Exited, 1), container(&p, "b", 0, State::Running, 0)];
    assert_eq!(plan(&p, &view(both), &Results::default()), Plan::default());
}

#[test]
fn failed_probes_replace_the_container() {
    for (policy, again) in [("Always", true), ("Never", false)] {
        let p = pod(json!({ "restartPolicy": policy, "containers": [{ "name": "a",
            "livenessProbe": { "tcpSocket": { "port": 1 } } }] }));
        let mut probes = Results::default();
        probes.set("a-0", Kind::Liveness, false);
        let got = plan(&p, &view(vec![container(&p, "a", 0, State::Running, 0)]), &probes);
        let tail = if again { ", will be restarted" } else { "" };
        assert_eq!(got.kill[0].message, format!("Container a failed liveness probe{tail}"));
        assert_eq!(!got.start.is_empty(), again, "{policy}");
        assert!(!got.kill_pod);
    }
}

#[test]
fn a_new_image_replaces_the_container() {
    let p = pod(json!({ "containers": [{ "name": "a", "image": "x:1" }] }));
    let running = container(&p, "a", 2, State::Running, 0);
    let newer = pod(json!({ "containers": [{ "name": "a", "image": "x:2" }] }));
    let got = plan(&newer, &view(vec![running]), &Results::default());
    assert_eq!(got.kill[0].message, "Container a definition changed, will be restarted");
    assert_eq!(got.start, [start(REGULAR, "a", 3)]);
}

#[test]
fn a_dead_sandbox_is_replaced_unless_the_pod_is_done() {
    let mut dead = sandbox(0);
    dead.ready = false;
    for (policy, code, restarts) in [("Always", 0, true), ("Never", 1, false), ("OnFailure", 0, false)] {
        let p = pod(json!({ "restartPolicy": policy, "containers": [{ "name": "a" }] }));
        let exited = container(&p, "a", 0, State::Exited, code);
        let got = plan(&p, &PodView::new(vec![dead.clone()], vec![exited]), &Results::default());
        let want = if restarts {
            Plan {
                kill_pod: true,
                create_sandbox: Some(1),
                start: vec![start(REGULAR, "a", 1)],
                kill: vec![],
            }
        } else {
            kill_pod()
        };
        assert_eq!(got, want, "{policy} {code}");
    }
}

#[test]
fn ephemeral_containers_start_once() {
    let p = pod(json!({ "containers": [{ "name": "a" }], "ephemeralContainers": [{ "name": "e" }] }));
    let a = container(&p, "a", 0, State::Running, 0);
    assert_eq!(plan(&p, &view(vec![a.clone()]), &Results::default()), starts(&[(Role::Ephemeral, "e", 0)]));
    let gone = container(&p, "e", 0, State::Exited, 1);
    assert_eq!(plan(&p, &view(vec![a, gone]), &Results::default()), Plan::default());
}
