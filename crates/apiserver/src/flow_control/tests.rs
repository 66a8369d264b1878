//! Priority and fairness over a server: objects, requests, waiting and refusals.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_store::MemoryStore;
use tokio_util::sync::CancellationToken;

use super::admit::{Admitted, FlowControl};
use super::schema::SchemaSpec;
use super::{Asked, LEVELS, SCHEMAS, defaults};
use crate::authorization::{Change, Index};
use crate::request::User;
use crate::tests::Harness;
use crate::wire::info::RequestInfo;
use crate::wire::query::Query;
use crate::{HookTable, Storage};

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
    User { name: name.to_owned(), groups, ..User::default() }
}

fn account(name: &str) -> User {
    let group = if name.starts_with("system:serviceaccount:") { "system:serviceaccounts" } else { "others" };
    user(name, &[group])
}

fn request(method: &Method, uri: &str) -> (RequestInfo, Query) {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let query = Query::parse(query);
    (RequestInfo::parse(method, path, &query), query)
}

fn storage() -> Storage {
    Storage::new(Arc::new(MemoryStore::default()), steersman_registry::resources(), &HookTable::new())
}

/// The objects of these defaults, as they are stored.
fn stored(defaults: Vec<defaults::Default>) -> Change {
    let with_uid = |default: defaults::Default| {
        let mut object = default.object;
        object["metadata"]["uid"] = format!("uid-of-{}", object["metadata"]["name"].as_str().unwrap()).into();
        Arc::new(object)
    };
    Change::Replace(defaults.into_iter().map(with_uid).collect())
}

fn with_defaults(total: u32) -> FlowControl {
    let flow = FlowControl::new(total);
    flow.apply(LEVELS, stored(defaults::levels()));
    flow.apply(SCHEMAS, stored(defaults::schemas()));
    flow
}

async fn admit(flow: &FlowControl, storage: &Storage, who: &User, uri: &str) -> Option<Admitted> {
    let (info, query) = request(&Method::GET, uri);
    flow.admit(storage, Asked { info: &info, query: &query, user: who, gone: None }).await.ok()
}

#[test]
fn requests_belong_where_upstream_puts_them() {
    let flow = with_defaults(600);
    let current = flow.current();
    let pods = "/api/v1/namespaces/a/pods";
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x";
    for (who, uri, schema, level) in [
        (user("root", &["system:masters"]), pods, "exempt", "exempt"),
        (user("x", &[]), "/readyz", "probes", "exempt"),
        (user("x", &[]), "/readyz/etcd", "probes", "exempt"),
        (user("x", &[]), "/version", "global-default", "global-default"),
        (user("system:kube-scheduler", &[]), lease, "system-leader-election", "leader-election"),
        (account("system:serviceaccount:kube-system:a"), lease, "system-leader-election", "leader-election"),
        (user("system:node:n", &["system:nodes"]), lease, "system-node-high", "node-high"),
        (user("system:node:n", &["system:nodes"]), "/api/v1/nodes/n", "system-node-high", "node-high"),
        (user("system:node:n", &["system:nodes"]), "/api/v1/nodes/n/status", "system-node-high", "node-high"),
        (user("system:node:n", &["system:nodes"]), pods, "system-nodes", "system"),
        (user("system:kube-controller-manager", &[]), pods, "kube-controller-manager", "workload-high"),
        (user("system:kube-scheduler", &[]), pods, "kube-scheduler", "workload-high"),
        (
            account("system:serviceaccount:kube-system:a"),
            pods,
            "kube-system-service-accounts",
            "workload-high",
        ),
        (account("system:serviceaccount:kube-systems:a"), pods, "service-accounts", "workload-low"),
        (user("jane", &[]), pods, "global-default", "global-default"),
        (User { name: "odd".to_owned(), ..User::default() }, pods, "catch-all", "catch-all"),
    ] {
        let (info, _) = request(&Method::GET, uri);
        let found = current.schema_of(&info, &who);
        let found = (found.plan.name.as_str(), current.levels[found.plan.level].plan.name.as_str());
        assert_eq!(found, (schema, level), "{} {uri}", who.name);
    }
}

#[test]
fn rules_match_as_upstream() {
    let spec = |rule: Tree| -> SchemaSpec {
        let subjects = json!([{"kind": "User", "user": {"name": "*"}}]);
        let mut rule = rule;
        rule["subjects"] = subjects;
        serde_json::from_value(json!({"rules": [rule]})).unwrap()
    };
    let resources = |resources: Tree, namespaces: Tree, cluster: bool| {
        spec(json!({"resourceRules": [{"verbs": ["*"], "apiGroups": [""], "resources": resources,
            "namespaces": namespaces, "clusterScope": cluster}]}))
    };
    let paths = |url: &str| spec(json!({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": [url]}]}));
    for (spec, uri, want) in [
        (resources(json!(["pods"]), json!(["a"]), false), "/api/v1/namespaces/a/pods", true),
        (resources(json!(["pods"]), json!(["a"]), false), "/api/v1/namespaces/b/pods", false),
        (resources(json!(["pods"]), json!(["*"]), false), "/api/v1/pods", false),
        (resources(json!(["pods"]), json!([]), true), "/api/v1/pods", true),
        (resources(json!(["pods"]), json!(["*"]), false), "/api/v1/namespaces/b/pods/x/status", false),
        (resources(json!(["pods/status"]), json!(["*"]), false), "/api/v1/namespaces/b/pods/x/status", true),
        (resources(json!(["*"]), json!(["*"]), false), "/api/v1/namespaces/b/pods/x/status", true),
        (resources(json!(["*"]), json!(["*"]), false), "/apis/apps/v1/namespaces/b/deployments", false),
        (paths("/healthz"), "/healthz", true),
        (paths("/healthz"), "/healthz/ping", true),
        (paths("/healthz"), "/healthzz", false),
        (paths("/healthz/*"), "/healthz", false),
        (paths("/healthz/*"), "/healthz/ping", true),
        (paths("*"), "/version", true),
    ] {
        let (info, _) = request(&Method::GET, uri);
        assert_eq!(spec.matches(&info, &user("x", &[])), want, "{uri} {spec:?}");
    }
}

#[test]
fn without_objects_the_mandatory_ones_are_imagined() {
    let flow = FlowControl::new(600);
    let current = flow.current();
    let names: Vec<_> = current.schemas.iter().map(|s| s.plan.name.as_str()).collect();
    assert_eq!(names, ["exempt", "catch-all"]);
    let limits: Vec<_> = current.levels.iter().map(|l| (l.plan.name.as_str(), l.limits.nominal)).collect();
    assert_eq!(limits, [("catch-all", 600), ("exempt", 0)]);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_seat_waits_and_gives_up() {
    let (flow, storage, jane) = (Arc::new(with_defaults(24)), Arc::new(storage()), user("jane", &[]));
    let seats = flow.current().levels.iter().find(|l| l.plan.name == "global-default").unwrap().seats.clone();
    seats.set_limit(2);
    let pod = "/api/v1/namespaces/a/pods/x";
    let first = admit(&flow, &storage, &jane, pod).await.expect("a seat is free");
    let second = admit(&flow, &storage, &jane, pod).await.expect("a seat is free");
    assert_eq!(first.matched.as_ref().map(|m| m.schema.to_str().unwrap()), Some("uid-of-global-default"));
    assert!(admit(&flow, &storage, &user("root", &["system:masters"]), pod).await.is_some(), "is exempt");
    assert!(admit(&flow, &storage, &jane, pod).await.is_none(), "gives up after 15 s");
    let waiting = {
        let (flow, storage, jane) = (flow.clone(), storage.clone(), jane.clone());
        tokio::spawn(async move { admit(&flow, &storage, &jane, pod).await.is_some() })
    };
    let gives_up = {
        let (flow, storage, jane) = (flow.clone(), storage.clone(), jane.clone());
        tokio::spawn(async move { admit(&flow, &storage, &jane, pod).await.is_some() })
    };
    while seats.with(|seats| seats.waiting()) < 2 {
        tokio::task::yield_now().await;
    }
    let table = flow.dump("dump_requests", true).expect("a table");
    assert_eq!(table.lines().filter(|line| line.starts_with("global-default,")).count(), 2, "{table}");
    gives_up.abort();
    assert!(gives_up.await.is_err());
    assert_eq!(seats.with(|seats| seats.waiting()), 1, "who leaves frees the place");
    drop(second);
    assert!(waiting.await.unwrap(), "the seat goes to who waits");
    drop(first);
    assert_eq!(seats.with(|seats| (seats.in_use(), seats.waiting())), (0, 0));
    let metrics = flow.metrics();
    let labels = r#"flow_schema="global-default",priority_level="global-default""#;
    for line in [
        format!("apiserver_flowcontrol_dispatched_requests_total{{{labels}}} 3"),
        format!("apiserver_flowcontrol_rejected_requests_total{{{labels},reason=\"time-out\"}} 1"),
        format!("apiserver_flowcontrol_current_executing_requests{{{labels}}} 0"),
        r#"apiserver_flowcontrol_nominal_limit_seats{priority_level="workload-low"} 10"#.to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_frees_its_place() {
    let (flow, storage, jane) = (with_defaults(24), storage(), user("jane", &[]));
    let seats = flow.current().levels.iter().find(|l| l.plan.name == "global-default").unwrap().seats.clone();
    seats.set_limit(1);
    let _taken = admit(&flow, &storage, &jane, "/version").await.expect("a seat is free");
    let gone = CancellationToken::new();
    gone.cancel();
    let (info, query) = request(&Method::POST, "/api/v1/namespaces/a/pods");
    let asked = Asked { info: &info, query: &query, user: &jane, gone: Some(&gone) };
    assert!(flow.admit(&storage, asked).await.is_err());
    assert_eq!(seats.with(|seats| (seats.waiting(), seats.totals().cancelled)), (0, 1));
}

#[tokio::test]
async fn seats_are_lent_to_the_busy() {
    let (flow, storage) = (with_defaults(600), storage());
    let bot = account("system:serviceaccount:default:bot");
    let mut held = Vec::new();
    for _ in 0..130 {
        held.push(admit(&flow, &storage, &bot, "/api/v1/namespaces/a/pods/x").await.expect("a seat is free"));
    }
    let limits = || -> Vec<(String, u32)> {
        let current = flow.current();
        current.levels.iter().map(|level| (level.plan.name.clone(), level.seats.limit())).collect()
    };
    let of = |limits: &[(String, u32)], name: &str| limits.iter().find(|(level, _)| level == name).unwrap().1;
    let before = limits();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    flow.end_period();
    let busy = limits();
    assert!(of(&busy, "workload-low") > of(&before, "workload-low"), "{before:?} {busy:?}");
    assert!(busy.iter().map(|(_, seats)| seats).sum::<u32>().abs_diff(602) <= 8, "{busy:?}");
}

#[tokio::test]
async fn the_server_keeps_its_objects_and_limits_by_them() {
    let flow = Arc::new(FlowControl::new(600));
    let harness = Harness::limited(flow.clone()).await;
    let stop = CancellationToken::new();
    let running = {
        let (flow, server, stop) = (flow.clone(), harness.server.clone(), stop.clone());
        tokio::spawn(async move { flow.run(&server.0.storage.clone(), &server, stop).await })
    };
    let base = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let until = async |what: &dyn Fn(&Tree) -> bool, uri: &str| {
        loop {
            let found = harness.get(uri).await.json();
            if what(&found) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let not_dangling = |schema: &Tree| schema["status"]["conditions"][0]["status"] == "False";
    let all = |list: &Tree| {
        list["items"].as_array().is_some_and(|items| items.len() == 11 && items.iter().all(not_dangling))
    };
    until(&all, &format!("{base}/flowschemas")).await;
    let levels = harness.get(&format!("{base}/prioritylevelconfigurations")).await.ok();
    assert_eq!(levels["items"].as_array().map(Vec::len), Some(8));

    let level = format!("{base}/prioritylevelconfigurations/global-default");
    let mut found = harness.get(&level).await.ok();
    found["spec"]["limited"]["nominalConcurrencyShares"] = 7.into();
    harness.put(&level, &found).await.ok();
    until(&|level| level["spec"]["limited"]["nominalConcurrencyShares"] == 20, &level).await;

    harness.delete(&format!("{base}/prioritylevelconfigurations/workload-low")).await;
    let back = until(
        &|level| level["kind"] == "PriorityLevelConfiguration",
        &format!("{base}/prioritylevelconfigurations/workload-low"),
    )
    .await;
    assert_eq!(back["spec"]["limited"]["nominalConcurrencyShares"], 100);

    let schema = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
        "metadata": {"name": "lost"}, "spec": {"priorityLevelConfiguration": {"name": "nowhere"}}});
    harness.post(&format!("{base}/flowschemas"), &schema).await.ok();
    until(
        &|schema| schema["status"]["conditions"][0]["reason"] == "NotFound",
        &format!("{base}/flowschemas/lost"),
    )
    .await;

    let shut = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "shut"}, "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}}});
    let shut = harness.post(&format!("{base}/prioritylevelconfigurations"), &shut).await.ok();
    let to_shut = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
        "metadata": {"name": "to-shut"}, "spec": {"priorityLevelConfiguration": {"name": "shut"}, "matchingPrecedence": 5,
        "rules": [{"subjects": [{"kind": "User", "user": {"name": "admin"}}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/version"]}]}]}});
    harness.post(&format!("{base}/flowschemas"), &to_shut).await.ok();
    let header = |answer: &crate::tests::Answer, name: &str| {
        answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let uid = shut["metadata"]["uid"].as_str().unwrap();
    while header(&harness.get("/version").await, "x-kubernetes-pf-prioritylevel-uid") != uid {
        tokio::task::yield_now().await;
    }
    let storage = harness.server.0.storage.clone();
    let admin = User { name: "admin".to_owned(), ..User::default() };
    let _only_seat =
        admit(&flow, &storage, &admin, "/version").await.expect("even no seats run one at a time");
    let refused = harness.get("/version").await;
    assert_eq!(refused.code, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.body, "Too many requests, please try again later.\n");
    assert_eq!(
        (header(&refused, "retry-after"), header(&refused, "x-kubernetes-pf-prioritylevel-uid")),
        ("1".to_owned(), uid.to_owned())
    );
    let dump = harness.get("/debug/api_priority_and_fairness/dump_priority_levels").await;
    assert!(String::from_utf8_lossy(&dump.body).lines().any(|line| line.starts_with("shut,")));
    stop.cancel();
    running.await.unwrap();
}
