//! Services.

mod columns;
mod defaults;
mod prepare;
mod spec;
mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::names::dns1035_label_problems;

use crate::resource::{Resource, Verb};
use crate::tree::Read;
use crate::{Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    subresources: &[
        table::part("proxy", "", "ServiceProxyOptions", &[]),
        table::part("status", "", "Service", Verb::READ_WRITE),
    ],
    definition: "io.k8s.api.core.v1.Service",
    storage: "services/specs",
    strategy: &Service,
    columns: columns::COLUMNS,
    selectable_fields: &[
        ("spec.clusterIP", |service| service.text("spec.clusterIP").to_owned()),
        ("spec.type", |service| service.text("spec.type").to_owned()),
    ],
    ..table::BASE
};

struct Service;

impl Strategy for Service {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::service(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        prepare::create(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        prepare::update(new, old, context.subresource);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        if context.subresource.is_some() { ErrorList::new() } else { validation::update(new, old) }
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, context: &Context) -> Vec<String> {
        if context.subresource.is_some() { Vec::new() } else { validation::warnings(new) }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        dns1035_label_problems(name, prefix)
    }
}
