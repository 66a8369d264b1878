//! Who owns whom, as far as has been seen. Pure: what is seen goes in, the UIDs to look at come out.

use std::collections::{HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

/// A deletion that waits until the dependents are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// A deletion that waits until the dependents have forgotten the owner.
pub(super) const ORPHAN: &str = "orphan";

/// Unique for all time, so that a new object of an old name is never taken for it.
pub(super) type Uid = String;

/// Where an object is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub group: String,
    pub kind: String,
    /// Empty for cluster-wide objects. For an owner that was not seen yet, the namespace of its dependent.
    pub namespace: String,
    pub name: String,
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub owners: Vec<OwnerReference>,
    pub dependents: HashSet<Uid>,
    pub finalizers: Vec<String>,
    pub deleting: bool,
    /// Known from a reference only; it may not exist at all.
    pub unseen: bool,
}

impl Node {
    fn unseen(place: Place) -> Self {
        let (owners, dependents, finalizers) = (Vec::new(), HashSet::new(), Vec::new());
        Self { place, owners, dependents, finalizers, deleting: false, unseen: true }
    }

    /// It is being deleted and waits for its dependents to go.
    pub(super) fn waits_for_dependents(&self) -> bool {
        self.deleting && self.holds(FOREGROUND)
    }

    /// It is being deleted and its dependents are to stay.
    pub(super) fn orphans_dependents(&self) -> bool {
        self.deleting && self.holds(ORPHAN)
    }

    fn holds(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|held| held == finalizer)
    }

    /// Whether it keeps the owner from going.
    fn blocks(&self, owner: &str) -> bool {
        self.owners
            .iter()
            .any(|reference| reference.uid == owner && reference.block_owner_deletion == Some(true))
    }
}

/// All objects by UID.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
}

impl Graph {
    /// The object of this UID.
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The UIDs seen of one group and kind.
    pub(super) fn seen_of(&self, group: &str, kind: &str) -> Vec<Uid> {
        let of_kind = |node: &Node| !node.unseen && node.place.group == group && node.place.kind == kind;
        self.nodes.iter().filter(|(_, node)| of_kind(node)).map(|(uid, _)| uid.clone()).collect()
    }

    /// The dependents that keep this owner from going.
    pub(super) fn blocking(&self, owner: &str) -> Vec<Uid> {
        let dependents = self.nodes.get(owner).into_iter().flat_map(|node| &node.dependents);
        let blocks = |uid: &&Uid| self.nodes.get(*uid).is_some_and(|node| node.blocks(owner));
        dependents.filter(blocks).cloned().collect()
    }

    /// Takes in an object as it is now. What must be looked at: owners never seen; an owner that may no longer be
    /// blocked; and, once it waits for them or orphans them, the object itself with its dependents.
    pub(super) fn observe(&mut self, place: Place, meta: &ObjectMeta) -> Vec<Uid> {
        let Some(uid) = meta.uid.clone() else { return Vec::new() };
        let owners = meta.owner_references.clone().unwrap_or_default();
        let mut look = Vec::new();
        let node = self.nodes.entry(uid.clone()).or_insert_with(|| Node::unseen(place.clone()));
        let before = std::mem::replace(&mut node.owners, owners.clone());
        let moved = node.unseen && node.place != place;
        node.place = place.clone();
        node.finalizers = meta.finalizers.clone().unwrap_or_default();
        node.deleting = meta.deletion_timestamp.is_some();
        node.unseen = false;
        if node.waits_for_dependents() || node.orphans_dependents() {
            look.push(uid.clone());
        }
        if node.waits_for_dependents() || moved {
            look.extend(node.dependents.iter().cloned());
        }
        for old in before.iter().filter(|old| !owners.contains(old)) {
            look.extend(self.unlink(&old.uid, &uid, !owners.iter().any(|owner| owner.uid == old.uid)));
        }
        for owner in &owners {
            look.extend(self.link(owner, &uid, &place.namespace));
        }
        look
    }

    /// Adds a dependent to its owner; the owner is looked at if nobody has seen it, and the dependent if the owner is
    /// going and waits for it.
    fn link(&mut self, owner: &OwnerReference, dependent: &str, namespace: &str) -> Option<Uid> {
        let node =
            self.nodes.entry(owner.uid.clone()).or_insert_with(|| Node::unseen(place_of(owner, namespace)));
        let new = node.dependents.insert(dependent.to_owned());
        if node.unseen {
            return new.then(|| owner.uid.clone());
        }
        (new && node.waits_for_dependents()).then(|| dependent.to_owned())
    }

    /// A reference is gone or does not block any more; the owner is looked at if it was waiting.
    fn unlink(&mut self, owner: &str, dependent: &str, gone: bool) -> Option<Uid> {
        let node = self.nodes.get_mut(owner)?;
        if gone {
            node.dependents.remove(dependent);
        }
        let waits = node.waits_for_dependents();
        if node.unseen && node.dependents.is_empty() {
            self.nodes.remove(owner);
        }
        waits.then(|| owner.to_owned())
    }

    /// The object does not exist any more. Its dependents must be looked at, and owners that waited for it.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<Uid> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        let mut look: Vec<Uid> =
            node.owners.iter().filter_map(|owner| self.unlink(&owner.uid, uid, true)).collect();
        look.extend(node.dependents);
        look
    }
}

/// Where a reference points to.
pub(super) fn place_of(owner: &OwnerReference, namespace: &str) -> Place {
    Place {
        group: owner.api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
        kind: owner.kind.clone(),
        namespace: namespace.to_owned(),
        name: owner.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::now;

    fn place(name: &str) -> Place {
        Place {
            group: String::new(),
            kind: "Pod".to_owned(),
            namespace: "ns".to_owned(),
            name: name.to_owned(),
        }
    }

    fn meta(uid: &str, owners: &[&str]) -> ObjectMeta {
        let owner = |uid: &&str| OwnerReference {
            uid: (*uid).to_owned(),
            block_owner_deletion: Some(true),
            ..OwnerReference::default()
        };
        ObjectMeta {
            uid: Some(uid.to_owned()),
            owner_references: Some(owners.iter().map(owner).collect()),
            ..ObjectMeta::default()
        }
    }

    fn deleting(meta: ObjectMeta, finalizer: &str) -> ObjectMeta {
        let finalizers = Some(vec![finalizer.to_owned()]);
        ObjectMeta { deletion_timestamp: Some(now()), finalizers, ..meta }
    }

    fn sorted(mut uids: Vec<Uid>) -> Vec<Uid> {
        uids.sort();
        uids
    }

    #[test]
    fn an_owner_that_nobody_saw_is_looked_at_and_its_end_wakes_the_dependents() {
        let mut graph = Graph::default();
        assert_eq!(graph.observe(place("a"), &meta("a", &["owner"])), ["owner"]);
        assert_eq!(graph.observe(place("b"), &meta("b", &["owner"])), ["owner"]);
        assert!(graph.observe(place("b"), &meta("b", &["owner"])).is_empty(), "nothing new");
        assert!(graph.get("owner").is_some_and(|node| node.unseen));
        assert_eq!(sorted(graph.remove("owner")), ["a", "b"]);
        assert!(graph.get("owner").is_none());
    }

    #[test]
    fn an_owner_seen_late_keeps_its_dependents() {
        let mut graph = Graph::default();
        graph.observe(place("a"), &meta("a", &["owner"]));
        graph.observe(place("owner"), &meta("owner", &[]));
        assert!(graph.get("owner").is_some_and(|node| !node.unseen && node.dependents.contains("a")));
    }

    #[test]
    fn a_foreground_deletion_waits_for_what_blocks_it() {
        let mut graph = Graph::default();
        graph.observe(place("owner"), &meta("owner", &[]));
        assert!(graph.observe(place("a"), &meta("a", &["owner"])).is_empty());
        let going = deleting(meta("owner", &[]), FOREGROUND);
        assert_eq!(sorted(graph.observe(place("owner"), &going)), ["a", "owner"]);
        assert_eq!(graph.blocking("owner"), ["a"]);
        assert_eq!(graph.observe(place("b"), &meta("b", &["owner"])), ["b"], "it came late");
        let mut unblocked = meta("b", &["owner"]);
        unblocked.owner_references.as_mut().expect("some")[0].block_owner_deletion = Some(false);
        assert_eq!(graph.observe(place("b"), &unblocked), ["owner"]);
        assert_eq!(graph.remove("a"), ["owner"]);
        assert!(graph.blocking("owner").is_empty());
    }

    #[test]
    fn an_orphaning_owner_is_looked_at_but_its_dependents_are_not() {
        let mut graph = Graph::default();
        graph.observe(place("owner"), &meta("owner", &[]));
        graph.observe(place("a"), &meta("a", &["owner"]));
        let going = deleting(meta("owner", &[]), ORPHAN);
        assert_eq!(graph.observe(place("owner"), &going), ["owner"]);
        assert!(graph.observe(place("a"), &meta("a", &[])).is_empty());
        assert!(graph.get("owner").is_some_and(|node| node.dependents.is_empty()));
    }

    #[test]
    fn kinds_are_told_apart() {
        let mut graph = Graph::default();
        graph.observe(place("a"), &meta("a", &["unseen"]));
        assert_eq!(graph.seen_of("", "Pod"), ["a"]);
        assert!(graph.seen_of("apps", "Pod").is_empty());
    }
}
