//! Service accounts.

use serde_json::json;
use steersman_apimachinery::Tree;

use crate::resource::{Resource, Verb};
use crate::tree::{Read, Write};
use crate::{Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    subresources: &[table::part("token", "authentication.k8s.io", "TokenRequest", Verb::CREATE)],
    definition: "io.k8s.api.core.v1.ServiceAccount",
    storage: "serviceaccounts",
    strategy: &ServiceAccount,
    ..table::BASE
};

struct ServiceAccount;

impl Strategy for ServiceAccount {
    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        keep_only_names(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, _old: &Tree, _context: &Context) {
        keep_only_names(new);
    }
}

/// A secret is named and nothing else: the account's namespace is the secret's.
fn keep_only_names(tree: &mut Tree) {
    for reference in tree.items_mut("secrets") {
        *reference = json!({"name": reference.text("name")});
    }
}
