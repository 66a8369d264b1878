//! What a container sees and may do. Needs root, cgroups, overlayfs and `/bin/busybox`.

#![allow(clippy::large_futures)] // gRPC messages on the stack of a test do no harm.

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::{World, own_pids, security, shell};
use steersman_cri as cri;

fn privileged(config: &mut cri::ContainerConfig) {
    security(config).privileged = true;
}

fn as_user(config: &mut cri::ContainerConfig) {
    let security = security(config);
    security.run_as_user = Some(cri::Int64Value { value: 101 });
    security.supplemental_groups = vec![77];
    security.no_new_privs = true;
}

fn restricted_paths(config: &mut cri::ContainerConfig) {
    let security = security(config);
    security.masked_paths = vec!["/proc/keys".into(), "/sys/firmware".into(), "/no/such".into()];
    security.readonly_paths = vec!["/proc/sys".into()];
    security.readonly_rootfs = true;
}

fn no_capabilities(config: &mut cri::ContainerConfig) {
    let drop_capabilities = vec!["ALL".into()];
    security(config).capabilities = Some(cri::Capability { drop_capabilities, ..Default::default() });
}

fn nothing(_: &mut cri::ContainerConfig) {}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn containers_see_and_may_do_what_they_should() {
    struct Case {
        script: &'static str,
        change: fn(&mut cri::ContainerConfig),
        output: &'static str,
    }
    let cases = [
        Case { script: "echo $$; ls /proc | grep -c '^[0-9]'", change: nothing, output: "1\n3\n" },
        Case {
            script: "hostname; cat /etc/hostname; echo $HOSTNAME",
            change: nothing,
            output: "box\nbox\nbox\n",
        },
        Case { script: "id -u; id -G; echo $HOME", change: as_user, output: "101\n102 4 77\n/\n" },
        Case { script: "grep NoNewPrivs /proc/self/status", change: as_user, output: "NoNewPrivs:\t1\n" },
        Case { script: "echo x > /dev/stdout", change: as_user, output: "x\n" },
        Case { script: "grep Seccomp: /proc/self/status", change: nothing, output: "Seccomp:\t2\n" },
        Case {
            script: "grep CapEff /proc/self/status",
            change: nothing,
            output: "CapEff:\t00000000a80425fb\n",
        },
        Case {
            script: "grep CapBnd /proc/self/status",
            change: no_capabilities,
            output: "CapBnd:\t0000000000000000\n",
        },
        Case {
            script: "mkdir /m; mount -t tmpfs t /m 2>&1 || echo refused",
            change: nothing,
            output: "mount: permission denied (are you root?)\nrefused\n",
        },
        Case { script: "mkdir /m && mount -t tmpfs t /m && echo done", change: privileged, output: "done\n" },
        Case {
            script: "touch /x 2>/dev/null || echo readonly; wc -c < /proc/keys; ls /sys/firmware",
            change: restricted_paths,
            output: "readonly\n0\n",
        },
        Case {
            script: "(echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo readonly",
            change: restricted_paths,
            output: "readonly\n",
        },
        Case {
            script: "mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo readonly",
            change: nothing,
            output: "readonly\n",
        },
        Case {
            script: "mknod /d b 7 0 && (head -c1 /d 2>/dev/null || echo refused)",
            change: nothing,
            output: "refused\n",
        },
        Case {
            script: "stat -c %a /dev/shm; touch /dev/shm/x && ls /dev/shm",
            change: nothing,
            output: "1777\nx\n",
        },
        Case {
            script: "readlink /dev/fd; echo y > /dev/null; head -c2 /dev/zero | wc -c",
            change: nothing,
            output: "/proc/self/fd\n2\n",
        },
        Case { script: "cat /etc/resolv.conf", change: nothing, output: "nameserver 10.0.0.10\n" },
    ];
    let mut world = World::new().await;
    let mut config = world.sandbox_config();
    config.dns_config = Some(cri::DnsConfig { servers: vec!["10.0.0.10".into()], ..Default::default() });
    let sandbox = world.sandbox(config).await;
    for case in cases {
        let (_, output) = world.script(&sandbox, case.change, case.script).await;
        assert_eq!(output, case.output, "{}", case.script);
    }
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn mounts_stay_inside_and_are_as_asked() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let outside = world.path("outside");
    fs::create_dir_all(&outside).unwrap();
    // A link of the image that would lead a careless runtime onto the host.
    symlink(&outside, world.path("images/image/link")).unwrap();
    let volume = world.path("volume");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("file"), "content\n").unwrap();
    let mount = |target: &str, source: &str, readonly| cri::Mount {
        container_path: target.into(),
        host_path: volume.join(source).display().to_string(),
        readonly,
        ..Default::default()
    };
    let mounts = vec![
        mount("/deep/new/dir", "", false),
        mount("/etc/one", "file", true),
        mount("/link/data", "", true),
        mount("/made", "made", false),
    ];
    let script = "cat /deep/new/dir/file /etc/one; echo a > /deep/new/dir/b; \
                  (echo x >> /etc/one) 2>/dev/null || echo readonly; ls /made | wc -l; \
                  (touch /link/data/c) 2>/dev/null || echo readonly";
    let (status, output) = world.script(&sandbox, |c| c.mounts = mounts, script).await;
    assert_eq!(output, "content\ncontent\nreadonly\n0\nreadonly\n");
    assert_eq!(status.mounts.len(), 4);
    assert_eq!(fs::read_to_string(volume.join("b")).unwrap(), "a\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing was made on the host");
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn limits_hold_and_are_counted() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let limited = |c: &mut cri::ContainerConfig| {
        let resources = cri::LinuxContainerResources {
            memory_limit_in_bytes: 16 << 20,
            memory_swap_limit_in_bytes: 16 << 20,
            cpu_shares: 512,
            ..Default::default()
        };
        c.linux.as_mut().unwrap().resources = Some(resources);
    };
    let (status, _) = world.script(&sandbox, limited, "head -c 64m /dev/zero | tail | wc -c").await;
    assert_eq!(status.reason, "OOMKilled", "{status:?}");
    let mut config = shell("sleep 1000");
    limited(&mut config);
    let id = world.start(&sandbox, config).await.unwrap();
    let request = cri::ContainerStatsRequest { container_id: id.clone() };
    let stats = world.client.container_stats(request).await.unwrap().into_inner().stats.unwrap();
    assert!(stats.cpu.unwrap().usage_core_nano_seconds.unwrap().value > 0);
    let memory = stats.memory.unwrap();
    assert!((1..16 << 20).contains(&memory.working_set_bytes.unwrap().value));
    assert!(memory.available_bytes.unwrap().value <= 16 << 20);
    let linux = cri::LinuxContainerResources {
        memory_limit_in_bytes: 32 << 20,
        memory_swap_limit_in_bytes: 32 << 20,
        ..Default::default()
    };
    let update = cri::UpdateContainerResourcesRequest {
        container_id: id.clone(),
        linux: Some(linux),
        annotations: Default::default(),
    };
    world.client.update_container_resources(update).await.unwrap();
    let resources = world.status(&id).await.resources.unwrap().linux.unwrap();
    assert_eq!((resources.memory_limit_in_bytes, resources.cpu_shares), (32 << 20, 512));
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn commands_run_inside_with_limits_of_their_own() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let mut config = shell("sleep 1000");
    as_user(&mut config);
    let id = world.start(&sandbox, config).await.unwrap();
    let answer = world.exec(&id, "id -u; hostname; ps | grep -c '[s]leep 1000'; echo bad >&2; exit 4").await;
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "101\nbox\n1\n");
    assert_eq!((answer.stderr.as_slice(), answer.exit_code), (&b"bad\n"[..], 4));
    let large = world.exec(&id, "head -c 300000 /dev/zero").await;
    assert_eq!(large.stdout.len(), 300_000);
    let background = world.exec(&id, "sleep 500 & echo left").await;
    assert_eq!(background.stdout, b"left\n");
    let request = |cmd: &[&str], timeout| cri::ExecSyncRequest {
        container_id: id.clone(),
        cmd: cmd.iter().map(|s| (*s).to_owned()).collect(),
        timeout,
    };
    let late = world.client.exec_sync(request(&["sleep", "100"], 1)).await.unwrap_err();
    assert_eq!(late.code(), tonic::Code::DeadlineExceeded);
    let missing = world.client.exec_sync(request(&["nope"], 0)).await.unwrap_err();
    assert!(missing.message().contains(r#"exec: "nope": executable file not found in $PATH"#), "{missing}");
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_pod_may_share_its_processes() {
    let mut world = World::new().await;
    let mut config = world.sandbox_config();
    let shared = cri::NamespaceOption { pid: cri::NamespaceMode::Pod as i32, ..own_pids() };
    let linux = config.linux.as_mut().unwrap();
    linux.security_context.as_mut().unwrap().namespace_options = Some(shared.clone());
    linux.sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "99".into());
    let sandbox = world.sandbox(config).await;
    let share = |c: &mut cri::ContainerConfig| security(c).namespace_options = Some(shared.clone());
    let mut sleeper = shell("sleep 999 & sleep 888");
    share(&mut sleeper);
    let first = world.start(&sandbox, sleeper).await.unwrap();
    let script = "ps | grep -c '[s]leep [98]'; cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    let (_, output) = world.script(&sandbox, share, script).await;
    assert_eq!(output, "2\n99\n");
    // An ephemeral container looks into another one.
    let target = |c: &mut cri::ContainerConfig| {
        let mode = cri::NamespaceMode::Target as i32;
        let options = cri::NamespaceOption { pid: mode, target_id: first.clone(), ..Default::default() };
        security(c).namespace_options = Some(options);
    };
    let (_, output) = world.script(&sandbox, target, "ps | grep -c '[s]leep 888'").await;
    assert_eq!(output, "1\n");
    // Its end takes along what it left running in the shared namespace.
    let stop = cri::StopContainerRequest { container_id: first, timeout: 0 };
    world.client.stop_container(stop).await.unwrap();
    let (_, output) = world.script(&sandbox, share, "ps | grep -c '[s]leep 999'").await;
    assert_eq!(output, "0\n");
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_terminal_is_a_terminal() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let (_, output) = world.script(&sandbox, |c| c.tty = true, "tty; echo $TERM; ls /dev/console").await;
    assert_eq!(output, "/dev/pts/0\nxterm\n/dev/console\n");
    world.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_log_is_reopened_after_rotation() {
    let mut world = World::new().await;
    let config = world.sandbox_config();
    let sandbox = world.sandbox(config).await;
    let id = world.start(&sandbox, shell("while true; do echo tick; sleep 0.01; done")).await.unwrap();
    let path = world.status(&id).await.log_path;
    let renamed = format!("{path}.1");
    fs::rename(&path, &renamed).unwrap();
    let request = cri::ReopenContainerLogRequest { container_id: id.clone() };
    world.client.reopen_container_log(request).await.unwrap();
    let length = fs::metadata(&renamed).unwrap().len();
    while fs::read_to_string(&path).unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(fs::metadata(&renamed).unwrap().len(), length);
    world.remove_sandbox(&sandbox).await;
}
