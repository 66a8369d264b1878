//! Bindings: how the scheduler places a pod. Never stored.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::required;
use crate::resource::{Resource, Verb};
use crate::tree::Read;
use crate::{Context, Strategy, print, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Binding",
    plural: "bindings",
    singular: "binding",
    verbs: Verb::CREATE,
    definition: "io.k8s.api.core.v1.Binding",
    strategy: &Binding,
    columns: &[print::NAME, print::CREATED_AT],
    ..table::BASE
};

struct Binding;

impl Strategy for Binding {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let path = Path::new("target");
        let kind = tree.text("target.kind");
        if !matches!(kind, "" | "Node") {
            let known = ["Node", "<empty>"];
            found.push(Error::not_supported_in_order(path.child("kind"), kind, &known));
        }
        required(&mut found, path.child("name"), tree.text("target.name"));
        found
    }
}
