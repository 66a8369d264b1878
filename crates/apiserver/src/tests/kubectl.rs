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

/// Arguments, what is piped in, and what must be printed.
type Step<'a> = (&'a str, &'a str, &'a str);

/// Runs kubectl again and again against one server, and says what went wrong.
async fn run(steps: &[Step<'_>]) {
    let certified = Certified::new();
    let h = Harness::with_kubelets(std::sync::Arc::new(certified.client()), true).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let (server, config, stop) = (h.server.clone(), certified.server(), CancellationToken::new());
    let token = stop.clone();
    let serving = tokio::spawn(async move { server.serve(listener, config, token).await });
    let (server, token) = (h.server.clone(), stop.clone());
    let definitions = tokio::spawn(async move { server.run_custom_resources(token).await });
    let cache = tempfile::tempdir().expect("a directory");
    let mut failures = Vec::new();
    for (args, input, want) in steps {
        let (_, printed) = kubectl(address, cache.path(), args, input).await;
        if !printed.contains(want) || want.is_empty() && !printed.is_empty() {
            failures.push(format!("kubectl {args}\n  wanted: {want}\n  printed: {printed}"));
        }
    }
    stop.cancel();
    serving.await.expect("no panic").expect("serves");
    definitions.await.expect("no panic");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn kubectl_works() {
    run(&[
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
    ])
    .await;
}

const WORKLOADS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: postgres:17, volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {nodeSelector: {disk: ssd}, containers: [{name: agent, image: agent}]}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec:
  template:
    metadata: {labels: {app: old}}
    spec: {containers: [{name: old, image: old}]}
---
apiVersion: v1
kind: PodTemplate
metadata: {name: shape}
template: {metadata: {labels: {app: shape}}, spec: {containers: [{name: a, image: x}]}}
";

#[tokio::test]
async fn kubectl_handles_every_workload() {
    run(&[
        ("apply -f -", WORKLOADS, "statefulset.apps/db created\ndaemonset.apps/agent created"),
        // A list without keys is sent whole, so that defaults in it look like a change, as upstream.
        ("apply -f -", WORKLOADS, "statefulset.apps/db configured\ndaemonset.apps/agent unchanged"),
        ("diff -f -", WORKLOADS, ""),
        (
            "apply --server-side --force-conflicts -f -",
            WORKLOADS,
            "replicationcontroller/old serverside-applied",
        ),
        ("get sts", "", "NAME   READY   AGE\ndb     0/1"),
        ("get ds", "", "NAME    DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE"),
        ("get rc -o wide", "", "old    1         0         0"),
        ("get podtemplates", "", "shape   a            x        app=shape"),
        ("scale sts/db rc/old --replicas=3", "", "replicationcontroller/old scaled"),
        ("set image ds/agent agent=agent:2", "", "daemonset.apps/agent image updated"),
        ("rollout restart sts/db", "", "statefulset.apps/db restarted"),
        ("rollout history ds/agent", "", "daemonset.apps/agent"),
        ("describe sts db", "", "Volume Claims:"),
        ("create job pi --image=perl", "", "job.batch/pi created"),
        ("create cronjob tick --image=x --schedule=@hourly", "", "cronjob.batch/tick created"),
        ("create job now --from=cronjob/tick", "", "job.batch/now created"),
        ("get jobs", "", "NAME   STATUS    COMPLETIONS   DURATION   AGE\nnow    Running   0/1"),
        ("get cj", "", "tick   @hourly    <none>     False     0        <none>"),
        ("describe job pi", "", "Parallelism:"),
        ("create cronjob bad --image=x --schedule=often", "", "expected exactly 5 fields, found 1: [often]"),
        (
            "autoscale sts db --min=1 --max=5 --cpu-percent=70",
            "",
            "horizontalpodautoscaler.autoscaling/db autoscaled",
        ),
        ("get hpa", "", "db     StatefulSet/db   cpu: <unknown>/70%   1         5         0"),
        ("get horizontalpodautoscalers.v1.autoscaling db -o jsonpath={.spec.targetCPUUtilizationPercentage}", "", "70"),
        ("describe hpa db", "", "resource cpu on pods"),
        (
            "create pdb keep --selector=app=db --min-available=50%",
            "",
            "poddisruptionbudget.policy/keep created",
        ),
        ("get pdb", "", "keep   50%             N/A               0"),
        ("get all", "", "cronjob.batch/tick"),
        (
            "explain cronjob.spec.jobTemplate.spec.podFailurePolicy",
            "",
            "FIELD: podFailurePolicy <PodFailurePolicy>",
        ),
        ("explain hpa.spec.behavior --api-version=autoscaling/v2", "", "VERSION:    v2"),
        ("delete job pi --wait=false", "", "job.batch \"pi\" deleted"),
        ("get job pi", "", "Error from server (NotFound): jobs.batch \"pi\" not found"),
        ("delete -f - --wait=false", WORKLOADS, "podtemplate \"shape\" deleted"),
    ])
    .await;
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              cronSpec: {type: string, description: When it runs.}
              replicas: {type: integer, default: 1, maximum: 9}
          status: {type: object, properties: {replicas: {type: integer}}}
";

const OBJECT: &str = "
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: mine}
spec: {cronSpec: '* * * * *'}
";

#[tokio::test]
async fn kubectl_works_with_custom_resources() {
    let wrong = OBJECT.replace("cronSpec", "cronspec");
    let many = OBJECT.replace("spec: {", "spec: {replicas: 10, ");
    let name = "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com";
    let (created, established) = (format!("{name} created"), format!("{name} condition met"));
    let steps = [
        ("apply -f -", DEFINITION, created.as_str()),
        ("wait --for=condition=established --timeout=10s crd/crontabs.stable.example.com", "", &established),
        ("get crd", "", "crontabs.stable.example.com"),
        (
            "api-resources --api-group=stable.example.com",
            "",
            "crontabs   ct           stable.example.com/v1   true         CronTab",
        ),
        ("apply -f -", OBJECT, "crontab.stable.example.com/mine created"),
        ("apply -f -", OBJECT, "crontab.stable.example.com/mine unchanged"),
        ("apply -f -", wrong.as_str(), "unknown field \"spec.cronspec\""),
        ("apply -f -", many.as_str(), "spec.replicas in body should be less than or equal to 9"),
        ("get ct", "", "NAME   SPEC        REPLICAS   AGE\nmine   * * * * *   1"),
        ("get all", "", "crontab.stable.example.com/mine"),
        ("explain crontab.spec.cronSpec", "", "When it runs."),
        ("scale crontab/mine --replicas=3", "", "crontab.stable.example.com/mine scaled"),
        ("get ct mine -o jsonpath={.spec.replicas}", "", "3"),
        (
            "patch ct mine --type=merge --subresource=status -p={\"status\":{\"replicas\":2}}",
            "",
            "crontab.stable.example.com/mine patched",
        ),
        ("get ct mine -o jsonpath={.status.replicas}:{.metadata.generation}", "", "2:2"),
        ("label ct mine a=b", "", "crontab.stable.example.com/mine labeled"),
        (
            "apply --server-side --force-conflicts -f -",
            OBJECT,
            "crontab.stable.example.com/mine serverside-applied",
        ),
        ("describe ct mine", "", "Cron Spec:  * * * * *"),
        ("delete ct mine", "", "crontab.stable.example.com \"mine\" deleted"),
        ("delete crd crontabs.stable.example.com", "", "\"crontabs.stable.example.com\" deleted"),
        ("get ct", "", "the server could not find the requested resource"),
    ];
    run(&steps).await;
}
