//! What changed between two objects, as sets of fields.

use std::collections::BTreeMap;

use super::element::{PathElement, print_path};
use super::set::FieldSet;
use super::shape::{Shape, child, item_element, same};
use crate::Tree;
use crate::schema::{ListSchema, Schema};

/// The difference of two objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only in the new one.
    pub added: FieldSet,
    /// In both, with another value.
    pub modified: FieldSet,
    /// Only in the old one.
    pub removed: FieldSet,
}

impl Comparison {
    /// The comparison without these fields and what is below them.
    #[must_use]
    pub fn without(&self, fields: &FieldSet) -> Self {
        Self {
            added: self.added.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            removed: self.removed.recursive_difference(fields),
        }
    }

    /// Added and modified together.
    pub fn written(&self) -> FieldSet {
        let mut written = self.added.clone();
        written.unite(&self.modified);
        written
    }
}

/// Compares two objects of one type; fails if an item of a list cannot be told from others.
pub fn compare(old: &Tree, new: &Tree, schema: &Schema) -> Result<Comparison, String> {
    let mut walk = Walk { out: Comparison::default(), path: Vec::new() };
    walk.value(Some(old), Some(new), schema)?;
    Ok(walk.out)
}

struct Walk {
    out: Comparison,
    path: Vec<PathElement>,
}

type Values<'a> = (Option<&'a Tree>, Option<&'a Tree>);

impl Walk {
    fn value(&mut self, old: Option<&Tree>, new: Option<&Tree>, schema: &Schema) -> Result<(), String> {
        let was_leaf = match (old, new) {
            (None, None) => return Ok(()),
            (Some(only), None) | (None, Some(only)) => {
                self.shaped(Shape::of(schema, only), (old, new), schema)?
            }
            (Some(before), Some(after)) => {
                let (a, b) = (Shape::of(schema, before), Shape::of(schema, after));
                if !a.is_like(&b) {
                    self.shaped(a, (old, new), schema)?;
                }
                self.shaped(b, (old, new), schema)?
            }
        };
        match (was_leaf, old, new) {
            (false, None, _) => self.out.added.insert(&self.path),
            (false, _, None) => self.out.removed.insert(&self.path),
            _ => {}
        }
        Ok(())
    }

    /// Compares as values of one shape; a side of another shape counts as empty. Says whether it was one leaf.
    fn shaped(&mut self, shape: Shape, values: Values<'_>, schema: &Schema) -> Result<bool, String> {
        let (old, new) = values;
        let is_empty = |value: Option<&Tree>| match (&shape, value) {
            (Shape::Map, Some(Tree::Object(fields))) => fields.is_empty(),
            (Shape::List(_), Some(Tree::Array(items))) => items.is_empty(),
            _ => true,
        };
        match &shape {
            Shape::Map if !(is_empty(old) && is_empty(new)) => self.maps(values, schema).map(|()| false),
            Shape::List(list) if !(is_empty(old) && is_empty(new)) => {
                self.lists(values, list).map(|()| false)
            }
            _ => {
                self.leaves(values);
                Ok(true)
            }
        }
    }

    fn leaves(&mut self, values: Values<'_>) {
        match values {
            (None, _) => self.out.added.insert(&self.path),
            (_, None) => self.out.removed.insert(&self.path),
            (Some(old), Some(new)) if !same(old, new) => self.out.modified.insert(&self.path),
            _ => {}
        }
    }

    fn maps(&mut self, (old, new): Values<'_>, schema: &Schema) -> Result<(), String> {
        let [old, new] = [old, new].map(|value| value.and_then(Tree::as_object));
        let names = old.into_iter().flatten().chain(new.into_iter().flatten());
        let mut names: Vec<&String> = names.map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let child = child(schema, name);
            let [old, new] = [old, new].map(|fields| {
                let absent = || child.zero.as_ref().filter(|_| fields.is_some());
                fields.and_then(|fields| fields.get(name)).or_else(absent)
            });
            self.below(PathElement::field(name), (old, new), &child.schema)?;
        }
        Ok(())
    }

    fn below(&mut self, element: PathElement, values: Values<'_>, schema: &Schema) -> Result<(), String> {
        self.path.push(element);
        let outcome = self.value(values.0, values.1, schema);
        self.path.pop();
        outcome
    }

    fn lists(&mut self, (old, new): Values<'_>, list: &ListSchema) -> Result<(), String> {
        let mut items: BTreeMap<PathElement, [Vec<&Tree>; 2]> = BTreeMap::new();
        for (side, value) in [old, new].into_iter().enumerate() {
            for (i, item) in value.and_then(Tree::as_array).into_iter().flatten().enumerate() {
                let element = item_element(list, item)
                    .map_err(|why| format!("{}: element {i}: {why}", print_path(&self.path)))?;
                items.entry(element).or_default()[side].push(item);
            }
        }
        for (element, [old, new]) in items {
            self.items(element, &old, &new, &list.items)?;
        }
        Ok(())
    }

    /// Items that occur more than once on a side are compared as a whole.
    fn items(
        &mut self,
        element: PathElement,
        old: &[&Tree],
        new: &[&Tree],
        schema: &Schema,
    ) -> Result<(), String> {
        let path: Vec<PathElement> = self.path.iter().chain([&element]).cloned().collect();
        match (old, new) {
            ([] | [_], [] | [_]) => {
                self.below(element, (old.first().copied(), new.first().copied()), schema)?
            }
            ([_, _, ..], [_, _, ..]) => {
                if old.len() != new.len() || !old.iter().zip(new).all(|(old, new)| same(old, new)) {
                    self.out.modified.insert(&path);
                }
            }
            ([_, _, ..], _) => {
                self.below(element, (None, new.first().copied()), schema)?;
                self.out.removed.insert(&path);
            }
            (_, _) => {
                self.below(element, (old.first().copied(), None), schema)?;
                self.out.added.insert(&path);
            }
        }
        Ok(())
    }
}
