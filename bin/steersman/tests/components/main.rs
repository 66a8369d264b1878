//! Components as processes of their own, over TLS, against an API server in another process. No node runs: pods get
//! their node, and that is all.

mod harness;

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api as Objects, Client};
use serde_json::{Value, json};

use harness::{Api, Process, finished, free_port, until};

/// A node that nobody runs.
async fn create_node(client: &Client) {
    let nodes: Objects<Node> = Objects::all(client.clone());
    let node = json!({ "metadata": { "name": "fake" } });
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    let offers = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
    let now = jiff::Timestamp::now();
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it says so",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    });
    let status = json!({ "status": { "capacity": offers, "allocatable": offers, "conditions": [ready] } });
    nodes.patch_status("fake", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

async fn create_deployment(client: &Client, replicas: u32) {
    let deployments: Objects<Deployment> = Objects::namespaced(client.clone(), "default");
    let labels = json!({ "app": "web" });
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "web", "image": "example.invalid/web" }] },
            },
        },
    });
    let deployment = serde_json::from_value(deployment).unwrap();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
}

/// Waits until so many pods have the node.
async fn wait_for_bound(client: &Client, count: usize) {
    let pods: Objects<Pod> = Objects::namespaced(client.clone(), "default");
    until("pods have their node", async || {
        let pods = pods.list(&ListParams::default()).await.unwrap();
        let bound = |pod: &&Pod| pod.spec.as_ref().and_then(|s| s.node_name.as_deref()) == Some("fake");
        (pods.items.iter().filter(bound).count() == count).then_some(())
    })
    .await;
}

async fn holder(client: &Client, lease: &str) -> Option<String> {
    let leases: Objects<Lease> = Objects::namespaced(client.clone(), "kube-system");
    let lease = leases.get_opt(lease).await.unwrap()?;
    lease.spec?.holder_identity.filter(|holder| !holder.is_empty())
}

fn controller_manager(api: &Api, port: u16) -> Process {
    let (kubeconfig, port) = (api.kubeconfig("controller-manager"), port.to_string());
    let flags = ["--use-service-account-credentials", "--bind-address", "127.0.0.1", "--secure-port", &port];
    api.run(
        "controller-manager",
        &[&["controller-manager", "--kubeconfig", &kubeconfig], &flags[..]].concat(),
    )
}

/// Flags of an election that need not be waited for long, with time for a busy machine.
const QUICK: &[&str] = &[
    "--leader-elect-lease-duration=6s",
    "--leader-elect-renew-deadline=5s",
    "--leader-elect-retry-period=200ms",
];

fn scheduler(api: &Api, name: &str, port: u16, more: &[&str]) -> Process {
    let kubeconfig = api.kubeconfig("scheduler");
    let (port, ca) = (port.to_string(), api.data_dir().join("pki/ca.crt"));
    let flags =
        ["--bind-address=127.0.0.1", "--client-ca-file", ca.to_str().unwrap(), "--secure-port", &port];
    api.run(name, &[&["scheduler", "--kubeconfig", &kubeconfig], &flags[..], more].concat())
}

#[tokio::test]
async fn controllers_and_scheduler_run_alone() {
    let api = Api::start("apiserver", &["--bind-address=127.0.0.1"]).await;
    let admin = api.client("admin").await;
    let (manager_port, scheduler_port) = (free_port(), free_port());
    let manager = controller_manager(&api, manager_port);
    let scheduler = scheduler(&api, "scheduler", scheduler_port, &[]);
    create_node(&admin).await;
    create_deployment(&admin, 2).await;
    wait_for_bound(&admin, 2).await;

    for port in [manager_port, scheduler_port] {
        for path in ["/healthz", "/livez", "/readyz"] {
            assert_eq!(api.ask(port, path, None).await.as_deref(), Ok("ok"), "{path}");
        }
    }
    let refused = api.ask(scheduler_port, "/metrics", None).await.unwrap_err();
    assert!(refused.contains(r#"User "system:anonymous" cannot get path "/metrics""#), "{refused}");
    // The certificate is the administrator's, and RBAC says what they may.
    let metrics = api.ask(scheduler_port, "/metrics", Some("admin")).await.unwrap();
    for line in [
        r#"leader_election_master_status{name="kube-scheduler"} 1"#,
        r#"scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 2"#,
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} is missing in {metrics}");
    }

    // Who ends in order gives its Lease back.
    for (process, lease) in [(manager, "kube-controller-manager"), (scheduler, "kube-scheduler")] {
        assert!(holder(&admin, lease).await.is_some(), "{lease}");
        assert!(process.stop().await.success(), "{lease}");
        assert_eq!(holder(&admin, lease).await, None, "{lease}");
    }
    assert!(api.process.stop().await.success());
}

#[tokio::test]
async fn a_second_scheduler_takes_over_and_one_that_is_deposed_ends() {
    let api = Api::start("apiserver", &["--bind-address=127.0.0.1"]).await;
    let admin = api.client("admin").await;
    let _manager = controller_manager(&api, 0);
    let mut first = scheduler(&api, "first", 0, QUICK);
    let one = until("the first leads", async || holder(&admin, "kube-scheduler").await).await;
    let port = free_port();
    let mut second = scheduler(&api, "second", port, QUICK);
    until("the second stands by", async || api.ask(port, "/readyz", None).await.ok()).await;
    let standing_by = api.ask(port, "/metrics", Some("admin")).await.unwrap();
    assert!(standing_by.contains("leader_election_master_status{name=\"kube-scheduler\"} 0\n"));

    first.kill();
    let other = async || holder(&admin, "kube-scheduler").await.filter(|holder| *holder != one);
    until("the second leads", other).await;
    create_node(&admin).await;
    create_deployment(&admin, 1).await;
    wait_for_bound(&admin, 1).await;

    let leases: Objects<Lease> = Objects::namespaced(admin.clone(), "kube-system");
    let taken = json!({ "spec": { "holderIdentity": "somebody-else", "leaseDurationSeconds": 600 } });
    leases.patch("kube-scheduler", &PatchParams::default(), &Patch::Merge(taken)).await.unwrap();
    let status = until("the deposed one ends", async || second.ended()).await;
    assert_eq!(status.code(), Some(1));
    assert!(
        second.log().ends_with("error: the scheduler failed: leader election lost\n"),
        "{}",
        second.log()
    );
}

#[tokio::test]
async fn a_server_has_controllers_and_lets_nodes_in() {
    let api = Api::start("server", &[]).await;
    let admin = api.client("admin").await;
    create_node(&admin).await;
    create_deployment(&admin, 1).await;
    wait_for_bound(&admin, 1).await;

    let (data, url) = (api.data_dir(), format!("https://127.0.0.1:{}", api.port));
    let data = data.to_str().unwrap();
    let (status, printed, said) = finished(&[
        "kubeconfig",
        "--data-dir",
        data,
        "--client-name",
        "system:node:fake",
        "--org",
        "system:nodes",
        "--server",
        &url,
    ]);
    assert!(status.success(), "{said}");
    let path = api.path("node.kubeconfig");
    std::fs::write(&path, printed).unwrap();
    let node = steersman_client::from_kubeconfig(Path::new(&path)).await.unwrap();
    // What proxy and DNS of an agent read, and what no node may read.
    Objects::<Service>::all(node.clone()).list(&ListParams::default()).await.unwrap();
    Objects::<EndpointSlice>::all(node.clone()).list(&ListParams::default()).await.unwrap();
    let all_pods = Objects::<Pod>::all(node.clone()).list(&ListParams::default()).await.unwrap_err();
    assert!(all_pods.to_string().contains("pods is forbidden"), "{all_pods}");
    let own = ListParams::default().fields("spec.nodeName=fake");
    assert_eq!(Objects::<Pod>::all(node).list(&own).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_server_keeps_an_audit_log() {
    let directory = tempfile::tempdir().unwrap();
    let [policy, log] = ["policy.yaml", "audit.log"].map(|name| directory.path().join(name));
    let rules = json!([{ "level": "Metadata", "users": ["kubernetes-admin"] }, { "level": "None" }]);
    let text = json!({ "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules });
    std::fs::write(&policy, text.to_string()).unwrap();
    let (policy, path) = (policy.to_str().unwrap(), log.to_str().unwrap());
    let api = Api::start("server", &["--audit-policy-file", policy, "--audit-log-path", path]).await;
    create_node(&api.client("admin").await).await;
    let event = until("the request is in the audit log", async || {
        let text = std::fs::read_to_string(&log).ok()?;
        let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.find(|event| event["verb"] == "create" && event["stage"] == "ResponseComplete")
    })
    .await;
    assert_eq!(event["user"]["username"], "kubernetes-admin");
    assert_eq!(
        (&event["objectRef"]["resource"], &event["objectRef"]["name"]),
        (&json!("nodes"), &json!("fake"))
    );
    assert_eq!(event["responseStatus"]["code"], 201);
}

#[tokio::test]
async fn a_certificate_of_the_authority_is_served() {
    let api = Api::start("apiserver", &["--bind-address=127.0.0.1"]).await;
    let (certificate, key) = (api.path("kubelet.crt"), api.path("kubelet.key"));
    let data = api.data_dir();
    let files = ["--tls-cert-file", &certificate, "--tls-private-key-file", &key];
    let node =
        ["--data-dir", data.to_str().unwrap(), "--node-name", "fake", "--node-ip", "127.0.0.1,192.0.2.7"];
    let (status, _, said) = finished(&[&["certificate"], &node[..], &files[..]].concat());
    assert!(status.success(), "{said}");
    let (port, kubeconfig) = (free_port(), api.kubeconfig("scheduler"));
    let number = port.to_string();
    let flags = ["scheduler", "--kubeconfig", &kubeconfig, "--secure-port", &number];
    let _scheduler = api.run("scheduler", &[&flags[..], &files[..]].concat());
    until("a client that trusts the authority is answered", async || {
        api.ask_trusting(port, "/healthz", data.join("pki/ca.crt")).await.ok()
    })
    .await;
    let other = api.ask_trusting(port, "/healthz", data.join("pki/front-proxy-ca.crt")).await;
    assert!(other.is_err(), "one that trusts another is not: {other:?}");
}

/// A kubeconfig of CoreDNS's account, with its token and the authority in files beside it.
async fn coredns_kubeconfig(api: &Api) -> String {
    let accounts: Objects<ServiceAccount> = Objects::namespaced(api.client("admin").await, "kube-system");
    let account = serde_json::from_value(json!({ "metadata": { "name": "coredns" } })).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let request = serde_json::from_value(json!({ "spec": {} })).unwrap();
    let given = accounts.create_token_request("coredns", &PostParams::default(), &request).await.unwrap();
    std::fs::write(api.path("coredns.token"), given.status.unwrap().token.unwrap()).unwrap();
    let path = api.path("coredns.kubeconfig");
    let server = format!("https://127.0.0.1:{}", api.port);
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "dns",
        "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority": "data/pki/ca.crt" } }],
        "users": [{ "name": "u", "user": { "tokenFile": "coredns.token" } }],
        "contexts": [{ "name": "dns", "context": { "cluster": "c", "user": "u" } }],
    });
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    path
}

#[tokio::test]
async fn dns_answers_alone_with_a_token() {
    let api = Api::start("apiserver", &["--bind-address=127.0.0.1"]).await;
    let (port, kubeconfig) = (free_port(), coredns_kubeconfig(&api).await);
    let listen = format!("127.0.0.1:{port}");
    let _dns = api.run("dns", &["dns", "--kubeconfig", &kubeconfig, "--listen", &listen]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let answer = until("DNS answers", async || {
        // Nobody may listen yet.
        let _ = socket.send_to(&query("kubernetes.default.svc.cluster.local"), &listen);
        let mut buffer = [0; 512];
        socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())
    })
    .await;
    assert!(answer.ends_with(&[10, 96, 0, 1]), "{answer:?}");
}

/// A query for the IPv4 address of `name`, without extensions (RFC 1035).
fn query(name: &str) -> Vec<u8> {
    let mut out = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.bytes());
    }
    out.extend([0, 0, 1, 0, 1]);
    out
}

#[test]
fn wrong_flags_are_named() {
    for (arguments, wanted) in [
        (&["scheduler", "--nonsense"][..], "unexpected argument '--nonsense'"),
        (&["scheduler", "--kubeconfig", "/nonexistent"], "--kubeconfig /nonexistent cannot be used"),
        (&["scheduler"], "pass --kubeconfig"),
        (&["controller-manager", "--controllers=*,-nonsense"], "--controllers names what there is not"),
        (&["scheduler", "--leader-elect-lease-duration=soon"], "\"soon\" is not a duration such as 15s"),
        (&["kubelet", "--container-runtime-endpoint=tcp://x"], "is not the endpoint of a unix socket"),
        (&["kubeconfig", "--data-dir=/nonexistent", "--client-name=a"], "there is no authority in"),
    ] {
        let (status, _, said) = finished(arguments);
        assert!(!status.success() && said.contains(wanted), "{arguments:?}: {said}");
    }
}
