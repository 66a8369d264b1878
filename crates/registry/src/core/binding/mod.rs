//! Bindings: how the scheduler places a pod. Never stored.

use crate::resource::{Resource, Verb};
use crate::{Strategy, print, table};

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

impl Strategy for Binding {}
