use super::*;
use crate::spec::RootFs;

fn image() -> PreparedImage {
    PreparedImage {
        rootfs: RootFs::Directory("/image".into()),
        config: ImageConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            env: vec!["PATH=/bin".into(), "A=1".into()],
            user: "web".into(),
            stop_signal: "SIGQUIT".into(),
            ..Default::default()
        },
        image_ref: "r".into(),
        image_id: "i".into(),
    }
}

fn planned(config: &cri::ContainerConfig) -> Result<ContainerSpec, PlanError> {
    let sandbox =
        cri::PodSandboxConfig { hostname: "box".into(), log_directory: "/logs".into(), ..Default::default() };
    container(Request {
        id: "c1",
        config,
        sandbox: &sandbox,
        image: &image(),
        files: &SandboxFiles { directory: "/sandbox".into(), shared_memory: "/shm".into() },
        cgroup_parent: "/kubepods/pod1/",
        state_file: Path::new("/state.json"),
        device_numbers: &[],
    })
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

#[test]
fn commands_and_arguments_replace_those_of_the_image() {
    let cases: [(&[&str], &[&str], &[&str]); 4] = [
        (&[], &[], &["/entry", "serve"]),
        (&[], &["x"], &["/entry", "x"]),
        (&["sh"], &[], &["sh"]),
        (&["sh"], &["-c", "y"], &["sh", "-c", "y"]),
    ];
    for (command, args, wanted) in cases {
        let config =
            cri::ContainerConfig { command: strings(command), args: strings(args), ..Default::default() };
        assert_eq!(planned(&config).unwrap().process.args, wanted);
    }
}

#[test]
fn variables_replace_earlier_ones_in_place() {
    let envs = vec![cri::KeyValue { key: "A".into(), value: b"2".to_vec() }];
    let config = cri::ContainerConfig { envs, ..Default::default() };
    assert_eq!(planned(&config).unwrap().process.env, ["HOSTNAME=box", "PATH=/bin", "A=2"]);
}

#[test]
fn users_come_from_the_request_or_the_image() {
    let with = |security: cri::LinuxContainerSecurityContext| {
        let linux = cri::LinuxContainerConfig { security_context: Some(security), ..Default::default() };
        planned(&cri::ContainerConfig { linux: Some(linux), ..Default::default() }).map(|s| s.process.user)
    };
    assert_eq!(with(Default::default()).unwrap().name, "web");
    let numbers = cri::LinuxContainerSecurityContext {
        run_as_user: Some(cri::Int64Value { value: 1000 }),
        run_as_group: Some(cri::Int64Value { value: 2000 }),
        supplemental_groups: vec![3, 4],
        ..Default::default()
    };
    let user = with(numbers).unwrap();
    assert_eq!((user.name.as_str(), user.gid, user.supplemental), ("1000", Some(2000), vec![3, 4]));
    let wrong = cri::LinuxContainerSecurityContext {
        run_as_user: Some(cri::Int64Value { value: -1 }),
        ..Default::default()
    };
    assert_eq!(with(wrong).unwrap_err().to_string(), "invalid run_as_user: -1");
}

#[test]
fn requested_mounts_are_ordered_by_depth_and_replace_standard_ones() {
    let mount =
        |path: &str| cri::Mount { container_path: path.into(), host_path: "/h".into(), ..Default::default() };
    let mounts = vec![mount("/data/deep/er"), mount("/etc/hosts"), mount("/data")];
    let spec = planned(&cri::ContainerConfig { mounts, ..Default::default() }).unwrap();
    let targets: Vec<_> = spec.mounts.iter().map(|m| m.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/dev/mqueue",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/shm",
            "/etc/hostname",
            "/etc/resolv.conf",
            "/data",
            "/etc/hosts",
            "/data/deep/er",
        ]
    );
}

#[test]
fn privileged_containers_are_not_restricted() {
    let security = cri::LinuxContainerSecurityContext {
        privileged: true,
        masked_paths: vec!["/proc/kcore".into()],
        seccomp: Some(cri::SecurityProfile::default()),
        ..Default::default()
    };
    let linux = cri::LinuxContainerConfig { security_context: Some(security), ..Default::default() };
    let spec = planned(&cri::ContainerConfig { linux: Some(linux), ..Default::default() }).unwrap();
    assert!(spec.masked_paths.is_empty() && spec.device_rules.is_empty());
    assert_eq!(spec.process.capabilities.bounding, capabilities::ALL);
    assert_eq!(spec.process.seccomp, Seccomp::Unconfined);
    assert!(spec.mounts.iter().all(|m| !m.readonly));
}

#[test]
fn stop_signals_are_names_or_numbers() {
    let signal = |word: &str| {
        let image = ImageConfig { stop_signal: word.into(), ..Default::default() };
        stop_signal(&Default::default(), &image)
    };
    let cases = [("", 15), ("SIGQUIT", 3), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)];
    for (word, number) in cases {
        assert_eq!(signal(word), Ok(number), "{word}");
    }
    assert!(signal("SIGNOPE").is_err() && signal("65").is_err());
    let config = cri::ContainerConfig { stop_signal: cri::Signal::Sigusr1 as i32, ..Default::default() };
    assert_eq!(stop_signal(&config, &image().config), Ok(10));
}

#[test]
fn resolv_conf_has_the_usual_order() {
    let dns = cri::DnsConfig {
        servers: strings(&["10.96.0.10"]),
        searches: strings(&["default.svc.cluster.local", "svc.cluster.local"]),
        options: strings(&["ndots:5"]),
    };
    let wanted =
        "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
    assert_eq!(resolv_conf(&dns), wanted);
}

#[test]
fn zero_means_unset() {
    assert_eq!(resources(&Default::default()), Resources::default());
    let asked = cri::LinuxContainerResources {
        cpu_quota: -1,
        hugepage_limits: vec![cri::HugepageLimit { page_size: "2MB".into(), limit: 7 }],
        ..Default::default()
    };
    let limits = resources(&asked);
    assert_eq!((limits.cpu_quota_us, limits.hugepages), (Some(-1), vec![("2MB".to_owned(), 7)]));
}

#[test]
fn the_log_is_in_the_sandbox_directory() {
    let config = cri::ContainerConfig { log_path: "web/0.log".into(), ..Default::default() };
    assert_eq!(planned(&config).unwrap().io.log_file, Some(PathBuf::from("/logs/web/0.log")));
    assert_eq!(planned(&Default::default()).unwrap().io.log_file, None);
}
