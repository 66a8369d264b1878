//! Steersman is killed at any moment: containers go on, and no acknowledged write is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use steersman_e2e::cluster::Cluster;
use steersman_e2e::suite::{Namespace, Suite, Test};

use crate::manifests::{shell, shell_once};
use crate::streams::http_get;

pub const TESTS: &[Test] = &[
    ("containers_outlive_a_kill", containers_outlive_a_kill),
    ("acknowledged_writes_outlive_a_kill", acknowledged_writes_outlive_a_kill),
    ("what_ended_meanwhile_is_seen", what_ended_meanwhile_is_seen),
];

/// Each container's pod, id and restarts.
fn containers(kubectl: &Namespace) -> Result<String> {
    kubectl.ok(&[
        "get",
        "pods",
        "--sort-by=.metadata.name",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{\"\\n\"}{end}",
    ])
}

fn again(cluster: &Cluster) -> Result<()> {
    cluster.up(&[])?.success().context("up after a kill")?;
    Ok(())
}

fn containers_outlive_a_kill(suite: &Suite) -> Result<()> {
    let (cluster, kubectl) = (suite.cluster()?, suite.namespace()?);
    kubectl.apply(&suite.registry()?.example("nginx/nginx.yaml")?)?;
    kubectl.ok(&["rollout", "status", "deployment/nginx", "--timeout=90s"])?;
    let before = containers(&kubectl)?;
    ensure!(before.lines().count() == 3 && before.contains("://"), "{before}");
    let addresses = kubectl.ok(&["get", "pods", "-o", "jsonpath={.items[*].status.podIP}"])?;
    let service = kubectl.field("service/nginx", ".spec.clusterIP")?;
    for round in 0..2 {
        cluster.kill()?;
        for address in addresses.split(' ') {
            ensure!(http_get(address, 80)?.contains("nginx version 1"), "{address} in round {round}");
        }
        again(&cluster)?;
        kubectl.ok(&["wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s"])?;
        let after = containers(&kubectl)?;
        ensure!(after == before, "round {round}: before:\n{before}after:\n{after}");
        ensure!(http_get(&service, 80)?.contains("nginx version 1"), "the service in round {round}");
    }
    // Pods that were found again are under control: exec, logs and deletion work.
    let pod = kubectl.ok(&["get", "pods", "-o", "name"])?;
    let pod = pod.lines().next().context("there is a pod")?;
    ensure!(
        kubectl.ok(&["exec", pod, "--", "cat", "/usr/share/nginx/html/index.html"])? == "nginx version 1\n"
    );
    ensure!(kubectl.ok(&["logs", pod])?.contains("GET / HTTP/1.0"));
    kubectl.ok(&["delete", pod])?;
    kubectl.ok(&["rollout", "status", "deployment/nginx", "--timeout=90s"])?;
    Ok(())
}

fn acknowledged_writes_outlive_a_kill(suite: &Suite) -> Result<()> {
    let (cluster, kubectl) = (suite.cluster()?, suite.namespace()?);
    for _ in 0..3 {
        let (api, killed) = (cluster.api()?, AtomicBool::new(false));
        let path = format!("/api/v1/namespaces/{}/configmaps", kubectl.namespace());
        let mut acknowledged = BTreeSet::new();
        thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let outcome = cluster.kill();
                killed.store(true, Ordering::SeqCst);
                outcome
            });
            while !killed.load(Ordering::SeqCst) {
                let body = r#"{"metadata":{"generateName":"written-"}}"#;
                // Writes under way when the process dies have no answer.
                let Ok(answer) = api.send("POST", &path, "application/json", body.as_bytes()) else { break };
                ensure!(answer.code == 201, "{answer:?}");
                acknowledged
                    .insert(answer.body["metadata"]["name"].as_str().context("it has a name")?.to_owned());
            }
            killer.join().expect("it does not panic")
        })?;
        again(&cluster)?;
        let kept = kubectl.ok(&["get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}"])?;
        let kept: BTreeSet<_> = kept.split(' ').map(str::to_owned).collect();
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        ensure!(lost.is_empty(), "lost {lost:?} of {}", acknowledged.len());
    }
    Ok(())
}

fn what_ended_meanwhile_is_seen(suite: &Suite) -> Result<()> {
    let (cluster, kubectl) = (suite.cluster()?, suite.namespace()?);
    let image = suite.image("busybox:1")?;
    let folder = cluster.scratch().join("meanwhile");
    std::fs::create_dir_all(&folder)?;
    let until_told = "until [ -e /told/go ]; do usleep 50000; done";
    let mut pods = [
        shell_once("finishing", &image, &format!("{until_told}; exit 4")),
        shell("restarting", &image, &format!("[ -e /told/go ] || {{ {until_told}; exit 5; }}; sleep 1000")),
    ];
    for pod in &mut pods {
        pod["spec"]["volumes"] =
            serde_json::json!([{"name": "told", "hostPath": {"path": folder, "type": "Directory"}}]);
        pod["spec"]["containers"][0]["volumeMounts"] =
            serde_json::json!([{"name": "told", "mountPath": "/told"}]);
        kubectl.apply(&pod.to_string())?;
    }
    for name in ["finishing", "restarting"] {
        kubectl.until_ready(name)?;
    }
    cluster.kill()?;
    std::fs::write(folder.join("go"), "")?;
    again(&cluster)?;
    kubectl.until_field("pod/finishing", ".status.containerStatuses[0].state.terminated.exitCode", "4")?;
    kubectl.until_field("pod/finishing", ".status.phase", "Failed")?;
    kubectl.until_field("pod/restarting", ".status.containerStatuses[0].restartCount", "1")?;
    kubectl.until_field("pod/restarting", ".status.containerStatuses[0].lastState.terminated.exitCode", "5")
}
