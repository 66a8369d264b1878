//! Whole lives of pods: the kubelet between an API and a runtime that both live in memory.

mod world;

use serde_json::json;
use world::{POD, World, container, is_running};

const MAP: &str = "/api/v1/namespaces/ns/configmaps/map";

fn map(value: &str) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "map", "namespace": "ns" },
        "data": { "key": value } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_runs_and_the_api_knows_all_about_it() {
    let mut world = World::new().await;
    world.api.put(MAP, map("one"));
    world.create_pod(json!({
        "containers": [{ "name": "a", "image": "web", "command": ["$(VALUE)"],
            "env": [{ "name": "VALUE", "valueFrom": { "configMapKeyRef": { "name": "map", "key": "key" } } }],
            "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }],
        "volumes": [{ "name": "v", "configMap": { "name": "map" } }] }));
    let pod = world.until("running", is_running).await;
    assert_eq!(pod["status"]["podIP"], "10.88.0.9");
    assert_eq!(pod["status"]["hostIP"], "192.0.2.1");
    assert_eq!(container(&pod)["ready"], true);
    let id = container(&pod)["containerID"].as_str().unwrap().to_owned();
    assert!(id.starts_with("fake://container-"), "{id}");
    let config = world.runtime.configs("a").remove(0);
    assert_eq!(config.command, ["one"]);
    let mounted = |path: &str| {
        config.mounts.iter().find(|mount| mount.container_path == path).unwrap().host_path.clone()
    };
    assert_eq!(std::fs::read_to_string(format!("{}/key", mounted("/v"))).unwrap(), "one");
    let hosts = std::fs::read_to_string(mounted("/etc/hosts")).unwrap();
    assert!(hosts.contains("10.88.0.9\tp\n"), "{hosts}");

    // What the volume is made from changes, and so does the volume; the container stays.
    world.api.put(MAP, map("two"));
    let file = format!("{}/key", mounted("/v"));
    world.wait("new content", || (std::fs::read_to_string(&file).ok()? == "two").then_some(())).await;
    assert_eq!(world.runtime.configs("a").len(), 1);

    let events = ["Pulling Pulling image \"web\"", "Created Container created", "Started Container started"];
    world
        .wait("events", || {
            events.iter().all(|event| world.api.events().contains(&(*event).to_owned())).then_some(())
        })
        .await;
    let node = world.api.get("/api/v1/nodes/n1").unwrap();
    assert_eq!(node["status"]["conditions"][3]["message"], "kubelet is posting ready status");
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1";
    world.wait("lease", || world.api.get(lease)).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_kubelet_finds_what_runs_and_changes_nothing() {
    let mut world = World::new().await;
    let probe = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web", "readinessProbe": probe }] }));
    world.until("ready", |pod| is_running(pod) && container(pod)["ready"] == true).await;
    let before = world.pod();
    world.stop().await;
    let writes = world.api.writes(POD);
    world.start().await;
    // The node's status is written by the new kubelet; by then it has looked at its pod too.
    let leases = world.api.writes("/apis/coordination.k8s.io");
    world.wait("alive", || (world.api.writes("/apis/coordination.k8s.io") > leases).then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(world.pod(), before);
    assert_eq!(world.api.writes(POD), writes);
    assert_eq!(world.runtime.configs("a").len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_outlives_its_source_and_the_runtime_learns_its_addresses() {
    let mut world = World::new().await;
    world.api.put(MAP, map("one"));
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web" }],
        "volumes": [{ "name": "v", "configMap": { "name": "map" } }] }));
    world.until("running", is_running).await;
    world.api.remove(MAP);
    let want = "FailedMount MountVolume.SetUp failed for volume \"v\" : configmap \"map\" not found";
    world.wait("event", || world.api.events().contains(&want.to_owned()).then_some(())).await;
    world.runtime.exit("a", 1);
    world.until("restarted", |pod| is_running(pod) && container(pod)["restartCount"] == 1).await;
    world.stop().await;
    world.api.update("/api/v1/nodes/n1", |node| node["spec"]["podCIDR"] = json!("10.244.0.0/24"));
    world.start().await;
    let told = || (world.runtime.state.lock().unwrap().pod_cidr == "10.244.0.0/24").then_some(());
    world.wait("addresses", told).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_no_pod_is_removed() {
    let mut world = World::new().await;
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web" }] }));
    world.until("running", is_running).await;
    world.stop().await;
    world.api.remove(POD);
    world.start().await;
    let gone = || {
        let state = world.runtime.state.lock().unwrap();
        state.sandboxes.is_empty().then_some(())
    };
    world.wait("sandbox gone", gone).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_object_holds_the_pod_until_it_is_there() {
    let mut world = World::new().await;
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web",
        "env": [{ "name": "X", "valueFrom": { "configMapKeyRef": { "name": "map", "key": "key" } } }] }] }));
    let waits = |pod: &serde_json::Value| {
        container(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    };
    let pod = world.until("config error", waits).await;
    assert_eq!(container(&pod)["state"]["waiting"]["message"], "configmap \"map\" not found");
    assert_eq!(pod["status"]["phase"], "Pending");
    world.api.put(MAP, map("late"));
    world.until("running", is_running).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_volume_source_is_reported_and_waited_for() {
    let mut world = World::new().await;
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web" }],
        "volumes": [{ "name": "v", "configMap": { "name": "map" } }] }));
    let want = "FailedMount MountVolume.SetUp failed for volume \"v\" : configmap \"map\" not found";
    world.wait("event", || world.api.events().contains(&want.to_owned()).then_some(())).await;
    assert_eq!(container(&world.pod())["state"]["waiting"]["reason"], "ContainerCreating");
    world.api.put(MAP, map("late"));
    world.until("running", is_running).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_restarts_once_and_then_backs_off() {
    let mut world = World::new().await;
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web" }] }));
    world.until("running", is_running).await;
    world.runtime.exit("a", 7);
    let pod = world.until("restarted", |pod| is_running(pod) && container(pod)["restartCount"] == 1).await;
    assert_eq!(container(&pod)["lastState"]["terminated"]["exitCode"], 7);
    world.runtime.exit("a", 8);
    let looping =
        |pod: &serde_json::Value| container(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let pod = world.until("backed off", looping).await;
    let want = "back-off 10s restarting failed container=a pod=p_ns(u1)";
    assert_eq!(container(&pod)["state"]["waiting"]["message"], want);
    assert_eq!(container(&pod)["lastState"]["terminated"]["exitCode"], 8);
    assert_eq!(pod["status"]["phase"], "Running");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_cannot_start_backs_off_like_one_that_crashes() {
    let mut world = World::new().await;
    world.create_pod(
        json!({ "containers": [{ "name": "a", "image": "web", "command": [world::runtime::NO_PROGRAM] }] }),
    );
    let looping =
        |pod: &serde_json::Value| container(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let pod = world.until("backed off", looping).await;
    let last = &container(&pod)["lastState"]["terminated"];
    assert_eq!((&last["reason"], &last["exitCode"]), (&json!("StartError"), &json!(128)));
    assert_eq!(last["startedAt"], "1970-01-01T00:00:00Z");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(world.runtime.configs("a").len(), 2, "one start and one restart at once, the next in 10 s");
    for want in [
        "Failed Error: executable file not found in $PATH",
        "BackOff Back-off restarting failed container a in pod p_ns(u1)",
    ] {
        world.wait(want, || world.api.events().contains(&want.to_owned()).then_some(())).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_log_is_rotated_while_its_container_runs() {
    let mut world = World::new().await;
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web" }] }));
    world.until("running", is_running).await;
    let dir = world.dir.path().join("logs/ns_p_u1/a");
    std::fs::write(dir.join("0.log"), "x".repeat(1001)).unwrap();
    let files = || {
        let sizes: Vec<u64> = std::fs::read_dir(&dir)
            .unwrap()
            .flatten()
            .flat_map(|file| file.metadata())
            .map(|m| m.len())
            .collect();
        Some(()).filter(|()| sizes.len() == 2 && sizes.contains(&0) && sizes.contains(&1001))
    };
    world.wait("rotated", files).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_does_not_exist_is_told_and_not_asked_for_again_at_once() {
    let mut world = World::new().await;
    world.create_pod(
        json!({ "containers": [{ "name": "a", "image": "absent:1" }, { "name": "b", "image": "web" }] }),
    );
    let waits = |pod: &serde_json::Value| container(pod)["state"]["waiting"]["reason"] == "ImagePullBackOff";
    let pod = world.until("backed off", waits).await;
    let message = container(&pod)["state"]["waiting"]["message"].as_str().unwrap().to_owned();
    let error = "rpc error: code = NotFound desc = absent:1: not found";
    assert_eq!(message, format!("Back-off pulling image \"absent:1\": ErrImagePull: {error}"));
    let pod =
        world.until("the other runs", |pod| pod["status"]["containerStatuses"][1]["ready"] == true).await;
    assert_eq!(pod["status"]["phase"], "Pending");
    let want = format!("Failed Failed to pull image \"absent:1\": {error}");
    world.wait("event", || world.api.events().contains(&want).then_some(())).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_pod_stays_finished() {
    let mut world = World::new().await;
    world.create_pod(json!({ "restartPolicy": "Never", "initContainers": [{ "name": "i", "image": "web" }],
        "containers": [{ "name": "a", "image": "web" }] }));
    let init =
        |pod: &serde_json::Value| pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object();
    world.until("init runs", init).await;
    assert!(world.runtime.configs("a").is_empty());
    world.runtime.exit("i", 0);
    world.until("running", is_running).await;
    world.runtime.exit("a", 0);
    let done = |pod: &serde_json::Value| pod["status"]["phase"] == "Succeeded";
    let pod = world.until("succeeded", done).await;
    assert_eq!(container(&pod)["state"]["terminated"]["reason"], "Completed");
    let volumes = world.dir.path().join("kubelet/pods/u1");
    world.wait("directory gone", || (!volumes.exists()).then_some(())).await;
    assert_eq!(world.runtime.configs("a").len(), 1, "kept for its log");
    world.stop().await;
    let before = world.pod();
    world.start().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(world.pod(), before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_ends_in_order_and_leaves_nothing() {
    let mut world = World::new().await;
    world.create_pod(
        json!({ "terminationGracePeriodSeconds": 5, "containers": [{ "name": "a", "image": "web" }],
        "volumes": [{ "name": "v", "emptyDir": {} }] }),
    );
    world.until("running", is_running).await;
    world.api.update(POD, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(5);
    });
    world.wait("object gone", || world.api.get(POD).is_none().then_some(())).await;
    {
        let state = world.runtime.state.lock().unwrap();
        assert!(state.containers.is_empty() && state.sandboxes.is_empty());
    }
    assert!(!world.dir.path().join("kubelet/pods/u1").exists());
    let events = world.api.events();
    assert!(events.contains(&"Killing Stopping container a".to_owned()), "{events:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_liveness_probe_replaces_the_container() {
    let mut world = World::new().await;
    let probe = json!({ "exec": { "command": ["false"] }, "periodSeconds": 1, "failureThreshold": 1 });
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web", "livenessProbe": probe }] }));
    world.until("restarted", |pod| container(pod)["restartCount"] == 1).await;
    for want in [
        "Unhealthy Liveness probe failed: not well",
        "Killing Container a failed liveness probe, will be restarted",
    ] {
        world.wait(want, || world.api.events().contains(&want.to_owned()).then_some(())).await;
    }
    world.stop().await;
}
