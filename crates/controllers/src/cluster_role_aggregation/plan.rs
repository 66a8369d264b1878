//! Which rules an aggregating role has. Pure.

use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};

use crate::ReconcileError;
use crate::selectors::{selector, selects};

/// The rules of all roles that the role's selectors choose, by role name, each once; `None` if it has them already or
/// aggregates nothing.
pub(super) fn aggregated_rules(
    role: &ClusterRole,
    all: &[Arc<ClusterRole>],
) -> Result<Option<Vec<PolicyRule>>, ReconcileError> {
    let Some(aggregation) = &role.aggregation_rule else { return Ok(None) };
    let mut by_name: Vec<&Arc<ClusterRole>> = all.iter().collect();
    by_name.sort_by_key(|other| &other.metadata.name);
    let mut rules: Vec<PolicyRule> = Vec::new();
    for wire in aggregation.cluster_role_selectors.iter().flatten() {
        let selector = selector(wire)?;
        let chosen = by_name.iter().filter(|other| {
            other.metadata.name != role.metadata.name && selects(&selector, other.metadata.labels.as_ref())
        });
        for rule in chosen.flat_map(|other| other.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Ok((role.rules.as_deref().unwrap_or_default() != rules).then_some(rules))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str, labels: &serde_json::Value, verbs: &[&str]) -> Arc<ClusterRole> {
        let role = json!({
            "metadata": {"name": name, "labels": labels},
            "rules": [{"verbs": verbs, "resources": ["pods"], "apiGroups": [""]}],
        });
        Arc::new(serde_json::from_value(role).expect("a role"))
    }

    #[test]
    fn rules_are_gathered_once_each_in_the_order_of_names() {
        let (chosen, other) = (json!({"to": "admin"}), json!({"to": "view"}));
        let mut all = vec![
            role("c", &chosen, &["get"]),
            role("a", &chosen, &["list"]),
            role("b", &other, &["watch"]),
            role("d", &chosen, &["list"]),
        ];
        let admin = json!({
            "metadata": {"name": "admin", "labels": chosen},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "admin"}}]},
        });
        let mut admin: ClusterRole = serde_json::from_value(admin).expect("a role");
        all.push(Arc::new(admin.clone()));
        let rules = aggregated_rules(&admin, &all).expect("valid").expect("new rules");
        let verbs: Vec<_> = rules.iter().map(|rule| rule.verbs.join(",")).collect();
        assert_eq!(verbs, ["list", "get"]);
        admin.rules = Some(rules);
        assert_eq!(aggregated_rules(&admin, &all).expect("valid"), None);
        assert_eq!(aggregated_rules(&all[0], &all).expect("valid"), None, "it aggregates nothing");
    }
}
