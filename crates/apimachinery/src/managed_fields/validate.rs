//! Whether an applied configuration fits the schema: server-side apply refuses what it could not own.

use std::collections::BTreeSet;

use super::element::{PathElement, print_path};
use super::shape::item_element;
use crate::Tree;
use crate::quote::go_value;
use crate::schema::{ListKind, ListSchema, Schema};

/// The problems of `config`, as upstream prints them together; `None` if there is none.
pub(super) fn problems(config: &Tree, schema: &Schema) -> Option<String> {
    let mut walk = Walk { found: Vec::new(), path: Vec::new() };
    walk.value(config, schema);
    match walk.found.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

struct Walk {
    found: Vec<String>,
    path: Vec<PathElement>,
}

impl Walk {
    fn report(&mut self, what: &str) {
        let path = print_path(&self.path);
        self.found.push(if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") });
    }

    fn value(&mut self, value: &Tree, schema: &Schema) {
        match (schema, value) {
            (Schema::Atomic | Schema::Untyped, _) | (_, Tree::Null) => {}
            (Schema::Struct(_) | Schema::Map(_), Tree::Object(_)) => self.map(value, schema),
            (Schema::List(list), Tree::Array(items)) => self.list(items, list),
            (Schema::List(_), other) => self.report(&format!("expected list, got &{{{}}}", go_value(other))),
            (_, other) => self.report(&format!("expected map, got &{{{}}}", go_value(other))),
        }
    }

    fn below(&mut self, element: PathElement, value: &Tree, schema: &Schema) {
        self.path.push(element);
        self.value(value, schema);
        self.path.pop();
    }

    /// Stops at the first field that the schema does not have, as upstream does.
    fn map(&mut self, value: &Tree, schema: &Schema) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let element = PathElement::field(name);
            let schema = match schema {
                Schema::Map(values) => Some((**values).clone()),
                Schema::Struct(fields) => match fields.field(name) {
                    Some(field) => Some(field.schema),
                    None => fields.preserves_unknown().then_some(Schema::Untyped),
                },
                _ => Some(Schema::Untyped),
            };
            let Some(schema) = schema else {
                self.path.push(element);
                self.report("field not declared in schema");
                self.path.pop();
                return;
            };
            self.below(element, value, &schema);
        }
    }

    fn list(&mut self, items: &[Tree], list: &ListSchema) {
        let mut seen = BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            let element = match item_element(list, item) {
                _ if list.kind == ListKind::Atomic => PathElement::index(i),
                Ok(element) => element,
                Err(why) => return self.report(&format!("element {i}: {why}")),
            };
            if list.kind != ListKind::Atomic && !seen.insert(element.clone()) {
                self.report(&format!("duplicate entries for key {element}"));
            }
            self.below(element, item, &list.items);
        }
    }
}
