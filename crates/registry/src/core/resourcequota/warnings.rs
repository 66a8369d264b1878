//! What the server warns of in new quotas.

use steersman_apimachinery::Tree;
use steersman_apimachinery::quantity::Quantity;

use crate::tree::Read;

/// Warnings of a quota: more may be asked for than used.
pub(super) fn quota(quota: &Tree) -> Vec<String> {
    let hard = quota.at("spec.hard");
    let amount = |name: &str| hard.get(name).and_then(|value| Quantity::from_tree(value).ok());
    let mut warnings = Vec::new();
    for name in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let (mut asked, limit) = (format!("requests.{name}"), format!("limits.{name}"));
        if amount(&asked).is_none() && matches!(name, "cpu" | "memory") {
            name.clone_into(&mut asked);
        }
        if let (Some(request), Some(most)) = (amount(&asked), amount(&limit))
            && request > most
        {
            warnings.push(format!("ResourceQuota {asked} ({request}) should be less than {limit} ({most})"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_above_limits_are_warned_of() {
        let tree = json!({"spec": {"hard": {
            "cpu": "2", "limits.cpu": "1", "requests.memory": "2Gi", "memory": "1", "limits.memory": "1Gi",
            "ephemeral-storage": "5", "limits.ephemeral-storage": "1"}}});
        let want = [
            "ResourceQuota cpu (2) should be less than limits.cpu (1)",
            "ResourceQuota requests.memory (2Gi) should be less than limits.memory (1Gi)",
        ];
        assert_eq!(quota(&tree), want);
    }
}
