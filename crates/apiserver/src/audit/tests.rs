//! The audit log of a server: what is written for which request, and what is not.

use std::path::PathBuf;
use std::sync::Arc;

use http::Request;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Audit, LogOptions, Policy, PolicyError};
use crate::request::User;
use crate::tests::Harness;
use crate::wire::body;

const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/version"]
- level: Metadata
  resources: [{group: "", resources: ["secrets"]}]
- level: RequestResponse
  omitManagedFields: true
  users: ["admin"]
  resources: [{group: "", resources: ["configmaps"]}]
- level: Metadata
"#;

struct Logged {
    harness: Harness,
    audit: Arc<Audit>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Logged {
    async fn start(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let options =
            LogOptions { path: path.clone(), max_age_days: 1, max_backups: 1, max_size_megabytes: 10 };
        let audit = Arc::new(Audit::new(Policy::parse(policy.as_bytes()).unwrap(), options).unwrap());
        let harness = Harness::audited(audit.clone()).await;
        Self { harness, audit, path, _folder: folder }
    }

    /// The events of requests by anybody but the server itself.
    async fn events(self) -> Vec<Value> {
        drop(self.harness);
        let stop = CancellationToken::new();
        stop.cancel();
        self.audit.run(stop).await;
        let text = std::fs::read_to_string(&self.path).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["user"]["username"] != "system:apiserver").collect()
    }
}

#[tokio::test]
async fn requests_are_written_as_the_policy_wants() {
    let logged = Logged::start(POLICY).await;
    let harness = &logged.harness;
    harness.get("/version").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"password": "hunter2"}});
    harness.post("/api/v1/namespaces/default/secrets", &secret).await.ok();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    harness.post("/api/v1/namespaces/default/configmaps?fieldManager=x", &map).await.ok();
    harness.get("/api/v1/namespaces/default/configmaps/none").await;
    let nobody = User { name: "nobody".to_owned(), ..User::default() };
    let refused = Request::builder().uri("/api/v1/pods").extension(nobody).body(body::empty()).unwrap();
    harness.answer(refused).await;
    let unknown = Request::builder().uri("/api/v1/pods").header("authorization", "Bearer hunter3");
    assert_eq!(harness.answer(unknown.body(body::empty()).unwrap()).await.code, 401);

    let events = logged.events().await;
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains("hunter"), "{text}");
    assert_eq!(events.len(), 5, "{text}");
    let [secret, map, missing, refused, unknown] = events.as_slice() else { unreachable!("counted") };
    for event in &events {
        assert_eq!(
            (event["kind"].as_str(), event["apiVersion"].as_str()),
            (Some("Event"), Some("audit.k8s.io/v1"))
        );
        assert!(event["auditID"].is_string() && event["stageTimestamp"].is_string());
    }
    assert_eq!((secret["level"].as_str(), secret["verb"].as_str()), (Some("Metadata"), Some("create")));
    assert_eq!(
        secret["objectRef"],
        json!({"resource": "secrets", "namespace": "default", "name": "s", "apiVersion": "v1"})
    );
    assert_eq!(secret["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert_eq!(secret["stage"], "ResponseComplete");
    assert_eq!(secret["annotations"]["authorization.k8s.io/decision"], "allow");
    assert!(secret.get("requestObject").is_none());
    assert_eq!(map["requestURI"], "/api/v1/namespaces/default/configmaps?fieldManager=x");
    assert_eq!(map["requestObject"]["data"], json!({"a": "1"}));
    assert_eq!(map["responseObject"]["metadata"]["name"], "m");
    assert!(map["responseObject"]["metadata"].get("managedFields").is_none());
    assert_eq!(map["user"]["username"], "admin");
    assert_eq!(
        (missing["responseStatus"]["code"].as_i64(), missing["responseStatus"]["reason"].as_str()),
        (Some(404), Some("NotFound"))
    );
    assert_eq!(refused["responseStatus"]["code"], 403);
    assert_eq!(refused["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(unknown["responseStatus"]["code"], 401);
    assert_eq!(unknown["responseStatus"]["message"], "Authentication failed, attempted: bearer");
}

#[tokio::test]
async fn a_watch_has_a_start_and_an_end() {
    let policy = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata, verbs: [watch]}]}";
    let logged = Logged::start(policy).await;
    let uri = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=100";
    let response = logged.harness.send(Harness::request("GET", uri).body(body::empty()).unwrap()).await;
    drop(response);
    let stages: Vec<Value> =
        logged.events().await.into_iter().map(|mut event| event["stage"].take()).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseStarted", "ResponseComplete"]);
}

#[test]
fn wrong_policies_name_the_field() {
    let of = |rest: &str| format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{rest}");
    for (policy, want) in [
        (of("rules: []"), "loaded illegal policy with 0 rules"),
        (
            "kind: Policy\napiVersion: audit.k8s.io/v1beta1".to_owned(),
            "unknown group version field audit.k8s.io/v1beta1, Kind=Policy in policy",
        ),
        (
            of("rules: [{level: All}]"),
            r#"rules[0].level: Unsupported value: "All": supported values: "None", "Metadata", "Request", "RequestResponse""#,
        ),
        (of("rules: [{}]"), "rules[0].level: Required value"),
        (
            of("omitStages: [Never]\nrules: [{level: None, nonResourceURLs: [version]}]"),
            "[omitStages[0]: Invalid value: \"Never\": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic, \
             rules[0].nonResourceURLs[0]: Invalid value: \"version\": non-resource URL rules must begin with a '/' character]",
        ),
        (
            of("rules: [{level: None, resources: [{group: '', resourceNames: [x]}]}]"),
            r#"rules[0].resources.resourceNames: Invalid value: ["x"]: using resourceNames requires at least one resource"#,
        ),
    ] {
        assert_eq!(Policy::parse(policy.as_bytes()).expect_err(&policy).to_string(), want);
    }
    assert!(matches!(Policy::parse(b"a: [").unwrap_err(), PolicyError::Syntax(_)));
}

#[test]
fn resources_match_as_upstream() {
    use crate::wire::info::RequestInfo;
    use crate::wire::query::Query;
    let level = |resources: &str, uri: &str| {
        let rule = format!("{{level: Request, resources: [{{group: '', resources: [{resources}]}}]}}");
        let policy = format!("{{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{rule}]}}");
        let info = RequestInfo::parse(&http::Method::GET, uri, &Query::parse(""));
        Policy::parse(policy.as_bytes()).unwrap().wanted(&info, None).level == super::policy::Level::Request
    };
    let (pod, log) = ("/api/v1/namespaces/a/pods/x", "/api/v1/namespaces/a/pods/x/log");
    for (resources, uri, want) in [
        ("pods", pod, true),
        ("pods", log, false),
        ("pods/log", log, true),
        ("'pods/*'", log, true),
        ("'pods/*'", pod, true),
        ("'*/log'", log, true),
        ("'*/log'", pod, false),
        ("'*'", log, true),
        ("secrets", pod, false),
        ("'*'", "/apis/apps/v1/deployments", false),
        ("'*'", "/version", false),
    ] {
        assert_eq!(level(resources, uri), want, "{resources} {uri}");
    }
}
