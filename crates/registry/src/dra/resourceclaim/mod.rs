//! Resource claims.

mod status;

use serde_json::{Value, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use super::{GROUP, admin, claimspec};
use crate::checks::immutable;
use crate::print;
use crate::resource::{Resource, Verb};
use crate::rules::{keep_apart, keep_metadata_for_status};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ResourceClaim",
    plural: "resourceclaims",
    singular: "resourceclaim",
    subresources: &[table::part("status", "resource.k8s.io", "ResourceClaim", Verb::READ_WRITE)],
    definition: "io.k8s.api.resource.v1.ResourceClaim",
    storage: "resourceclaims",
    strategy: &ResourceClaim,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("State", 0, "Whether it has devices and users.", |claim, _| state(claim)),
    print::AGE,
];

fn state(claim: &Tree) -> Value {
    let deleted = claim.has("metadata.deletionTimestamp");
    let allocated = claim.has("status.allocation");
    let states = [
        (deleted, "deleted"),
        (!allocated && !deleted, "pending"),
        (allocated, "allocated"),
        (allocated && !claim.items("status.reservedFor").is_empty(), "reserved"),
    ];
    let shown: Vec<&str> = states.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
    shown.join(",").into()
}

struct ResourceClaim;

impl Strategy for ResourceClaim {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(spec) = tree.object_mut("spec") {
            claimspec::defaults(spec);
        }
        if let Some(allocation) = tree.part_mut("status").and_then(|status| status.part_mut("allocation")) {
            status::defaults(allocation);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({}));
        if let Some(spec) = tree.part_mut("spec") {
            claimspec::drop_disabled(spec, &Tree::Null);
        }
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if keep_apart(new, old, context) {
            keep_metadata_for_status(new, old);
            status::drop_deallocated(new, old);
        } else if let Some(spec) = new.part_mut("spec") {
            claimspec::drop_disabled(spec, old.at("spec"));
        }
    }

    fn reads_namespace(&self) -> bool {
        true
    }

    fn validate(&self, tree: &Tree, context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        admin::requests(&mut found, tree.at("spec"), context);
        claimspec::validate(&mut found, tree.at("spec"), &Path::new("spec"));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        if context.subresource == Some("status") {
            admin::results(&mut found, new, old, context);
            found.extend(status::update(new, old));
            return found;
        }
        immutable(&mut found, Path::new("spec"), new.at("spec"), old.at("spec"));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    #[test]
    fn claims_print_as_upstream() {
        let mut claim = json!({"metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        let now = "2026-01-01T00:00:10Z";
        assert_eq!(row(COLUMNS, &claim, now), "c|pending|10s");
        claim["status"] = json!({"allocation": {}, "reservedFor": [{}]});
        assert_eq!(row(COLUMNS, &claim, now), "c|allocated,reserved|10s");
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["status"]["reservedFor"] = json!([]);
        assert_eq!(row(COLUMNS, &claim, now), "c|deleted,allocated|10s");
        claim["status"] = json!({});
        assert_eq!(row(COLUMNS, &claim, now), "c|deleted|10s");
    }

    #[test]
    fn the_spec_stays() {
        let context = Context::default();
        let mut old = json!({"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}});
        ResourceClaim.apply_defaults(&mut old);
        ResourceClaim.prepare_for_create(&mut old, &context);
        assert_eq!(texts(&ResourceClaim.validate(&old, &context)), Vec::<String>::new());
        let mut new = old.clone();
        new["spec"]["devices"] = json!({});
        let want = "spec: Invalid value: {\"devices\":{}}: field is immutable";
        assert_eq!(texts(&ResourceClaim.validate_update(&new, &old, &context)), [want]);
    }
}
