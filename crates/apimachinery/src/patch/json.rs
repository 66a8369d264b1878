//! JSON patch (RFC 6902), as lenient as the library that upstream uses: `replace` of a field that a map does not have
//! adds it, `copy` of one that does not exist gives null, and negative places count from the end of a list.

use super::{json_type, unprocessable};
use crate::Tree;
use crate::meta::Object;
use crate::status::ApiError;

const MAX_OPERATIONS: usize = 10_000;
/// What all `copy` operations of one patch may copy together; without a limit a short patch could double an object
/// thousands of times.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Applies a JSON patch: 400 if it is no list of operations, 413 if it has too many, 422 if one cannot be carried out.
pub fn apply_json(object: &Tree, patch: &Tree) -> Result<Tree, ApiError> {
    let mut patched = object.clone();
    let mut copied = 0;
    for operation in decode(patch)? {
        carry_out(&mut patched, operation, &mut copied).ok_or_else(unprocessable)?;
    }
    Ok(patched)
}

fn decode(patch: &Tree) -> Result<&[Tree], ApiError> {
    let wrong = |value: &Tree, wanted: &str| {
        let got = json_type(value);
        ApiError::bad_request(format!("json: cannot unmarshal {got} into Go value of type {wanted}"))
    };
    let operations = match patch {
        Tree::Array(operations) => operations.as_slice(),
        Tree::Null => &[],
        other => return Err(wrong(other, "jsonpatch.Patch")),
    };
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        return Err(wrong(other, "jsonpatch.Operation"));
    }
    let count = operations.len();
    if count > MAX_OPERATIONS {
        return Err(ApiError::request_entity_too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
        )));
    }
    Ok(operations)
}

/// `None` if it cannot be carried out. `copied` counts the bytes that this patch has copied.
fn carry_out(object: &mut Tree, operation: &Tree, copied: &mut usize) -> Option<()> {
    let path = operation.get("path")?.as_str()?;
    let value = || operation.get("value").cloned().unwrap_or_default();
    let from = || operation.get("from").and_then(Tree::as_str);
    match operation.str_at("op") {
        "add" => Place::find(object, path)?.add(value()),
        "remove" => Place::find(object, path)?.remove().map(drop),
        "replace" if path.is_empty() => {
            *object = Some(value()).filter(|value| value.is_object() || value.is_array())?;
            Some(())
        }
        "replace" => Place::find(object, path)?.replace(value()),
        "move" => {
            let moved = Place::find(object, from()?)?.remove()?;
            Place::find(object, path)?.add(moved)
        }
        "copy" => {
            let source = Place::find(object, from()?)?.get()?.clone();
            *copied += source.to_string().len();
            if *copied > MAX_COPIED_BYTES {
                return None;
            }
            Place::find(object, path)?.add(source)
        }
        "test" if path.is_empty() => (*object == value()).then_some(()),
        "test" => (*Place::find(object, path)?.get()? == value()).then_some(()),
        _ => None,
    }
}

/// Where an operation works: a key of a map or a place in a list, which need not exist.
struct Place<'a> {
    container: &'a mut Tree,
    key: String,
}

impl<'a> Place<'a> {
    /// `None` if what should hold it does not exist.
    fn find(object: &'a mut Tree, path: &str) -> Option<Self> {
        let (parents, key) = path.rsplit_once('/')?;
        let mut container = object;
        for step in parents.split('/').skip(1) {
            let step = unescaped(step);
            container = match container {
                Tree::Object(fields) => fields.get_mut(&step)?,
                Tree::Array(items) => {
                    let index = index(&step, items.len())?;
                    items.get_mut(index)?
                }
                _ => return None,
            };
        }
        (container.is_object() || container.is_array()).then(|| Self { container, key: unescaped(key) })
    }

    /// What is there; null where a map has nothing, `None` where a list has nothing.
    fn get(&self) -> Option<&Tree> {
        match &*self.container {
            Tree::Object(fields) => Some(fields.get(&self.key).unwrap_or(&Tree::Null)),
            Tree::Array(items) => items.get(index(&self.key, items.len())?),
            _ => None,
        }
    }

    fn add(self, value: Tree) -> Option<()> {
        match self.container {
            Tree::Object(fields) => drop(fields.insert(self.key, value)),
            Tree::Array(items) if self.key == "-" => items.push(value),
            Tree::Array(items) => {
                let index = index(&self.key, items.len() + 1).filter(|index| *index <= items.len())?;
                items.insert(index, value);
            }
            _ => return None,
        }
        Some(())
    }

    fn replace(self, value: Tree) -> Option<()> {
        match self.container {
            Tree::Object(fields) => drop(fields.insert(self.key, value)),
            Tree::Array(items) => {
                let index = index(&self.key, items.len())?;
                *items.get_mut(index)? = value;
            }
            _ => return None,
        }
        Some(())
    }

    fn remove(self) -> Option<Tree> {
        match self.container {
            Tree::Object(fields) => fields.remove(&self.key),
            Tree::Array(items) => {
                let index = index(&self.key, items.len()).filter(|index| *index < items.len())?;
                Some(items.remove(index))
            }
            _ => None,
        }
    }
}

/// The place that a step names in a list of this length; it may be beyond the end.
fn index(step: &str, length: usize) -> Option<usize> {
    let index: isize = step.parse().ok()?;
    if index < 0 { length.checked_sub(index.unsigned_abs()) } else { usize::try_from(index).ok() }
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
