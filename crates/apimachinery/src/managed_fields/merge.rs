//! Laying an applied configuration over an object, and taking fields out of one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Map;

use super::element::{PathElement, print_path};
use super::set::FieldSet;
use super::shape::{Shape, child, item_element};
use crate::Tree;
use crate::schema::{ListSchema, Schema};

/// The object with everything that the configuration sets. Fails if an item of a list cannot be told from others.
pub fn merge(live: &Tree, config: &Tree, schema: &Schema) -> Result<Tree, String> {
    let merged = value(Some(live), Some(config), schema, &mut Vec::new())?;
    Ok(merged.unwrap_or_else(|| Tree::Object(Map::new())))
}

type Path = Vec<PathElement>;

/// Nothing is left where both sides hold only what is nothing itself.
fn value(
    live: Option<&Tree>,
    config: Option<&Tree>,
    schema: &Schema,
    path: &mut Path,
) -> Result<Option<Tree>, String> {
    let Some(decisive) = config.or(live) else { return Ok(None) };
    let shape = Shape::of(schema, decisive);
    let is_empty = |value: Option<&Tree>| match (&shape, value) {
        (Shape::Map, Some(Tree::Object(fields))) => fields.is_empty(),
        (Shape::List(_), Some(Tree::Array(items))) => items.is_empty(),
        _ => true,
    };
    match &shape {
        // Both empty: which kind of empty is kept.
        _ if is_empty(live) && is_empty(config) => Ok(Some(decisive.clone())),
        Shape::Leaf => Ok(Some(decisive.clone())),
        Shape::Map => maps(live, config, schema, path),
        Shape::List(list) => lists(live, config, list, path),
    }
}

fn maps(
    live: Option<&Tree>,
    config: Option<&Tree>,
    schema: &Schema,
    path: &mut Path,
) -> Result<Option<Tree>, String> {
    let [live, config] = [live, config].map(|value| value.and_then(Tree::as_object));
    let mut out = Map::new();
    for name in live.into_iter().chain(config).flat_map(Map::keys) {
        if out.contains_key(name) {
            continue;
        }
        let [live, config] = [live, config].map(|fields| fields.and_then(|fields| fields.get(name)));
        path.push(PathElement::field(name));
        let merged = value(live, config, &child(schema, name).schema, path)?;
        path.pop();
        out.extend(merged.map(|merged| (name.clone(), merged)));
    }
    Ok((!out.is_empty()).then_some(Tree::Object(out)))
}

fn lists(
    live: Option<&Tree>,
    config: Option<&Tree>,
    list: &ListSchema,
    path: &mut Path,
) -> Result<Option<Tree>, String> {
    let live = indexed(live, list, path)?;
    let config = indexed(config, list, path)?;
    let mut out = Vec::new();
    for (element, old, new) in in_order(&live, &config) {
        path.push(element);
        out.extend(value(old, new, &list.items, path)?);
        path.pop();
    }
    Ok((!out.is_empty()).then_some(Tree::Array(out)))
}

type Item<'a> = (PathElement, &'a Tree);

fn indexed<'a>(list: Option<&'a Tree>, schema: &ListSchema, path: &Path) -> Result<Vec<Item<'a>>, String> {
    let items = list.and_then(Tree::as_array).into_iter().flatten().enumerate();
    items
        .map(|(i, item)| match item_element(schema, item) {
            Ok(element) => Ok((element, item)),
            Err(why) => Err(format!("{}: element {i}: {why}", print_path(path))),
        })
        .collect()
}

/// The items of both lists, each once, with its two sides. The configuration's items keep the configuration's order;
/// items that only the object has stay after what they came after. (Items that the object has twice are not merged
/// with the configuration's but replaced by it.)
fn in_order<'a>(
    live: &[Item<'a>],
    config: &[Item<'a>],
) -> Vec<(PathElement, Option<&'a Tree>, Option<&'a Tree>)> {
    let mut known: BTreeMap<&PathElement, Option<&'a Tree>> = BTreeMap::new();
    for (element, item) in live {
        known.entry(element).and_modify(|twice| *twice = None).or_insert(Some(item));
    }
    let wanted: BTreeSet<&PathElement> = config.iter().map(|(element, _)| element).collect();
    let mut shared: VecDeque<&PathElement> =
        config.iter().map(|(element, _)| element).filter(|element| known.contains_key(element)).collect();
    let mut done: BTreeSet<&PathElement> = BTreeSet::new();
    let mut out = Vec::with_capacity(live.len() + config.len());
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < config.len() {
        let (old, new) = (live.get(l), config.get(r));
        let met = old.zip(new).is_some_and(|((old, _), (new, _))| old == new);
        match old {
            Some((element, item)) if !wanted.contains(element) => {
                out.push((element.clone(), Some(*item), None));
                l += 1;
                continue;
            }
            // A shared item that has another before it in the configuration: it comes when that has it.
            Some((element, _))
                if !met && new.is_some() && shared.front().is_some_and(|next| *next != element) =>
            {
                l += 1;
                continue;
            }
            Some((element, _)) if met || done.contains(element) => l += 1,
            _ => {}
        }
        let Some((element, item)) = new else { continue };
        if shared.front() == Some(&element) {
            shared.pop_front();
        }
        done.insert(element);
        out.push((element.clone(), known.get(element).copied().flatten(), Some(*item)));
        r += 1;
    }
    out
}

/// What becomes of a map or list of which nothing is left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Emptied {
    /// It goes. What held it stays, even if that is then empty.
    Gone,
    /// It is null: still there, so that its owners keep it.
    Null,
}

/// The value without the fields of a set; `None` if nothing is left of what it held.
pub(super) fn without(value: &Tree, set: &FieldSet, schema: &Schema, emptied: Emptied) -> Option<Tree> {
    let mut some_emptied = false;
    let mut kept = |value: &Tree, element: &PathElement, schema: &dyn Fn() -> Schema| {
        if set.is_member(element) {
            return None;
        }
        let Some(below) = set.below(element) else { return Some(value.clone()) };
        without(value, below, &schema(), emptied).or_else(|| {
            some_emptied = true;
            (emptied == Emptied::Null).then_some(Tree::Null)
        })
    };
    match (Shape::of(schema, value), value) {
        (Shape::Map, Tree::Object(fields)) if !fields.is_empty() => {
            let kept = fields.iter().filter_map(|(name, value)| {
                let schema = || child(schema, name).schema;
                Some((name.clone(), kept(value, &PathElement::field(name), &schema)?))
            });
            let kept: Map<String, Tree> = kept.collect();
            (!kept.is_empty() || some_emptied).then_some(Tree::Object(kept))
        }
        (Shape::List(list), Tree::Array(items)) if !items.is_empty() => {
            let kept = items.iter().filter_map(|item| match item_element(&list, item) {
                Ok(element) => kept(item, &element, &|| list.items.clone()),
                Err(_) => Some(item.clone()),
            });
            let kept: Vec<Tree> = kept.collect();
            (!kept.is_empty() || some_emptied).then_some(Tree::Array(kept))
        }
        _ => Some(value.clone()),
    }
}
