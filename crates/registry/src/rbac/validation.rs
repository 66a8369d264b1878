//! Validation of roles and bindings.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;
use steersman_apimachinery::names::{dns1123_subdomain_problems, path_segment_problems};

use super::GROUP;
use crate::checks::{as_go, invalid, required, required_name};
use crate::tree::{Read, same};

/// Checks a role; one of the `cluster` may also speak of paths that are no resources.
pub(super) fn role(role: &Tree, cluster: bool) -> ErrorList {
    let mut found = ErrorList::new();
    for (index, rule) in role.items("rules").iter().enumerate() {
        self::rule(&mut found, rule, cluster, &Path::new("rules").index(index));
    }
    if role.has("aggregationRule") {
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = role.items("aggregationRule.clusterRoleSelectors");
        if selectors.is_empty() {
            let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            found.push(Error::required(path.clone(), why));
        }
        for (index, selector) in selectors.iter().enumerate() {
            found.extend(validate_label_selector(selector, &path.index(index)));
        }
    }
    found
}

fn rule(found: &mut ErrorList, rule: &Tree, cluster: bool, path: &Path) {
    let given = |field: &str| !rule.items(field).is_empty();
    if !given("verbs") {
        found.push(Error::required(path.child("verbs"), "verbs must contain at least one value"));
    }
    if given("nonResourceURLs") {
        let (path, shown) = (path.child("nonResourceURLs"), rule.at("nonResourceURLs"));
        if !cluster {
            let why = "namespaced rules cannot apply to non-resource URLs";
            found.push(Error::invalid(path.clone(), shown.clone(), why));
        }
        if ["apiGroups", "resources", "resourceNames"].into_iter().any(given) {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            found.push(Error::invalid(path, shown.clone(), why));
        }
        return;
    }
    if !given("apiGroups") {
        let why = "resource rules must supply at least one api group";
        found.push(Error::required(path.child("apiGroups"), why));
    }
    if !given("resources") {
        let why = "resource rules must supply at least one resource";
        found.push(Error::required(path.child("resources"), why));
    }
}

/// Checks a binding; one of the `cluster` grants only roles of the cluster.
pub(super) fn binding(binding: &Tree, cluster: bool) -> ErrorList {
    let mut found = ErrorList::new();
    let (role, path) = (binding.at("roleRef"), Path::new("roleRef"));
    if role.text("apiGroup") != GROUP.group {
        found.push(Error::not_supported(path.child("apiGroup"), role.text("apiGroup"), &[GROUP.group]));
    }
    let kinds: &[&str] = if cluster { &["ClusterRole"] } else { &["Role", "ClusterRole"] };
    if !kinds.contains(&role.text("kind")) {
        found.push(Error::not_supported_in_order(path.child("kind"), role.text("kind"), kinds));
    }
    required_name(&mut found, path.child("name"), role.text("name"), path_segment_problems);
    for (index, subject) in binding.items("subjects").iter().enumerate() {
        self::subject(&mut found, subject, cluster, &Path::new("subjects").index(index));
    }
    found
}

/// Checks a change: who gets a role may change, which one they get may not.
pub(super) fn binding_update(new: &Tree, old: &Tree, cluster: bool) -> ErrorList {
    let mut found = binding(new, cluster);
    if !same(new.at("roleRef"), old.at("roleRef")) {
        let fields = [("apiGroup", "APIGroup"), ("kind", "Kind"), ("name", "Name")];
        let shown = as_go(new.at("roleRef"), &fields);
        found.push(Error::invalid(Path::new("roleRef"), shown, "cannot change roleRef"));
    }
    found
}

fn subject(found: &mut ErrorList, subject: &Tree, cluster: bool, path: &Path) {
    let (name, group) = (subject.text("name"), subject.text("apiGroup"));
    required(found, path.child("name"), name);
    let wanted = match subject.text("kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                invalid(found, &path.child("name"), name, dns1123_subdomain_problems(name, false));
            }
            if cluster {
                required(found, path.child("namespace"), subject.text("namespace"));
            }
            ""
        }
        "User" | "Group" => GROUP.group,
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            found.push(Error::not_supported_in_order(path.child("kind"), other, &kinds));
            return;
        }
    };
    if group != wanted {
        found.push(Error::not_supported(path.child("apiGroup"), group, &[wanted]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn rules_say_what_they_allow() {
        let cases = [
            (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), false, vec![]),
            (
                json!({}),
                false,
                vec![
                    "rules[0].verbs: Required value: verbs must contain at least one value",
                    "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                    "rules[0].resources: Required value: resource rules must supply at least one resource",
                ],
            ),
            (
                json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}),
                false,
                vec![
                    "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource URLs",
                ],
            ),
            (
                json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"], "resources": ["pods"]}),
                true,
                vec![
                    "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: rules cannot apply to both regular resources and non-resource URLs",
                ],
            ),
        ];
        for (rule, cluster, want) in cases {
            assert_eq!(texts(&role(&json!({"rules": [rule]}), cluster)), want);
        }
    }

    #[test]
    fn bindings_grant_a_role_to_subjects() {
        let group = "rbac.authorization.k8s.io";
        let granted = json!({"apiGroup": group, "kind": "Role", "name": "r"});
        let wrong = json!({"roleRef": granted, "subjects": [
            {"kind": "ServiceAccount", "name": "sa"}, {"kind": "User", "name": "u"}, {"kind": "Robot", "name": "x"}]});
        let want = [
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            "subjects[0].namespace: Required value",
            "subjects[1].apiGroup: Unsupported value: \"\": supported values: \"rbac.authorization.k8s.io\"",
            "subjects[2].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        ];
        assert_eq!(texts(&binding(&wrong, true)), want);
        let old = json!({"roleRef": granted});
        let new = json!({"roleRef": {"apiGroup": group, "kind": "Role", "name": "s"}});
        let want = "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"s\"}: cannot change roleRef";
        assert_eq!(texts(&binding_update(&new, &old, false)), [want]);
    }
}
