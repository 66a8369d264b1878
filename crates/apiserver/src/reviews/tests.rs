use serde_json::json;
use steersman_apimachinery::Tree;

use super::*;
use crate::authorization::{Authorization, Change, Index, NodeGraph};
use crate::config::Creation;
use crate::request::{CreateRequest, User};
use crate::tokens::tests::{issuer, objects};

fn rbac() -> Arc<Rbac> {
    let rbac = Arc::new(Rbac::default());
    let put = |resource: &str, object: Tree| rbac.apply(resource, Change::Put(Arc::new(object)));
    put(
        "clusterroles",
        json!({"metadata": {"name": "reader"}, "rules": [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
        {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]}),
    );
    put(
        "clusterrolebindings",
        json!({"metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "reader"}, "subjects": [{"kind": "User", "name": "ann"}]}),
    );
    put(
        "rolebindings",
        json!({"metadata": {"name": "broken", "namespace": "ns"},
        "roleRef": {"kind": "Role", "name": "none"}, "subjects": [{"kind": "User", "name": "ann"}]}),
    );
    rbac
}

async fn ask(resource: &str, namespace: &str, object: Tree) -> Result<Tree, (u16, String)> {
    let rbac = rbac();
    let authorizer: Arc<dyn Authorizer> =
        Arc::new(Authorization::new(Arc::new(NodeGraph::default()), rbac.clone()));
    let (issuer, objects) = (Arc::new(issuer()), Arc::new(objects()));
    let tokens = Arc::new(ServiceAccountTokens::new(issuer.clone(), objects.clone()));
    let all = creators(&authorizer, &rbac, &tokens, TokenRequests::new(issuer, objects));
    let Creation { subresource, creator, .. } =
        all.iter().find(|creation| creation.resource == resource).expect("a resource that is answered");
    let user = User { name: "ann".to_owned(), groups: vec!["dev".to_owned()], ..User::default() };
    let name = if subresource.is_empty() { "" } else { "builder" };
    let request = CreateRequest { namespace, name, object, user: &user, dry_run: false };
    creator.create(request).await.map_err(|error| (error.code, error.message))
}

#[tokio::test]
async fn access_is_as_requests_have_it() {
    let resource = |name: &str| json!({"verb": "get", "resource": "pods", "name": name, "namespace": "ns"});
    let named =
        |user: &str, name: &str| json!({"spec": {"user": user, "resourceAttributes": resource(name)}});
    let allowed = json!({"allowed": true,
        "reason": "RBAC: allowed by ClusterRoleBinding \"b\" of ClusterRole \"reader\" to User \"ann\""});
    let broken =
        json!({"allowed": false, "reason": "RBAC: role.rbac.authorization.k8s.io \"none\" not found"});
    let cases = [
        ("subjectaccessreviews", named("ann", "a"), allowed.clone()),
        ("subjectaccessreviews", named("ann", "b"), broken.clone()),
        ("subjectaccessreviews", named("bob", "a"), json!({"allowed": false})),
        ("selfsubjectaccessreviews", json!({"spec": {"resourceAttributes": resource("a")}}), allowed.clone()),
        (
            "selfsubjectaccessreviews",
            json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}}),
            allowed,
        ),
        (
            "selfsubjectaccessreviews",
            json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/x"}}}),
            json!({"allowed": false}),
        ),
    ];
    for (kind, review, status) in cases {
        let shown = review.to_string();
        assert_eq!(ask(kind, "", review).await.unwrap()["status"], status, "{shown}");
    }
}

#[tokio::test]
async fn malformed_questions_are_refused() {
    let own = |spec: Tree| json!({"kind": "SelfSubjectAccessReview", "spec": spec});
    let local = |namespace: &str, asked: &str| {
        json!({"kind": "LocalSubjectAccessReview", "metadata": {"namespace": namespace},
            "spec": {"user": "ann", "resourceAttributes": {"namespace": asked, "verb": "get", "resource": "pods"}}})
    };
    let cases = [
        (
            "selfsubjectaccessreviews",
            own(json!({})),
            422,
            "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            "subjectaccessreviews",
            json!({"kind": "SubjectAccessReview", "spec": {"nonResourceAttributes": {}}}),
            422,
            "SubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ),
        (
            "localsubjectaccessreviews",
            local("other", "ns"),
            400,
            "spec.resourceAttributes.namespace must match namespace: ns",
        ),
        (
            "localsubjectaccessreviews",
            local("ns", "other"),
            422,
            "LocalSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"other\": must match metadata.namespace",
        ),
        ("selfsubjectrulesreviews", json!({}), 400, "no namespace on request"),
        ("tokenreviews", json!({}), 400, "token is required for TokenReview in authentication"),
    ];
    for (kind, review, code, message) in cases {
        assert_eq!(ask(kind, "ns", review).await.unwrap_err(), (code, message.to_owned()));
    }
}

#[tokio::test]
async fn rules_are_listed_with_what_could_not_be_found() {
    let review = ask("selfsubjectrulesreviews", "", json!({"spec": {"namespace": "ns"}})).await.unwrap();
    assert_eq!(
        review["status"],
        json!({
            "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}],
            "incomplete": true,
            "evaluationError": "role.rbac.authorization.k8s.io \"none\" not found",
        })
    );
}

#[tokio::test]
async fn tokens_are_requested_and_reviewed() {
    let issued = ask("serviceaccounts", "ns", json!({"spec": {"audiences": ["vault"]}})).await.unwrap();
    let token = &issued["status"]["token"];
    let review = |audiences: Tree| json!({"spec": {"token": token, "audiences": audiences}});

    let good = ask("tokenreviews", "", review(json!(["vault", "other"]))).await.unwrap();
    assert_eq!(good["status"]["authenticated"], true);
    assert_eq!(good["status"]["audiences"], json!(["vault"]));
    assert_eq!(good["status"]["user"]["username"], "system:serviceaccount:ns:builder");
    assert_eq!(
        good["status"]["user"]["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"])
    );
    let elsewhere = ask("tokenreviews", "", review(json!([]))).await.unwrap();
    assert!(elsewhere["status"]["error"].as_str().unwrap().contains("is invalid for the target audiences"));
    assert_eq!(elsewhere["status"].get("authenticated"), None);
    let garbage = ask("tokenreviews", "", json!({"spec": {"token": "x"}})).await.unwrap();
    assert_eq!(garbage["status"], json!({"user": {}, "error": "invalid bearer token"}));
}

#[tokio::test]
async fn everybody_learns_who_they_are() {
    let review = ask("selfsubjectreviews", "", json!({})).await.unwrap();
    assert_eq!(review["status"]["userInfo"], json!({"username": "ann", "groups": ["dev"]}));
}
