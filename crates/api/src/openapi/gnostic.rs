//! Gnostic's protobuf of a v2 document (`openapi.v2`): kubectl and client-go ask for it first. The numbers are those
//! of its `Document`, `PathItem`, `Operation`, `Schema` and what they hold; what Kubernetes's documents never have is
//! left out.

use std::convert::Infallible;

use serde_json::{Map, Value};

use crate::protobuf::wire::{put_bytes, put_message, put_varint_field};
use crate::yaml::to_yaml;

/// Writes a document from its parts.
pub(super) fn document(
    info: &Value,
    paths: impl Iterator<Item = (String, Value)>,
    schemas: impl Iterator<Item = (String, Value)>,
) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, 1, "2.0");
    message(&mut out, 2, |out| {
        texts(out, info, &[("title", 1), ("version", 2)]);
    });
    message(&mut out, 8, |out| {
        for (path, item) in paths {
            named(out, 2, &path, |out| path_item(out, &item));
        }
    });
    message(&mut out, 9, |out| {
        for (name, value) in schemas {
            named(out, 1, &name, |out| schema(out, &value));
        }
    });
    out
}

fn path_item(out: &mut Vec<u8>, item: &Value) {
    for (method, number) in
        [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("options", 6), ("head", 7), ("patch", 8)]
    {
        if let Some(op) = item.get(method) {
            message(out, number, |out| operation(out, op));
        }
    }
    parameters(out, 9, item);
}

fn operation(out: &mut Vec<u8>, op: &Value) {
    strings(out, 1, op.get("tags"));
    texts(out, op, &[("description", 3), ("operationId", 5)]);
    strings(out, 6, op.get("produces"));
    strings(out, 7, op.get("consumes"));
    parameters(out, 8, op);
    if let Some(Value::Object(responses)) = op.get("responses") {
        message(out, 9, |out| {
            for (code, answer) in responses {
                named(out, 1, code, |out| message(out, 1, |out| response(out, answer)));
            }
        });
    }
    strings(out, 10, op.get("schemes"));
    extensions(out, 13, op);
}

fn response(out: &mut Vec<u8>, answer: &Value) {
    texts(out, answer, &[("description", 1)]);
    if let Some(value) = answer.get("schema") {
        message(out, 2, |out| message(out, 1, |out| schema(out, value)));
    }
}

fn parameters(out: &mut Vec<u8>, number: u8, owner: &Value) {
    for parameter in owner.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        // ParametersItem.parameter
        message(out, number, |out| message(out, 1, |out| self::parameter(out, parameter)));
    }
}

fn parameter(out: &mut Vec<u8>, parameter: &Value) {
    match parameter.get("in").and_then(Value::as_str) {
        Some("body") => message(out, 1, |out| {
            texts(out, parameter, &[("description", 1), ("name", 2), ("in", 3)]);
            flag(out, 4, parameter.get("required"));
            if let Some(value) = parameter.get("schema") {
                message(out, 5, |out| schema(out, value));
            }
        }),
        Some("query") => {
            message(out, 2, |out| message(out, 3, |out| simple_parameter(out, parameter, (6, 20))))
        }
        _ => message(out, 2, |out| message(out, 4, |out| simple_parameter(out, parameter, (5, 18)))),
    }
}

/// Query and path parameters differ in the numbers of `type` and `uniqueItems` only.
fn simple_parameter(out: &mut Vec<u8>, parameter: &Value, (kind, unique): (u8, u8)) {
    flag(out, 1, parameter.get("required"));
    texts(out, parameter, &[("in", 2), ("description", 3), ("name", 4), ("type", kind)]);
    flag(out, unique, parameter.get("uniqueItems"));
}

fn schema(out: &mut Vec<u8>, value: &Value) {
    texts(out, value, &[("$ref", 1), ("format", 2), ("title", 3), ("description", 4)]);
    if let Some(default) = value.get("default") {
        message(out, 5, |out| any(out, default));
    }
    limits(out, value);
    strings(out, 19, value.get("required"));
    for one in value.get("enum").and_then(Value::as_array).into_iter().flatten() {
        message(out, 20, |out| any(out, one));
    }
    match value.get("additionalProperties") {
        Some(Value::Bool(allowed)) => message(out, 21, |out| put_varint_field(out, 2, (*allowed).into())),
        Some(inner) => message(out, 21, |out| message(out, 1, |out| schema(out, inner))),
        None => {}
    }
    if let Some(Value::String(kind)) = value.get("type") {
        message(out, 22, |out| text(out, 1, kind));
    }
    if let Some(items) = value.get("items") {
        message(out, 23, |out| message(out, 1, |out| schema(out, items)));
    }
    for one in value.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        message(out, 24, |out| schema(out, one));
    }
    if let Some(Value::Object(properties)) = value.get("properties") {
        message(out, 25, |out| {
            for (name, property) in properties {
                named(out, 1, name, |out| schema(out, property));
            }
        });
    }
    extensions(out, 31, value);
}

/// What custom resources' schemas limit.
fn limits(out: &mut Vec<u8>, value: &Value) {
    let floats = [("multipleOf", 6), ("maximum", 7), ("minimum", 9)];
    for (name, number) in floats {
        if let Some(limit) = value.get(name).and_then(Value::as_f64) {
            crate::protobuf::wire::put_tag(out, number, 1);
            out.extend_from_slice(&limit.to_le_bytes());
        }
    }
    let flags = [("exclusiveMaximum", 8), ("exclusiveMinimum", 10), ("uniqueItems", 16)];
    for (name, number) in flags {
        flag(out, number, value.get(name));
    }
    let counts = [
        ("maxLength", 11),
        ("minLength", 12),
        ("maxItems", 14),
        ("minItems", 15),
        ("maxProperties", 17),
        ("minProperties", 18),
    ];
    for (name, number) in counts {
        if let Some(count) = value.get(name).and_then(Value::as_u64) {
            put_varint_field(out, number, count);
        }
    }
    texts(out, value, &[("pattern", 13)]);
}

/// `x-…` members, each with its value as YAML.
fn extensions(out: &mut Vec<u8>, number: u8, owner: &Value) {
    let members = owner.as_object().into_iter().flat_map(Map::iter);
    for (name, value) in members.filter(|(name, _)| name.starts_with("x-")) {
        named(out, number, name, |out| any(out, value));
    }
}

fn any(out: &mut Vec<u8>, value: &Value) {
    text(out, 2, &to_yaml(value));
}

fn named(out: &mut Vec<u8>, number: u8, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    message(out, number, |out| {
        text(out, 1, name);
        message(out, 2, value);
    });
}

fn message(out: &mut Vec<u8>, number: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let written: Result<(), Infallible> = put_message(out, number, |out| {
        write(out);
        Ok(())
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

fn text(out: &mut Vec<u8>, number: u8, text: &str) {
    put_bytes(out, number, text.as_bytes());
}

fn texts(out: &mut Vec<u8>, owner: &Value, members: &[(&str, u8)]) {
    for (name, number) in members {
        if let Some(Value::String(value)) = owner.get(name) {
            text(out, *number, value);
        }
    }
}

fn strings(out: &mut Vec<u8>, number: u8, list: Option<&Value>) {
    for item in list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        text(out, number, item);
    }
}

fn flag(out: &mut Vec<u8>, number: u8, value: Option<&Value>) {
    if value.and_then(Value::as_bool) == Some(true) {
        put_varint_field(out, number, 1);
    }
}
