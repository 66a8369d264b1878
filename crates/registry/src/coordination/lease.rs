//! Leases.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::not_negative;
use crate::print;
use crate::resource::Resource;
use crate::tree::Read;
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    definition: "io.k8s.api.coordination.v1.Lease",
    storage: "leases",
    strategy: &Lease,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Holder", 0, "Who holds the lease.", |lease, _| lease.text("spec.holderIdentity").into()),
    print::AGE,
];

struct Lease;

impl Strategy for Lease {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let (spec, path) = (tree.at("spec"), Path::new("spec"));
        if let Some(seconds) = spec.int("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
            let path = path.child("leaseDurationSeconds");
            found.push(Error::invalid(path, seconds, "must be greater than 0"));
        }
        not_negative(&mut found, spec, &path, &["leaseTransitions"]);
        if spec.has("preferredHolder") && !spec.has("strategy") {
            let why = "may only be specified when `strategy` is defined";
            found.push(Error::forbidden(path.child("preferredHolder"), why));
        }
        found
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, context: &Context) -> ErrorList {
        self.validate(new, context)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn problems_read_as_upstream_words_them() {
        let context = Context::default();
        let lease = json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}});
        let want = [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ];
        assert_eq!(texts(&Lease.validate(&lease, &context)), want);
    }
}
