//! Comparisons with upstream's own code, in Go: `cargo test -p steersman-apiextensions -- --ignored`. They need a Go
//! toolchain and upstream's modules.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use steersman_api::openapi::to_v2;
use steersman_apimachinery::field::ErrorList;

use crate::formats::Form;
use crate::schema::Pattern;
use crate::{Published, Schema, printer_columns};

/// A stream of choices from a seed.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether one of `n` cases is this one.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

const NAMES: [&str; 8] = ["a", "b", "c", "k", "l", "kind", "metadata", "apiVersion"];

/// Value validation of a type, with `depth` levels of junctors.
fn checks(kind: &str, choices: &mut Choices, depth: usize) -> Map<String, Value> {
    let mut out = Map::new();
    let all: &[(&str, Value)] = match kind {
        "string" => &[
            ("maxLength", json!(2)),
            ("minLength", json!(1)),
            ("pattern", json!("^[a-c]*$")),
            ("format", json!("date")),
            ("format", json!("ipv4")),
            ("format", json!("unknown")),
            ("enum", json!(["a", "bb", "c"])),
        ],
        "integer" | "number" => &[
            ("maximum", json!(5)),
            ("minimum", json!(1)),
            ("multipleOf", json!(2)),
            ("maximum", json!(4.5)),
            ("format", json!("int32")),
            ("format", json!("float")),
            ("enum", json!([1, 2.0, 3])),
        ],
        "array" => &[("maxItems", json!(1)), ("minItems", json!(1))],
        "object" => &[
            ("maxProperties", json!(2)),
            ("minProperties", json!(1)),
            ("required", json!(["a"])),
            ("required", json!(["b", "c"])),
        ],
        _ => &[],
    };
    for (name, value) in all {
        if choices.one_in(4) {
            out.insert((*name).to_owned(), value.clone());
        }
    }
    if out.contains_key("maximum") && choices.one_in(3) {
        out.insert("exclusiveMaximum".to_owned(), true.into());
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        if depth > 0 && choices.one_in(8) {
            let nested: Vec<Value> =
                (0..1 + choices.below(3)).map(|_| nested(kind, choices, depth - 1)).collect();
            out.insert(name.to_owned(), nested.into());
        }
    }
    if depth > 0 && choices.one_in(10) {
        out.insert("not".to_owned(), nested(kind, choices, depth - 1));
    }
    out
}

/// A schema within a junctor: value validation, of fields too.
fn nested(kind: &str, choices: &mut Choices, depth: usize) -> Value {
    let mut out = checks(kind, choices, depth);
    if kind == "object" && choices.one_in(2) {
        let kind = choices.of(&["string", "integer"]);
        let name = choices.of(&["a", "b", "c"]);
        out.insert("properties".to_owned(), json!({name: checks(kind, choices, 0)}));
    }
    out.into()
}

fn schema(choices: &mut Choices, depth: usize) -> Value {
    let kinds: &[&str] = match depth {
        0 => &["string", "integer", "number", "boolean", "either", "free"],
        _ => {
            &["string", "integer", "object", "object", "object", "array", "array", "map", "embedded", "free"]
        }
    };
    let kind = choices.of(kinds);
    let plain = match kind {
        "map" | "embedded" | "free" => "object",
        kind => kind,
    };
    let mut out = checks(plain, choices, 2);
    if kind != "either" {
        out.insert("type".to_owned(), plain.into());
    }
    match kind {
        "object" => drop(out.insert("properties".to_owned(), properties(choices, depth))),
        "array" => fill_list(&mut out, choices, depth),
        "map" => {
            let values = if choices.one_in(6) { true.into() } else { schema(choices, depth - 1) };
            out.insert("additionalProperties".to_owned(), values);
        }
        "either" => drop(out.insert("x-kubernetes-int-or-string".to_owned(), true.into())),
        "embedded" => {
            out.insert("x-kubernetes-embedded-resource".to_owned(), true.into());
            out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
        }
        "free" => {
            out.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
            if depth > 0 {
                out.insert("properties".to_owned(), properties(choices, depth));
            }
        }
        _ => {}
    }
    if choices.one_in(5) {
        out.insert("nullable".to_owned(), true.into());
    }
    let mut out = Value::Object(out);
    if choices.one_in(4) {
        out["default"] = value(&out.clone(), choices, 3);
    }
    out
}

fn properties(choices: &mut Choices, depth: usize) -> Value {
    let count = 1 + choices.below(4);
    (0..count).map(|_| (choices.of(&NAMES[..5]).to_owned(), schema(choices, depth - 1))).collect()
}

fn fill_list(out: &mut Map<String, Value>, choices: &mut Choices, depth: usize) {
    let mut items = schema(choices, depth - 1);
    match choices.below(3) {
        0 => drop(out.insert("x-kubernetes-list-type".to_owned(), "set".into())),
        1 => {
            items = json!({"type": "object", "properties": {"k": {"type": "string", "maxLength": 1},
                "l": schema(choices, 0), "a": items}});
            let keys = if choices.one_in(2) { json!(["k"]) } else { json!(["k", "l"]) };
            out.insert("x-kubernetes-list-type".to_owned(), "map".into());
            out.insert("x-kubernetes-list-map-keys".to_owned(), keys);
        }
        _ => {}
    }
    out.insert("items".to_owned(), items);
}

fn scalar(choices: &mut Choices) -> Value {
    choices.of(&[
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(7),
        json!(-3),
        json!(5_000_000_000_i64),
        json!(1.0),
        json!(1.5),
        json!(1e22),
        json!(""),
        json!("a"),
        json!("bb"),
        json!("dddd"),
        json!("2026-01-01"),
        json!("1.2.3.4"),
    ])
}

/// A value that mostly has the schema's form.
fn value(schema: &Value, choices: &mut Choices, depth: usize) -> Value {
    if depth == 0 || choices.one_in(12) {
        return match choices.below(6) {
            0 => json!([scalar(choices)]),
            1 => json!({choices.of(&NAMES): scalar(choices)}),
            _ => scalar(choices),
        };
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => choices.of(&["a", "bb", "dddd", "", "2026-01-01", "1.2.3.4"]).into(),
        Some("integer") => choices.of(&[0, 1, 2, 4, 7, 5_000_000_000_i64]).into(),
        Some("number") => choices.of(&[0.5, 1.0, 2.0, 4.5, 7.25, 1e300]).into(),
        Some("boolean") => choices.one_in(2).into(),
        Some("array") => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            (0..choices.below(4)).map(|_| value(items, choices, depth - 1)).collect()
        }
        Some("object") => fields(schema, choices, depth),
        _ => scalar(choices),
    }
}

fn fields(schema: &Value, choices: &mut Choices, depth: usize) -> Value {
    let mut out = Map::new();
    for (name, below) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if !choices.one_in(4) {
            out.insert(name.clone(), value(below, choices, depth - 1));
        }
    }
    let free = schema.get("properties").is_none() || choices.one_in(5);
    for _ in 0..if free { choices.below(3) } else { 0 } {
        let below = schema.get("additionalProperties").unwrap_or(&Value::Null);
        out.insert(choices.of(&NAMES).to_owned(), value(below, choices, depth - 1));
    }
    if schema.get("x-kubernetes-embedded-resource").is_some() && !choices.one_in(3) {
        out.insert("apiVersion".to_owned(), choices.of(&["v1", "a/b/c", ""]).into());
        out.insert("kind".to_owned(), choices.of(&["Pod", "K_"]).into());
        out.insert("metadata".to_owned(), json!({"name": choices.of(&["x", "a/b"]), "namespace": "n"}));
    }
    out.into()
}

/// The value with some parts made anew, and some lists turned round.
fn changed(old: &Value, schema: &Value, choices: &mut Choices, depth: usize) -> Value {
    if choices.one_in(10) {
        return value(schema, choices, depth);
    }
    match old {
        Value::Object(fields) => {
            let below = |name: &str| schema.get("properties").and_then(|all| all.get(name));
            let other = schema.get("additionalProperties").unwrap_or(&Value::Null);
            let each = fields.iter().map(|(name, value)| {
                (name.clone(), changed(value, below(name).unwrap_or(other), choices, depth.saturating_sub(1)))
            });
            Value::Object(each.collect())
        }
        Value::Array(items) => {
            let below = schema.get("items").unwrap_or(&Value::Null);
            let mut items: Vec<Value> =
                items.iter().map(|item| changed(item, below, choices, depth.saturating_sub(1))).collect();
            if choices.one_in(3) {
                items.reverse();
            }
            items.into()
        }
        scalar => scalar.clone(),
    }
}

/// Without wildcards: Go walks maps in any order.
const PATHS: [&str; 10] = [
    ".spec",
    ".spec.a",
    ".spec.k.a",
    ".spec[0]",
    ".spec[-1].k",
    ".spec[0:2]",
    ".spec.b[1:]",
    ".spec[?(@.k==\"a\")].l",
    ".status[?(@.a)]",
    ".status['a','b']",
];
/// Texts of many forms; mutated, they are almost of those forms.
const FORMS: [(&str, &str); 30] = [
    ("uri", "http://user:pw@example.com:80/a%20b?c=d#e"),
    ("uri", "mailto:someone@example.com"),
    ("uri", "http://[fe80::1%25en0]:8080/"),
    ("email", "some.one@example.com"),
    ("email", "Some One <some.one@example.com>"),
    ("email", "\"some one\"@example.com"),
    ("hostname", "a-b.example.com"),
    ("hostname", "müller"),
    ("ipv4", "10.0.255.1"),
    ("ipv6", "fe80::1:2"),
    ("ipv6", "::ffff:10.0.0.1"),
    ("cidr", "10.0.0.0/24"),
    ("cidr", "fd00::/64"),
    ("mac", "01:23:45:67:89:ab"),
    ("mac", "0123.4567.89ab"),
    ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    ("uuid4", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"),
    ("isbn", "978-0321751041"),
    ("isbn10", "0321751043"),
    ("creditcard", "4012888888881881"),
    ("ssn", "111-11-1111"),
    ("hexcolor", "#fff000"),
    ("rgbcolor", "rgb(255, 0,10)"),
    ("byte", "aGVsbG8="),
    ("date", "2026-02-28"),
    ("duration", "1h30m0.5s"),
    ("duration", "3 days"),
    ("datetime", "2026-01-02T03:04:05.678Z"),
    ("datetime", "2026-01-02T03:04:05+01:00"),
    ("k8s-long-name", "a-b.c-d"),
];
const PATTERNS: [&str; 24] = [
    r"^\d+$",
    r"^\w+$",
    r"\bfoo\b",
    r"^\s*$",
    r"^[\w.-]+$",
    r"^[^\d\s]+$",
    r"^[[:alpha:]_]+$",
    r"^[[a&&b]+$",
    r"^[]a-]+$",
    r"^[+--]+$",
    r"^[--a]+$",
    r"^a{1,2}$",
    r"^a{,2}$",
    r"^{a}$",
    r"^\Qa.b\E$",
    r"^(?i)foo$",
    r"^(?P<x>a|b)+$",
    r"^\p{L}+$",
    r"^\x61\x{62}$",
    r"^(foo|.a)*?$",
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
    r"^((25[0-5]|2[0-4]\d|1?\d?\d)(\.|$)){4}$|a",
    r"^[\]\[~~]+$",
    r"^.$",
];

/// A text with a character or two changed, left out or doubled.
fn mutated(text: &str, choices: &mut Choices) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..choices.below(3) {
        let at = choices.below(chars.len().max(1));
        match choices.below(4) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 if at < chars.len() => chars.insert(at, chars[at]),
            _ => chars.insert(
                at,
                choices.of(&['0', '9', 'a', 'Z', '.', ':', '-', '/', ' ', '@', '%', 'é', '[', '\t', '+']),
            ),
        }
    }
    chars.into_iter().collect()
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn case(seed: u64) -> Value {
    let mut choices = Choices(seed);
    let root = json!({"type": "object", "properties": {"spec": schema(&mut choices, 3), "status": schema(&mut choices, 2),
        "kind": {"type": "string", "maxLength": 1}}});
    let mut old = json!({"apiVersion": "g/v1", "kind": "KK", "metadata": {"name": "n"}});
    for part in ["spec", "status"] {
        old[part] = value(&root["properties"][part], &mut choices, 5);
    }
    let new = changed(&old, &root, &mut choices, 5);
    let new = if new.is_object() { new } else { old.clone() };
    let parsed = Schema::parse(&root).unwrap();
    let (mut pruned, mut no_nulls, mut defaulted) = (new.clone(), new.clone(), new.clone());
    let unknown = parsed.prune(&mut pruned);
    parsed.drop_nulls(&mut no_nulls);
    parsed.apply_defaults(&mut defaulted);
    let published = Published {
        group: "g.example.com",
        version: "v1",
        kind: "K",
        list_kind: "KList",
        plural: "ks",
        selectable_fields: &[],
    };
    let v3 = published.definition(Some(&root));
    let column = |choices: &mut Choices| {
        let (kind, path) = (choices.of(&["string", "integer", "number", "boolean"]), choices.of(&PATHS));
        json!({"name": "C", "type": kind, "jsonPath": path})
    };
    let columns = [column(&mut choices), column(&mut choices), column(&mut choices)];
    let cells: Vec<Value> = printer_columns(&columns).0[1..]
        .iter()
        .map(|column| column.cell(&new, Timestamp::UNIX_EPOCH))
        .collect();
    let (format, text) = choices.of(&FORMS);
    let text = mutated(text, &mut choices);
    let fits = Form::named(format).unwrap().fits(&text);
    let pattern = choices.of(&PATTERNS);
    let sample = choices.of(&[
        "foo", "a foo b", "é", "a.b", "aa", "{a}", "a{,2}", "12", " \t", "[a&b", "+,-", "-^`a", "ab", "]~[",
    ]);
    let sample = mutated(sample, &mut choices);
    let matches = Pattern::new(pattern).matches(&sample).unwrap();
    let want = json!({
        "v2": to_v2(v3.clone()), "v3": v3, "cells": cells, "fits": [fits], "matches": [matches],
        "unknown": unknown, "pruned": pruned, "noNulls": no_nulls, "defaulted": defaulted,
        "errors": texts(&parsed.validate(&new)), "update": texts(&parsed.validate_update(&new, &old)),
        "lists": texts(&parsed.validate_lists(&new)), "embedded": texts(&parsed.validate_embedded(&new)),
    });
    json!({"schema": root, "new": new, "old": old, "columns": columns, "formats": [[format, text]],
        "patterns": [[pattern, sample]], "want": want})
}

#[test]
#[ignore = "needs Go and upstream's modules"]
fn custom_objects_are_upstreams() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/go-facts");
    let mut go = Command::new("go")
        .args(["run", "./customresources"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a Go toolchain");
    let mut lines = String::new();
    for seed in 0..3000 {
        writeln!(lines, "{}", case(seed)).unwrap();
    }
    let mut input = go.stdin.take().unwrap();
    // Reading and writing at once, so that neither waits for the other.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let out = go.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}
