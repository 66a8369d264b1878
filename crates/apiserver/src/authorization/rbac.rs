//! Role-based access control from memory: bindings are found by who asks, never by looking through all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use steersman_apimachinery::Tree;
use steersman_apimachinery::quote::quote;

use super::follow::{Change, Index};
use super::rules::PolicyRule;
use crate::request::{Attributes, Decision, User};
use crate::view::{items, text};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Namespace (empty for the cluster's) and name.
type Place = (String, String);

/// Decides by roles and bindings.
#[derive(Default)]
pub struct Rbac(RwLock<State>);

#[derive(Default)]
struct State {
    roles: HashMap<Place, Arc<[PolicyRule]>>,
    bindings: HashMap<Place, Binding>,
    /// Which bindings name a subject, by the binding's namespace; in the order in which they are asked.
    by_subject: HashMap<Subject, BTreeMap<String, BTreeSet<String>>>,
}

/// As a request carries it: a service account is the user of its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    User(String),
    Group(String),
}

struct Binding {
    role_kind: String,
    role: Place,
    /// Each with how messages show it.
    subjects: Vec<(Subject, String)>,
}

/// The rules that a user has somewhere.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The rules, cluster-wide ones first.
    pub rules: Vec<PolicyRule>,
    /// Roles that bindings name and that do not exist.
    pub problems: Vec<String>,
}

impl Rbac {
    /// Whether the request is allowed; no opinion otherwise.
    pub fn authorize(&self, asked: &Attributes) -> Decision {
        let state = self.0.read();
        let mut problems = Vec::new();
        for (place, binding) in state.bindings_of(&asked.user, &asked.namespace) {
            match state.rules(binding) {
                Ok(rules) if rules.iter().any(|rule| rule.allows(asked)) => {
                    let who = binding.described_subject(&asked.user);
                    return Decision::Allow { reason: binding.described(place, who) };
                }
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        Decision::NoOpinion { reason: refusal(&problems) }
    }

    /// All rules that `user` has in `namespace` (empty: in the cluster).
    pub fn rules_of(&self, user: &User, namespace: &str) -> Held {
        let state = self.0.read();
        let mut held = Held::default();
        for (_, binding) in state.bindings_of(user, namespace) {
            match state.rules(binding) {
                Ok(rules) => held.rules.extend(rules.iter().cloned()),
                Err(problem) => held.problems.push(problem),
            }
        }
        held
    }

    /// The rules of the role that a binding in `namespace` (empty: of the cluster) refers to; `None` if there is no
    /// such role.
    pub fn rules_of_role(&self, kind: &str, name: &str, namespace: &str) -> Option<Arc<[PolicyRule]>> {
        self.0.read().roles.get(&role_place(kind, name, namespace)).cloned()
    }
}

/// The text that a denial adds, as Go prints an aggregate of errors.
fn refusal(problems: &[String]) -> String {
    match problems {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    }
}

impl State {
    /// The cluster's bindings of a user, then those of the namespace.
    fn bindings_of<'s>(
        &'s self,
        user: &'s User,
        namespace: &'s str,
    ) -> impl Iterator<Item = (Place, &'s Binding)> {
        let name = Subject::User(user.name.clone());
        let groups = user.groups.iter().map(|group| Subject::Group(group.clone()));
        let found: Vec<_> =
            std::iter::once(name).chain(groups).filter_map(|who| self.by_subject.get(&who)).collect();
        let scopes = if namespace.is_empty() { vec![""] } else { vec!["", namespace] };
        scopes.into_iter().flat_map(move |scope| {
            let names: BTreeSet<&String> =
                found.iter().filter_map(|places| places.get(scope)).flatten().collect();
            names.into_iter().filter_map(move |name| {
                let place = (scope.to_owned(), name.clone());
                let binding = self.bindings.get(&place)?;
                Some((place, binding))
            })
        })
    }

    fn rules(&self, binding: &Binding) -> Result<&Arc<[PolicyRule]>, String> {
        self.roles.get(&binding.role).ok_or_else(|| {
            let kind = binding.role_kind.to_lowercase();
            format!("{kind}.{GROUP} {} not found", quote(&binding.role.1))
        })
    }

    fn put_role(&mut self, object: &Tree) {
        self.roles.insert(place(object), PolicyRule::of_role(object).into());
    }

    fn put_binding(&mut self, object: &Tree) {
        let place = place(object);
        self.remove_binding(&place);
        let binding = Binding::read(object);
        for (subject, _) in &binding.subjects {
            let names =
                self.by_subject.entry(subject.clone()).or_default().entry(place.0.clone()).or_default();
            names.insert(place.1.clone());
        }
        self.bindings.insert(place, binding);
    }

    fn remove_binding(&mut self, place: &Place) {
        let Some(binding) = self.bindings.remove(place) else { return };
        for (subject, _) in binding.subjects {
            let Some(places) = self.by_subject.get_mut(&subject) else { continue };
            if let Some(names) = places.get_mut(&place.0) {
                names.remove(&place.1);
                if names.is_empty() {
                    places.remove(&place.0);
                }
            }
            if places.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }
}

impl Binding {
    fn read(object: &Tree) -> Self {
        let namespace = text(object, "/metadata/namespace");
        let (kind, name) = (text(object, "/roleRef/kind"), text(object, "/roleRef/name"));
        let subjects =
            items(object, "/subjects").iter().filter_map(|subject| read_subject(subject, namespace));
        Self {
            role_kind: kind.to_owned(),
            role: role_place(kind, name, namespace),
            subjects: subjects.collect(),
        }
    }

    fn described_subject(&self, user: &User) -> &str {
        let applies = |subject: &Subject| match subject {
            Subject::User(name) => *name == user.name,
            Subject::Group(name) => user.groups.contains(name),
        };
        let found = self.subjects.iter().find(|(subject, _)| applies(subject));
        found.map_or("", |(_, shown)| shown)
    }

    fn described(&self, (namespace, name): Place, who: &str) -> String {
        let (kind, name) = match namespace.as_str() {
            "" => ("ClusterRoleBinding", name),
            _ => ("RoleBinding", format!("{name}/{namespace}")),
        };
        let role = format!("{} {}", self.role_kind, quote(&self.role.1));
        format!("RBAC: allowed by {kind} {} of {role} to {who}", quote(&name))
    }
}

/// A service account without a namespace is one of the binding's namespace; in a cluster binding it is nobody.
fn read_subject(subject: &Tree, binding_namespace: &str) -> Option<(Subject, String)> {
    let (kind, name) = (text(subject, "/kind"), text(subject, "/name"));
    match kind {
        "User" => Some((Subject::User(name.to_owned()), format!("User {}", quote(name)))),
        "Group" => Some((Subject::Group(name.to_owned()), format!("Group {}", quote(name)))),
        "ServiceAccount" => {
            let own = text(subject, "/namespace");
            let namespace = if own.is_empty() { binding_namespace } else { own };
            let user = format!("system:serviceaccount:{namespace}:{name}");
            let shown = format!("ServiceAccount {}", quote(&format!("{name}/{namespace}")));
            (!namespace.is_empty()).then_some((Subject::User(user), shown))
        }
        _ => None,
    }
}

fn role_place(kind: &str, name: &str, namespace: &str) -> Place {
    let namespace = if kind == "Role" { namespace } else { "" };
    (namespace.to_owned(), name.to_owned())
}

fn place(object: &Tree) -> Place {
    (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

impl Index for Rbac {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[(GROUP, "roles"), (GROUP, "clusterroles"), (GROUP, "rolebindings"), (GROUP, "clusterrolebindings")]
    }

    fn apply(&self, resource: &str, change: Change) {
        let binding = resource.ends_with("bindings");
        let cluster = resource.starts_with("cluster");
        let mut state = self.0.write();
        match (change, binding) {
            (Change::Replace(objects), true) => {
                let gone = |place: &&Place| place.0.is_empty() == cluster;
                let places: Vec<Place> = state.bindings.keys().filter(gone).cloned().collect();
                places.iter().for_each(|place| state.remove_binding(place));
                objects.iter().for_each(|object| state.put_binding(object));
            }
            (Change::Replace(objects), false) => {
                state.roles.retain(|place, _| place.0.is_empty() != cluster);
                objects.iter().for_each(|object| state.put_role(object));
            }
            (Change::Put(object), true) => state.put_binding(&object),
            (Change::Put(object), false) => state.put_role(&object),
            (Change::Delete(object), true) => state.remove_binding(&place(&object)),
            (Change::Delete(object), false) => {
                state.roles.remove(&place(&object));
            }
        }
    }
}

#[cfg(test)]
mod tests;
