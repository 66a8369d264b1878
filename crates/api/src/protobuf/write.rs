//! Trees to messages, field by field as upstream's generated code orders them: by number, map entries by key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Map;
use steersman_apimachinery::{Tree, time};

use super::ProtoError;
use super::wire::{put_bytes, put_message, put_tag, put_varint_field};
use crate::catalog::{ElementId, Field, Scalar, Shape, TypeId, ValueType, catalog};

type Written = Result<(), ProtoError>;

/// Appends a message.
pub(super) fn message(tree: &Tree, id: TypeId, out: &mut Vec<u8>) -> Written {
    let found = catalog().get(id);
    match (found.shape, tree) {
        (Shape::Struct, Tree::Object(object)) => fields(&by_number(id), 0, object, out),
        (Shape::Struct, _) => Err(ProtoError::Tree(found.name)),
        (shape, tree) => special(shape, tree, out).ok_or(ProtoError::Tree(found.name))?,
    }
}

/// The fields that protobuf has, by their numbers.
fn by_number(id: TypeId) -> Vec<&'static Field> {
    let mut fields: Vec<_> = catalog().fields(id).iter().filter(|f| !f.proto.numbers().is_empty()).collect();
    fields.sort_unstable_by_key(|f| f.proto);
    fields
}

/// Writes fields of one message; those with more numbers go into the message that they are inlined in.
fn fields(fields: &[&'static Field], depth: usize, object: &Map<String, Tree>, out: &mut Vec<u8>) -> Written {
    for group in fields.chunk_by(|a, b| a.proto.numbers()[depth] == b.proto.numbers()[depth]) {
        let numbers = group[0].proto.numbers();
        if numbers.len() == depth + 1 {
            field(group[0], numbers[depth], object.get(group[0].name), out)?;
        } else {
            put_message(out, numbers[depth], |out| self::fields(group, depth + 1, object, out))?;
        }
    }
    Ok(())
}

fn field(field: &'static Field, number: u8, value: Option<&Tree>, out: &mut Vec<u8>) -> Written {
    match value.filter(|v| !v.is_null()) {
        Some(tree) => self::value(field.value, field.name, number, tree, out),
        None if field.is_pointer() => Ok(()),
        None => absent(field, number, out),
    }
}

/// What upstream writes for a field that is no pointer and has its zero value.
fn absent(field: &'static Field, number: u8, out: &mut Vec<u8>) -> Written {
    match field.value {
        ValueType::Scalar(Scalar::Bytes | Scalar::Any)
        | ValueType::List(_)
        | ValueType::WrappedList(_)
        | ValueType::Map(_) => {}
        ValueType::Scalar(Scalar::String) => put_bytes(out, number, b""),
        ValueType::Scalar(Scalar::Double) => {
            put_tag(out, number, 1);
            out.extend_from_slice(&[0; 8]);
        }
        ValueType::Scalar(Scalar::Bool | Scalar::Int32 | Scalar::Int64) => put_varint_field(out, number, 0),
        ValueType::Ref(id) => put_message(out, number, |out| match catalog().get(id).shape {
            Shape::Struct => message(&Tree::Object(Map::new()), id, out),
            Shape::Quantity => message(&"0".into(), id, out),
            Shape::IntOrString => message(&0.into(), id, out),
            _ => Ok(()),
        })?,
    }
    Ok(())
}

fn value(value: ValueType, name: &'static str, number: u8, tree: &Tree, out: &mut Vec<u8>) -> Written {
    match value {
        ValueType::Scalar(kind) => scalar(kind, number, tree, out).ok_or(ProtoError::Tree(name)),
        ValueType::Ref(_) if tree.is_null() => put_message(out, number, |_| Ok(())),
        ValueType::Ref(id) => put_message(out, number, |out| message(tree, id, out)),
        ValueType::List(item) => list(item, name, number, tree, out),
        ValueType::WrappedList(item) => put_message(out, number, |out| list(item, name, 1, tree, out)),
        ValueType::Map(item) => map(item, name, number, tree, out),
    }
}

fn list(item: ElementId, name: &'static str, number: u8, tree: &Tree, out: &mut Vec<u8>) -> Written {
    let items = tree.as_array().ok_or(ProtoError::Tree(name))?;
    let kind = catalog().element(item);
    items.iter().try_for_each(|tree| value(kind, name, number, tree, out))
}

fn map(item: ElementId, name: &'static str, number: u8, tree: &Tree, out: &mut Vec<u8>) -> Written {
    let mut entries: Vec<_> = tree.as_object().ok_or(ProtoError::Tree(name))?.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    let kind = catalog().element(item);
    entries.into_iter().try_for_each(|(key, tree)| {
        put_message(out, number, |out| {
            put_bytes(out, 1, key.as_bytes());
            value(kind, name, 2, tree, out)
        })
    })
}

fn scalar(kind: Scalar, number: u8, tree: &Tree, out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Scalar::String => put_bytes(out, number, tree.as_str()?.as_bytes()),
        Scalar::Bool => put_varint_field(out, number, tree.as_bool()?.into()),
        // Negative numbers take ten bytes, as if they had 64 bits.
        Scalar::Int32 | Scalar::Int64 => put_varint_field(out, number, tree.as_i64()?.cast_unsigned()),
        Scalar::Double => {
            put_tag(out, number, 1);
            out.extend_from_slice(&tree.as_f64()?.to_le_bytes());
        }
        Scalar::Bytes => put_bytes(out, number, &STANDARD.decode(tree.as_str()?).ok()?),
        Scalar::Any => return None,
    }
    Some(())
}

/// Types with a message of their own. `None` if the tree does not fit.
fn special(shape: Shape, tree: &Tree, out: &mut Vec<u8>) -> Option<Written> {
    match shape {
        Shape::Quantity => put_bytes(out, 1, tree.as_str()?.as_bytes()),
        Shape::Time | Shape::MicroTime => timestamp(time::parse(tree.as_str()?).ok()?, out),
        Shape::IntOrString => int_or_string(tree, out)?,
        Shape::Raw | Shape::Fields | Shape::Patch | Shape::Json => {
            put_bytes(out, 1, tree.to_string().as_bytes());
        }
        Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
            return schema_or(shape, tree, out);
        }
        Shape::Struct => return None,
    }
    Some(Ok(()))
}

fn timestamp(time: Timestamp, out: &mut Vec<u8>) {
    // Before 1970 the seconds are rounded down, so that the rest is never negative.
    let nanos = i64::from(time.subsec_nanosecond());
    let seconds = time.as_second() + nanos.div_euclid(1_000_000_000);
    put_varint_field(out, 1, seconds.cast_unsigned());
    put_varint_field(out, 2, nanos.rem_euclid(1_000_000_000).cast_unsigned());
}

fn int_or_string(tree: &Tree, out: &mut Vec<u8>) -> Option<()> {
    let (kind, int, text) = match tree {
        Tree::String(text) => (1, 0, text.as_str()),
        number => (0, number.as_i64()?, ""),
    };
    put_varint_field(out, 1, kind);
    put_varint_field(out, 2, int.cast_unsigned());
    put_bytes(out, 3, text.as_bytes());
    Some(())
}

/// A schema, or what may stand in its place.
fn schema_or(shape: Shape, tree: &Tree, out: &mut Vec<u8>) -> Option<Written> {
    let props = catalog().definition(SCHEMA_PROPS)?;
    let number = if shape == Shape::SchemaOrBool { 2 } else { 1 };
    Some(match (shape, tree) {
        (Shape::SchemaOrBool, Tree::Bool(allows)) => {
            put_varint_field(out, 1, (*allows).into());
            Ok(())
        }
        (Shape::SchemaOrArray, Tree::Array(schemas)) => {
            schemas.iter().try_for_each(|schema| put_message(out, 2, |out| message(schema, props, out)))
        }
        (Shape::SchemaOrStrings, Tree::Array(names)) => {
            for name in names {
                put_bytes(out, 2, name.as_str()?.as_bytes());
            }
            Ok(())
        }
        (_, Tree::Object(_)) => {
            if shape == Shape::SchemaOrBool {
                put_varint_field(out, 1, 1);
            }
            put_message(out, number, |out| message(tree, props, out))
        }
        _ => return None,
    })
}

pub(super) const SCHEMA_PROPS: &str =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
