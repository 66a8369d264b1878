//! How long an exit-at-once container takes, beside `runc` in the same run. Needs root, `runc` and `/bin/busybox`.

#![allow(clippy::large_futures)] // gRPC messages on the stack of a test do no harm.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{World, shell};
use steersman_cri as cri;

const ROUNDS: usize = 40;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A bundle with `runc`'s own default configuration, but for the program and the terminal.
fn bundle(dir: &Path, rootfs: &Path) {
    fs::create_dir_all(dir).unwrap();
    assert!(Command::new("runc").arg("spec").current_dir(dir).status().unwrap().success());
    let path = dir.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["process"]["args"] = serde_json::json!(["/bin/true"]);
    config["process"]["terminal"] = false.into();
    config["root"]["path"] = rootfs.display().to_string().into();
    fs::write(path, config.to_string()).unwrap();
}

fn runc(bundle: &Path, round: usize) -> Duration {
    let began = Instant::now();
    let name = format!("steersman-latency-{}-{round}", std::process::id());
    let status = Command::new("runc").args(["run", &name]).current_dir(bundle).stdin(Stdio::null()).status();
    assert!(status.unwrap().success());
    began.elapsed()
}

/// From the request to start until the event of the end.
async fn ours(world: &mut World, sandbox: &str) -> Duration {
    let mut config = shell("");
    config.command = vec!["/bin/true".into()];
    let id = world.create(sandbox, config).await;
    let events = world.client.get_container_events(cri::GetEventsRequest {}).await;
    let mut events = events.unwrap().into_inner();
    let began = Instant::now();
    let request = cri::StartContainerRequest { container_id: id.clone() };
    world.client.start_container(request).await.unwrap();
    while let Some(event) = events.message().await.unwrap() {
        let stopped = cri::ContainerEventType::ContainerStoppedEvent;
        if event.container_id == id && event.container_event_type() == stopped {
            break;
        }
    }
    let took = began.elapsed();
    assert_eq!(world.status(&id).await.exit_code, 0);
    world.client.remove_container(cri::RemoveContainerRequest { container_id: id }).await.unwrap();
    took
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and runc"]
async fn a_container_runs_faster_than_with_runc() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let dir = world.path("bundle");
    bundle(&dir, &world.path("images/image"));
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        own.push(ours(&mut world, &sandbox).await);
        theirs.push(runc(&dir, round));
    }
    let (own, theirs) = (median(own), median(theirs));
    println!("median of {ROUNDS}: {own:?} beside {theirs:?} with runc");
    assert!(own * 2 < theirs, "{own:?} is not well below runc's {theirs:?}");
    world.remove_sandbox(&sandbox).await;
}
