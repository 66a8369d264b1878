//! JSON patch (RFC 6902).

use json_patch::PatchOperation;

use super::{json_type, unprocessable};
use crate::Tree;
use crate::status::ApiError;

const MAX_OPERATIONS: usize = 10_000;
/// What all `copy` operations of one patch may copy together; without a limit a short patch could double an object
/// thousands of times.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Applies a JSON patch: 400 if it is no list of operations, 413 if it has too many, 422 if one cannot be carried out.
pub fn apply_json(object: &Tree, patch: &Tree) -> Result<Tree, ApiError> {
    let operations = decode(patch)?;
    let mut patched = object.clone();
    let mut copied = 0;
    for operation in &operations {
        let operation: PatchOperation =
            serde_json::from_value((*operation).clone()).map_err(|_| unprocessable())?;
        copied += copied_bytes(&patched, &operation);
        if copied > MAX_COPIED_BYTES {
            return Err(unprocessable());
        }
        json_patch::patch(&mut patched, &[operation]).map_err(|_| unprocessable())?;
    }
    Ok(patched)
}

fn decode(patch: &Tree) -> Result<Vec<&Tree>, ApiError> {
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
    Ok(operations.iter().collect())
}

fn copied_bytes(object: &Tree, operation: &PatchOperation) -> usize {
    match operation {
        PatchOperation::Copy(copy) => {
            object.pointer(copy.from.as_str()).map_or(0, |tree| tree.to_string().len())
        }
        _ => 0,
    }
}
