//! `fieldPath` of a rule.

use steersman_apimachinery::field::Path;

use crate::schema::Node;

/// A path such as `.a.b['c d']` as error messages show it: `a.b.c d` for named fields, `a[key]` for keys of maps. `None`
/// if it does not lead to a field of the schema.
pub(crate) fn normalized_field_path(text: &str, node: &Node) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let (mut path, mut node, mut rest) = (Path::root(), node, text);
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix("['") {
            Some(quoted) => unquote(quoted)?,
            None => {
                let plain = rest.strip_prefix('.')?;
                let end = plain.find(['.', '[', ']']).unwrap_or(plain.len());
                (plain[..end].to_owned(), &plain[end..])
            }
        };
        path = if node.properties.is_empty() { path.key(&name) } else { path.child(&name) };
        node = if node.properties.is_empty() { node.values()? } else { node.property(&name)? };
        rest = after;
    }
    Some(path.to_string())
}

/// The name up to `']`, with its escapes resolved, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Some((name, text[at + 1..].strip_prefix(']')?)),
            '\\' => name.push(match chars.next()?.1 {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                c @ ('\'' | '\\') => c,
                _ => return None,
            }),
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Schema;

    #[test]
    fn paths_are_followed_through_the_schema() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "a": {"type": "object", "properties": {"b c": {"type": "string"}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}}}}))
        .unwrap();
        let cases = [
            (".a", Some("a")),
            (".a['b c']", Some("a.b c")),
            (".m.k", Some("m[k]")),
            (".m['it\\'s']", Some("m[it's]")),
            ("a", None),
            (".x", None),
            (".m['k", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(normalized_field_path(text, &schema.root).as_deref(), want, "{text}");
        }
    }
}
