//! Commands of kubectl that hold a connection open: logs, exec, cp, attach, run, port-forward.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use steersman_e2e::command::{self, Running};
use steersman_e2e::kubectl::Kubectl;
use steersman_e2e::suite::{Namespace, Suite, Test};
use steersman_e2e::wait;

use crate::manifests::{container, shell};

pub const TESTS: &[Test] = &[
    ("logs_of_containers", logs_of_containers),
    ("logs_of_a_container_before_its_restart", logs_of_a_container_before_its_restart),
    ("exec_passes_streams_and_exit_codes", exec_passes_streams_and_exit_codes),
    ("exec_on_a_terminal_follows_its_size", exec_on_a_terminal_follows_its_size),
    ("cp_copies_both_ways", cp_copies_both_ways),
    ("attach_reaches_the_running_process", attach_reaches_the_running_process),
    ("run_starts_a_pod_and_shows_it", run_starts_a_pod_and_shows_it),
    ("port_forward_reaches_pods_and_services", port_forward_reaches_pods_and_services),
];

/// A pod that waits, and a kubectl of each end of the range.
fn waiting_pod(suite: &Suite, name: &str) -> Result<(Namespace, [Kubectl; 2])> {
    let kubectl = suite.namespace()?;
    kubectl.apply(&shell(name, &suite.image("busybox:1")?, "sleep 1000").to_string())?;
    kubectl.until_ready(name)?;
    let each = [kubectl.with_program(Kubectl::newest()?), kubectl.with_program(Kubectl::oldest()?)];
    Ok((kubectl, each))
}

fn logs_of_containers(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let script =
        "echo one; echo two; echo three; until [ -e /tmp/go ]; do usleep 50000; done; echo four; sleep 1000";
    let mut pod = shell("logging", &suite.image("busybox:1")?, script);
    let mut other = container(&mut pod).clone();
    other["name"] = json!("other");
    other["command"][2] = json!("echo from the other >&2; sleep 1000");
    pod["spec"]["containers"].as_array_mut().context("a list")?.push(other);
    kubectl.apply(&pod.to_string())?;
    kubectl.until_ready("logging")?;
    let logs = |more: &[&str]| kubectl.ok(&[&["logs", "logging"], more].concat());
    wait::until_equal("the first lines", &"one\ntwo\nthree\n".to_owned(), || logs(&["-c", "main"]))?;
    ensure!(logs(&["-c", "main", "--tail=1"])? == "three\n");
    ensure!(logs(&["-c", "main", "--tail=0"])?.is_empty());
    ensure!(logs(&["-c", "main", "--since=1h"])? == "one\ntwo\nthree\n");
    ensure!(logs(&["-c", "main", "--since-time=2099-01-01T00:00:00Z"])?.is_empty());
    ensure!(logs(&["-c", "main", "--limit-bytes=3"])? == "one");
    let stamped = logs(&["-c", "main", "--timestamps", "--tail=1"])?;
    ensure!(stamped.starts_with("20") && stamped.ends_with("Z three\n"), "{stamped}");
    let all = logs(&["--all-containers", "--prefix"])?;
    ensure!(
        all.contains("[pod/logging/other] from the other") && all.contains("[pod/logging/main] one"),
        "{all}"
    );
    let selected = kubectl.ok(&["logs", "-l", "app=logging", "-c", "other"])?;
    ensure!(selected == "from the other\n", "{selected}");
    let mut following = kubectl.start(&["logs", "-f", "logging", "-c", "main"])?;
    following.wait_for("three\n")?;
    kubectl.ok(&["exec", "logging", "-c", "main", "--", "touch", "/tmp/go"])?;
    following.wait_for("four\n")?;
    kubectl.ok(&["delete", "pod", "logging"])?;
    ensure!(following.wait_end()?.success(), "{}", following.stderr());
    let error = kubectl.fails(&["logs", "logging"])?;
    ensure!(error.contains("pods \"logging\" not found"), "{error}");
    Ok(())
}

fn logs_of_a_container_before_its_restart(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let script =
        "if [ -e /kept/again ]; then echo second; sleep 1000; fi; touch /kept/again; echo first; exit 3";
    let mut pod = shell("restarting", &suite.image("busybox:1")?, script);
    container(&mut pod)["volumeMounts"] = json!([{"name": "kept", "mountPath": "/kept"}]);
    pod["spec"]["volumes"] = json!([{"name": "kept", "emptyDir": {}}]);
    kubectl.apply(&pod.to_string())?;
    wait::until_equal("the second run", &"second\n".to_owned(), || kubectl.ok(&["logs", "restarting"]))?;
    ensure!(kubectl.ok(&["logs", "-p", "restarting"])? == "first\n");
    let terminated = ".status.containerStatuses[0].lastState.terminated";
    kubectl.until_field("pod/restarting", &format!("{terminated}.exitCode"), "3")?;
    kubectl.until_field("pod/restarting", ".status.containerStatuses[0].restartCount", "1")
}

fn exec_passes_streams_and_exit_codes(suite: &Suite) -> Result<()> {
    let (_kept, each) = waiting_pod(suite, "executing")?;
    for kubectl in each {
        let echoed = kubectl.feed(&["exec", "-i", "executing", "--", "cat"], "piped\n")?.success()?;
        ensure!(echoed == "piped\n", "{echoed:?}");
        let both = kubectl.run(&["exec", "executing", "--", "sh", "-c", "echo out; echo err >&2; exit 7"])?;
        ensure!(both.status.code() == Some(7), "{both:?}");
        ensure!(both.stdout == "out\n" && both.stderr.starts_with("err\n"), "{both:?}");
        let big = kubectl.ok(&["exec", "executing", "--", "sh", "-c", "yes | head -c 3000000"])?;
        ensure!(big.len() == 3_000_000, "{} bytes", big.len());
        let missing = kubectl.fails(&["exec", "executing", "--", "no-such-program"])?;
        ensure!(missing.contains("executable file not found in $PATH"), "{missing}");
        let error = kubectl.fails(&["exec", "executing", "-c", "nobody", "--", "true"])?;
        ensure!(error.contains("container nobody is not valid for pod executing"), "{error}");
    }
    Ok(())
}

fn exec_on_a_terminal_follows_its_size(suite: &Suite) -> Result<()> {
    let (_kept, each) = waiting_pod(suite, "terminal")?;
    for kubectl in each {
        let mut session = kubectl.start_on_terminal(&["exec", "-it", "terminal", "--", "sh"])?;
        session.wait_for("#")?;
        session.write(b"tty && echo on a $((40 + 2))\n")?;
        session.wait_for("on a 42")?;
        for (rows, columns) in [("40", "100"), ("11", "222")] {
            resize(&session, rows, columns)?;
            let wanted = format!("{rows} {columns}");
            wait::until(&format!("the size {wanted} arrives"), wait::SOON, || {
                session.write(b"stty size\n")?;
                Ok(session.stdout().contains(&wanted).then_some(()))
            })?;
        }
        session.write(b"exit 5\n")?;
        let status = session.wait_end()?;
        ensure!(status.code() == Some(5), "{status}: {}", session.stdout());
    }
    Ok(())
}

/// Changes the size of the terminal that `script` made for the program it runs.
fn resize(session: &Running, rows: &str, columns: &str) -> Result<()> {
    let id = session.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    let child = children.split_whitespace().next().context("script has no child")?;
    let terminal = fs::read_link(format!("/proc/{child}/fd/0"))?;
    let mut stty = Command::new("stty");
    stty.arg("-F").arg(terminal).args(["rows", rows, "cols", columns]);
    command::run(&mut stty, b"", wait::SOON)?.success().map(drop)
}

fn cp_copies_both_ways(suite: &Suite) -> Result<()> {
    let (_kept, each) = waiting_pod(suite, "copying")?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir_all(path("tree/below"))?;
    fs::write(path("tree/file"), vec![7; 200_000])?;
    fs::write(path("tree/below/文件"), "inside")?;
    for (number, kubectl) in each.iter().enumerate() {
        let (there, back) = (format!("copying:/tmp/{number}"), path(&format!("back-{number}")));
        kubectl.ok(&["cp", &path("tree"), &there])?;
        ensure!(
            kubectl.ok(&["exec", "copying", "--", "cat", &format!("/tmp/{number}/below/文件")])? == "inside"
        );
        kubectl.ok(&["cp", &there, &back])?;
        ensure!(fs::read(format!("{back}/file"))? == vec![7; 200_000]);
        ensure!(fs::read_to_string(format!("{back}/below/文件"))? == "inside");
    }
    Ok(())
}

fn attach_reaches_the_running_process(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let script = "while read line; do echo \"got $line\"; done; sleep 1000";
    let mut pod = shell("attached", &suite.image("busybox:1")?, script);
    container(&mut pod)["stdin"] = json!(true);
    kubectl.apply(&pod.to_string())?;
    kubectl.until_ready("attached")?;
    for program in [Kubectl::newest()?, Kubectl::oldest()?] {
        let mut attached = kubectl.with_program(program).start(&["attach", "-i", "attached"])?;
        attached.write(b"a line\n")?;
        attached.wait_for("got a line")?;
    }
    let logged = kubectl.ok(&["logs", "attached"])?;
    ensure!(logged == "got a line\ngot a line\n", "{logged}");
    Ok(())
}

fn run_starts_a_pod_and_shows_it(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = format!("--image={}", suite.image("busybox:1")?);
    let once = ["run", "once", &image, "--restart=Never", "--rm", "-i", "--quiet", "--", "cat"];
    let echoed = kubectl.feed(&once, "through a pod\n")?.success()?;
    ensure!(echoed.contains("through a pod"), "{echoed:?}");
    kubectl.fails(&["get", "pod", "once"])?;
    kubectl.ok(&[
        "run",
        "kept",
        &image,
        "--labels=made=by-run",
        "--env=A=b",
        "--command",
        "--",
        "sh",
        "-c",
        "echo $A; sleep 1000",
    ])?;
    kubectl.until_ready("kept")?;
    wait::until_equal("its output", &"b\n".to_owned(), || kubectl.ok(&["logs", "-l", "made=by-run"]))
}

fn port_forward_reaches_pods_and_services(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    kubectl.apply(&suite.registry()?.example("nginx/nginx.yaml")?)?;
    kubectl.ok(&["rollout", "status", "deployment/nginx", "--timeout=90s"])?;
    let pod = kubectl.ok(&["get", "pods", "-o", "name"])?;
    let pod = pod.lines().next().context("there is a pod")?;
    for program in [Kubectl::newest()?, Kubectl::oldest()?] {
        let kubectl = kubectl.with_program(program);
        for target in [pod, "service/nginx", "deployment/nginx"] {
            let mut forward = kubectl.start(&["port-forward", "--address=127.0.0.1", target, ":80"])?;
            forward.wait_for("Forwarding from 127.0.0.1:")?;
            let printed = forward.stdout();
            let port = printed.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
            let port: u16 = port.context("it names the port")?.parse()?;
            for _ in 0..3 {
                let page = http_get("127.0.0.1", port)?;
                ensure!(page.contains("nginx version 1"), "{target}: {page}");
            }
        }
    }
    Ok(())
}

/// GETs `/`; the whole answer.
pub fn http_get(host: &str, port: u16) -> Result<String> {
    let mut stream = TcpStream::connect((host, port)).with_context(|| format!("{host}:{port}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
