//! How long a pod may stay under a node's taints. Pure.

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

use crate::nodes::taints;

/// What the tolerations allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    Forever,
    Seconds(i64),
    /// Some taint is not tolerated at all.
    Not,
}

/// The taints that evict.
pub(super) fn evicting(node: &Node) -> Vec<Taint> {
    taints(node).iter().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

/// The shortest time that any toleration in use allows.
pub(super) fn stay(pod: &Pod, taints: &[Taint]) -> Stay {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let mut seconds: Option<i64> = None;
    for taint in taints {
        let Some(toleration) = tolerations.iter().find(|toleration| tolerates(toleration, taint)) else {
            return Stay::Not;
        };
        if let Some(allowed) = toleration.toleration_seconds {
            seconds = Some(seconds.map_or(allowed, |shortest| shortest.min(allowed)));
        }
    }
    match seconds {
        None => Stay::Forever,
        Some(seconds) if seconds <= 0 => Stay::Not,
        Some(seconds) => Stay::Seconds(seconds),
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, effect) = (given(&toleration.key), given(&toleration.effect));
    let same_key = key.is_empty() || key == taint.key;
    let same_effect = effect.is_empty() || effect == taint.effect;
    let same_value = match given(&toleration.operator).as_str() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && given(&toleration.value) == given(&taint.value),
        _ => false,
    };
    same_key && same_effect && same_value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shortest_toleration_in_use_counts() {
        let taint = |key: &str| -> Taint {
            serde_json::from_value(json!({"key": key, "value": "v", "effect": "NoExecute"})).expect("a taint")
        };
        let a = json!({"key": "a", "operator": "Exists", "tolerationSeconds": 300});
        let b = json!({"key": "b", "value": "v", "effect": "NoExecute", "tolerationSeconds": 60});
        let cases = [
            (json!([]), &["a"][..], Stay::Not),
            (json!([{"operator": "Exists"}]), &["a", "b"], Stay::Forever),
            (json!([a, b]), &["a"], Stay::Seconds(300)),
            (json!([a, b]), &["a", "b"], Stay::Seconds(60)),
            (json!([a]), &["a", "b"], Stay::Not),
            (json!([{"key": "a", "value": "w"}]), &["a"], Stay::Not),
            (json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]), &["a"], Stay::Not),
            (json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 0}]), &["a"], Stay::Not),
        ];
        for (tolerations, keys, expected) in cases {
            let spec = json!({"containers": [], "tolerations": tolerations});
            let pod: Pod = serde_json::from_value(json!({"spec": spec})).expect("a pod");
            let taints: Vec<Taint> = keys.iter().map(|key| taint(key)).collect();
            assert_eq!(stay(&pod, &taints), expected, "{tolerations}");
        }
    }
}
