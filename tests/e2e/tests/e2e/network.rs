//! Addresses, services and names.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use steersman_e2e::suite::{Namespace, Suite, Test};
use steersman_e2e::wait;

use crate::manifests::shell;
use crate::streams::http_get;

pub const TESTS: &[Test] = &[
    ("pods_reach_each_other", pods_reach_each_other),
    ("services_lead_to_ready_pods", services_lead_to_ready_pods),
    ("names_are_resolved", names_are_resolved),
    ("pods_have_hosts_and_resolver_files", pods_have_hosts_and_resolver_files),
    ("endpoints_follow_pods", endpoints_follow_pods),
];

/// nginx with its Service, and a pod to ask from.
fn web(suite: &Suite) -> Result<Namespace> {
    let kubectl = suite.namespace()?;
    kubectl.apply(&suite.registry()?.example("nginx/nginx.yaml")?)?;
    kubectl.apply(&shell("asking", &suite.image("busybox:1")?, "sleep 1000").to_string())?;
    kubectl.ok(&["rollout", "status", "deployment/nginx", "--timeout=90s"])?;
    kubectl.until_ready("asking")?;
    Ok(kubectl)
}

fn ask(kubectl: &Namespace, url: &str) -> Result<String> {
    kubectl.ok(&["exec", "asking", "--", "timeout", "5", "wget", "-q", "-O", "-", url])
}

fn until_answers(kubectl: &Namespace, url: &str) -> Result<()> {
    wait::until_equal(url, &"nginx version 1\n".to_owned(), || ask(kubectl, url))
}

fn pods_reach_each_other(suite: &Suite) -> Result<()> {
    let kubectl = web(suite)?;
    let addresses =
        kubectl.ok(&["get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[*].status.podIP}"])?;
    let addresses: Vec<_> = addresses.split(' ').collect();
    ensure!(addresses.len() == 3, "{addresses:?}");
    for address in addresses {
        until_answers(&kubectl, &format!("http://{address}"))?;
        let page = http_get(address, 80).context("from the node")?;
        ensure!(page.contains("nginx version 1"), "{page}");
    }
    Ok(())
}

fn services_lead_to_ready_pods(suite: &Suite) -> Result<()> {
    let kubectl = web(suite)?;
    let address = kubectl.field("service/nginx", ".spec.clusterIP")?;
    until_answers(&kubectl, &format!("http://{address}"))?;
    ensure!(http_get(&address, 80)?.contains("nginx version 1"), "the node reaches services");

    kubectl.ok(&[
        "expose",
        "deployment",
        "nginx",
        "--name=outside",
        "--type=NodePort",
        "--port=8080",
        "--target-port=80",
    ])?;
    let port: u16 = kubectl.field("service/outside", ".spec.ports[0].nodePort")?.parse()?;
    let node = kubectl.ok(&[
        "get",
        "nodes",
        "-o",
        "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}",
    ])?;
    until_answers(&kubectl, &format!("http://{node}:{port}"))?;
    ensure!(http_get(&node, port)?.contains("nginx version 1"), "from the node");

    kubectl.ok(&["scale", "deployment/nginx", "--replicas=0"])?;
    wait::until("a service without pods refuses", wait::SOON, || {
        let error = kubectl.run(&[
            "exec",
            "asking",
            "--",
            "timeout",
            "5",
            "wget",
            "-O",
            "-",
            &format!("http://{address}"),
        ])?;
        if error.stderr.contains("Connection refused") { Ok(Some(())) } else { bail!("{}", error.stderr) }
    })?;
    kubectl.ok(&["scale", "deployment/nginx", "--replicas=1"])?;
    until_answers(&kubectl, &format!("http://{address}"))
}

fn names_are_resolved(suite: &Suite) -> Result<()> {
    let kubectl = web(suite)?;
    let namespace = kubectl.namespace();
    for name in
        ["nginx".to_owned(), format!("nginx.{namespace}"), format!("nginx.{namespace}.svc.cluster.local")]
    {
        until_answers(&kubectl, &format!("http://{name}"))?;
    }
    kubectl.ok(&["create", "service", "clusterip", "headless", "--clusterip=None", "--tcp=80"])?;
    kubectl.ok(&[
        "patch",
        "service",
        "headless",
        "--type=merge",
        "-p",
        r#"{"spec":{"selector":{"app":"nginx"}}}"#,
    ])?;
    let lookup = |name: &str| kubectl.ok(&["exec", "asking", "--", "nslookup", name]);
    let pod = kubectl.ok(&["get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[0].status.podIP}"])?;
    wait::until("a headless service has its pods' addresses", wait::SOON, || {
        let found = lookup(&format!("headless.{namespace}.svc.cluster.local"))?;
        if found.contains(&pod) { Ok(Some(())) } else { bail!("no {pod}: {found}") }
    })?;
    let found = lookup("kubernetes.default.svc.cluster.local")?;
    ensure!(found.contains("10.96.0.1"), "{found}");
    let missing = kubectl.run(&["exec", "asking", "--", "nslookup", "nobody.default.svc.cluster.local"])?;
    ensure!((missing.stdout.clone() + &missing.stderr).contains("NXDOMAIN"), "{missing:?}");
    Ok(())
}

fn pods_have_hosts_and_resolver_files(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let mut pod = shell("cluster-first", &image, "sleep 1000");
    pod["spec"]["hostname"] = json!("given");
    pod["spec"]["hostAliases"] = json!([{"ip": "192.0.2.9", "hostnames": ["alias"]}]);
    let mut own = shell("own", &image, "sleep 1000");
    own["spec"]["dnsPolicy"] = json!("None");
    own["spec"]["dnsConfig"] = json!({"nameservers": ["192.0.2.53"], "searches": ["example.org"], "options": [{"name": "ndots", "value": "2"}]});
    for pod in [&pod, &own] {
        kubectl.apply(&pod.to_string())?;
    }
    kubectl.until_ready("cluster-first")?;
    kubectl.until_ready("own")?;
    let read = |pod: &str, path: &str| kubectl.ok(&["exec", pod, "--", "cat", path]);
    let hosts = read("cluster-first", "/etc/hosts")?;
    let address = kubectl.field("pod/cluster-first", ".status.podIP")?;
    for wanted in [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        &format!("{address}\tgiven"),
        "192.0.2.9\talias",
    ] {
        ensure!(hosts.contains(wanted), "no {wanted:?} in {hosts}");
    }
    ensure!(read("cluster-first", "/etc/hostname")? == "given\n");
    let resolver = read("cluster-first", "/etc/resolv.conf")?;
    let search = format!("search {}.svc.cluster.local svc.cluster.local cluster.local", kubectl.namespace());
    for wanted in [search.as_str(), "nameserver 10.96.0.10\n", "options ndots:5\n"] {
        ensure!(resolver.contains(wanted), "no {wanted:?} in {resolver}");
    }
    let resolver = read("own", "/etc/resolv.conf")?;
    for wanted in ["nameserver 192.0.2.53\n", "search example.org\n", "options ndots:2\n"] {
        ensure!(resolver.contains(wanted), "no {wanted:?} in {resolver}");
    }
    Ok(())
}

fn endpoints_follow_pods(suite: &Suite) -> Result<()> {
    let kubectl = web(suite)?;
    let count = |what: &str, path: &str| {
        Ok(kubectl
            .ok(&["get", what, "-l", "kubernetes.io/service-name=nginx", "-o", path])?
            .split_whitespace()
            .count())
    };
    let addresses = "jsonpath={.items[*].endpoints[*].addresses[0]}";
    wait::until_equal("three in the slice", &3, || count("endpointslices", addresses))?;
    let in_endpoints =
        || Ok(kubectl.field("endpoints/nginx", ".subsets[*].addresses[*].ip")?.split_whitespace().count());
    wait::until_equal("three in the endpoints", &3, in_endpoints)?;
    let pod = kubectl.ok(&["get", "pods", "-l", "app=nginx", "-o", "name"])?;
    let pod = pod.lines().next().context("there is a pod")?;
    // Not ready any more: out of the Service, though it runs.
    kubectl.ok(&[
        "exec",
        pod,
        "--",
        "sh",
        "-c",
        "sed -i s,healthz,away, /etc/nginx/nginx.conf; nginx -s reload",
    ])?;
    wait::until_equal("two are ready", &2, in_endpoints)?;
    kubectl.ok(&["label", pod, "app-"])?;
    wait::until_equal("one took its place", &3, in_endpoints)
}
