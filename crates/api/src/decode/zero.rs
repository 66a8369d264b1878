//! What Go cannot tell from nothing, and what it writes though it is nothing.

use serde_json::Map;
use steersman_apimachinery::Tree;

use crate::catalog::{Field, Scalar, Shape, TypeId, ValueType, catalog};

/// Whether a field with this value is left out. For scalars: if Go's JSON leaves them out. Empty lists and maps always:
/// protobuf, upstream's storage format, cannot tell them from none. And an optional number zero where a string may
/// stand, too (`targetPort: 0`): Go writes it, but only until defaulting, which takes it for none.
pub(crate) fn is_zero(field: &Field, value: &Tree) -> bool {
    if field.is_pointer() {
        return false;
    }
    let omits = field.omits_empty() && is_scalar(field);
    match value {
        Tree::Null => field.omits_empty(),
        Tree::Bool(b) => !b && omits,
        Tree::Number(n) => {
            n.as_f64() == Some(0.0) && (omits || field.omits_empty() && is_int_or_string(field))
        }
        Tree::String(s) => s.is_empty() && omits,
        Tree::Array(items) => items.is_empty() && is_container(field),
        Tree::Object(map) => map.is_empty() && is_container(field),
    }
}

fn is_scalar(field: &Field) -> bool {
    matches!(field.value, ValueType::Scalar(_))
}

fn is_int_or_string(field: &Field) -> bool {
    matches!(field.value, ValueType::Ref(id) if catalog().get(id).shape == Shape::IntOrString)
}

fn is_container(field: &Field) -> bool {
    matches!(field.value, ValueType::List(_) | ValueType::WrappedList(_) | ValueType::Map(_))
}

/// Adds what Go always writes of a struct: structs that are no pointers, and scalars without `omitempty`. Lists
/// and maps without `omitempty` stay absent where Go writes `null`.
pub(crate) fn fill(id: TypeId, object: &mut Map<String, Tree>) {
    for field in catalog().fields(id).iter().filter(|f| !f.is_pointer() && !f.omits_zero()) {
        if object.contains_key(field.name) {
            continue;
        }
        if let Some(zero) = always_written(field) {
            object.insert(field.name.to_owned(), zero);
        }
    }
}

/// The zero value of a field that is no pointer, where Go writes it.
pub(crate) fn always_written(field: &Field) -> Option<Tree> {
    match field.value {
        ValueType::Ref(id) => match catalog().get(id).shape {
            Shape::Struct | Shape::Quantity => zero_of(field.value),
            Shape::IntOrString if !field.omits_empty() => zero_of(field.value),
            _ => None,
        },
        ValueType::Scalar(Scalar::Bytes | Scalar::Any) => None,
        ValueType::Scalar(_) if !field.omits_empty() => zero_of(field.value),
        _ => None,
    }
}

/// The value that Go has for a `null` in a list or a map; `None` if it has none.
pub(crate) fn zero_of(value: ValueType) -> Option<Tree> {
    match value {
        ValueType::Scalar(Scalar::String | Scalar::Bytes) => Some(String::new().into()),
        ValueType::Scalar(Scalar::Bool) => Some(false.into()),
        ValueType::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Double) => Some(0.into()),
        ValueType::Scalar(Scalar::Any)
        | ValueType::List(_)
        | ValueType::WrappedList(_)
        | ValueType::Map(_) => None,
        ValueType::Ref(id) => match catalog().get(id).shape {
            Shape::Struct => {
                let mut object = Map::new();
                fill(id, &mut object);
                Some(object.into())
            }
            Shape::Quantity => Some("0".into()),
            Shape::IntOrString => Some(0.into()),
            _ => None,
        },
    }
}
