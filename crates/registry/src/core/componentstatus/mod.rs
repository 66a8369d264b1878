//! Component statuses: how the cluster's components are, found out when somebody asks. Nothing is stored.

use steersman_apimachinery::Tree;

use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::tree::Read;
use crate::{Column, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ComponentStatus",
    plural: "componentstatuses",
    singular: "componentstatus",
    short_names: &["cs"],
    scope: Scope::Cluster,
    verbs: &[Verb::Get, Verb::List],
    definition: "io.k8s.api.core.v1.ComponentStatus",
    columns: COLUMNS,
    deprecation: Some("v1 ComponentStatus is deprecated in v1.19+"),
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Status", 0, "Whether the component is healthy.", |object, _| match healthy(object) {
        None => "Unknown".into(),
        Some(condition) if condition.text("status") == "True" => "Healthy".into(),
        Some(_) => "Unhealthy".into(),
    }),
    print::text("Message", 0, "What the component says.", |object, _| said(object, "message").into()),
    print::text("Error", 0, "Why the component could not be asked.", |object, _| {
        said(object, "error").into()
    }),
];

fn healthy(object: &Tree) -> Option<&Tree> {
    object.items("conditions").iter().find(|condition| condition.text("type") == "Healthy")
}

fn said<'t>(object: &'t Tree, field: &str) -> &'t str {
    healthy(object).map_or("", |condition| condition.text(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn statuses_print_as_upstream() {
        let now = "2026-01-01T00:00:10Z";
        let mut object = json!({"metadata": {"name": "etcd-0"}});
        assert_eq!(row(COLUMNS, &object, now), "etcd-0|Unknown||");
        object["conditions"] = json!([{"type": "Healthy", "status": "True", "message": "ok"}]);
        assert_eq!(row(COLUMNS, &object, now), "etcd-0|Healthy|ok|");
        object["conditions"][0] = json!({"type": "Healthy", "status": "False", "error": "gone"});
        assert_eq!(row(COLUMNS, &object, now), "etcd-0|Unhealthy||gone");
    }
}
