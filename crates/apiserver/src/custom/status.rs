//! What the status of a definition must say. Pure: the definition, the names that others have, and the time in; the new
//! definition out. Reasons and messages are upstream's.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};

use super::conditions::{self, Condition};

/// Where a group that belongs to the Kubernetes community says that its API was reviewed.
const APPROVED: &str = "api-approved.kubernetes.io";
const APPROVAL: &str = "KubernetesAPIApprovalPolicyConformant";
const PROPOSAL: &str = "see https://github.com/kubernetes/enhancements/pull/1111";
const NON_STRUCTURAL: &str = "NonStructuralSchema";

/// The names of a group that are in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Plurals, singulars and short names.
    resources: BTreeSet<String>,
    /// Kinds and list kinds.
    kinds: BTreeSet<String>,
}

impl Taken {
    /// Adds the names that were accepted for a definition.
    pub fn add(&mut self, definition: &Tree) {
        let of = |field: &str| definition.str_at(&format!("status.acceptedNames.{field}")).to_owned();
        let short = definition.items_at("status.acceptedNames.shortNames").iter();
        self.resources.extend([of("plural"), of("singular")]);
        self.resources.extend(short.filter_map(Value::as_str).map(str::to_owned));
        self.kinds.extend([of("kind"), of("listKind")]);
    }
}

/// The definition with its status as it must be. `served` says whether requests for its objects are answered already:
/// only then it is established, so that who sees it established can use it.
pub fn settle(
    old: &Tree,
    taken: &Taken,
    served: bool,
    non_structural: Option<String>,
    now: Timestamp,
) -> Tree {
    let mut new = old.clone();
    accept_names(&mut new, taken, now);
    let accepted = conditions::holds(&new, "NamesAccepted");
    if accepted && served && !conditions::holds(&new, "Established") {
        conditions::set(&mut new, established(), now);
    }
    match non_structural {
        Some(message) => {
            let kind = NON_STRUCTURAL;
            conditions::set(&mut new, Condition { kind, holds: true, reason: "Violations", message }, now);
        }
        None if conditions::find(&new, NON_STRUCTURAL).is_some() => {
            conditions::remove(&mut new, NON_STRUCTURAL);
        }
        None => {}
    }
    match approval(&new) {
        Some(condition) => conditions::set(&mut new, condition, now),
        None if conditions::find(&new, APPROVAL).is_some() => conditions::remove(&mut new, APPROVAL),
        None => {}
    }
    remember_storage_version(&mut new);
    new
}

fn established() -> Condition {
    Condition {
        kind: "Established",
        holds: true,
        reason: "InitialNamesAccepted",
        message: "the initial names have been accepted".to_owned(),
    }
}

/// Accepts what names can be accepted, and says whether all could.
fn accept_names(new: &mut Tree, taken: &Taken, now: Timestamp) {
    let requested = new.at("spec.names").cloned().unwrap_or_default();
    let had = new.at("status.acceptedNames").cloned().unwrap_or_default();
    if same_names(&requested, &had) {
        return;
    }
    let mut accepted = had.clone();
    let mut conflict = None;
    for (field, reason, used) in [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ] {
        let problems = in_use(&requested, &had, field, used);
        if problems.is_empty() {
            copy(&mut accepted, &requested, field);
        } else {
            conflict = Some((reason, aggregate(&problems)));
        }
    }
    copy(&mut accepted, &requested, "categories");
    new.set("status.acceptedNames", accepted);
    let holds = conflict.is_none();
    let (reason, message) = conflict.unwrap_or(("NoConflicts", "no conflicts found".to_owned()));
    conditions::set(new, Condition { kind: "NamesAccepted", holds, reason, message }, now);
    if !conditions::holds(new, "Established") {
        let (reason, message) = match holds {
            true => ("Installing", "the initial names have been accepted"),
            false => ("NotAccepted", "not all names are accepted"),
        };
        if holds || conditions::find(new, "Established").is_none() {
            let message = message.to_owned();
            conditions::set(new, Condition { kind: "Established", holds: false, reason, message }, now);
        }
    }
}

/// The names of `field` that are asked for, not had, and taken.
fn in_use(requested: &Tree, had: &Tree, field: &str, used: &BTreeSet<String>) -> Vec<String> {
    let own = texts(had, field);
    let fresh = texts(requested, field).into_iter().filter(|name| !own.contains(name));
    fresh.filter(|name| used.contains(*name)).map(|name| format!("{name:?} is already in use")).collect()
}

/// The strings of a field that is one or a list of them.
fn texts<'t>(names: &'t Tree, field: &str) -> Vec<&'t str> {
    match names.get(field) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn copy(to: &mut Tree, from: &Tree, field: &str) {
    match from.get(field) {
        Some(value) => to.set(field, value.clone()),
        None => drop(to.remove(field)),
    }
}

fn same_names(a: &Tree, b: &Tree) -> bool {
    ["plural", "singular", "shortNames", "kind", "listKind", "categories"]
        .into_iter()
        .all(|field| texts(a, field) == texts(b, field))
}

/// Several problems as Go's aggregate prints them.
fn aggregate(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// What must be said of a group that belongs to the community; `None` for others.
fn approval(definition: &Tree) -> Option<Condition> {
    let group = definition.str_at("spec.group");
    let protected =
        ["k8s.io", "kubernetes.io"].iter().any(|own| group == *own || group.ends_with(&format!(".{own}")));
    if !protected {
        return None;
    }
    let annotation = definition.annotation(APPROVED).unwrap_or_default();
    let is_url = annotation.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.split('/').next().unwrap_or_default();
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()) && !host.is_empty()
    });
    let must = format!("protected groups must have approval annotation {APPROVED:?}");
    let (holds, reason, message) = match annotation {
        "" => (false, "MissingAnnotation", format!("{must}, {PROPOSAL}")),
        text if text.starts_with("unapproved") => {
            (false, "UnapprovedAnnotation", format!("not approved: {text:?}"))
        }
        text if is_url => (true, "ApprovedAnnotation", format!("approved in {text}")),
        _ => {
            let either = "with either a URL or a reason starting with \"unapproved\"";
            (false, "InvalidAnnotation", format!("{must} {either}, {PROPOSAL}"))
        }
    };
    Some(Condition { kind: APPROVAL, holds, reason, message })
}

/// Notes that objects may be stored in today's storage version.
fn remember_storage_version(definition: &mut Tree) {
    let versions = definition.items_at("spec.versions").iter();
    let Some(storage) =
        versions.filter(|v| v.bool_at("storage") == Some(true)).map(|v| v.str_at("name")).next()
    else {
        return;
    };
    let mut stored = definition.items_at("status.storedVersions").to_vec();
    if !stored.iter().any(|version| version == storage) {
        stored.push(json!(storage));
        definition.set("status.storedVersions", stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Tree {
        json!({
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {
                "group": "example.com",
                "names": {
                    "plural": plural, "singular": kind.to_lowercase(), "kind": kind,
                    "listKind": format!("{kind}List"), "shortNames": short,
                },
                "versions": [{"name": "v1", "served": true, "storage": true}],
            },
        })
    }

    fn settled(tree: &Tree, taken: &Taken, served: bool) -> Tree {
        settle(tree, taken, served, None, Timestamp::UNIX_EPOCH)
    }

    fn said(tree: &Tree, kind: &str) -> (String, String, String) {
        let found = conditions::find(tree, kind).unwrap_or_else(|| panic!("no {kind}"));
        let text = |field| found.str_at(field).to_owned();
        (text("status"), text("reason"), text("message"))
    }

    fn want(status: &str, reason: &str, message: &str) -> (String, String, String) {
        (status.to_owned(), reason.to_owned(), message.to_owned())
    }

    #[test]
    fn names_are_accepted_and_then_the_definition_is_established() {
        let fresh = definition("foos", "Foo", &["fo"]);
        let accepted = settled(&fresh, &Taken::default(), false);
        assert_eq!(said(&accepted, "NamesAccepted"), want("True", "NoConflicts", "no conflicts found"));
        let installing = want("False", "Installing", "the initial names have been accepted");
        assert_eq!(said(&accepted, "Established"), installing);
        assert_eq!(accepted["status"]["acceptedNames"], fresh["spec"]["names"]);
        assert_eq!(accepted["status"]["storedVersions"], json!(["v1"]));
        let done = settled(&accepted, &Taken::default(), true);
        let established = want("True", "InitialNamesAccepted", "the initial names have been accepted");
        assert_eq!(said(&done, "Established"), established);
        assert_eq!(settled(&done, &Taken::default(), true), done, "settled is settled");
    }

    #[test]
    fn names_of_others_are_refused() {
        let mut taken = Taken::default();
        taken.add(&settled(&definition("foos", "Foo", &["a", "b"]), &Taken::default(), true));
        struct Case {
            definition: Tree,
            reason: &'static str,
            message: &'static str,
        }
        let cases = [
            Case {
                definition: definition("bars", "Bar", &["a", "b"]),
                reason: "ShortNamesConflict",
                message: "[\"a\" is already in use, \"b\" is already in use]",
            },
            Case {
                definition: definition("bars", "Foo", &[]),
                reason: "ListKindConflict",
                message: "\"FooList\" is already in use",
            },
            Case {
                definition: definition("foos", "Bar", &[]),
                reason: "PluralConflict",
                message: "\"foos\" is already in use",
            },
        ];
        for case in cases {
            let new = settled(&case.definition, &taken, false);
            assert_eq!(said(&new, "NamesAccepted"), want("False", case.reason, case.message));
            let not_accepted = want("False", "NotAccepted", "not all names are accepted");
            assert_eq!(said(&new, "Established"), not_accepted);
        }
    }

    #[test]
    fn an_established_definition_keeps_what_it_has() {
        let mut taken = Taken::default();
        let other = settled(&definition("foos", "Foo", &["a"]), &Taken::default(), true);
        taken.add(&other);
        let mut own = settled(&definition("bars", "Bar", &[]), &Taken::default(), false);
        own = settled(&own, &Taken::default(), true);
        own["spec"]["names"]["shortNames"] = json!(["a"]);
        let new = settled(&own, &taken, true);
        assert_eq!(said(&new, "NamesAccepted").1, "ShortNamesConflict");
        assert_eq!(said(&new, "Established").0, "True");
        assert_eq!(new["status"]["acceptedNames"]["shortNames"], json!([]));
    }

    #[test]
    fn groups_of_the_community_need_approval() {
        let mut tree = definition("foos", "Foo", &[]);
        tree["spec"]["group"] = json!("x.k8s.io");
        for (annotation, status, reason) in [
            ("", "False", "MissingAnnotation"),
            ("unapproved, testing", "False", "UnapprovedAnnotation"),
            ("https://github.com/kubernetes/kubernetes/pull/1", "True", "ApprovedAnnotation"),
            ("surely", "False", "InvalidAnnotation"),
        ] {
            tree["metadata"]["annotations"] = json!({APPROVED: annotation});
            let said = said(&settled(&tree, &Taken::default(), false), APPROVAL);
            assert_eq!((said.0.as_str(), said.1.as_str()), (status, reason), "{annotation}");
        }
    }
}
