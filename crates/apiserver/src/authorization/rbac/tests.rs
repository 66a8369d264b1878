use proptest::prelude::*;
use serde_json::json;

use super::*;

fn put(rbac: &Rbac, resource: &str, object: Tree) {
    rbac.apply(resource, Change::Put(Arc::new(object)));
}

fn role(namespace: &str, name: &str, verb: &str) -> Tree {
    json!({"metadata": {"namespace": namespace, "name": name},
        "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]})
}

fn binding(namespace: &str, name: &str, kind: &str, role: &str, subjects: Tree) -> Tree {
    json!({"metadata": {"namespace": namespace, "name": name}, "roleRef": {"kind": kind, "name": role},
        "subjects": subjects})
}

fn asked(user: &str, groups: &[&str], verb: &str, namespace: &str) -> Attributes {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Attributes {
        user: Arc::new(User { name: user.to_owned(), groups, ..User::default() }),
        verb: verb.to_owned(),
        resource: "pods".to_owned(),
        namespace: namespace.to_owned(),
        ..Attributes::default()
    }
}

fn world() -> Rbac {
    let rbac = Rbac::default();
    put(&rbac, "clusterroles", role("", "reader", "get"));
    put(&rbac, "roles", role("a", "writer", "create"));
    let user = |name: &str| json!([{"kind": "User", "name": name}]);
    put(&rbac, "clusterrolebindings", binding("", "everywhere", "ClusterRole", "reader", user("root")));
    put(
        &rbac,
        "rolebindings",
        binding("a", "here", "ClusterRole", "reader", json!([{"kind": "Group", "name": "dev"}])),
    );
    put(
        &rbac,
        "rolebindings",
        binding("a", "write", "Role", "writer", json!([{"kind": "ServiceAccount", "name": "bot"}])),
    );
    put(&rbac, "rolebindings", binding("b", "borrowed", "Role", "writer", user("eve")));
    put(
        &rbac,
        "clusterrolebindings",
        binding("", "nobody", "ClusterRole", "reader", json!([{"kind": "ServiceAccount", "name": "bot"}])),
    );
    rbac
}

#[test]
fn bindings_hold_where_they_are() {
    let rbac = world();
    let cases = [
        (
            asked("root", &[], "get", "a"),
            Some(
                r#"RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "reader" to User "root""#,
            ),
        ),
        (
            asked("root", &[], "get", ""),
            Some(
                r#"RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "reader" to User "root""#,
            ),
        ),
        (
            asked("ann", &["dev"], "get", "a"),
            Some(r#"RBAC: allowed by RoleBinding "here/a" of ClusterRole "reader" to Group "dev""#),
        ),
        (asked("ann", &["dev"], "get", "b"), None),
        (asked("ann", &["dev"], "get", ""), None),
        (
            asked("system:serviceaccount:a:bot", &[], "create", "a"),
            Some(r#"RBAC: allowed by RoleBinding "write/a" of Role "writer" to ServiceAccount "bot/a""#),
        ),
        (asked("system:serviceaccount:b:bot", &[], "create", "a"), None),
        (asked("bot", &[], "get", "a"), None),
        (asked("root", &[], "delete", "a"), None),
    ];
    for (asked, allowed) in cases {
        let want = match allowed {
            Some(reason) => Decision::Allow { reason: reason.to_owned() },
            None => Decision::NoOpinion { reason: String::new() },
        };
        assert_eq!(rbac.authorize(&asked), want, "{asked:?}");
    }
}

#[test]
fn a_missing_role_is_named() {
    let rbac = world();
    let want = r#"RBAC: role.rbac.authorization.k8s.io "writer" not found"#;
    assert_eq!(
        rbac.authorize(&asked("eve", &[], "create", "b")),
        Decision::NoOpinion { reason: want.to_owned() }
    );
    let second = binding("b", "second", "ClusterRole", "none", json!([{"kind": "User", "name": "eve"}]));
    put(&rbac, "rolebindings", second);
    let want = r#"RBAC: [role.rbac.authorization.k8s.io "writer" not found, clusterrole.rbac.authorization.k8s.io "none" not found]"#;
    assert_eq!(
        rbac.authorize(&asked("eve", &[], "create", "b")),
        Decision::NoOpinion { reason: want.to_owned() }
    );
}

#[test]
fn rules_of_a_user_are_those_of_cluster_and_namespace() {
    let rbac = world();
    assert_eq!(rbac.rules_of(&asked("root", &["dev"], "", "").user, "a").rules.len(), 2);
    assert_eq!(rbac.rules_of(&asked("root", &["dev"], "", "").user, "").rules.len(), 1);
    assert_eq!(rbac.rules_of(&asked("eve", &[], "", "").user, "b").problems.len(), 1);
}

#[test]
fn a_replacement_forgets_its_own_resource_only() {
    let rbac = world();
    rbac.apply("clusterrolebindings", Change::Replace(Vec::new()));
    assert!(matches!(rbac.authorize(&asked("root", &[], "get", "a")), Decision::NoOpinion { .. }));
    assert!(matches!(rbac.authorize(&asked("ann", &["dev"], "get", "a")), Decision::Allow { .. }));
}

proptest! {
    /// Whatever came and went, the index answers as one built from what is left.
    #[test]
    fn the_index_agrees_with_a_fresh_one(
        steps in proptest::collection::vec((0..3usize, 0..3usize, 0..4usize, any::<bool>()), 1..40),
    ) {
        let users = ["u0", "u1", "u2"];
        let old = Rbac::default();
        let mut left: BTreeMap<(usize, usize), Tree> = BTreeMap::new();
        put(&old, "clusterroles", role("", "reader", "get"));
        for (namespace, name, subjects, present) in steps {
            let subjects: Vec<Tree> =
                users.iter().take(subjects).map(|user| json!({"kind": "User", "name": user})).collect();
            let object =
                binding(&format!("n{namespace}"), &format!("b{name}"), "ClusterRole", "reader", json!(subjects));
            if present {
                left.insert((namespace, name), object.clone());
                put(&old, "rolebindings", object);
            } else {
                left.remove(&(namespace, name));
                old.apply("rolebindings", Change::Delete(Arc::new(object)));
            }
        }
        let fresh = Rbac::default();
        put(&fresh, "clusterroles", role("", "reader", "get"));
        left.into_values().for_each(|object| put(&fresh, "rolebindings", object));
        for user in users {
            for namespace in ["n0", "n1", "n2"] {
                let asked = asked(user, &[], "get", namespace);
                prop_assert_eq!(old.authorize(&asked), fresh.authorize(&asked));
            }
        }
        prop_assert_eq!(old.0.read().by_subject.len(), fresh.0.read().by_subject.len());
    }
}
