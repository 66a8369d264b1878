//! What containers see, and what happens to those that go wrong.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use steersman_e2e::command;
use steersman_e2e::suite::{Suite, Test};
use steersman_e2e::wait;

use crate::manifests::{container, shell, shell_once};

pub const TESTS: &[Test] = &[
    ("environment_comes_from_everywhere", environment_comes_from_everywhere),
    ("volumes_are_mounted_and_follow_changes", volumes_are_mounted_and_follow_changes),
    ("init_containers_run_first_and_in_order", init_containers_run_first_and_in_order),
    ("probes_decide_readiness_and_restarts", probes_decide_readiness_and_restarts),
    ("hooks_run_around_a_container", hooks_run_around_a_container),
    ("limits_are_set_in_cgroups", limits_are_set_in_cgroups),
    ("a_full_memory_limit_is_oom_killed", a_full_memory_limit_is_oom_killed),
    ("a_crash_loop_backs_off", a_crash_loop_backs_off),
    ("a_missing_image_is_reported", a_missing_image_is_reported),
    ("a_container_killed_from_outside_is_restarted", a_container_killed_from_outside_is_restarted),
    ("a_pod_that_fits_nowhere_stays_pending", a_pod_that_fits_nowhere_stays_pending),
    ("finished_pods_say_how_they_ended", finished_pods_say_how_they_ended),
];

const STATUS: &str = ".status.containerStatuses[0]";

fn environment_comes_from_everywhere(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    kubectl.ok(&["create", "configmap", "settings", "--from-literal=COLOUR=red", "--from-literal=SIZE=9"])?;
    kubectl.ok(&["create", "secret", "generic", "hidden", "--from-literal=word=open sesame"])?;
    let mut pod = shell_once("env", &suite.image("busybox:1")?, "env; pwd; id -u; id -g");
    let main = container(&mut pod);
    main["workingDir"] = json!("/usr");
    main["securityContext"] = json!({"runAsUser": 1000, "runAsGroup": 3000});
    main["envFrom"] = json!([{"configMapRef": {"name": "settings"}, "prefix": "CM_"}]);
    main["env"] = json!([
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "COMPOSED", "value": "$(POD)-$(CM_SIZE)-$$(POD)"},
    ]);
    main["resources"] = json!({"limits": {"memory": "64Mi"}});
    kubectl.apply(&pod.to_string())?;
    kubectl.until_field("pod/env", ".status.phase", "Succeeded")?;
    let log = kubectl.ok(&["logs", "env"])?;
    for wanted in [
        "CM_COLOUR=red",
        "WORD=open sesame",
        "POD=env",
        "MEMORY=67108864",
        "COMPOSED=env-9-$(POD)",
        "KUBERNETES_SERVICE_HOST=10.96.0.1",
        "HOSTNAME=env",
        "/usr",
        "1000",
        "3000",
    ] {
        ensure!(log.lines().any(|line| line == wanted), "no {wanted:?} in {log}");
    }
    Ok(())
}

fn volumes_are_mounted_and_follow_changes(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    kubectl.ok(&["create", "configmap", "settings", "--from-literal=a=first", "--from-literal=b=unused"])?;
    kubectl.ok(&["create", "secret", "generic", "hidden", "--from-literal=word=sesame"])?;
    let mut pod = shell("volumes", &suite.image("busybox:1")?, "sleep 1000");
    pod["metadata"]["labels"]["colour"] = json!("red");
    pod["spec"]["volumes"] = json!([
        {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "a", "path": "deep/a"}]}},
        {"name": "hidden", "secret": {"secretName": "hidden", "defaultMode": 0o400}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "about", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "all", "projected": {"sources": [
            {"configMap": {"name": "settings"}},
            {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 600}},
        ]}},
    ]);
    container(&mut pod)["volumeMounts"] = json!([
        {"name": "settings", "mountPath": "/settings"},
        {"name": "hidden", "mountPath": "/hidden", "readOnly": true},
        {"name": "memory", "mountPath": "/memory"},
        {"name": "about", "mountPath": "/about"},
        {"name": "all", "mountPath": "/all"},
    ]);
    kubectl.apply(&pod.to_string())?;
    kubectl.until_ready("volumes")?;
    let run = |script: &str| kubectl.ok(&["exec", "volumes", "--", "sh", "-c", script]);
    ensure!(run("cat /settings/deep/a; ls /settings")? == "firstdeep\n");
    ensure!(run("stat -L -c %a /hidden/word; cat /hidden/word")? == "400\nsesame");
    ensure!(run("cat /about/labels")?.contains("colour=\"red\""));
    ensure!(run("grep -c ' /memory tmpfs ' /proc/mounts")? == "1\n");
    ensure!(run("cut -d. -f3 /all/token | wc -c")?.trim().parse::<usize>()? > 300, "an RS256 signature");
    kubectl.fails(&["exec", "volumes", "--", "touch", "/hidden/x"])?;

    kubectl.ok(&["patch", "configmap", "settings", "-p", r#"{"data":{"a":"second"}}"#])?;
    kubectl.ok(&["label", "pod", "volumes", "colour=blue", "--overwrite"])?;
    let until = |script: &str, wanted: &str| {
        let what = format!("{script} shows {wanted}");
        // The kubelet looks at a pod's volumes about once a minute.
        wait::until(&what, wait::SOON * 3, || Ok(run(script)?.contains(wanted).then_some(())))
    };
    until("cat /settings/deep/a /all/a", "secondsecond")?;
    until("cat /about/labels", "colour=\"blue\"")
}

fn init_containers_run_first_and_in_order(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let mut pod = shell("ordered", &image, "cat /shared/log; sleep 1000");
    let step = |name: &str, script: &str| {
        json!({"name": name, "image": image, "command": ["sh", "-c", script],
               "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]})
    };
    // The first one fails once.
    let first = "if [ ! -e /shared/tried ]; then touch /shared/tried; exit 1; fi; echo first >> /shared/log";
    pod["spec"]["initContainers"] =
        json!([step("first", first), step("second", "echo second >> /shared/log")]);
    pod["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
    container(&mut pod)["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    kubectl.apply(&pod.to_string())?;
    kubectl.until_ready("ordered")?;
    ensure!(kubectl.ok(&["logs", "ordered"])? == "first\nsecond\n");
    ensure!(kubectl.field("pod/ordered", ".status.initContainerStatuses[*].restartCount")? == "1 0");
    let reasons = kubectl.field("pod/ordered", ".status.initContainerStatuses[*].state.terminated.reason")?;
    ensure!(reasons == "Completed Completed", "{reasons}");
    Ok(())
}

fn probes_decide_readiness_and_restarts(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let script = "touch /tmp/alive; sleep 1000";
    let mut pod = shell("probed", &suite.image("busybox:1")?, script);
    let main = container(&mut pod);
    main["readinessProbe"] = json!({"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1});
    main["livenessProbe"] =
        json!({"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1});
    main["startupProbe"] = json!({"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1});
    kubectl.apply(&pod.to_string())?;
    kubectl.until_field("pod/probed", &format!("{STATUS}.started"), "true")?;
    kubectl.until_event("probed", "Unhealthy", "Readiness probe failed")?;
    ensure!(kubectl.field("pod/probed", &format!("{STATUS}.ready"))? == "false");
    kubectl.ok(&["exec", "probed", "--", "touch", "/tmp/ready"])?;
    kubectl.until_ready("probed")?;
    kubectl.ok(&["exec", "probed", "--", "rm", "/tmp/ready"])?;
    kubectl.until_field("pod/probed", &format!("{STATUS}.ready"), "false")?;
    kubectl.ok(&["exec", "probed", "--", "rm", "/tmp/alive"])?;
    kubectl.until_field("pod/probed", &format!("{STATUS}.restartCount"), "1")?;
    kubectl.until_event("probed", "Killing", "failed liveness probe, will be restarted")
}

fn hooks_run_around_a_container(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let folder = suite.cluster()?.scratch().join("hooks");
    let mut pod = shell("hooked", &image, "sleep 1000");
    pod["spec"]["terminationGracePeriodSeconds"] = json!(5);
    pod["spec"]["volumes"] =
        json!([{"name": "out", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}]);
    let main = container(&mut pod);
    main["volumeMounts"] = json!([{"name": "out", "mountPath": "/out"}]);
    main["lifecycle"] = json!({
        "postStart": {"exec": {"command": ["sh", "-c", "echo started >> /out/log"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> /out/log"]}},
    });
    main["command"] = json!([
        "sh",
        "-c",
        "trap 'echo stopped >> /out/log; exit 0' TERM; while true; do usleep 50000; done"
    ]);
    kubectl.apply(&pod.to_string())?;
    kubectl.until_ready("hooked")?;
    kubectl.ok(&["delete", "pod", "hooked"])?;
    let log = std::fs::read_to_string(folder.join("log"))?;
    ensure!(log == "started\nstopping\nstopped\n", "{log}");
    Ok(())
}

fn limits_are_set_in_cgroups(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let cases = [
        ("guaranteed", json!({"limits": {"cpu": "500m", "memory": "64Mi"}}), "Guaranteed"),
        ("burstable", json!({"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}), "Burstable"),
        ("best-effort", json!({}), "BestEffort"),
    ];
    for (name, resources, class) in cases {
        let mut pod = shell(name, &image, "sleep 1000");
        container(&mut pod)["resources"] = resources;
        kubectl.apply(&pod.to_string())?;
        kubectl.until_ready(name)?;
        ensure!(kubectl.field(&format!("pod/{name}"), ".status.qosClass")? == class, "{name}");
    }
    let memory =
        "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes";
    let limit = kubectl.ok(&["exec", "guaranteed", "--", "sh", "-c", memory])?;
    ensure!(limit == "67108864\n", "{limit}");
    let cpu = "cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us";
    let quota = kubectl.ok(&["exec", "guaranteed", "--", "sh", "-c", cpu])?;
    ensure!(quota.starts_with("50000"), "{quota}");
    Ok(())
}

fn a_full_memory_limit_is_oom_killed(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let mut pod = shell_once("hungry", &suite.image("busybox:1")?, "exec tail /dev/zero");
    container(&mut pod)["resources"] = json!({"limits": {"memory": "32Mi"}});
    kubectl.apply(&pod.to_string())?;
    kubectl.until_field("pod/hungry", &format!("{STATUS}.state.terminated.reason"), "OOMKilled")?;
    ensure!(kubectl.field("pod/hungry", &format!("{STATUS}.state.terminated.exitCode"))? == "137");
    ensure!(kubectl.field("pod/hungry", ".status.phase")? == "Failed");
    Ok(())
}

fn a_crash_loop_backs_off(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let pod = shell("crashing", &suite.image("busybox:1")?, "echo last words; exit 42");
    kubectl.apply(&pod.to_string())?;
    kubectl.until_field("pod/crashing", &format!("{STATUS}.state.waiting.reason"), "CrashLoopBackOff")?;
    let message = kubectl.field("pod/crashing", &format!("{STATUS}.state.waiting.message"))?;
    ensure!(message.starts_with("back-off 10s restarting failed container=main pod=crashing_"), "{message}");
    ensure!(kubectl.field("pod/crashing", &format!("{STATUS}.lastState.terminated.exitCode"))? == "42");
    kubectl.until_event(
        "crashing",
        "BackOff",
        "Back-off restarting failed container main in pod crashing_",
    )?;
    let table = kubectl.ok(&["get", "pod", "crashing"])?;
    ensure!(table.contains("CrashLoopBackOff"), "{table}");
    Ok(())
}

fn a_missing_image_is_reported(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("no-such-image:1")?;
    kubectl.apply(&shell("missing", &image, "true").to_string())?;
    kubectl.until_event("missing", "Failed", &format!("Failed to pull image \"{image}\""))?;
    kubectl.until_event("missing", "Failed", "Error: ErrImagePull")?;
    kubectl.until_field("pod/missing", &format!("{STATUS}.state.waiting.reason"), "ImagePullBackOff")?;
    let message = kubectl.field("pod/missing", &format!("{STATUS}.state.waiting.message"))?;
    ensure!(message.starts_with(&format!("Back-off pulling image \"{image}\"")), "{message}");
    ensure!(kubectl.field("pod/missing", ".status.phase")? == "Pending");
    let mut never = shell("never", &image, "true");
    container(&mut never)["imagePullPolicy"] = json!("Never");
    kubectl.apply(&never.to_string())?;
    kubectl.until_field("pod/never", &format!("{STATUS}.state.waiting.reason"), "ErrImageNeverPull")?;
    let mut invalid = shell("invalid", "UPPER:case:bad", "true");
    container(&mut invalid)["imagePullPolicy"] = json!("Always");
    kubectl.apply(&invalid.to_string())?;
    kubectl.until_field("pod/invalid", &format!("{STATUS}.state.waiting.reason"), "InvalidImageName")
}

fn a_container_killed_from_outside_is_restarted(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    // A name for the process that no other has.
    let mark = format!("100{}", std::process::id());
    kubectl.apply(&shell("killed", &suite.image("busybox:1")?, &format!("exec sleep {mark}")).to_string())?;
    kubectl.until_ready("killed")?;
    let pid = process_with_arguments(&["sleep", &mark])?;
    command::signal_process(pid, "KILL")?;
    kubectl.until_field("pod/killed", &format!("{STATUS}.restartCount"), "1")?;
    kubectl.until_ready("killed")?;
    ensure!(kubectl.field("pod/killed", &format!("{STATUS}.lastState.terminated.exitCode"))? == "137");
    ensure!(kubectl.field("pod/killed", &format!("{STATUS}.lastState.terminated.reason"))? == "Error");
    Ok(())
}

/// The process that runs with exactly these arguments.
fn process_with_arguments(arguments: &[&str]) -> Result<u32> {
    let wanted = arguments.join("\0") + "\0";
    let mut all =
        std::fs::read_dir("/proc")?.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let runs =
        |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes());
    all.find(runs).with_context(|| format!("no process runs {arguments:?}"))
}

fn a_pod_that_fits_nowhere_stays_pending(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let cases: [(&str, Value, Value, &str); 3] = [
        (
            "large",
            json!({"requests": {"cpu": "1k"}}),
            json!({}),
            "0/1 nodes are available: 1 Insufficient cpu.",
        ),
        (
            "picky",
            json!({}),
            json!({"nodeSelector": {"no": "such"}}),
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            "elsewhere",
            json!({}),
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "no", "operator": "Exists"}]}]}}}}),
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
    ];
    for (name, resources, spec, message) in cases {
        let mut pod = shell(name, &image, "true");
        container(&mut pod)["resources"] = resources;
        for (field, value) in spec.as_object().context("an object")? {
            pod["spec"][field] = value.clone();
        }
        kubectl.apply(&pod.to_string())?;
        kubectl.until_event(name, "FailedScheduling", message)?;
        ensure!(kubectl.field(&format!("pod/{name}"), ".status.phase")? == "Pending");
        ensure!(
            kubectl
                .field(&format!("pod/{name}"), ".status.conditions[?(@.type==\"PodScheduled\")].reason")?
                == "Unschedulable"
        );
    }
    // What it waits for comes: it runs.
    let node = kubectl.ok(&["get", "nodes", "-o", "name"])?;
    kubectl.ok(&["label", node.trim(), "no=such"])?;
    let scheduled =
        kubectl.until_field("pod/picky", ".status.conditions[?(@.type==\"PodScheduled\")].status", "True");
    kubectl.ok(&["label", node.trim(), "no-"])?;
    scheduled
}

fn finished_pods_say_how_they_ended(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let mut good = shell_once("good", &image, "echo -n all is well > /dev/termination-log");
    container(&mut good)["imagePullPolicy"] = json!("IfNotPresent");
    let mut bad = shell_once("bad", &image, "echo in the log; exit 3");
    container(&mut bad)["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    for pod in [&good, &bad] {
        kubectl.apply(&pod.to_string())?;
    }
    let terminated = format!("{STATUS}.state.terminated");
    for (pod, phase, code, reason, message) in [
        ("good", "Succeeded", "0", "Completed", "all is well"),
        ("bad", "Failed", "3", "Error", "in the log\n"),
    ] {
        let object = format!("pod/{pod}");
        kubectl.until_field(&object, ".status.phase", phase)?;
        for (field, wanted) in [("exitCode", code), ("reason", reason), ("message", message)] {
            let got = kubectl.field(&object, &format!("{terminated}.{field}"))?;
            ensure!(got == wanted, "{pod} {field}: {got:?}");
        }
    }
    let table = kubectl.ok(&["get", "pods"])?;
    if !(table.contains("Completed") && table.contains("Error")) {
        bail!("{table}");
    }
    Ok(())
}
