//! Paths into custom resources: those of printer columns and of `scale`, and those that must name a field of the schema.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::tree::Read;

/// Checks a path of names with dots, from the root.
pub fn simple(found: &mut ErrorList, text: &str, path: &Path) -> bool {
    let why = if text.is_empty() {
        "must not be empty"
    } else if text.starts_with('.') {
        return true;
    } else {
        "must be a simple json path starting with ."
    };
    found.push(Error::invalid(path.clone(), text, why));
    false
}

/// The schema that a path such as `.spec.size` or `.spec['size']` leads to, and the names on the way. `brackets` says
/// whether the second form may be used.
pub fn resolve<'a>(text: &str, schema: &'a Tree, brackets: bool) -> Result<(Vec<String>, &'a Tree), String> {
    const UNKNOWN: &str = "does not refer to a valid field";
    const END: &str = "unexpected end of JSON path";
    let (mut here, mut names) = (schema, Vec::new());
    let mut tokens = tokens(text).into_iter();
    while let Some(token) = tokens.next() {
        let name = match token {
            "." => tokens.next().ok_or(END)?.to_owned(),
            "[" if !brackets => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let quoted = tokens.next().ok_or(END)?;
                let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let inner = inner.ok_or_else(|| format!("expected single quoted string but got {quoted}"))?;
                inner.replace("\\'", "'").replace("\\\\", "\\")
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        let (properties, more) = (here.at("properties"), here.at("additionalProperties"));
        here = match properties.as_object().filter(|map| !map.is_empty()) {
            Some(map) => map.get(&name).ok_or(UNKNOWN)?,
            None if more.is_object() => more,
            None => return Err(UNKNOWN.to_owned()),
        };
        if token == "[" {
            match tokens.next() {
                Some("]") => {}
                Some(other) => return Err(format!("expected ] but got {other}")),
                None => return Err(END.to_owned()),
            }
        }
        names.push(name);
    }
    Ok((names, here))
}

/// Dots, brackets, quoted strings, and the texts between them.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '.' | '[' | ']' => 1,
            '\'' => {
                let closing =
                    rest.match_indices('\'').find(|(at, _)| *at > 0 && !rest[..*at].ends_with('\\'));
                closing.map_or(rest.len(), |(at, _)| at + 1)
            }
            _ => rest.find(['.', '[', ']']).unwrap_or(rest.len()),
        };
        tokens.push(&rest[..length]);
        rest = &rest[length..];
    }
    tokens
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_fields() {
        let schema = json!({"properties": {"spec": {"properties": {"a.b": {"type": "string"}, "m":
            {"additionalProperties": {"type": "integer"}}}}}});
        let kind =
            |text: &str| resolve(text, &schema, true).map(|(names, at)| (names.join("/"), at.text("type")));
        assert_eq!(kind(".spec['a.b']"), Ok(("spec/a.b".to_owned(), "string")));
        assert_eq!(kind(".spec.m.x"), Ok(("spec/m/x".to_owned(), "integer")));
        let cases = [
            (".nothing", "does not refer to a valid field"),
            ("spec", "expected [ or . but got: spec"),
            (".", "unexpected end of JSON path"),
            (".spec[a]", "expected single quoted string but got a"),
            (".spec['a.b'", "unexpected end of JSON path"),
            (".spec['a.b'.", "expected ] but got ."),
            (".spec.m.x.y", "does not refer to a valid field"),
        ];
        for (text, want) in cases {
            assert_eq!(kind(text), Err(want.to_owned()), "{text}");
        }
        assert_eq!(
            resolve(".spec['a.b']", &schema, false).err().as_deref(),
            Some("array notation is not allowed")
        );
    }
}
