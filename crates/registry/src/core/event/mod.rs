//! Events, in the core form and in that of `events.k8s.io`. Both are the same stored objects: the core form is
//! stored, the other is made from it by renaming fields.

mod columns;
mod convert;
mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::names::path_segment_problems;

use crate::resource::{Conversion, Resource};
use crate::tree::Read;
use crate::{Context, Dependents, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    definition: "io.k8s.api.core.v1.Event",
    storage: "events",
    strategy: &Event,
    columns: columns::COLUMNS,
    selectable_fields: &[
        ("involvedObject.kind", |event| event.text("involvedObject.kind").to_owned()),
        ("involvedObject.namespace", |event| event.text("involvedObject.namespace").to_owned()),
        ("involvedObject.name", |event| event.text("involvedObject.name").to_owned()),
        ("involvedObject.uid", |event| event.text("involvedObject.uid").to_owned()),
        ("involvedObject.apiVersion", |event| event.text("involvedObject.apiVersion").to_owned()),
        ("involvedObject.resourceVersion", |event| event.text("involvedObject.resourceVersion").to_owned()),
        ("involvedObject.fieldPath", |event| event.text("involvedObject.fieldPath").to_owned()),
        ("reason", |event| event.text("reason").to_owned()),
        ("reportingComponent", |event| event.text("reportingComponent").to_owned()),
        ("source", source),
        ("type", |event| event.text("type").to_owned()),
    ],
    ..table::BASE
};

pub(crate) const NEW_RESOURCE: Resource = Resource {
    group: "events.k8s.io",
    definition: "io.k8s.api.events.v1.Event",
    strategy: &NewEvent,
    selectable_fields: &[
        ("regarding.kind", |event| event.text("regarding.kind").to_owned()),
        ("regarding.namespace", |event| event.text("regarding.namespace").to_owned()),
        ("regarding.name", |event| event.text("regarding.name").to_owned()),
        ("regarding.uid", |event| event.text("regarding.uid").to_owned()),
        ("regarding.apiVersion", |event| event.text("regarding.apiVersion").to_owned()),
        ("regarding.resourceVersion", |event| event.text("regarding.resourceVersion").to_owned()),
        ("regarding.fieldPath", |event| event.text("regarding.fieldPath").to_owned()),
        ("reason", |event| event.text("reason").to_owned()),
        ("reportingController", |event| event.text("reportingController").to_owned()),
        ("type", |event| event.text("type").to_owned()),
    ],
    conversion: Some(Conversion { to_storage: convert::to_core, from_storage: convert::from_core }),
    ..RESOURCE
};

fn source(event: &Tree) -> String {
    let component = event.text("source.component");
    crate::print::or(component, event.text("reportingComponent")).to_owned()
}

struct Event;

impl Strategy for Event {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::core(tree)
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, _context: &Context) -> ErrorList {
        validation::core(new)
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn default_dependents(&self) -> Dependents {
        Dependents::None
    }
}

struct NewEvent;

impl Strategy for NewEvent {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::new(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::new_update(new, old)
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn default_dependents(&self) -> Dependents {
        Dependents::None
    }
}
