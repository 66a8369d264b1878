use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::authorization::{Authorization, rules::missing};
use crate::authorization::{Change, Index, NodeGraph, Rbac};
use crate::fake::FakeObjects;
use crate::request::{Attributes, Authorizer, Decision, User};
use crate::view::text;

/// Who, groups, verb, `group/resource[/subresource]` or path, namespace.
fn may(authorization: &Authorization, who: &str, groups: &[&str], verb: &str, what: &str, ns: &str) -> bool {
    let user = User {
        name: who.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..User::default()
    };
    let mut asked = Attributes {
        user: Arc::new(user),
        verb: verb.to_owned(),
        namespace: ns.to_owned(),
        ..Attributes::default()
    };
    if let Some(path) = what.strip_prefix("path:") {
        asked.path = path.to_owned();
    } else {
        let parts: Vec<&str> = what.split('/').collect();
        asked.group = parts[0].to_owned();
        asked.resource = parts[1].to_owned();
        asked.subresource = parts.get(2).copied().unwrap_or_default().to_owned();
    }
    matches!(authorization.authorize(&asked), Decision::Allow { .. })
}

fn cluster() -> Authorization {
    let rbac = Arc::new(Rbac::default());
    for wanted in wanted() {
        rbac.apply(wanted.resource, Change::Put(Arc::new(wanted.object)));
    }
    Authorization::new(Arc::new(NodeGraph::default()), rbac)
}

#[test]
fn the_default_policy_gives_and_withholds() {
    let cluster = cluster();
    let sa = |name: &str| format!("system:serviceaccount:kube-system:{name}");
    let authenticated = ["system:authenticated"];
    type Case<'a> = (&'a str, &'a [&'a str], &'a str, &'a str, &'a str, bool);
    let cases: [Case<'_>; 20] = [
        ("root", &["system:masters"], "delete", "/nodes", "", true),
        ("kubernetes-admin", &["kubeadm:cluster-admins"], "delete", "/nodes", "", true),
        ("kubernetes-admin", &["kubeadm:cluster-admins"], "get", "path:/metrics", "", true),
        ("ann", &authenticated, "get", "path:/apis/apps/v1", "", true),
        ("ann", &authenticated, "get", "path:/openapi/v3", "", true),
        ("ann", &authenticated, "get", "path:/metrics", "", false),
        ("ann", &authenticated, "list", "/pods", "default", false),
        ("ann", &authenticated, "create", "authorization.k8s.io/selfsubjectaccessreviews", "", true),
        ("ann", &authenticated, "create", "authentication.k8s.io/selfsubjectreviews", "", true),
        ("system:anonymous", &["system:unauthenticated"], "get", "path:/version", "", true),
        ("system:anonymous", &["system:unauthenticated"], "get", "path:/api", "", false),
        ("system:kube-scheduler", &[], "create", "/pods/binding", "ns", true),
        ("system:kube-scheduler", &[], "get", "/secrets", "ns", false),
        ("system:kube-controller-manager", &[], "list", "apps/deployments", "", true),
        (&sa("deployment-controller"), &[], "update", "apps/deployments/status", "ns", true),
        (&sa("deployment-controller"), &[], "delete", "/pods", "ns", false),
        (&sa("generic-garbage-collector"), &[], "delete", "example.com/widgets", "ns", true),
        (&sa("coredns"), &[], "watch", "discovery.k8s.io/endpointslices", "", true),
        ("system:serviceaccount:x:y", &["system:serviceaccounts"], "get", "path:/openid/v1/jwks", "", true),
        ("system:kube-proxy", &[], "watch", "discovery.k8s.io/endpointslices", "", true),
    ];
    for (who, groups, verb, what, namespace, want) in cases {
        assert_eq!(may(&cluster, who, groups, verb, what, namespace), want, "{who} {verb} {what}");
    }
}

#[test]
fn bindings_refer_to_roles_that_exist_and_names_are_unique() {
    let all = wanted();
    let key = |w: &Wanted| {
        (
            w.resource,
            text(&w.object, "/metadata/namespace").to_owned(),
            text(&w.object, "/metadata/name").to_owned(),
        )
    };
    let keys: BTreeSet<_> = all.iter().map(key).collect();
    assert_eq!(keys.len(), all.len());
    for wanted in all.iter().filter(|w| w.resource.ends_with("bindings")) {
        let (resource, namespace) = match text(&wanted.object, "/roleRef/kind") {
            "Role" => ("roles", text(&wanted.object, "/metadata/namespace")),
            _ => ("clusterroles", ""),
        };
        let role = (resource, namespace.to_owned(), text(&wanted.object, "/roleRef/name").to_owned());
        assert!(keys.contains(&role), "{role:?}");
    }
}

#[test]
fn every_rule_has_verbs_and_a_target() {
    for wanted in wanted() {
        for rule in PolicyRule::of_role(&wanted.object) {
            let resources = !rule.api_groups.is_empty() && !rule.resources.is_empty();
            assert!(resources == rule.non_resource_urls.is_empty(), "{:?}", wanted.object);
            assert!(!rule.verbs.is_empty(), "{:?}", wanted.object);
        }
    }
}

#[test]
fn reconciling_adds_what_is_missing_and_keeps_what_was_added() {
    let all = wanted();
    for wanted in &all {
        assert_eq!(step(None, &wanted.object), Step::Create(wanted.object.clone()));
        assert_eq!(step(Some(&wanted.object), &wanted.object), Step::Leave, "settled");
    }
    let role = &all.iter().find(|w| text(&w.object, "/metadata/name") == "system:discovery").unwrap().object;
    let mut stored = role.clone();
    stored["rules"] = json!([{"verbs": ["get"], "nonResourceURLs": ["/own", "/api", "/api/*"]}]);
    stored["metadata"]["labels"] = json!({"own": "label"});
    let Step::Update(merged) = step(Some(&stored), role) else { panic!() };
    assert_eq!(merged["metadata"]["labels"]["own"], "label");
    assert_eq!(merged["metadata"]["labels"]["kubernetes.io/bootstrapping"], "rbac-defaults");
    let held = PolicyRule::of_role(&merged);
    assert!(missing(&held, &PolicyRule::of_role(role)).is_empty());
    assert!(missing(&held, &PolicyRule::of_role(&stored)).is_empty());
    assert_eq!(step(Some(&merged), role), Step::Leave, "once is enough");

    stored["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
    assert_eq!(step(Some(&stored), role), Step::Leave);
}

#[test]
fn bindings_regain_subjects_and_roles() {
    let all = wanted();
    let binding = &all
        .iter()
        .find(|w| {
            text(&w.object, "/metadata/name") == "system:public-info-viewer"
                && w.resource == "clusterrolebindings"
        })
        .unwrap()
        .object;
    let mut stored = binding.clone();
    stored["subjects"] = json!([{"kind": "User", "name": "own"}]);
    let Step::Update(merged) = step(Some(&stored), binding) else { panic!() };
    assert_eq!(merged["subjects"].as_array().unwrap().len(), 3);
    assert_eq!(step(Some(&merged), binding), Step::Leave);
    stored["roleRef"]["name"] = "other".into();
    stored["metadata"]["uid"] = "u1".into();
    let again = Step::Recreate { uid: "u1".to_owned(), object: binding.clone() };
    assert_eq!(step(Some(&stored), binding), again);
}

fn default_object(resource: &str, name: &str) -> Tree {
    let found =
        wanted().into_iter().find(|w| w.resource == resource && text(&w.object, "/metadata/name") == name);
    found.unwrap().object
}

#[test]
fn missing_rules_are_appended_in_upstreams_shape() {
    let role = default_object("clusterroles", "system:kube-dns");
    let mut stored = role.clone();
    stored["rules"] = json!([{"verbs": ["list"], "apiGroups": [""], "resources": ["services"]}]);
    let Step::Update(merged) = step(Some(&stored), &role) else { panic!() };
    let one =
        |verb: &str, resource: &str| json!({"verbs": [verb], "apiGroups": [""], "resources": [resource]});
    let want = [
        one("list", "services"),
        one("list", "endpoints"),
        one("watch", "endpoints"),
        one("watch", "services"),
    ];
    assert_eq!(merged["rules"], json!(want));
}

#[test]
fn sums_regain_their_selectors_and_only_sums_have_some() {
    let (view, dns) =
        (default_object("clusterroles", "view"), default_object("clusterroles", "system:kube-dns"));
    let own = json!({"matchLabels": {"own": "true"}});
    let summed = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    let mut stored = view.clone();
    stored["rules"] = summed.clone();
    assert_eq!(step(Some(&stored), &view), Step::Leave, "the sum is its controller's");
    stored["aggregationRule"]["clusterRoleSelectors"] = json!([own]);
    let Step::Update(merged) = step(Some(&stored), &view) else { panic!() };
    let selectors = &merged["aggregationRule"]["clusterRoleSelectors"];
    assert_eq!(selectors, &json!([own, view["aggregationRule"]["clusterRoleSelectors"][0]]));
    assert_eq!(merged["rules"], summed);

    let mut stored = dns.clone();
    stored["aggregationRule"] = json!({"clusterRoleSelectors": [own]});
    assert_eq!(step(Some(&stored), &dns), Step::Update(dns));
}

async fn policy_of_a_fresh_cluster() -> FakeObjects {
    let objects = FakeObjects::default();
    let first = plan(&objects).await;
    assert_eq!(first.len(), wanted().len());
    for planned in first {
        objects.put(GROUP, planned.resource, planned.step.object().unwrap().clone());
    }
    objects
}

#[tokio::test]
async fn a_fresh_cluster_gets_all_and_then_nothing() {
    let objects = policy_of_a_fresh_cluster().await;
    assert_eq!(plan(&objects).await, []);
}

#[tokio::test]
async fn parts_of_older_roles_and_bindings_inherit_what_was_changed() {
    let objects = policy_of_a_fresh_cluster().await;
    let mut edit = default_object("clusterroles", "edit");
    edit["rules"] = json!([{"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"]}]);
    edit.as_object_mut().unwrap().remove("aggregationRule");
    let mut discovery = default_object("clusterrolebindings", "system:discovery");
    discovery["metadata"]["annotations"][AUTO_UPDATE] = "false".into();
    discovery["subjects"] = json!([{"apiGroup": GROUP, "kind": "User", "name": "own"}]);
    objects.put(GROUP, "clusterroles", edit.clone());
    objects.put(GROUP, "clusterrolebindings", discovery.clone());
    for (resource, name) in [
        ("clusterroles", "system:aggregate-to-edit"),
        ("clusterroles", "system:aggregate-to-view"),
        ("clusterrolebindings", "system:public-info-viewer"),
    ] {
        objects.remove(GROUP, resource, "", name);
    }
    let planned = plan(&objects).await;
    let made = |name: &str| {
        let steps = planned.iter().map(|planned| &planned.step);
        steps
            .filter(|s| matches!(s, Step::Create(_)))
            .filter_map(Step::object)
            .find(|o| text(o, "/metadata/name") == name)
    };
    let heir = made("system:aggregate-to-edit").unwrap();
    assert_eq!(heir["rules"][0], edit["rules"][0]);
    let held = PolicyRule::of_role(heir);
    let default = default_object("clusterroles", "system:aggregate-to-edit");
    assert!(missing(&held, &PolicyRule::of_role(&default)).is_empty());
    assert_eq!(heir["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"], "true");
    assert_eq!(
        made("system:aggregate-to-view"),
        Some(&default_object("clusterroles", "system:aggregate-to-view"))
    );
    let viewer = made("system:public-info-viewer").unwrap();
    assert_eq!(
        (&viewer["subjects"], text(viewer, "/roleRef/name")),
        (&discovery["subjects"], "system:public-info-viewer")
    );
}
