//! What every cluster has (`k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap`), and whether an object that exists is
//! brought back to it. Pure.

use serde_json::{Value, json};
use steersman_apimachinery::Tree;

use super::{API_VERSION, CATCH_ALL, EXEMPT};

/// Says whether the server keeps the spec of an object at its default.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// One default object.
pub struct Default {
    /// The object.
    pub object: Tree,
    /// The cluster does not work without it: its spec is always brought back.
    pub mandatory: bool,
}

/// A level with queues: name, shares, lendable percent, queues, hand size.
const QUEUED: [(&str, i32, i32, i32, i32); 6] = [
    ("system", 30, 33, 64, 6),
    ("node-high", 40, 25, 64, 6),
    ("leader-election", 10, 0, 16, 4),
    ("workload-high", 40, 50, 128, 6),
    ("workload-low", 100, 90, 128, 6),
    ("global-default", 20, 50, 128, 6),
];

/// The default priority levels.
pub fn levels() -> Vec<Default> {
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let catch_all = json!({"type": "Limited", "limited": {
        "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"},
    }});
    let queued = QUEUED.map(|(name, shares, lendable, queues, hand)| {
        let queuing = json!({"queues": queues, "handSize": hand, "queueLengthLimit": 50});
        let spec = json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "lendablePercent": lendable,
            "limitResponse": {"type": "Queue", "queuing": queuing},
        }});
        default("PriorityLevelConfiguration", name, spec, false)
    });
    [(EXEMPT, exempt), (CATCH_ALL, catch_all)]
        .map(|(name, spec)| default("PriorityLevelConfiguration", name, spec, true))
        .into_iter()
        .chain(queued)
        .collect()
}

/// The default flow schemas.
pub fn schemas() -> Vec<Default> {
    let everybody = || groups(&["system:unauthenticated", "system:authenticated"]);
    let kube_system =
        || json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}});
    let leases = |verbs: &[&str]| resource_rule(verbs, "coordination.k8s.io", &["leases"], false);
    let nodes = resource_rule(&["*"], "", &["nodes", "nodes/status"], true);
    let leaders = [users(&["system:kube-controller-manager", "system:kube-scheduler"]), vec![kube_system()]];
    let (user, namespace) = (Some("ByUser"), Some("ByNamespace"));
    let probes = json!({
        "subjects": everybody(),
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
    });
    let controller_manager = users(&["system:kube-controller-manager"]);
    let of = |subjects: Vec<Value>, rules: Vec<Value>| json!({"subjects": subjects, "resourceRules": rules});
    let node_high = of(groups(&["system:nodes"]), vec![nodes, leases(&["*"])]);
    let election = of(leaders.concat(), vec![leases(&["get", "create", "update"])]);
    [
        (EXEMPT, EXEMPT, 1, None, anything(groups(&["system:masters"]))),
        (CATCH_ALL, CATCH_ALL, 10000, user, anything(everybody())),
        ("system-nodes", "system", 500, user, anything(groups(&["system:nodes"]))),
        ("system-node-high", "node-high", 400, user, node_high),
        ("probes", EXEMPT, 2, None, probes),
        ("system-leader-election", "leader-election", 100, user, election),
        ("kube-controller-manager", "workload-high", 800, namespace, anything(controller_manager)),
        ("kube-scheduler", "workload-high", 800, namespace, anything(users(&["system:kube-scheduler"]))),
        ("kube-system-service-accounts", "workload-high", 900, namespace, anything(vec![kube_system()])),
        ("service-accounts", "workload-low", 9000, user, anything(groups(&["system:serviceaccounts"]))),
        ("global-default", "global-default", 9900, user, anything(everybody())),
    ]
    .map(|(name, level, precedence, method, rule)| schema(name, level, precedence, method, &rule))
    .into()
}

fn schema(name: &str, level: &str, precedence: i32, method: Option<&str>, rule: &Value) -> Default {
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule],
    });
    if let Some(method) = method {
        spec["distinguisherMethod"] = json!({"type": method});
    }
    default("FlowSchema", name, spec, [EXEMPT, CATCH_ALL].contains(&name))
}

fn default(kind: &str, name: &str, spec: Value, mandatory: bool) -> Default {
    let object = json!({
        "apiVersion": API_VERSION, "kind": kind,
        "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}}, "spec": spec,
    });
    Default { object, mandatory }
}

fn groups(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect()
}

fn users(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "User", "user": {"name": name}})).collect()
}

fn resource_rule(verbs: &[&str], group: &str, resources: &[&str], cluster_scope: bool) -> Value {
    let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]});
    if cluster_scope {
        rule["clusterScope"] = true.into();
    }
    rule
}

fn anything(subjects: Vec<Value>) -> Value {
    json!({
        "subjects": subjects,
        "resourceRules": [resource_rule(&["*"], "*", &["*"], true)],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    })
}

/// `found` as it is to be written, if it is not as `default` wants it: the spec of a mandatory object always, that of
/// another one as long as its annotation, or without one its being untouched since it was made, says so.
pub fn revised(found: &Tree, default: &Default) -> Option<Tree> {
    let annotation = annotation(found);
    let untouched = found.pointer("/metadata/generation").and_then(Value::as_i64) == Some(1);
    let update = default.mandatory || annotation.unwrap_or(untouched);
    let mut revised = found.clone();
    if update {
        revised["spec"] = default.object["spec"].clone();
    }
    if annotation != Some(update) {
        if !revised["metadata"]["annotations"].is_object() {
            revised["metadata"]["annotations"] = json!({});
        }
        revised["metadata"]["annotations"][AUTO_UPDATE] = update.to_string().into();
    }
    (revised != *found).then_some(revised)
}

/// Whether an object that is no default of this version is to be removed: an older version made it, and kept it.
pub fn is_left_over(found: &Tree) -> bool {
    annotation(found) == Some(true)
}

/// The annotation's value, as Go reads a boolean.
fn annotation(object: &Tree) -> Option<bool> {
    match object.get("metadata")?.get("annotations")?.get(AUTO_UPDATE)?.as_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_says_who_keeps_the_spec() {
        let suggested = &levels()[2];
        let stored = |annotation: Value, generation: i64, shares: i64| {
            let mut object = suggested.object.clone();
            object["metadata"]["annotations"] = annotation;
            object["metadata"]["generation"] = generation.into();
            object["spec"]["limited"]["nominalConcurrencyShares"] = shares.into();
            object
        };
        let shares = |tree: &Tree| tree["spec"]["limited"]["nominalConcurrencyShares"].as_i64();
        let kept = |value: &str| json!({AUTO_UPDATE: value});
        assert_eq!(revised(&stored(kept("true"), 3, 30), suggested), None);
        let back = revised(&stored(kept("true"), 3, 7), suggested).expect("is brought back");
        assert_eq!(shares(&back), Some(30));
        assert_eq!(revised(&stored(kept("false"), 3, 7), suggested), None, "the user keeps it");
        let marked = revised(&stored(Value::Null, 2, 7), suggested).expect("is marked");
        assert_eq!((shares(&marked), annotation(&marked)), (Some(7), Some(false)));
        let untouched = revised(&stored(Value::Null, 1, 7), suggested).expect("is brought back");
        assert_eq!((shares(&untouched), annotation(&untouched)), (Some(30), Some(true)));
        let mandatory = &levels()[1];
        let mut object = mandatory.object.clone();
        object["metadata"]["annotations"] = kept("false");
        object["spec"]["limited"]["nominalConcurrencyShares"] = 9.into();
        let back = revised(&object, mandatory).expect("is brought back");
        assert_eq!((shares(&back), annotation(&back)), (Some(5), Some(true)));
    }

    #[test]
    fn defaults_are_upstreams() {
        let names = |all: &[Default]| all.len();
        assert_eq!((names(&levels()), names(&schemas())), (8, 11));
        let shares: i64 = levels()
            .iter()
            .filter_map(|l| l.object["spec"]["limited"]["nominalConcurrencyShares"].as_i64())
            .sum();
        assert_eq!(shares, 245);
    }
}
