use serde_json::json;
use steersman_apimachinery::Tree;

use super::*;
use crate::authorization::{Authorization, NodeGraph, Rbac};
use crate::fake::FakeObjects;
use crate::request::User;

/// What a request asks of the whole chain.
struct Ask {
    operation: Operation,
    resource: &'static str,
    subresource: &'static str,
    namespace: &'static str,
    name: &'static str,
    user: User,
    object: Option<Tree>,
    old: Option<Tree>,
}

fn ask(operation: Operation, resource: &'static str, object: Option<Tree>) -> Ask {
    let user = User { name: "ann".to_owned(), ..User::default() };
    Ask { operation, resource, subresource: "", namespace: "ns", name: "", user, object, old: None }
}

fn pod(spec: Tree) -> Ask {
    let mut pod =
        json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": {"containers": [{"name": "c"}]}});
    spec.as_object().unwrap().iter().for_each(|(key, value)| pod["spec"][key] = value.clone());
    ask(Operation::Create, "pods", Some(pod))
}

fn world() -> Arc<FakeObjects> {
    let objects = FakeObjects::default();
    objects.put("", "namespaces", json!({"metadata": {"name": "ns"}, "status": {"phase": "Active"}}));
    objects.put("", "namespaces", json!({"metadata": {"name": "dying"}, "status": {"phase": "Terminating"}}));
    objects.put(
        "",
        "serviceaccounts",
        json!({"metadata": {"name": "default", "namespace": "ns"},
        "imagePullSecrets": [{"name": "registry"}]}),
    );
    objects.put(
        "",
        "serviceaccounts",
        json!({"metadata": {"name": "quiet", "namespace": "ns"},
        "automountServiceAccountToken": false}),
    );
    objects.put("", "nodes", json!({"metadata": {"name": "n1", "uid": "node-uid"}}));
    for (name, node) in [("mine", "n1"), ("theirs", "n2")] {
        objects.put("", "pods", json!({"metadata": {"name": name, "namespace": "ns", "uid": name},
            "spec": {"nodeName": node, "volumes": [{"projected": {"sources": [{"serviceAccountToken": {"path": "token"}},
                {"serviceAccountToken": {"audience": "vault", "path": "v"}}]}}]}}));
    }
    objects.put(
        "scheduling.k8s.io",
        "priorityclasses",
        json!({"metadata": {"name": "high"}, "value": 1000,
        "preemptionPolicy": "Never"}),
    );
    for class in steersman_registry::system_priority_classes() {
        objects.put("scheduling.k8s.io", "priorityclasses", class);
    }
    Arc::new(objects)
}

async fn run(ask: Ask) -> Result<Tree, ApiError> {
    let objects: Arc<dyn ObjectReader> = world();
    let rbac = Arc::new(Rbac::default());
    let authorizer = Arc::new(Authorization::new(Arc::new(NodeGraph::default()), rbac.clone()));
    let chain = plugins(&objects, RoleEscalation::new(rbac, authorizer));
    let mut object = ask.object;
    let group = match ask.resource {
        "leases" => "coordination.k8s.io",
        "deployments" => "apps",
        _ => "",
    };
    let mut request = AdmissionRequest {
        operation: ask.operation,
        group,
        version: "v1",
        kind: "",
        resource: ask.resource,
        subresource: ask.subresource,
        namespace: ask.namespace,
        name: ask.name,
        object: object.as_mut(),
        old: ask.old.as_ref(),
        user: &ask.user,
        dry_run: false,
    };
    for plugin in &chain {
        plugin.admit(&mut request).await?;
    }
    for plugin in &chain {
        plugin.validate(&request).await?;
    }
    Ok(object.unwrap_or_default())
}

async fn refused(ask: Ask) -> (u16, String) {
    let error = run(ask).await.expect_err("a refusal");
    (error.code, error.message)
}

#[test]
fn the_order_is_upstreams() {
    let objects: Arc<dyn ObjectReader> = world();
    let rbac = Arc::new(Rbac::default());
    let authorizer = Arc::new(Authorization::new(Arc::new(NodeGraph::default()), rbac.clone()));
    let names: Vec<_> =
        plugins(&objects, RoleEscalation::new(rbac, authorizer)).iter().map(|plugin| plugin.name()).collect();
    let upstream = [
        "RoleEscalation",
        "NamespaceLifecycle",
        "ServiceAccount",
        "NodeRestriction",
        "TaintNodesByCondition",
        "PodSecurity",
        "Priority",
        "DefaultTolerationSeconds",
    ];
    assert_eq!(names, upstream);
}

#[tokio::test]
async fn namespaces_must_be_there_and_alive() {
    let create = |namespace| Ask {
        namespace,
        ..ask(Operation::Create, "configmaps", Some(json!({"metadata": {"generateName": "web-"}})))
    };
    assert_eq!(refused(create("none")).await, (404, "namespaces \"none\" not found".to_owned()));
    let error = run(create("dying")).await.unwrap_err();
    assert_eq!(
        error.message,
        "configmaps \"web-\" is forbidden: unable to create new content in namespace dying because it is being terminated"
    );
    let cause = &error.details.unwrap().causes[0];
    assert_eq!(
        (cause.reason.as_str(), cause.field.as_str(), cause.message.as_str()),
        ("NamespaceTerminating", "metadata.namespace", "namespace dying is being terminated")
    );
    for operation in [Operation::Update, Operation::Delete] {
        let late = Ask { namespace: "dying", ..ask(operation, "configmaps", None) };
        assert!(run(late).await.is_ok(), "what is there may change and go");
    }
    let kill = |name| Ask { name, namespace: name, ..ask(Operation::Delete, "namespaces", None) };
    assert_eq!(
        refused(kill("kube-system")).await,
        (403, "namespaces \"kube-system\" is forbidden: this namespace may not be deleted".to_owned())
    );
    assert!(run(kill("dying")).await.is_ok());
}

#[tokio::test]
async fn pods_get_account_token_and_pull_secrets() {
    let spec = run(pod(json!({"initContainers": [{"name": "i"}]}))).await.unwrap()["spec"].take();
    assert_eq!(
        (&spec["serviceAccountName"], &spec["serviceAccount"]),
        (&json!("default"), &json!("default"))
    );
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "registry"}]));
    let volume = &spec["volumes"][0];
    let name = volume["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    assert_eq!(volume["projected"]["defaultMode"], 420);
    let token = &volume["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token, &json!({"expirationSeconds": 3607, "path": "token"}));
    for list in ["containers", "initContainers"] {
        let mount = json!({"name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
        assert_eq!(spec[list][0]["volumeMounts"], json!([mount]));
    }
}

#[tokio::test]
async fn tokens_can_be_declined() {
    let own_mount = json!([{"name": "c", "volumeMounts": [{"name": "x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}]);
    for spec in [
        json!({"serviceAccountName": "quiet"}),
        json!({"automountServiceAccountToken": false}),
        json!({"containers": own_mount}),
    ] {
        let admitted = run(pod(spec.clone())).await.unwrap();
        assert_eq!(admitted["spec"].get("volumes"), None, "{spec}");
    }
    let forced = json!({"serviceAccountName": "quiet", "automountServiceAccountToken": true});
    assert_eq!(run(pod(forced)).await.unwrap()["spec"]["volumes"].as_array().unwrap().len(), 1);
    let again = run(pod(json!({"volumes": [{"name": "kube-api-access-abcde"}]}))).await.unwrap();
    assert_eq!(again["spec"]["volumes"], json!([{"name": "kube-api-access-abcde"}]));
    assert_eq!(again["spec"]["containers"][0]["volumeMounts"][0]["name"], "kube-api-access-abcde");
}

#[tokio::test]
async fn an_unknown_account_is_named() {
    let want = "pods \"web\" is forbidden: error looking up service account ns/ghost: serviceaccount \"ghost\" not found";
    assert_eq!(refused(pod(json!({"serviceAccountName": "ghost"}))).await, (403, want.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_new_namespaces_account_is_waited_for() {
    let objects = world();
    objects.put("", "namespaces", json!({"metadata": {"name": "new"}}));
    let plugin = ServiceAccount::new(objects.clone());
    let mut pod = json!({"metadata": {"name": "web", "namespace": "new"}, "spec": {"containers": []}});
    let user = User::default();
    let mut request = AdmissionRequest {
        operation: Operation::Create,
        group: "",
        version: "v1",
        kind: "Pod",
        resource: "pods",
        subresource: "",
        namespace: "new",
        name: "web",
        object: Some(&mut pod),
        old: None,
        user: &user,
        dry_run: false,
    };
    let controller = async {
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        objects.put("", "serviceaccounts", json!({"metadata": {"name": "default", "namespace": "new"}}));
    };
    let (outcome, ()) = tokio::join!(plugin.admit(&mut request), controller);
    assert_eq!(outcome, Ok(()));
}

#[tokio::test]
async fn mirror_pods_stay_as_they_are() {
    let mirror = |spec: Tree| {
        let mut mirror = pod(spec);
        mirror.object.as_mut().unwrap()["metadata"]["annotations"] =
            json!({"kubernetes.io/config.mirror": "x"});
        mirror
    };
    assert_eq!(run(mirror(json!({}))).await.unwrap()["spec"].get("serviceAccountName"), None);
    let secret = mirror(json!({"volumes": [{"secret": {"secretName": "s"}}]}));
    assert_eq!(refused(secret).await.1, "pods \"web\" is forbidden: a mirror pod may not reference secrets");
}

#[tokio::test]
async fn priority_comes_from_the_class() {
    let cases = [
        (json!({}), json!([null, 0, "PreemptLowerPriority"])),
        (
            json!({"priorityClassName": "system-node-critical"}),
            json!(["system-node-critical", 2_000_001_000, "PreemptLowerPriority"]),
        ),
        (json!({"priorityClassName": "high"}), json!(["high", 1000, "Never"])),
        (json!({"priority": 0}), json!([null, 0, "PreemptLowerPriority"])),
    ];
    for (spec, want) in cases {
        let got = run(pod(spec)).await.unwrap()["spec"].take();
        assert_eq!(json!([got["priorityClassName"], got["priority"], got["preemptionPolicy"]]), want);
    }
    assert_eq!(
        refused(pod(json!({"priorityClassName": "none"}))).await,
        (403, "pods \"web\" is forbidden: no PriorityClass with name none was found".to_owned())
    );
    assert_eq!(
        refused(pod(json!({"priority": 7}))).await.1,
        "pods \"web\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name"
    );
    let old = json!({"spec": {"priority": 5, "preemptionPolicy": "Never"}});
    let update = Ask { operation: Operation::Update, old: Some(old), ..pod(json!({})) };
    assert_eq!(run(update).await.unwrap()["spec"]["priority"], 5);
}

#[tokio::test]
async fn pods_tolerate_a_lost_node_for_five_minutes() {
    let tolerations = |given: Tree| async move {
        let admitted = run(pod(json!({"tolerations": given}))).await.unwrap();
        admitted["spec"]["tolerations"].as_array().unwrap().len()
    };
    assert_eq!(tolerations(json!([])).await, 2);
    assert_eq!(tolerations(json!([{"operator": "Exists"}])).await, 1, "everything is tolerated already");
    assert_eq!(tolerations(json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}])).await, 2);
    assert_eq!(
        tolerations(json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])).await,
        3
    );
    let admitted = run(pod(json!({}))).await.unwrap();
    assert_eq!(
        admitted["spec"]["tolerations"][0],
        json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    );
}

fn kubelet(ask: Ask) -> Ask {
    let user = User {
        name: "system:node:n1".to_owned(),
        groups: vec!["system:nodes".to_owned()],
        ..User::default()
    };
    Ask { user, ..ask }
}

#[tokio::test]
async fn new_nodes_are_tainted_once() {
    let node = |taints: Tree| {
        ask(Operation::Create, "nodes", Some(json!({"metadata": {"name": "n1"}, "spec": {"taints": taints}})))
    };
    let not_ready = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    for given in [json!(null), json!([not_ready])] {
        let create = Ask { namespace: "", ..node(given) };
        assert_eq!(run(create).await.unwrap()["spec"]["taints"], json!([not_ready]));
    }
}

#[tokio::test]
async fn kubelets_write_their_own_node() {
    let node = |name: &str, labels: Tree| json!({"metadata": {"name": name, "labels": labels}, "spec": {}});
    let create =
        |object: Tree| kubelet(Ask { namespace: "", ..ask(Operation::Create, "nodes", Some(object)) });
    let update = |new: Tree, old: Tree| {
        let asked =
            Ask { namespace: "", name: "n1", old: Some(old), ..ask(Operation::Update, "nodes", Some(new)) };
        kubelet(asked)
    };
    assert!(run(create(node("n1", json!({"kubernetes.io/hostname": "n1", "disk": "ssd"})))).await.is_ok());
    assert_eq!(
        refused(create(node("n2", json!({})))).await.1,
        "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\""
    );
    assert_eq!(
        refused(create(node("n1", json!({"node-role.kubernetes.io/x": ""})))).await.1,
        "nodes \"n1\" is forbidden: node \"n1\" is not allowed to set the following labels: node-role.kubernetes.io/x"
    );
    let labelled = node("n1", json!({"node-role.kubernetes.io/x": ""}));
    assert!(run(update(labelled.clone(), labelled.clone())).await.is_ok(), "others may set it");
    assert_eq!(
        refused(update(node("n1", json!({})), labelled)).await.1,
        "nodes \"n1\" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/x"
    );
    let mut tainted = node("n1", json!({}));
    tainted["spec"]["taints"] = json!([{"key": "x"}]);
    assert_eq!(
        refused(update(node("n1", json!({})), tainted)).await.1,
        "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints"
    );
}

#[tokio::test]
async fn kubelets_touch_their_own_pods() {
    let at = |operation, subresource, name, object: Option<Tree>| {
        kubelet(Ask { subresource, name, old: None, ..ask(operation, "pods", object) })
    };
    assert!(run(at(Operation::Delete, "", "mine", None)).await.is_ok());
    assert_eq!(
        refused(at(Operation::Delete, "", "theirs", None)).await.1,
        "pods \"theirs\" is forbidden: node \"n1\" can only delete pods with spec.nodeName set to itself"
    );
    assert_eq!(
        refused(at(Operation::Delete, "", "gone", None)).await,
        (404, "pods \"gone\" not found".to_owned())
    );
    assert!(run(at(Operation::Create, "eviction", "mine", Some(json!({})))).await.is_ok());
    let status = |node: &str, label: &str| Ask {
        old: Some(json!({"metadata": {"labels": {"a": "b"}}, "spec": {"nodeName": node}})),
        ..at(Operation::Update, "status", "p", Some(json!({"metadata": {"labels": {"a": label}}})))
    };
    assert!(run(status("n1", "b")).await.is_ok());
    assert_eq!(
        refused(status("n2", "b")).await.1,
        "pods \"p\" is forbidden: node \"n1\" can only update pod status for pods with spec.nodeName set to itself"
    );
    assert_eq!(
        refused(status("n1", "c")).await.1,
        "pods \"p\" is forbidden: node \"n1\" cannot update labels through pod status"
    );
    assert_eq!(
        refused(at(Operation::Update, "", "mine", Some(json!({})))).await.1,
        "pods \"mine\" is forbidden: unexpected operation \"UPDATE\", node \"n1\" can only create and delete mirror pods"
    );
}

#[tokio::test]
async fn kubelets_mirror_static_pods_only() {
    let mirror = json!({
        "metadata": {"name": "m", "namespace": "ns", "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": true}]},
        "spec": {"nodeName": "n1", "containers": []},
    });
    let create = |change: fn(&mut Tree)| {
        let mut pod = mirror.clone();
        change(&mut pod);
        kubelet(ask(Operation::Create, "pods", Some(pod)))
    };
    assert!(run(create(|_| ())).await.is_ok());
    type Change = fn(&mut Tree);
    let cases: [(Change, &str); 5] = [
        (
            |p| p["spec"]["nodeName"] = "n2".into(),
            "node \"n1\" can only create pods with spec.nodeName set to itself",
        ),
        (
            |p| p["metadata"]["ownerReferences"] = json!([]),
            "node \"n1\" can only create pods with an owner reference set to itself",
        ),
        (
            |p| p["metadata"]["ownerReferences"][0]["uid"] = "x".into(),
            "node n1 UID mismatch: expected x got node-uid",
        ),
        (
            |p| p["metadata"]["ownerReferences"][0]["controller"] = false.into(),
            "node \"n1\" can only create pods with a controller owner reference set to itself",
        ),
        (
            |p| p["spec"]["containers"] = json!([{"env": [{"valueFrom": {"secretKeyRef": {"name": "s"}}}]}]),
            "node \"n1\" can not create pods that reference secrets",
        ),
    ];
    for (change, why) in cases {
        assert_eq!(refused(create(change)).await.1, format!("pods \"m\" is forbidden: {why}"));
    }
}

#[tokio::test]
async fn kubelets_get_tokens_for_their_pods_only() {
    let request = |spec: Tree| {
        let object = Some(json!({ "spec": spec }));
        kubelet(Ask { subresource: "token", name: "sa", ..ask(Operation::Create, "serviceaccounts", object) })
    };
    let bound = |pod: &str, uid: &str, audiences: Tree| json!({"audiences": audiences, "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}});
    assert!(run(request(bound("mine", "mine", json!([])))).await.is_ok());
    assert!(run(request(bound("mine", "mine", json!(["vault"])))).await.is_ok());
    let cases = [
        (json!({}), "node requested token not bound to a pod"),
        (bound("mine", "", json!([])), "node requested token with a pod binding without a uid"),
        (
            bound("theirs", "theirs", json!([])),
            "node requested token bound to a pod scheduled on a different node",
        ),
        (
            bound("mine", "old", json!([])),
            "the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated",
        ),
        (
            bound("mine", "mine", json!(["bank"])),
            "service account token audience \"bank\" not found in pod spec volume",
        ),
    ];
    for (spec, why) in cases {
        assert_eq!(refused(request(spec)).await.1, format!("serviceaccounts \"sa\" is forbidden: {why}"));
    }
}

#[tokio::test]
async fn kubelets_hold_their_own_lease() {
    let lease = |namespace, name| kubelet(Ask { namespace, name, ..ask(Operation::Update, "leases", None) });
    assert!(run(lease("kube-node-lease", "n1")).await.is_ok());
    assert_eq!(
        refused(lease("kube-node-lease", "n2")).await.1,
        "leases.coordination.k8s.io \"n2\" is forbidden: can only access node lease with the same name as the requesting node"
    );
    assert_eq!(
        refused(lease("ns", "n1")).await.1,
        "leases.coordination.k8s.io \"n1\" is forbidden: can only access leases in the \"kube-node-lease\" system namespace"
    );
}

#[tokio::test]
async fn pods_keep_to_the_level_of_their_namespace() {
    let objects = world();
    let labels = json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.30"});
    objects.put("", "namespaces", json!({"metadata": {"name": "ns", "labels": labels}}));
    let plugin = PodSecurity::new(objects);
    let user = User::default();
    let check = |mut pod: Tree, old: Option<Tree>| {
        let (plugin, user) = (&plugin, &user);
        async move {
            let request = AdmissionRequest {
                operation: if old.is_some() { Operation::Update } else { Operation::Create },
                group: "",
                version: "v1",
                kind: "Pod",
                resource: "pods",
                subresource: "",
                namespace: "ns",
                name: "web",
                object: Some(&mut pod),
                old: old.as_ref(),
                user,
                dry_run: false,
            };
            plugin.validate(&request).await.map_err(|error| error.message)
        }
    };
    let host =
        |image: &str| json!({"spec": {"hostNetwork": true, "containers": [{"name": "c", "image": image}]}});
    let refused = "pods \"web\" is forbidden: violates PodSecurity \"baseline:v1.30\": host namespaces (hostNetwork=true)";
    assert_eq!(check(json!({"spec": {"containers": []}}), None).await, Ok(()));
    assert_eq!(check(host("a"), None).await, Err(refused.to_owned()));
    assert_eq!(check(host("a"), Some(host("a"))).await, Ok(()), "nothing that counts has changed");
    assert_eq!(check(host("b"), Some(host("a"))).await, Err(refused.to_owned()));
}

#[tokio::test]
async fn levels_of_namespaces_must_be_known() {
    let create = |level: &str| {
        let labels = json!({"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/warn-version": "v2"});
        let object = json!({"metadata": {"name": "x", "labels": labels}});
        Ask { namespace: "x", name: "x", ..ask(Operation::Create, "namespaces", Some(object)) }
    };
    assert_eq!(
        refused(create("strict")).await,
        (422, "Namespace \"x\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"v2\": must be \"latest\" or \"v1.x\"]".to_owned())
    );
}
