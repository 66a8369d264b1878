//! Whether a value follows a schema, with the words that upstream takes from `kube-openapi`.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quote::quote;

use super::formats::{has_format, is_known_format};
use super::pattern;
use crate::tree::Read;

/// The problems of a value, whose place in the object is `path`.
pub fn problems(value: &Tree, schema: &Tree, path: &Path) -> ErrorList {
    let mut check = Check { found: ErrorList::new(), path, int_or_string: true };
    check.value(value, schema, "");
    check.found
}

/// The same for a default, where upstream does not look at `x-kubernetes-int-or-string`.
pub(super) fn default_problems(value: &Tree, schema: &Tree, path: &Path) -> ErrorList {
    let mut check = Check { found: ErrorList::new(), path, int_or_string: false };
    check.value(value, schema, "");
    check.found
}

struct Check<'a> {
    found: ErrorList,
    path: &'a Path,
    /// Whether `x-kubernetes-int-or-string` stands for a type, and formats that are not known mean nothing.
    int_or_string: bool,
}

impl Check<'_> {
    /// The path of a value by its name, which counts from the whole value: `spec.ports[0]`.
    fn at(&self, name: &str) -> Path {
        match name.strip_prefix('.').unwrap_or(name) {
            "" => self.path.clone(),
            name => self.path.child(name),
        }
    }

    fn invalid(&mut self, name: &str, value: impl Into<Tree>, why: &str) {
        self.found.push(Error::invalid(self.at(name), value, format!("{name} in body {why}")));
    }

    fn value(&mut self, value: &Tree, schema: &Tree, name: &str) {
        if !schema.is_object() {
            return;
        }
        self.kind(value, schema, name);
        if value.is_null() {
            return;
        }
        self.junctors(value, schema, name);
        match value {
            Tree::String(text) => self.text(text, schema, name),
            Tree::Number(number) => self.number(value, number.as_f64().unwrap_or(0.0), schema, name),
            Tree::Array(items) => self.list(items, schema, name),
            _ => {}
        }
        self.choice(value, schema, name);
        if let Tree::Object(map) = value {
            self.object(map, schema, name);
        }
    }

    fn kind(&mut self, value: &Tree, schema: &Tree, name: &str) {
        let int_or_string = self.int_or_string && schema.flag("x-kubernetes-int-or-string");
        let wanted: &[&str] = match schema.text("type") {
            _ if int_or_string => &["integer", "string"],
            "" => return,
            kind => &[kind],
        };
        let kind = kind_of(value);
        let fits = wanted.contains(&kind)
            || (kind == "null" && schema.flag("nullable"))
            || (kind == "integer" && wanted.contains(&"number"))
            || (kind == "number"
                && wanted.contains(&"integer")
                && value.as_f64().is_some_and(|n| n.fract() == 0.0));
        let format = self.format(schema);
        let numeric = wanted.contains(&"integer") || wanted.contains(&"number");
        let (wanted, shown) = match kind {
            _ if fits => return,
            // A format speaks for the type where there is one, and strings and lists are left to it.
            "string" | "array" if !format.is_empty() && !numeric => return,
            "integer" if !format.is_empty() => (format.to_owned(), "int64"),
            "number" if !format.is_empty() => (format.to_owned(), "float64"),
            "boolean" | "object" if !format.is_empty() => (format.to_owned(), ""),
            _ => (wanted.join(","), kind),
        };
        let why = format!("{name} in body must be of type {wanted}: {}", quote(shown));
        // The type is shown as the value, as upstream does.
        self.found.push(Error::type_invalid(self.at(name), shown, why));
    }

    /// The format, if it counts: for objects only a known one does, for defaults any.
    fn format<'s>(&self, schema: &'s Tree) -> &'s str {
        let format = schema.text("format");
        if self.int_or_string && !is_known_format(schema.text("type"), format) { "" } else { format }
    }

    fn junctors(&mut self, value: &Tree, schema: &Tree, name: &str) {
        let problems = |check: &Self, clause: &Tree| {
            let mut inner = Check { found: ErrorList::new(), ..*check };
            inner.value(value, clause, name);
            inner.found
        };
        let all = |check: &Self, field: &str| -> Vec<ErrorList> {
            schema.items(field).iter().map(|clause| problems(check, clause)).collect()
        };
        let mut results = all(self, "anyOf");
        if !results.is_empty() && results.iter().all(|result| !result.is_empty()) {
            self.whole(format!("{} must validate at least one schema (anyOf)", quote(name)));
            self.found.append(&mut results[0]);
        }
        let mut results = all(self, "oneOf");
        let good = results.iter().filter(|result| result.is_empty()).count();
        if !results.is_empty() && good != 1 {
            let how = if good == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {good} valid alternatives")
            };
            self.whole(format!("{} must validate one and only one schema (oneOf). {how}", quote(name)));
            if good == 0 {
                self.found.append(&mut results[0]);
            }
        }
        let mut results = all(self, "allOf");
        let good = results.iter().filter(|result| result.is_empty()).count();
        let total = results.len();
        results.iter_mut().for_each(|result| self.found.append(result));
        if good != total {
            let how = if good == 0 { ". None validated" } else { "" };
            self.whole(format!("{} must validate all the schemas (allOf){how}", quote(name)));
        }
        if schema.at("not").is_object() && problems(self, schema.at("not")).is_empty() {
            self.whole(format!("{} must not validate the schema (not)", quote(name)));
        }
    }

    /// A problem that upstream does not tie to a field.
    fn whole(&mut self, why: String) {
        self.found.push(Error::invalid(self.path.clone(), "", why));
    }

    fn text(&mut self, text: &str, schema: &Tree, name: &str) {
        let length = text.chars().count();
        let limit = |field: &str| schema.int(field).and_then(|limit| usize::try_from(limit).ok());
        if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            self.found.push(Error::too_long(self.at(name), most));
        } else if let Some(least) = limit("minLength").filter(|least| length < *least) {
            self.invalid(name, text, &format!("should be at least {least} chars long"));
        } else if let Ok(compiled) = pattern::compile(schema.text("pattern"))
            && !compiled.is_match(text)
        {
            self.invalid(name, text, &format!("should match '{}'", schema.text("pattern")));
        }
        let (kind, format) = (schema.text("type"), schema.text("format"));
        // For a default the format counts whatever the type is.
        let counts =
            is_known_format("string", format) && (!self.int_or_string || matches!(kind, "" | "string"));
        if counts && !has_format(text, format) {
            let why = format!("{name} in body must be of type {format}: {}", quote(text));
            self.found.push(Error::type_invalid(self.at(name), text, why));
        }
    }

    fn number(&mut self, value: &Tree, number: f64, schema: &Tree, name: &str) {
        self.range(number, schema, name, "Checked");
        if let Some(factor) = self.limit(value, schema, "multipleOf", "MultipleOf", name) {
            if factor <= 0.0 {
                let why = format!("factor MultipleOf declared for {name} must be positive: {factor}");
                self.found.push(Error::invalid(self.at(name), as_number(factor), why));
            } else if ((number / factor) - (number / factor).round()).abs() > 1e-9 {
                self.invalid(name, value.clone(), &format!("should be a multiple of {factor}"));
            }
        }
        if let Some(most) = self.limit(value, schema, "maximum", "Maximum boundary", name) {
            let exclusive = schema.flag("exclusiveMaximum");
            if number > most || (exclusive && number >= most) {
                let words = if exclusive { "less than" } else { "less than or equal to" };
                self.invalid(name, value.clone(), &format!("should be {words} {most}"));
            }
        }
        if let Some(least) = self.limit(value, schema, "minimum", "Minimum boundary", name) {
            let exclusive = schema.flag("exclusiveMinimum");
            if number < least || (exclusive && number <= least) {
                let words = if exclusive { "greater than" } else { "greater than or equal to" };
                self.invalid(name, value.clone(), &format!("should be {words} {least}"));
            }
        }
    }

    /// A limit of a number. One that the type cannot hold is reported; else that of an integer loses its fraction.
    fn limit(&mut self, value: &Tree, schema: &Tree, field: &str, prefix: &str, name: &str) -> Option<f64> {
        let limit = schema.at(field).as_f64()?;
        let holds = self.range(limit, schema, name, prefix);
        Some(if holds && !value.is_f64() { limit.trunc() } else { limit })
    }

    /// Whether the type and its format can hold the number; reports it if not.
    fn range(&mut self, number: f64, schema: &Tree, name: &str, prefix: &str) -> bool {
        let (kind, format) = (schema.text("type"), schema.text("format"));
        let fits = match (kind, format) {
            ("integer", "int32") => {
                number.fract() == 0.0 && number.abs() <= 2_147_483_648.0 && number < 2_147_483_648.0
            }
            ("integer", _) => number.fract() == 0.0 && number.abs() < 9.3e18,
            ("number", "float") => number.abs() <= f64::from(f32::MAX),
            _ => true,
        };
        if !fits {
            let known = is_known_format(kind, format);
            let how = if known { format!("with format {format}") } else { "(default format)".to_owned() };
            self.whole(format!("{prefix} value must be of type {kind} {how} in {name}"));
        }
        fits
    }

    fn list(&mut self, items: &[Tree], schema: &Tree, name: &str) {
        for (index, item) in items.iter().enumerate() {
            self.value(item, schema.at("items"), &format!("{name}[{index}]"));
        }
        let limit = |field: &str| schema.int(field).and_then(|limit| usize::try_from(limit).ok());
        if let Some(least) = limit("minItems").filter(|least| items.len() < *least) {
            self.invalid(name, items.len(), &format!("should have at least {least} items"));
        }
        if let Some(most) = limit("maxItems").filter(|most| items.len() > *most) {
            self.found.push(Error::too_many(self.at(name), items.len(), most));
        }
    }

    fn choice(&mut self, value: &Tree, schema: &Tree, name: &str) {
        let choices = schema.items("enum");
        if choices.is_empty() || choices.contains(value) {
            return;
        }
        let shown: Vec<String> = choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        self.found.push(Error::not_supported_in_order(self.at(name), value.clone(), &shown));
    }

    fn object(&mut self, map: &serde_json::Map<String, Tree>, schema: &Tree, name: &str) {
        let limit = |field: &str| schema.int(field).and_then(|limit| usize::try_from(limit).ok());
        if let Some(least) = limit("minProperties").filter(|least| map.len() < *least) {
            self.invalid(name, map.len(), &format!("should have at least {least} properties"));
        }
        if let Some(most) = limit("maxProperties").filter(|most| map.len() > *most) {
            self.found.push(Error::too_many(self.at(name), map.len(), most));
        }
        let (properties, more) = (schema.at("properties"), schema.at("additionalProperties"));
        for (key, value) in map.iter().filter(|(key, _)| properties.get(*key).is_none()) {
            if more == &Tree::Bool(false) {
                let why = format!("{name}.{key} in body is a forbidden property");
                self.found.push(Error::invalid(self.at(name), key.as_str(), why));
            }
            self.value(value, more, &format!("{name}.{key}"));
        }
        for (key, property) in schema.entries("properties") {
            if let Some(value) = map.get(key) {
                let inner = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
                self.value(value, property, &inner);
            }
        }
        for key in schema.texts("required").into_iter().filter(|key| !map.contains_key(*key)) {
            self.found.push(Error::required(self.at(&format!("{name}.{key}")), ""));
        }
    }
}

/// A number as Go shows it: without a fraction if it has none.
#[allow(clippy::cast_possible_truncation)]
fn as_number(number: f64) -> Tree {
    if number.fract() == 0.0 { Tree::from(number as i64) } else { Tree::from(number) }
}

fn kind_of(value: &Tree) -> &'static str {
    match value {
        Tree::Null => "null",
        Tree::Bool(_) => "boolean",
        Tree::Number(number) if number.is_f64() => "number",
        Tree::Number(_) => "integer",
        Tree::String(_) => "string",
        Tree::Array(_) => "array",
        Tree::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn values_follow_their_schema() {
        let text = json!({"type": "string"});
        let cases: Vec<(Tree, Tree, Vec<&str>)> = vec![
            (text.clone(), json!("x"), vec![]),
            (
                text,
                json!(1),
                vec!["v: Invalid value: \"integer\":  in body must be of type string: \"integer\""],
            ),
            (json!({"type": "number"}), json!(1), vec![]),
            (json!({"type": "integer"}), json!(1.0), vec![]),
            (
                json!({"type": "integer", "format": "int32"}),
                json!(3_000_000_000_u64),
                vec!["v: Invalid value: \"\": Checked value must be of type integer with format int32 in "],
            ),
            (
                json!({"type": "integer"}),
                json!(1.5),
                vec![
                    "v: Invalid value: \"number\":  in body must be of type integer: \"number\"",
                    "v: Invalid value: \"\": Checked value must be of type integer (default format) in ",
                ],
            ),
            (json!({"type": "string", "nullable": true}), json!(null), vec![]),
            (json!({"x-kubernetes-int-or-string": true}), json!("x"), vec![]),
            (
                json!({"x-kubernetes-int-or-string": true}),
                json!(true),
                vec!["v: Invalid value: \"boolean\":  in body must be of type integer,string: \"boolean\""],
            ),
            (
                json!({"properties": {"a": {"type": "string", "maxLength": 1, "format": "date"}}}),
                json!({"a": "xx"}),
                vec![
                    "v.a: Too long: may not be more than 1 byte",
                    "v.a: Invalid value: \"xx\": a in body must be of type date: \"xx\"",
                ],
            ),
            (
                json!({"minLength": 2}),
                json!("x"),
                vec!["v: Invalid value: \"x\":  in body should be at least 2 chars long"],
            ),
            (
                json!({"pattern": "^a$"}),
                json!("x"),
                vec!["v: Invalid value: \"x\":  in body should match '^a$'"],
            ),
            (
                json!({"maximum": 5, "multipleOf": 4}),
                json!(6),
                vec![
                    "v: Invalid value: 6:  in body should be a multiple of 4",
                    "v: Invalid value: 6:  in body should be less than or equal to 5",
                ],
            ),
            (json!({"type": "number", "minimum": 1.5}), json!(1), vec![]),
            (
                json!({"type": "number", "multipleOf": 0.5}),
                json!(1),
                vec!["v: Invalid value: 0: factor MultipleOf declared for  must be positive: 0"],
            ),
            (
                json!({"type": "integer", "minimum": 1.5}),
                json!(2),
                vec![
                    "v: Invalid value: \"\": Minimum boundary value must be of type integer (default format) in ",
                ],
            ),
            (
                json!({"minimum": 5, "exclusiveMinimum": true}),
                json!(5),
                vec!["v: Invalid value: 5:  in body should be greater than 5"],
            ),
            (
                json!({"items": {"type": "string"}, "minItems": 2}),
                json!([1]),
                vec![
                    "v.[0]: Invalid value: \"integer\": [0] in body must be of type string: \"integer\"",
                    "v: Invalid value: 1:  in body should have at least 2 items",
                ],
            ),
            (json!({"maxItems": 1}), json!([1, 2]), vec!["v: Too many: 2: must have at most 1 item"]),
            (
                json!({"enum": ["a", 1]}),
                json!("b"),
                vec!["v: Unsupported value: \"b\": supported values: \"a\", \"1\""],
            ),
            (
                json!({"required": ["a"], "maxProperties": 0}),
                json!({"b": 1}),
                vec!["v: Too many: 1: must have at most 0 items", "v.a: Required value"],
            ),
            (
                json!({"minProperties": 1}),
                json!({}),
                vec!["v: Invalid value: 0:  in body should have at least 1 properties"],
            ),
            (
                json!({"additionalProperties": {"type": "string"}}),
                json!({"a": 1}),
                vec!["v.a: Invalid value: \"integer\": .a in body must be of type string: \"integer\""],
            ),
            (
                json!({"additionalProperties": false}),
                json!({"a": 1}),
                vec!["v: Invalid value: \"a\": .a in body is a forbidden property"],
            ),
            (
                json!({"anyOf": [{"minLength": 2}, {"maxLength": 0}]}),
                json!("x"),
                vec![
                    "v: Invalid value: \"\": \"\" must validate at least one schema (anyOf)",
                    "v: Invalid value: \"x\":  in body should be at least 2 chars long",
                ],
            ),
            (
                json!({"oneOf": [{"minLength": 1}, {"maxLength": 2}]}),
                json!("x"),
                vec![
                    "v: Invalid value: \"\": \"\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
                ],
            ),
            (
                json!({"allOf": [{"minLength": 2}, {"maxLength": 2}]}),
                json!("x"),
                vec![
                    "v: Invalid value: \"x\":  in body should be at least 2 chars long",
                    "v: Invalid value: \"\": \"\" must validate all the schemas (allOf)",
                ],
            ),
            (
                json!({"not": {"minLength": 1}}),
                json!("x"),
                vec!["v: Invalid value: \"\": \"\" must not validate the schema (not)"],
            ),
        ];
        for (schema, value, want) in cases {
            assert_eq!(texts(&problems(&value, &schema, &Path::new("v"))), want, "{schema}");
        }
    }
}
