//! The query and path parameters of operations, and which operation takes which.

use serde_json::{Value, json};

use super::{Action, Flavour};

/// One parameter.
struct Parameter {
    name: &'static str,
    kind: &'static str,
    description: &'static str,
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "string", description }
}

const fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "boolean", description }
}

const fn number(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind: "integer", description }
}

const PRETTY: Parameter = text("pretty", "If 'true', the output is indented.");

const WRITE: [Parameter; 3] = [
    text("dryRun", "With 'All', every stage of the request runs but nothing is persisted."),
    text("fieldManager", "The name of the actor that makes the change: at most 128 printable characters."),
    text(
        "fieldValidation",
        "What happens to unknown and duplicate fields: 'Ignore' drops them, 'Warn' drops them with a warning, 'Strict' refuses the request.",
    ),
];

const FORCE: [Parameter; 1] =
    [flag("force", "Take over fields that other managers own. Only for apply requests.")];

const DELETE: [Parameter; 5] = [
    text("dryRun", "With 'All', every stage of the request runs but nothing is persisted."),
    number("gracePeriodSeconds", "Seconds before the object is deleted; zero deletes at once."),
    flag(
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "Delete the object even if it cannot be read from the store. This skips finalizers and may break the workload.",
    ),
    flag("orphanDependents", "Deprecated: use propagationPolicy. Whether dependents are orphaned."),
    text("propagationPolicy", "How dependents are treated: 'Orphan', 'Background' or 'Foreground'."),
];

const LIST: [Parameter; 10] = [
    flag("allowWatchBookmarks", "Whether the watch may send BOOKMARK events."),
    text("continue", "The token of the page before this one."),
    text("fieldSelector", "Restricts the objects by their fields."),
    text("labelSelector", "Restricts the objects by their labels."),
    number("limit", "The most objects that one page may have."),
    text("resourceVersion", "The resource version that the answer must not be older than, or must be at."),
    text("resourceVersionMatch", "How resourceVersion is applied: 'Exact' or 'NotOlderThan'."),
    flag("sendInitialEvents", "Whether a watch begins with the objects that exist."),
    number("timeoutSeconds", "How long the call may last."),
    flag("watch", "Watch for changes instead of listing."),
];

/// The query parameters of an operation, without those of its path.
pub(super) fn query(action: Action, flavour: Flavour) -> Vec<Value> {
    let groups: &[&[Parameter]] = match action {
        Action::Create | Action::Update => &[&WRITE],
        Action::Patch => &[&WRITE, &FORCE],
        Action::Delete => &[&DELETE],
        Action::DeleteCollection => &[&DELETE, &LIST[1..9]],
        Action::List | Action::Watch => &[&LIST],
        Action::Get | Action::Connect | Action::Proxy => &[],
    };
    groups.iter().flat_map(|group| group.iter()).map(|p| p.render("query", flavour)).collect()
}

/// The parameters of a path, and the one that every operation takes.
pub(super) fn path(path: &str, kind: &str, flavour: Flavour) -> Vec<Value> {
    let mut out = Vec::new();
    let known = [
        ("{name}", "name", format!("name of the {kind}")),
        ("{namespace}", "namespace", "object name and auth scope, such as for teams and projects".to_owned()),
        ("{path}", "path", "path to the resource".to_owned()),
    ];
    for (mark, name, description) in known {
        if path.contains(mark) {
            out.push(render(name, "path", "string", &description, flavour));
        }
    }
    out.push(PRETTY.render("query", flavour));
    out
}

impl Parameter {
    fn render(&self, place: &str, flavour: Flavour) -> Value {
        render(self.name, place, self.kind, self.description, flavour)
    }
}

fn render(name: &str, place: &str, kind: &str, description: &str, flavour: Flavour) -> Value {
    let mut out = json!({"name": name, "in": place, "description": description});
    if place == "path" {
        out["required"] = true.into();
    }
    match flavour {
        Flavour::V2 => {
            out["type"] = kind.into();
            out["uniqueItems"] = true.into();
        }
        Flavour::V3 => out["schema"] = json!({"type": kind, "uniqueItems": true}),
    }
    out
}
