//! Sandboxes and containers from start to end, over the wire. Needs root, cgroups, overlayfs and `/bin/busybox`.

#![allow(clippy::large_futures)] // gRPC messages on the stack of a test do no harm.

mod common;

use std::fs;
use std::time::Duration;

use common::{World, plain, shell, traces};
use steersman_cri as cri;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_container_runs_logs_and_ends() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let id = world.start(&sandbox, shell("echo out; echo err >&2; hostname; exit 3")).await.unwrap();
    let status = world.ended(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (3, "Error"));
    assert!(status.started_at >= status.created_at && status.finished_at >= status.started_at, "{status:?}");
    let log = fs::read_to_string(&status.log_path).unwrap();
    let shape: Vec<_> = log.lines().map(|l| l.split_once(' ').unwrap().1).collect();
    let mut sorted = shape.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["stderr F err", "stdout F box", "stdout F out"]);
    let status = world
        .client
        .pod_sandbox_status(cri::PodSandboxStatusRequest { pod_sandbox_id: sandbox.clone(), verbose: false });
    let status = status.await.unwrap().into_inner().status.unwrap();
    assert_eq!(status.network.unwrap().ip, "10.9.8.7");
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn nothing_is_left_after_removal() {
    let mut world = World::new().await;
    let name = world.dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    let before = traces(&name);
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let running = world.start(&sandbox, shell("sleep 1000")).await.unwrap();
    let ended = world.start(&sandbox, shell("true")).await.unwrap();
    world.create(&sandbox, shell("never started")).await;
    world.ended(&ended).await;
    assert_eq!(world.status(&running).await.state(), cri::ContainerState::ContainerRunning);
    assert!(traces(&name).len() > before.len());
    world.remove_sandbox(&sandbox).await;
    world.remove_sandbox(&sandbox).await; // is idempotent
    let left: Vec<_> = traces(&name).into_iter().filter(|t| !before.contains(t)).collect();
    let shims = |t: &String| !t.contains("/steersman-test-");
    assert_eq!(left.iter().filter(|t| shims(t)).collect::<Vec<_>>(), Vec::<&String>::new());
    let list = world.client.list_containers(cri::ListContainersRequest::default()).await.unwrap();
    assert!(list.into_inner().containers.is_empty());
    drop(world);
    assert_eq!(traces(&name), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_new_runtime_finds_everything_again() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let script = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done";
    let running = world.start(&sandbox, shell(script)).await.unwrap();
    let ended = world.start(&sandbox, shell("exit 7")).await.unwrap();
    world.ended(&ended).await;
    let (before, ended_before) = (world.status(&running).await, world.status(&ended).await);
    world.restart().await;
    let after = world.status(&running).await;
    assert_eq!(after, before);
    assert_eq!(world.status(&ended).await, ended_before);
    assert_eq!(world.exec(&running, "echo still here").await.stdout, b"still here\n");
    let stop = cri::StopContainerRequest { container_id: running.clone(), timeout: 0 };
    world.client.stop_container(stop).await.unwrap();
    let status = world.status(&running).await;
    assert_eq!((status.state(), status.exit_code), (cri::ContainerState::ContainerExited, 137));
    // The log has no gap: the shim wrote it all along.
    let lines = plain(&fs::read_to_string(&status.log_path).unwrap());
    let numbers: Vec<usize> = lines.lines().map(|l| l.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn stopping_asks_first_and_kills_then() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let polite = world
        .start(&sandbox, shell("trap 'exit 5' TERM; echo up; while true; do sleep 0.02; done"))
        .await
        .unwrap();
    let deaf =
        world.start(&sandbox, shell("trap '' TERM; echo up; while true; do sleep 0.02; done")).await.unwrap();
    for id in [&polite, &deaf] {
        let path = world.status(id).await.log_path;
        while fs::read_to_string(&path).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for (id, code) in [(&polite, 5), (&deaf, 137)] {
        let stop = cri::StopContainerRequest { container_id: id.clone(), timeout: 1 };
        world.client.stop_container(stop.clone()).await.unwrap();
        world.client.stop_container(stop).await.unwrap(); // is idempotent
        assert_eq!(world.status(id).await.exit_code, code);
    }
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn what_cannot_start_says_why() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let mut config = shell("");
    config.command = vec!["no-such-tool".into()];
    let (id, error) = world.start(&sandbox, config).await.unwrap_err();
    let wanted = r#"exec: "no-such-tool": executable file not found in $PATH"#;
    assert!(error.message().ends_with(wanted), "{error}");
    let status = world.status(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
    assert_eq!(status.message, wanted);
    let request = cri::StartContainerRequest { container_id: id };
    assert!(world.client.start_container(request).await.is_err(), "an ended container cannot start again");
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_killed_shim_ends_its_containers() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let id = world.start(&sandbox, shell("sleep 1000")).await.unwrap();
    let shims =
        fs::read_to_string(format!("/sys/fs/cgroup/unified{}/shims/cgroup.procs", world.config.cgroup_root));
    for pid in shims.unwrap().lines() {
        assert!(std::process::Command::new("kill").args(["-9", pid]).status().unwrap().success());
    }
    let status = world.ended(&id).await;
    assert_eq!(status.exit_code, 255);
    let list = cri::ListPodSandboxRequest::default();
    let items = world.client.list_pod_sandbox(list).await.unwrap().into_inner().items;
    assert_eq!(items[0].state(), cri::PodSandboxState::SandboxNotready);
    world.remove_sandbox(&sandbox).await;
}
