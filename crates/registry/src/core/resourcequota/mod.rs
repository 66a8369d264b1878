//! Resource quotas.

mod validation;
mod warnings;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print;
use crate::resource::{Resource, Verb};
use crate::rules::keep_apart;
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    short_names: &["quota"],
    subresources: &[table::part("status", "", "ResourceQuota", Verb::READ_WRITE)],
    definition: "io.k8s.api.core.v1.ResourceQuota",
    storage: "resourcequotas",
    strategy: &ResourceQuota,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Request", 0, "What is used of what may be asked for.", |quota, _| {
        used(quota, |name| !name.starts_with("limits.")).into()
    }),
    print::text("Limit", 0, "What is used of what may be used at most.", |quota, _| {
        used(quota, |name| name.starts_with("limits.")).into()
    }),
    print::AGE,
];

fn used(quota: &Tree, shown: fn(&str) -> bool) -> String {
    let mut hard: Vec<(&str, &Tree)> = quota.entries("status.hard").filter(|(name, _)| shown(name)).collect();
    hard.sort_unstable_by_key(|(name, _)| *name);
    let cell = |(name, hard): (&str, &Tree)| {
        let used = print::quantity(quota.at("status.used").get(name));
        format!("{name}: {used}/{}", print::quantity(Some(hard)))
    };
    hard.into_iter().map(cell).collect::<Vec<_>>().join(", ")
}

struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        keep_apart(new, old, context);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => validation::status(new),
            _ => validation::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        match old {
            None => warnings::quota(new),
            Some(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn quotas_print_as_upstream() {
        let quota = json!({
            "metadata": {"name": "q", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {
                "hard": {"pods": "10", "limits.cpu": "2000m", "cpu": "1"}, "used": {"pods": "3", "limits.cpu": "500m"},
            },
        });
        let want = "q|cpu: 0/1, pods: 3/10|limits.cpu: 500m/2|10s";
        assert_eq!(row(COLUMNS, &quota, "2026-01-01T00:00:10Z"), want);
        assert_eq!(row(COLUMNS, &json!({}), "2026-01-01T00:00:10Z"), "|||<unknown>");
    }
}
