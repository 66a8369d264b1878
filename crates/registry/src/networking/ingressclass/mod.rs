//! Ingress classes.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1123_label_problems;

use super::typed_reference;
use crate::checks::{domain_prefixed_path, immutable, invalid, known_word};
use crate::print;
use crate::resource::{Resource, Scope};
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "networking.k8s.io",
    kind: "IngressClass",
    plural: "ingressclasses",
    singular: "ingressclass",
    scope: Scope::Cluster,
    definition: "io.k8s.api.networking.v1.IngressClass",
    storage: "ingressclasses",
    strategy: &IngressClass,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    Column {
        cell: |class, _| {
            let annotation =
                class.at("metadata.annotations").get("ingressclass.kubernetes.io/is-default-class");
            let mark = if annotation.is_some_and(|value| value == "true") { " (default)" } else { "" };
            format!("{}{mark}", class.text("metadata.name")).into()
        },
        ..print::NAME
    },
    print::text("Controller", 0, "Controller that serves this class.", |class, _| {
        class.text("spec.controller").into()
    }),
    print::text("Parameters", 0, "Object with further parameters.", |class, _| parameters(class).into()),
    print::AGE,
];

fn parameters(class: &Tree) -> String {
    let parameters = class.at("spec.parameters");
    if parameters.is_null() {
        return "<none>".to_owned();
    }
    let group = parameters.at("apiGroup").as_str().map(|group| format!(".{group}")).unwrap_or_default();
    format!("{}{group}/{}", parameters.text("kind"), parameters.text("name"))
}

struct IngressClass;

impl Strategy for IngressClass {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(parameters) = tree.part_mut("spec").and_then(|spec| spec.part_mut("parameters")) {
            parameters.default_value("scope", "Cluster");
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let (spec, path) = (tree.at("spec"), Path::new("spec"));
        controller(&mut found, spec.text("controller"), &path.child("controller"));
        if spec.has("parameters") {
            let (parameters, path) = (spec.at("parameters"), path.child("parameters"));
            typed_reference(&mut found, parameters, &path);
            scope(&mut found, parameters, &path);
        }
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let path = Path::new("spec").child("controller");
        // A Go string that is absent is shown as an empty one.
        let text = |class: &Tree| Tree::from(class.text("spec.controller"));
        immutable(&mut found, path, &text(new), &text(old));
        found.extend(self.validate(new, context));
        found
    }
}

const MAX_CONTROLLER: usize = 250;

fn controller(found: &mut ErrorList, controller: &str, path: &Path) {
    if controller.len() > MAX_CONTROLLER {
        found.push(Error::too_long(path.clone(), MAX_CONTROLLER));
    }
    domain_prefixed_path(found, path, controller);
}

fn scope(found: &mut ErrorList, parameters: &Tree, path: &Path) {
    let namespace = parameters.at("namespace").as_str();
    let at = path.child("namespace");
    match (parameters.at("scope").as_str(), namespace) {
        (None, _) => found.push(Error::required(path.child("scope"), "")),
        (Some("Namespace"), None) => {
            found.push(Error::required(at, "`parameters.scope` is set to 'Namespace'"));
        }
        (Some("Namespace"), Some(name)) => invalid(found, &at, name, dns1123_label_problems(name, false)),
        (Some("Cluster"), Some(_)) => {
            found.push(Error::forbidden(at, "`parameters.scope` is set to 'Cluster'"));
        }
        (Some("Cluster"), None) => {}
        (Some(other), _) => known_word(found, path.child("scope"), other, &["Cluster", "Namespace"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    fn class(parameters: Value) -> Value {
        json!({"spec": {"controller": "a.b/c", "parameters": parameters}})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let long = format!("a.b/{}", "c".repeat(247));
        let cases = [
            (class(json!(null)), vec![]),
            (class(json!({"kind": "K", "name": "n", "scope": "Cluster"})), vec![]),
            (json!({}), vec!["spec.controller: Required value"]),
            (
                json!({"spec": {"controller": "c"}}),
                vec![
                    "spec.controller: Invalid value: \"c\": must be a domain-prefixed path (such as \"acme.io/foo\")",
                ],
            ),
            (
                json!({"spec": {"controller": "a.b/c d"}}),
                vec![
                    "spec.controller: Invalid value: \"c d\": Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')",
                ],
            ),
            (
                json!({"spec": {"controller": long}}),
                vec!["spec.controller: Too long: may not be more than 250 bytes"],
            ),
            (
                class(json!({})),
                vec![
                    "spec.parameters.kind: Required value",
                    "spec.parameters.name: Required value",
                    "spec.parameters.scope: Required value",
                ],
            ),
            (
                class(json!({"kind": "K", "name": "n", "scope": "Namespace"})),
                vec!["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
            ),
            (
                class(json!({"kind": "K", "name": "n", "scope": "Cluster", "namespace": "x"})),
                vec!["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
            ),
            (
                class(json!({"kind": "K", "name": "n", "scope": "World"})),
                vec![
                    "spec.parameters.scope: Unsupported value: \"World\": supported values: \"Cluster\", \"Namespace\"",
                ],
            ),
        ];
        for (class, want) in cases {
            assert_eq!(texts(&IngressClass.validate(&class, &Context::default())), want, "{class}");
        }
    }

    #[test]
    fn the_controller_stays() {
        let (old, new) = (class(json!(null)), json!({"spec": {"controller": "a.b/d"}}));
        let want = "spec.controller: Invalid value: \"a.b/d\": field is immutable";
        assert_eq!(texts(&IngressClass.validate_update(&new, &old, &Context::default())), [want]);
    }

    #[test]
    fn classes_print_as_upstream() {
        let mut class = class(json!({"kind": "K", "apiGroup": "g.io", "name": "n"}));
        IngressClass.apply_defaults(&mut class);
        assert_eq!(class["spec"]["parameters"]["scope"], "Cluster");
        class["metadata"] = json!({"name": "nginx", "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}});
        assert_eq!(row(COLUMNS, &class, "2026-01-01T00:05:00Z"), "nginx (default)|a.b/c|K.g.io/n|5m");
        class["metadata"]["annotations"] = json!({});
        class["spec"]["parameters"] = json!(null);
        assert_eq!(row(COLUMNS, &class, "2026-01-01T00:05:00Z"), "nginx|a.b/c|<none>|5m");
    }
}
