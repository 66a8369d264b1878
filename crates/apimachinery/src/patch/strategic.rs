//! Strategic merge patch: a merge patch that knows the type. Lists with `patchStrategy: merge` are merged item by item
//! (told apart by `patchMergeKey`, or by value if they are scalars); directives say what a merge cannot:
//!
//! - `$patch: replace` or `delete` in a map or in an item of a list; `$retainKeys` names the fields to keep;
//! - `$deleteFromPrimitiveList/<field>` takes scalars out of a list; `$setElementOrder/<field>` orders a list.
//!
//! What is an error, and which, is upstream's (`k8s.io/apimachinery/pkg/util/strategicpatch`).

use serde_json::Map;

use super::order::{arrange, identity};
use super::{json_type, unforeseen, unprocessable};
use crate::Tree;
use crate::quote::{go_type, go_value, quote};
use crate::schema::{FieldSchema, Schema};
use crate::status::ApiError;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

const BAD_PRIMITIVE_LIST: &str = "invalid patch format of primitive list";
const BAD_RETAIN_KEYS: &str = "invalid patch format of retainKeys";
const BAD_SET_ORDER: &str = "invalid patch format of setElementOrder list";

type Fields = Map<String, Tree>;

/// Applies a strategic merge patch to an object of a type.
pub fn apply_strategic(object: &Tree, patch: &Tree, schema: &Schema) -> Result<Tree, ApiError> {
    let Tree::Object(patch) = patch else {
        let got = json_type(patch);
        let message = format!("json: cannot unmarshal {got} into Go value of type map[string]interface {{}}");
        return Err(ApiError::bad_request(message));
    };
    let original = object.as_object().cloned().unwrap_or_default();
    merge_map(original, patch.clone(), schema).map(Tree::Object)
}

fn merge_map(mut original: Fields, mut patch: Fields, schema: &Schema) -> Result<Fields, ApiError> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(as_given(Tree::Object(patch)).as_object().cloned().unwrap_or_default()),
            Some("delete") => Ok(Fields::new()),
            _ => Err(unknown_directive(&directive, patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch, schema)?;
    for (key, change) in patch {
        match directive_field(&key, DELETE_FROM_LIST) {
            Some(field) => delete_from_list(&mut original, field?, change)?,
            None => merge_field(&mut original, key, change, schema)?,
        }
    }
    Ok(original)
}

fn merge_field(original: &mut Fields, key: String, change: Tree, schema: &Schema) -> Result<(), ApiError> {
    if change.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.remove(&key), change) {
        (Some(Tree::Object(old)), Tree::Object(new)) => {
            let field = field(schema, &key)?;
            if field.replaces() {
                Some(as_given(Tree::Object(new)))
            } else {
                Some(Tree::Object(merge_map(old, new, &field.schema)?))
            }
        }
        (Some(Tree::Array(old)), Tree::Array(new)) => {
            Some(Tree::Array(field(schema, &key)?.merge_lists(old, new)?))
        }
        (_, change) => without_directives(change),
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

/// What the schema says about one field, for this purpose.
struct Field {
    schema: Schema,
    strategy: Option<String>,
    merge_key: String,
}

/// The field `key` of a map. A map's values, and fields of what nothing is known about, have no strategy.
fn field(schema: &Schema, key: &str) -> Result<Field, ApiError> {
    let plain = |schema: Schema| Field { schema, strategy: None, merge_key: String::new() };
    match schema {
        Schema::Atomic | Schema::Untyped | Schema::List(_) => Ok(plain(Schema::Untyped)),
        Schema::Map(values) => Ok(plain((**values).clone())),
        Schema::Struct(fields) => match fields.field(key) {
            Some(known) => Field::of(known),
            None if fields.preserves_unknown() => Ok(plain(Schema::Untyped)),
            None => Err(unforeseen(format!("unable to find api field {}", quote(key)))),
        },
    }
}

impl Field {
    fn of(known: FieldSchema) -> Result<Self, ApiError> {
        let text = known.patch_strategy.as_deref().unwrap_or_default();
        let mut rest = text.split(',').filter(|strategy| !strategy.is_empty() && *strategy != "retainKeys");
        let strategy = rest.next().map(str::to_owned);
        if rest.next().is_some() {
            let list = text.replace(',', " ");
            return Err(unforeseen(format!("unexpected patch strategy: [{list}]")));
        }
        let merge_key = known.patch_merge_key.as_deref().unwrap_or_default().to_owned();
        Ok(Self { schema: known.schema, strategy, merge_key })
    }

    fn replaces(&self) -> bool {
        self.strategy.as_deref() == Some("replace")
    }

    fn items(&self) -> Schema {
        match &self.schema {
            Schema::List(list) => list.items.clone(),
            _ => Schema::Untyped,
        }
    }

    fn merge_lists(&self, original: Vec<Tree>, patch: Vec<Tree>) -> Result<Vec<Tree>, ApiError> {
        if self.strategy.as_deref() != Some("merge") {
            return Ok(patch.into_iter().map(as_given).collect());
        }
        if original.is_empty() && patch.is_empty() {
            return Ok(original);
        }
        let Element::Map = element(&original, &patch)? else {
            let mut merged = Vec::with_capacity(original.len() + patch.len());
            for item in original.iter().chain(&patch) {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            return Ok(arrange(merged, &patch, &original, ""));
        };
        self.merge_lists_of_maps(original, patch)
    }

    fn merge_lists_of_maps(&self, original: Vec<Tree>, patch: Vec<Tree>) -> Result<Vec<Tree>, ApiError> {
        let key = self.merge_key.as_str();
        if key.is_empty() {
            return Err(unforeseen("cannot merge lists without merge key for struct"));
        }
        let (server, patch) = follow_directives(original, patch, key)?;
        let mut merged = server.clone();
        for item in &patch {
            let wanted = merge_value(item, key)?;
            match merged.iter_mut().find(|old| old.get(key) == Some(wanted)) {
                Some(old) => {
                    let old_fields = std::mem::take(old).as_object().cloned().unwrap_or_default();
                    let new_fields = item.as_object().cloned().unwrap_or_default();
                    *old = Tree::Object(merge_map(old_fields, new_fields, &self.items())?);
                }
                None => merged.push(as_given(item.clone())),
            }
        }
        for item in &merged {
            merge_value(item, key)?;
        }
        Ok(arrange(merged, &patch, &server, key))
    }
}

/// Carries out `$patch` in the items of a list of maps: the list on the server and the items still to be merged.
fn follow_directives(
    mut server: Vec<Tree>,
    patch: Vec<Tree>,
    key: &str,
) -> Result<(Vec<Tree>, Vec<Tree>), ApiError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        match item.get(PATCH) {
            None => rest.push(item),
            Some(Tree::String(directive)) if directive == "delete" => {
                let doomed = merge_value(&item, key)?;
                server.retain(|old| old.get(key) != Some(doomed));
            }
            Some(Tree::String(directive)) if directive == "replace" => replace = true,
            Some(Tree::String(directive)) if directive == "merge" => {
                return Err(unforeseen("merging lists cannot yet be specified in the patch"));
            }
            Some(directive) => {
                let directive = directive.clone();
                return Err(unknown_directive(&directive, item.as_object().cloned().unwrap_or_default()));
            }
        }
    }
    Ok(if replace { (rest.into_iter().map(as_given).collect(), Vec::new()) } else { (server, rest) })
}

fn merge_value<'a>(item: &'a Tree, key: &str) -> Result<&'a Tree, ApiError> {
    item.get(key).ok_or_else(|| {
        unforeseen(format!("map: {} does not contain declared merge key: {key}", go_value(item)))
    })
}

fn unknown_directive(directive: &Tree, mut patch: Fields) -> ApiError {
    patch.insert(PATCH.to_owned(), directive.clone());
    let text = match directive {
        Tree::String(text) => text.clone(),
        other => format!("%!s({}={})", go_type(other), go_value(other)),
    };
    unforeseen(format!("unknown patch type: {text} in map: {}", go_value(&Tree::Object(patch))))
}

#[derive(PartialEq)]
enum Element {
    Map,
    Scalar,
}

/// What the items of two lists are; all must be of one type, and none a list.
fn element(a: &[Tree], b: &[Tree]) -> Result<Element, ApiError> {
    let mut items = a.iter().chain(b);
    let Some(first) = items.next() else { return Ok(Element::Scalar) };
    if first.is_array() {
        return Err(unprocessable());
    }
    if first.is_null() || items.any(|item| go_type(item) != go_type(first)) {
        let lists = [a, b].map(|list| go_value(&Tree::Array(list.to_vec()))).join(" ");
        return Err(unforeseen(format!("list element types are not identical: [{lists}]")));
    }
    Ok(if first.is_object() { Element::Map } else { Element::Scalar })
}

/// The field that a directive `<prefix>/<field>` is about; `None` if `key` is no such directive.
fn directive_field<'a>(key: &'a str, prefix: &str) -> Option<Result<&'a str, ApiError>> {
    let rest = key.strip_prefix(prefix)?;
    let message = if prefix == SET_ORDER { BAD_SET_ORDER } else { BAD_PRIMITIVE_LIST };
    Some(rest.strip_prefix('/').ok_or_else(|| ApiError::bad_request(message)))
}

fn delete_from_list(original: &mut Fields, field: &str, doomed: Tree) -> Result<(), ApiError> {
    match (original.get_mut(field), doomed) {
        (_, Tree::Null) => drop(original.remove(field)),
        (Some(Tree::Array(items)), Tree::Array(doomed)) => {
            if element(items, &doomed)? == Element::Map {
                return Err(ApiError::bad_request(BAD_PRIMITIVE_LIST));
            }
            items.retain(|item| !doomed.contains(item));
        }
        _ => {}
    }
    Ok(())
}

fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<(), ApiError> {
    let wrong = || ApiError::bad_request(BAD_RETAIN_KEYS);
    let keys = match patch.remove(RETAIN_KEYS) {
        None => return Ok(()),
        Some(Tree::Array(keys)) => keys,
        Some(_) => return Err(wrong()),
    };
    let kept = |field: &str| keys.iter().any(|key| key.as_str() == Some(field));
    let directive = |field: &str| field.starts_with(DELETE_FROM_LIST) || field.starts_with(SET_ORDER);
    if patch.iter().any(|(field, value)| !value.is_null() && !directive(field) && !kept(field)) {
        return Err(wrong());
    }
    original.retain(|field, _| kept(field));
    Ok(())
}

/// Merges and orders the lists that `$setElementOrder` directives are about, and takes both out of the patch.
fn set_element_orders(original: &mut Fields, patch: &mut Fields, schema: &Schema) -> Result<(), ApiError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = list(patch.remove(&directive).unwrap_or_default())?;
        let Some(name) = directive_field(&directive, SET_ORDER).transpose()? else { continue };
        let field = field(schema, name)?;
        let server = original.get(name).cloned().map(list).transpose()?;
        let change = patch.get(name).cloned().map(list).transpose()?;
        check_order(change.as_deref().unwrap_or_default(), &order, &field.merge_key)?;
        let merged = match (server.clone(), change) {
            (None, None) => continue,
            (Some(server), None) => server,
            (None, Some(change)) => change.into_iter().filter_map(without_directives).collect(),
            (Some(server), Some(change)) => field.merge_lists(server, change)?,
        };
        if !field.merge_key.is_empty() {
            for item in merged.iter().chain(&order) {
                merge_value(item, &field.merge_key)?;
            }
        }
        let arranged = arrange(merged, &order, server.as_deref().unwrap_or_default(), &field.merge_key);
        original.insert(name.to_owned(), Tree::Array(arranged));
        patch.remove(name);
    }
    Ok(())
}

fn list(value: Tree) -> Result<Vec<Tree>, ApiError> {
    match value {
        Tree::Array(items) => Ok(items),
        other => {
            let got = go_type(&other);
            Err(unforeseen(format!("expected a []interface {{}}, but received a {got}")))
        }
    }
}

/// The items that the patch merges must come in the order that it sets.
fn check_order(patch: &[Tree], order: &[Tree], merge_key: &str) -> Result<(), ApiError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mismatch = || {
        let [patch, order] = [patch, order].map(|list| go_value(&Tree::Array(list.to_vec())));
        unforeseen(format!("The order in patch list:\n{patch}\n doesn't match {SET_ORDER} list:\n{order}\n"))
    };
    let deletes = |item: &&Tree| item.get(PATCH).is_some_and(|directive| directive == "delete");
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| merge_key.is_empty() || !deletes(item)) {
        if rest.len() == 0 {
            return Err(mismatch());
        }
        if item.get(PATCH).is_some() {
            continue;
        }
        if !merge_key.is_empty() {
            merge_value(item, merge_key)?;
        }
        let wanted = identity(item, merge_key);
        if !rest.any(|ordered| identity(ordered, merge_key) == wanted) {
            return Err(mismatch());
        }
    }
    Ok(())
}

/// A value that the patch adds to a map: without nulls in maps, and without what only directs. `None` if nothing is
/// left.
fn without_directives(value: Tree) -> Option<Tree> {
    strip(value, true)
}

/// A value that takes the place of another as it is, or an item that a list gets: upstream does not look for
/// directives in these; its typed decoder drops their keys afterwards as unknown fields, so `$patch` marks nothing.
fn as_given(value: Tree) -> Tree {
    strip(value, false).unwrap_or_default()
}

fn strip(value: Tree, marked_goes: bool) -> Option<Tree> {
    let directs = |key: &str| {
        key == PATCH || key == RETAIN_KEYS || key.starts_with(DELETE_FROM_LIST) || key.starts_with(SET_ORDER)
    };
    match value {
        Tree::Object(fields) if marked_goes && fields.contains_key(PATCH) => None,
        Tree::Object(fields) => {
            let kept = fields.into_iter().filter(|(key, value)| !directs(key) && !value.is_null());
            Some(kept.filter_map(|(key, value)| Some((key, strip(value, marked_goes)?))).collect())
        }
        Tree::Array(items) => Some(items.into_iter().filter_map(|item| strip(item, marked_goes)).collect()),
        scalar => Some(scalar),
    }
}
