//! The real kubectl against the server over TLS; `kubectl` must be on the path.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::Harness;
use super::serving::Certified;

/// Runs kubectl with `args` and `input`; gives what it printed, standard error included.
async fn kubectl(address: SocketAddr, cache: &std::path::Path, args: &str, input: &str) -> (bool, String) {
    let mut command = Command::new("kubectl");
    command
        .args(["--server", &format!("https://{address}"), "--insecure-skip-tls-verify", "--token=x"])
        .arg(format!("--cache-dir={}", cache.display()))
        .args(args.split_whitespace())
        .env("KUBECONFIG", "/dev/null")
        .env("HOME", cache)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("kubectl is on the path");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).await.expect("kubectl reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("kubectl ends");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

const MANIFEST: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1'}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]
";

#[tokio::test]
async fn kubectl_works() {
    let certified = Certified::new();
    let h = Harness::with_kubelets(std::sync::Arc::new(certified.client()), true).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let (server, config, stop) = (h.server.clone(), certified.server(), CancellationToken::new());
    let token = stop.clone();
    let serving = tokio::spawn(async move { server.serve(listener, config, token).await });
    let cache = tempfile::tempdir().expect("a directory");
    // Arguments, what is piped in, and what must be printed.
    let steps = [
        ("apply -f -", MANIFEST, "configmap/settings created\ndeployment.apps/web created"),
        ("apply -f -", MANIFEST, "configmap/settings unchanged\ndeployment.apps/web unchanged"),
        ("diff -f -", MANIFEST, ""),
        ("get deployments", "", "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    0/3"),
        ("get deploy web -o jsonpath={.spec.replicas}", "", "3"),
        ("get cm settings -o yaml", "", "data:\n  a: \"1\""),
        ("scale deploy/web --replicas=5", "", "deployment.apps/web scaled"),
        ("set image deploy/web web=nginx:2", "", "deployment.apps/web image updated"),
        ("label deploy web tier=front", "", "deployment.apps/web labeled"),
        ("annotate cm settings x=y", "", "configmap/settings annotate"),
        (
            "patch cm settings --type=json -p=[{\"op\":\"remove\",\"path\":\"/data/a\"}]",
            "",
            "configmap/settings patched",
        ),
        ("apply --server-side --force-conflicts -f -", MANIFEST, "configmap/settings serverside-applied"),
        ("create deployment other --image=x --dry-run=server -o name", "", "deployment.apps/other"),
        ("expose deploy web --port=80 --target-port=80", "", "service/web exposed"),
        ("get svc web", "", "ClusterIP"),
        ("describe deploy web", "", "Replicas:"),
        ("explain deployment.spec.replicas", "", "FIELD: replicas <integer>"),
        ("api-resources", "", "configmaps"),
        ("api-versions", "", "apps/v1"),
        ("version", "", "v1.37.0"),
        ("get ns", "", "kube-node-lease"),
        ("run p --image=nginx", "", "pod/p created"),
        ("logs p", "", ""),
        ("exec p -- ls", "", "pod p does not have a host assigned"),
        ("get pods -A -o wide", "", "default     p "),
        ("get pods --field-selector=metadata.name=p -o name", "", "pod/p"),
        ("delete pod p --wait=false", "", "pod \"p\" deleted"),
        ("delete -f - --wait=false", MANIFEST, "deployment.apps \"web\" deleted"),
        ("get pod nope", "", "Error from server (NotFound): pods \"nope\" not found"),
        ("create ns team", "", "namespace/team created"),
        ("delete ns team --wait=false", "", "namespace \"team\" deleted"),
        ("get ns team", "", "Terminating"),
    ];
    let mut failures = Vec::new();
    for (args, input, want) in steps {
        let (_, printed) = kubectl(address, cache.path(), args, input).await;
        if !printed.contains(want) || want.is_empty() && !printed.is_empty() {
            failures.push(format!("kubectl {args}\n  wanted: {want}\n  printed: {printed}"));
        }
    }
    stop.cancel();
    serving.await.expect("no panic").expect("serves");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
