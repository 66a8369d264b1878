//! `openAPIV3Schema` to [`Node`]s.

use std::sync::Arc;

use serde_json::Value;

use super::read::Keywords;
use super::{Additional, Bound, Checks, Format, ListType, MapType, Node, Pattern, Rule, RuleId, Type};
use crate::rules::normalized_field_path;

pub use super::read::ParseError;

/// Reads a schema. Rules are numbered on the way.
pub(super) fn parse(schema: &Value) -> Result<Node, ParseError> {
    Reader { rules: 0 }.node(schema, String::new())
}

struct Reader {
    rules: usize,
}

impl Reader {
    fn node(&mut self, schema: &Value, path: String) -> Result<Node, ParseError> {
        let from = Keywords::new(schema, path)?;
        let kind = kind_of(&from)?;
        let int_or_string = from.flag("x-kubernetes-int-or-string")?;
        let checks = self.checks(&from, if int_or_string { None } else { kind }, int_or_string)?;
        let mut node = Node {
            kind,
            int_or_string,
            nullable: from.flag("nullable")?,
            preserve_unknown: from.flag("x-kubernetes-preserve-unknown-fields")?,
            embedded: from.flag("x-kubernetes-embedded-resource")?,
            list: list_type(&from)?,
            map: map_type(&from)?,
            properties: self.properties(&from)?,
            additional: self.additional(&from)?,
            items: self.below(&from, "items")?,
            default: None,
            checks: (!checks.is_empty()).then(|| Box::new(checks)),
            rules: Box::default(),
        };
        node.rules = self.rules(&from, &node)?;
        if let Some(default) = from.get("default") {
            let mut default = default.clone();
            crate::coerce::clean_default(&mut default, &node);
            node.default = Some(Arc::new(default));
        }
        Ok(node)
    }

    fn below(&mut self, from: &Keywords<'_>, keyword: &str) -> Result<Option<Arc<Node>>, ParseError> {
        let Some(schema) = from.get(keyword) else { return Ok(None) };
        self.node(schema, from.at(keyword)).map(|node| Some(Arc::new(node)))
    }

    fn all_below(&mut self, from: &Keywords<'_>, keyword: &str) -> Result<Box<[Arc<Node>]>, ParseError> {
        let schemas = from.list(keyword)?.iter().enumerate();
        schemas
            .map(|(i, schema)| self.node(schema, format!("{}[{i}]", from.at(keyword))).map(Arc::new))
            .collect()
    }

    fn properties(&mut self, from: &Keywords<'_>) -> Result<Box<[(Box<str>, Arc<Node>)]>, ParseError> {
        let Some(named) = from.map("properties")? else { return Ok(Box::default()) };
        let mut out = Vec::with_capacity(named.len());
        for (name, schema) in named {
            let node = self.node(schema, format!("{}[{name}]", from.at("properties")))?;
            out.push((name.as_str().into(), Arc::new(node)));
        }
        out.sort_by(|(a, _): &(Box<str>, _), (b, _)| a.cmp(b));
        Ok(out.into())
    }

    fn additional(&mut self, from: &Keywords<'_>) -> Result<Additional, ParseError> {
        match from.get("additionalProperties") {
            None => Ok(Additional::Unstated),
            Some(Value::Bool(true)) => Ok(Additional::Any),
            Some(Value::Bool(false)) => Ok(Additional::Nothing),
            Some(schema) => {
                let node = self.node(schema, from.at("additionalProperties"))?;
                Ok(Additional::Of(Arc::new(node)))
            }
        }
    }

    fn checks(
        &mut self,
        from: &Keywords<'_>,
        kind: Option<Type>,
        int_or_string: bool,
    ) -> Result<Checks, ParseError> {
        let bound = |limit: &str, exclusive: &str| -> Result<Option<Bound>, ParseError> {
            let exclusive = from.flag(exclusive)?;
            Ok(from.number(limit)?.map(|value| Bound { value, exclusive }))
        };
        let format_kind = if int_or_string { None } else { kind };
        Ok(Checks {
            format: from.text("format")?.and_then(|name| Format::supported(name, format_kind)),
            maximum: bound("maximum", "exclusiveMaximum")?,
            minimum: bound("minimum", "exclusiveMinimum")?,
            multiple_of: from.number("multipleOf")?,
            max_length: from.count("maxLength")?,
            min_length: from.count("minLength")?,
            pattern: from.text("pattern")?.map(Pattern::new),
            max_items: from.count("maxItems")?,
            min_items: from.count("minItems")?,
            unique_items: from.flag("uniqueItems")?,
            max_properties: from.count("maxProperties")?,
            min_properties: from.count("minProperties")?,
            required: from.texts("required")?.into_iter().map(Into::into).collect(),
            allowed: from.list("enum")?.into(),
            all_of: self.all_below(from, "allOf")?,
            any_of: self.all_below(from, "anyOf")?,
            one_of: self.all_below(from, "oneOf")?,
            not: self.below(from, "not")?,
        })
    }

    fn rules(&mut self, from: &Keywords<'_>, node: &Node) -> Result<Box<[(RuleId, Rule)]>, ParseError> {
        let keyword = "x-kubernetes-validations";
        let mut out = Vec::new();
        for (i, rule) in from.list(keyword)?.iter().enumerate() {
            let rule = Keywords::new(rule, format!("{}[{i}]", from.at(keyword)))?;
            let text = |keyword: &str| rule.text(keyword).map(|text| text.unwrap_or_default().to_owned());
            let path = rule.text("fieldPath")?.unwrap_or_default();
            let read = Rule {
                rule: text("rule")?,
                message: text("message")?,
                message_expression: text("messageExpression")?,
                reason: text("reason")?,
                field_path: normalized_field_path(path, node).unwrap_or_default(),
                optional_old_self: rule.flag("optionalOldSelf")?,
            };
            out.push((RuleId(self.rules), read));
            self.rules += 1;
        }
        Ok(out.into())
    }
}

fn kind_of(from: &Keywords<'_>) -> Result<Option<Type>, ParseError> {
    let Some(name) = from.text("type")? else { return Ok(None) };
    let all = [Type::Object, Type::Array, Type::String, Type::Integer, Type::Number, Type::Boolean];
    match all.into_iter().find(|kind| kind.as_str() == name) {
        Some(kind) => Ok(Some(kind)),
        None => Err(ParseError::UnknownType { path: from.at("type"), name: name.to_owned() }),
    }
}

fn list_type(from: &Keywords<'_>) -> Result<ListType, ParseError> {
    let keys = || from.texts("x-kubernetes-list-map-keys");
    Ok(match from.text("x-kubernetes-list-type")? {
        Some("atomic") => ListType::Atomic,
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(keys()?.into_iter().map(Arc::from).collect()),
        _ => ListType::Unstated,
    })
}

fn map_type(from: &Keywords<'_>) -> Result<MapType, ParseError> {
    Ok(match from.text("x-kubernetes-map-type")? {
        Some("atomic") => MapType::Atomic,
        Some("granular") => MapType::Granular,
        _ => MapType::Unstated,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Schema;

    #[test]
    fn what_is_no_schema_is_refused() {
        let cases = [
            (json!([]), ": expected a schema"),
            (json!({"properties": {"a": {"maximum": "x"}}}), "properties[a].maximum: expected a number"),
            (json!({"items": {"type": "null"}}), "items.type: unknown type \"null\""),
            (json!({"allOf": [{}, {"required": [1]}]}), "allOf[1].required: expected a list of strings"),
        ];
        for (schema, want) in cases {
            assert_eq!(Schema::parse(&schema).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn null_keywords_are_absent_and_rules_are_numbered() {
        let schema = Schema::parse(&json!({
            "type": "object", "nullable": null, "default": null, "enum": null,
            "properties": {
                "a": {"type": "string", "x-kubernetes-validations": [{"rule": "1"}, {"rule": "2"}]},
                "b": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "3"}]}},
            },
            "x-kubernetes-validations": [{"rule": "4", "fieldPath": ".b", "reason": "FieldValueRequired"}],
        }))
        .unwrap();
        assert!(schema.root.default.is_none() && schema.root.checks.is_none());
        let all: Vec<(usize, &str)> = schema.rules().iter().map(|r| (r.id.0, r.rule.rule.as_str())).collect();
        assert_eq!(all, [(0, "1"), (1, "2"), (2, "3"), (3, "4")]);
        assert_eq!(schema.root.rules[0].1.field_path, "b");
    }

    #[test]
    fn defaults_are_pruned() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "a": {"type": "object", "default": {"x": 1, "y": 2}, "properties": {"x": {"type": "integer"}}}}}))
        .unwrap();
        assert_eq!(schema.root.property("a").unwrap().default.as_deref(), Some(&json!({"x": 1})));
    }
}
