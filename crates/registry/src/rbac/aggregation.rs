//! Cluster roles whose rules are the sum of other cluster roles' (`aggregationRule`). Pure; for whoever keeps them.

use steersman_apimachinery::Tree;
use steersman_apimachinery::labels::Selector;

use crate::tree::Read;

/// The rules that `role` should have, given all cluster roles; `None` if it aggregates nothing. The order is that of
/// the selectors, then of the names; a rule that occurs twice is taken once. A malformed selector selects nothing.
pub fn aggregated_rules<'a>(role: &Tree, all: impl IntoIterator<Item = &'a Tree>) -> Option<Vec<Tree>> {
    role.get("aggregationRule").filter(|rule| !rule.is_null())?;
    let own_name = role.text("metadata.name");
    let mut others: Vec<&Tree> =
        all.into_iter().filter(|other| other.text("metadata.name") != own_name).collect();
    others.sort_unstable_by_key(|other| other.text("metadata.name"));
    let mut rules: Vec<Tree> = Vec::new();
    for selector in role.items("aggregationRule.clusterRoleSelectors") {
        let Ok(selector) = Selector::from_label_selector(Some(selector)) else { continue };
        let chosen = others.iter().filter(|other| selector.matches_object(other));
        for rule in chosen.flat_map(|other| other.items("rules")) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_summed_by_label_in_order_of_names() {
        let role = |name: &str, label: &str, verb: &str| json!({"metadata": {"name": name, "labels": {label: "true"}}, "rules": [{"verbs": [verb]}]});
        let mut sum = role("sum", "to-sum", "old");
        assert_eq!(aggregated_rules(&sum, []), None);
        sum["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to-sum": "true"}}]});
        let all = [
            role("z", "to-sum", "get"),
            role("a", "to-sum", "list"),
            role("b", "other", "x"),
            role("c", "to-sum", "get"),
            sum.clone(),
        ];
        let want = vec![json!({"verbs": ["list"]}), json!({"verbs": ["get"]})];
        assert_eq!(aggregated_rules(&sum, &all), Some(want));
        assert_eq!(aggregated_rules(&sum, []), Some(Vec::new()));
    }
}
