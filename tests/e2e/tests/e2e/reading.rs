//! Commands of kubectl that read, with the newest and the oldest kubectl of the machine.

use anyhow::{Result, ensure};
use steersman_e2e::kubectl::Kubectl;
use steersman_e2e::suite::{Suite, Test};

use crate::manifests::{deployment, shell};

pub const TESTS: &[Test] = &[
    ("get_prints_all_its_forms", get_prints_all_its_forms),
    ("get_selects", get_selects),
    ("get_watches", get_watches),
    ("describe_shows_every_kind", describe_shows_every_kind),
    ("explain_has_descriptions", explain_has_descriptions),
    ("the_api_describes_itself", the_api_describes_itself),
    ("wait_sees_conditions_fields_and_deletions", wait_sees_conditions_fields_and_deletions),
    ("events_are_listed", events_are_listed),
    ("the_default_objects_are_there", the_default_objects_are_there),
];

/// Runs a check with the newest and the oldest kubectl.
fn with_each(kubectl: &Kubectl, check: impl Fn(&Kubectl) -> Result<()>) -> Result<()> {
    for program in [Kubectl::newest()?, Kubectl::oldest()?] {
        check(&kubectl.with_program(program.clone()))
            .map_err(|e| e.context(format!("with {}", program.display())))?;
    }
    Ok(())
}

/// Each command prints each of the texts.
fn prints(kubectl: &Kubectl, cases: &[(&str, &[&str])]) -> Result<()> {
    for (command, wanted) in cases {
        let printed = kubectl.ok(&command.split(' ').collect::<Vec<_>>())?;
        for wanted in *wanted {
            ensure!(printed.contains(wanted), "kubectl {command}: no {wanted:?} in:\n{printed}");
        }
    }
    Ok(())
}

fn get_prints_all_its_forms(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    kubectl.apply(&shell("reader", &suite.image("busybox:1")?, "sleep 1000").to_string())?;
    kubectl.until_ready("reader")?;
    let cases: &[(&str, &[&str])] = &[
        ("get pods", &["NAME     READY   STATUS    RESTARTS   AGE", "reader   1/1     Running   0"]),
        ("get pod/reader -o wide", &["NOMINATED NODE", "READINESS GATES", "10.244.0."]),
        ("get pod reader -o yaml", &["apiVersion: v1\nkind: Pod\n", "  phase: Running", "    name: main"]),
        ("get pod reader -o json", &["\"kind\": \"Pod\"", "\"phase\": \"Running\""]),
        ("get pods -o name", &["pod/reader\n"]),
        ("get pods -o jsonpath={.items[*].status.phase}", &["Running"]),
        ("get pods -o custom-columns=N:.metadata.name,P:.status.phase --no-headers", &["reader   Running"]),
        ("get pods --show-labels", &["LABELS", "app=reader"]),
        ("get pods -L app", &["APP", "reader"]),
        ("get pods --sort-by=.metadata.name", &["reader"]),
        ("get po,cm", &["pod/reader", "configmap/kube-root-ca.crt"]),
        ("get nodes", &["STATUS", "Ready", "v1.37.0"]),
        ("get nodes -o wide", &["INTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"]),
        ("get --raw /readyz", &["ok"]),
    ];
    with_each(&kubectl, |kubectl| prints(kubectl, cases))
}

fn get_selects(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    for name in ["one", "two", "three"] {
        kubectl.ok(&["create", "configmap", name])?;
        kubectl.ok(&["label", "configmap", name, &format!("size={}", name.len())])?;
    }
    let cases = [
        (&["-l", "size=3"][..], "configmap/one\nconfigmap/two\n"),
        (&["-l", "size in (5)"], "configmap/three\n"),
        (&["-l", "size,size!=3"], "configmap/three\n"),
        (&["--field-selector", "metadata.name=two"], "configmap/two\n"),
        (&["-l", "size=4"], ""),
        (&["-l", "size", "--chunk-size=1"], "configmap/one\nconfigmap/three\nconfigmap/two\n"),
    ];
    with_each(&kubectl, |kubectl| {
        for (selector, wanted) in cases {
            let got = kubectl.ok(&[&["get", "configmaps", "-o", "name"], selector].concat())?;
            ensure!(got == wanted, "{selector:?}: {got}");
        }
        let all = kubectl.ok(&["get", "pods", "-A"])?;
        ensure!(all.contains("NAMESPACE") || all.is_empty(), "{all}");
        Ok(())
    })
}

fn get_watches(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    with_each(&kubectl, |kubectl| {
        let mut watch = kubectl.start(&["get", "configmaps", "-w", "--output-watch-events"])?;
        watch.wait_for("kube-root-ca.crt")?;
        kubectl.ok(&["create", "configmap", "seen"])?;
        watch.wait_for("ADDED      seen")?;
        kubectl.ok(&["patch", "configmap", "seen", "-p", r#"{"data":{"a":"b"}}"#])?;
        watch.wait_for("MODIFIED   seen")?;
        kubectl.ok(&["delete", "configmap", "seen"])?;
        watch.wait_for("DELETED    seen")
    })
}

fn describe_shows_every_kind(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let pod = shell("shown", &suite.image("busybox:1")?, "sleep 1000");
    kubectl.apply(&deployment("shown", 1, &pod).to_string())?;
    kubectl.ok(&["rollout", "status", "deployment/shown", "--timeout=60s"])?;
    kubectl.ok(&["expose", "deployment", "shown", "--port=80"])?;
    kubectl.ok(&["create", "configmap", "shown", "--from-literal=key=value"])?;
    kubectl.ok(&["create", "secret", "generic", "shown", "--from-literal=key=value"])?;
    let cases: &[(&str, &[&str])] = &[
        (
            "describe pods",
            &["Node:", "Controlled By:  ReplicaSet/shown-", "QoS Class:", "BestEffort", "Events:", "Started"],
        ),
        (
            "describe deployment shown",
            &["StrategyType:", "1 available", "NewReplicaSet:", "ScalingReplicaSet"],
        ),
        ("describe rs", &["Controlled By:", "Deployment/shown", "SuccessfulCreate"]),
        ("describe service shown", &["SingleStack", "Endpoints:"]),
        ("describe configmap shown", &["key:\n----\nvalue"]),
        ("describe secret shown", &["key:  5 bytes"]),
        ("describe serviceaccount default", &["Name:", "default"]),
        (
            "describe nodes",
            &["Conditions:", "KubeletReady", "Allocatable:", "PodCIDR:", "Non-terminated Pods:"],
        ),
        ("describe clusterrole view", &["Resources", "Verbs"]),
    ];
    with_each(&kubectl, |kubectl| {
        prints(kubectl, cases)?;
        let namespace = kubectl.ok(&["describe", "namespace", kubectl.namespace()])?;
        ensure!(namespace.contains("Active"), "{namespace}");
        Ok(())
    })
}

fn explain_has_descriptions(suite: &Suite) -> Result<()> {
    let kubectl = suite.cluster()?.kubectl()?;
    let cases: &[(&str, &[&str])] = &[
        ("explain pod", &["KIND:", "Pod", "spec"]),
        ("explain pod.spec.containers.resources.limits", &["Limits describes the maximum amount of compute"]),
        ("explain deployment.spec.strategy", &["rollingUpdate", "type"]),
        ("explain service --recursive", &["clusterIP", "sessionAffinityConfig"]),
    ];
    with_each(&kubectl, |kubectl| {
        prints(kubectl, cases)?;
        let error = kubectl.fails(&["explain", "pod.spec.nothing"])?;
        ensure!(error.contains("field \"nothing\" does not exist"), "{error}");
        Ok(())
    })
}

fn the_api_describes_itself(suite: &Suite) -> Result<()> {
    let kubectl = suite.cluster()?.kubectl()?;
    let cases: &[(&str, &[&str])] = &[
        ("api-resources", &["SHORTNAMES", "deployments", "deploy", "apps/v1", "endpointslices"]),
        (
            "api-resources --namespaced=false -o name",
            &["nodes", "namespaces", "clusterroles.rbac.authorization.k8s.io"],
        ),
        ("api-versions", &["apps/v1\n", "rbac.authorization.k8s.io/v1\n", "\nv1\n"]),
        ("cluster-info", &["is running at"]),
        ("version", &["v1.37"]),
        ("get --raw /version", &["\"gitVersion\": \"v1.37."]),
        ("get --raw /openapi/v3", &["paths"]),
    ];
    with_each(&kubectl, |kubectl| prints(kubectl, cases))
}

fn wait_sees_conditions_fields_and_deletions(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let pod = shell("waited", &suite.image("busybox:1")?, "sleep 1000");
    with_each(&kubectl, |kubectl| {
        kubectl.apply(&pod.to_string())?;
        for wanted in ["condition=Ready", "jsonpath={.status.phase}=Running"] {
            kubectl.ok(&["wait", "pod/waited", &format!("--for={wanted}"), "--timeout=60s"])?;
        }
        let error = kubectl.fails(&["wait", "pod/waited", "--for=condition=Nothing", "--timeout=1s"])?;
        ensure!(error.contains("timed out"), "{error}");
        let mut waiting = kubectl.start(&["wait", "pod/waited", "--for=delete", "--timeout=60s"])?;
        kubectl.ok(&["delete", "pod", "waited"])?;
        let status = waiting.wait_end()?;
        ensure!(status.success(), "{}", waiting.stderr());
        Ok(())
    })
}

fn events_are_listed(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    kubectl.apply(&shell("eventful", &suite.image("busybox:1")?, "sleep 1000").to_string())?;
    kubectl.until_ready("eventful")?;
    for (reason, text) in [
        ("Scheduled", "Successfully assigned"),
        ("Created", "Container created"),
        ("Started", "Container started"),
    ] {
        kubectl.until_event("eventful", reason, text)?;
    }
    with_each(&kubectl, |kubectl| {
        prints(
            kubectl,
            &[
                ("events --for pod/eventful", &["LAST SEEN", "Scheduled", "Pod/eventful"]),
                ("get events", &["LAST SEEN", "Normal", "pod/eventful"]),
            ],
        )
    })
}

fn the_default_objects_are_there(suite: &Suite) -> Result<()> {
    let kubectl = suite.cluster()?.kubectl()?;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        ensure!(kubectl.field(&format!("namespace/{name}"), ".status.phase")? == "Active", "{name}");
        kubectl.in_namespace(name).ok(&["get", "serviceaccount", "default"])?;
        kubectl.in_namespace(name).ok(&["get", "configmap", "kube-root-ca.crt"])?;
    }
    ensure!(kubectl.field("service/kubernetes", ".spec.clusterIP")? == "10.96.0.1");
    let port = suite.cluster()?.port().to_string();
    ensure!(kubectl.field("endpoints/kubernetes", ".subsets[0].ports[0].port")? == port);
    for role in ["cluster-admin", "admin", "edit", "view", "system:node"] {
        kubectl.ok(&["get", "clusterrole", role])?;
    }
    let leases = kubectl.in_namespace("kube-node-lease").get(&["leases"])?;
    ensure!(leases["items"].as_array().is_some_and(|items| items.len() == 1), "{leases}");
    Ok(())
}
