//! Sets of paths, as trees: which fields a manager owns.
//!
//! A path in the set does not bring its parents or children with it: `spec.replicas` may be in the set without `spec`.

use std::collections::BTreeMap;

use serde_json::Map;

use super::element::{InvalidElement, PathElement};
use crate::Tree;

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// No node is empty: each is a member or has children.
    nodes: BTreeMap<PathElement, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    children: FieldSet,
}

/// What is not a `FieldsV1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFields {
    /// A key that is no path element.
    #[error(transparent)]
    Element(#[from] InvalidElement),
    /// A value that is no map.
    #[error("expected a map of fields, got {0}")]
    NotAMap(String),
}

impl FieldSet {
    /// The set of these dotted paths of fields (`metadata.name`).
    pub fn of_fields(paths: &[&str]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<PathElement> = path.split('.').map(PathElement::field).collect();
            set.insert(&path);
        }
        set
    }

    /// Adds one path. The empty path, the whole object, is never owned and is not added.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.nodes.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.children.insert(rest);
        }
    }

    /// Adds one element with what is below it.
    pub(super) fn attach(&mut self, element: PathElement, member: bool, children: Self) {
        if !member && children.is_empty() {
            return;
        }
        let node = self.nodes.entry(element).or_default();
        node.member |= member;
        node.children.unite(&children);
    }

    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether it has this path.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.is_member(last),
            [first, rest @ ..] => self.nodes.get(first).is_some_and(|node| node.children.has(rest)),
        }
    }

    /// Whether the path of just this element is in it.
    pub(super) fn is_member(&self, element: &PathElement) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// The paths below an element, without the element; `None` if there is none.
    pub(super) fn below(&self, element: &PathElement) -> Option<&Self> {
        self.nodes.get(element).map(|node| &node.children).filter(|children| !children.is_empty())
    }

    /// Each first element, whether it is in the set itself, and what is below it.
    pub(super) fn elements(&self) -> impl Iterator<Item = (&PathElement, bool, &Self)> {
        self.nodes.iter().map(|(element, node)| (element, node.member, &node.children))
    }

    /// Adds all of `other`.
    pub fn unite(&mut self, other: &Self) {
        for (element, theirs) in &other.nodes {
            let ours = self.nodes.entry(element.clone()).or_default();
            ours.member |= theirs.member;
            ours.children.unite(&theirs.children);
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combined(|element, node| {
            let theirs = other.nodes.get(element)?;
            Some((node.member && theirs.member, node.children.intersection(&theirs.children)))
        })
    }

    /// What is in this and not in `other`, path by path: children stay when their parent goes.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combined(|element, node| {
            let Some(theirs) = other.nodes.get(element) else {
                return Some((node.member, node.children.clone()));
            };
            Some((node.member && !theirs.member, node.children.difference(&theirs.children)))
        })
    }

    /// What is in this and neither in `other` nor below a path of `other`.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.combined(|element, node| match other.nodes.get(element) {
            None => Some((node.member, node.children.clone())),
            Some(theirs) if theirs.member => None,
            Some(theirs) => Some((node.member, node.children.recursive_difference(&theirs.children))),
        })
    }

    fn combined(&self, keep: impl Fn(&PathElement, &Node) -> Option<(bool, Self)>) -> Self {
        let mut out = Self::default();
        for (element, node) in &self.nodes {
            if let Some((member, children)) = keep(element, node) {
                out.attach(element.clone(), member, children);
            }
        }
        out
    }

    /// Every path, parents before children and siblings together, as upstream walks a set.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut out = Vec::new();
        self.walk(&mut Vec::new(), &mut out);
        out
    }

    fn walk(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Vec<PathElement>>) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            out.push(prefix.iter().chain([element]).cloned().collect());
        }
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            node.children.walk(prefix, out);
            prefix.pop();
        }
    }

    /// As `FieldsV1`: a map of steps; `.` says that the step above is itself in the set, where it has steps below.
    pub fn to_fields_v1(&self) -> Tree {
        let entry = |(element, node): (&PathElement, &Node)| {
            let mut below = node.children.to_fields_v1();
            if node.member && !node.children.is_empty() {
                below["."] = Tree::Object(Map::new());
            }
            (element.as_str().to_owned(), below)
        };
        Tree::Object(self.nodes.iter().map(entry).collect())
    }

    /// Reads a `FieldsV1`. Steps of kinds that this version does not know are skipped.
    pub fn from_fields_v1(fields: &Tree) -> Result<Self, InvalidFields> {
        let mut set = Self::default();
        let entries = match fields {
            Tree::Null => return Ok(set),
            Tree::Object(entries) => entries,
            other => return Err(InvalidFields::NotAMap(other.to_string())),
        };
        for (key, below) in entries.iter().filter(|(key, _)| *key != ".") {
            let element = match PathElement::parse(key) {
                Err(InvalidElement::Unknown) => continue,
                parsed => parsed?,
            };
            let children = Self::from_fields_v1(below)?;
            let marked = below.get(".").is_some();
            set.attach(element, marked || children.is_empty(), children);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::element::print_path;
    use super::*;

    fn set(fields: Tree) -> FieldSet {
        FieldSet::from_fields_v1(&fields).expect("valid")
    }

    #[test]
    fn fields_v1_is_read_and_written() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}}, "f:finalizers": {"v:\"x\"": {}}},
        });
        let set = set(fields.clone());
        assert_eq!(set.to_fields_v1(), fields);
        let printed: Vec<String> = set.paths().iter().map(|path| print_path(path)).collect();
        let want = [
            ".metadata.labels",
            ".metadata.labels.app",
            ".spec.containers[name=\"a\"]",
            ".spec.containers[name=\"a\"].name",
            ".spec.finalizers[=\"x\"]",
        ];
        assert_eq!(printed, want);
    }

    #[test]
    fn odd_fields_v1_is_read_as_upstream_reads_it() {
        assert_eq!(set(json!({"q:new": {}, "f:a": {}})), FieldSet::of_fields(&["a"]));
        assert_eq!(set(json!({"f:a": null})), FieldSet::of_fields(&["a"]));
        assert_eq!(set(json!({".": {}})), FieldSet::default());
        assert!(FieldSet::from_fields_v1(&json!({"a": {}})).is_err());
        assert!(FieldSet::from_fields_v1(&json!({"f:a": 1})).is_err());
        assert!(FieldSet::from_fields_v1(&json!([])).is_err());
    }

    #[test]
    fn differences_differ_in_what_happens_to_children() {
        let all = FieldSet::of_fields(&["a", "a.b", "a.b.c", "d"]);
        let gone = FieldSet::of_fields(&["a.b"]);
        assert_eq!(all.difference(&gone), FieldSet::of_fields(&["a", "a.b.c", "d"]));
        assert_eq!(all.recursive_difference(&gone), FieldSet::of_fields(&["a", "d"]));
        assert_eq!(all.intersection(&gone), gone);
    }

    fn paths() -> impl Strategy<Value = Vec<Vec<PathElement>>> {
        let path = prop::collection::vec("[ab]".prop_map(|name| PathElement::field(&name)), 1..4);
        prop::collection::vec(path, 0..6)
    }

    proptest! {
        #[test]
        fn sets_agree_with_lists_of_paths(a in paths(), b in paths()) {
            let of = |paths: &[Vec<PathElement>]| {
                let mut set = FieldSet::default();
                paths.iter().for_each(|path| set.insert(path));
                set
            };
            let sorted = |set: &FieldSet| { let mut paths = set.paths(); paths.sort(); paths };
            let wanted = |keep: &dyn Fn(&Vec<PathElement>) -> bool| {
                let mut paths: Vec<_> = a.iter().chain(&b).filter(|path| keep(path)).cloned().collect();
                paths.sort();
                paths.dedup();
                paths
            };
            let (x, y) = (of(&a), of(&b));
            let mut both = x.clone();
            both.unite(&y);
            let below = |path: &[PathElement]| (1..=path.len()).any(|n| b.contains(&path[..n].to_vec()));
            prop_assert_eq!(sorted(&both), wanted(&|_| true));
            prop_assert_eq!(sorted(&x.intersection(&y)), wanted(&|path| a.contains(path) && b.contains(path)));
            prop_assert_eq!(sorted(&x.difference(&y)), wanted(&|path| a.contains(path) && !b.contains(path)));
            prop_assert_eq!(sorted(&x.recursive_difference(&y)), wanted(&|path| a.contains(path) && !below(path)));
            prop_assert_eq!(FieldSet::from_fields_v1(&both.to_fields_v1()), Ok(both));
        }
    }
}
