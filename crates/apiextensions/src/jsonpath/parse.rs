//! Texts to paths.

use serde_json::Value;

use super::{Comparison, Filter, Operand, Slice, Step};

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no JSONPath")]
pub struct InvalidPath(pub String);

pub(super) fn parse(text: &str) -> Result<Vec<Step>, InvalidPath> {
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let inside = inside.strip_prefix(['$', '@']).unwrap_or(inside);
    steps(inside).ok_or_else(|| InvalidPath(text.to_owned()))
}

fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut out = Vec::new();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let end = closing(inside)?;
            out.push(bracket(&inside[..end])?);
            rest = &inside[end + 1..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("..") {
            out.push(Step::Recursive);
            rest = after;
            if rest.starts_with('[') {
                continue;
            }
        } else {
            rest = rest.strip_prefix('.')?;
        }
        let (name, after) = field(rest);
        match name.as_str() {
            // A dot alone is the object itself, and may stand before a bracket.
            "" if out.is_empty() && (after.is_empty() || after.starts_with('[')) => {}
            "" => return None,
            "*" => out.push(Step::Every),
            name => out.push(Step::Field(name.into())),
        }
        rest = after;
    }
    Some(out)
}

/// The name up to the next step; a backslash takes a character's meaning away.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            ' ' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}' => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket that is open at the start is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', _) => escaped = true,
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('[', None) => depth += 1,
            (']', None) if depth == 0 => return Some(at),
            (']', None) => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    let text = text.trim();
    if text == "*" {
        return Some(Step::Every);
    }
    if let Some(inside) = text.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return filter(inside).map(Step::Filter);
    }
    if let Some(name) = quoted(text) {
        return Some(Step::Field(name.into()));
    }
    let parts = split_outside_quotes(text);
    if parts.len() > 1 {
        let each = parts.into_iter().map(|part| bracket(part).map(|step| vec![step]));
        return each.collect::<Option<_>>().map(Step::Union);
    }
    slice(text).map(Step::Slice)
}

/// The text between quotes, if it is nothing else.
fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?),
            c if c == quote => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut quote = None;
    text.split(move |c: char| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            _ => {}
        }
        c == ',' && quote.is_none()
    })
    .collect()
}

fn slice(text: &str) -> Option<Slice> {
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let parts: Vec<&str> = text.split(':').collect();
    match *parts.as_slice() {
        [one] => {
            let from: i64 = one.parse().ok()?;
            Some(Slice { from: Some(from), to: Some(from + 1), single: true, step: None })
        }
        [from, to] => Some(Slice { from: number(from)?, to: number(to)?, single: false, step: None }),
        [from, to, step] => {
            Some(Slice { from: number(from)?, to: number(to)?, single: false, step: number(step)? })
        }
        _ => None,
    }
}

fn filter(text: &str) -> Option<Filter> {
    let is_operator = |c: char| matches!(c, '!' | '=' | '<' | '>');
    let Some(at) = text.find(is_operator) else {
        return Some(Filter { left: operand(text)?, test: None });
    };
    let after = text[at..].find(|c| !is_operator(c)).map_or(text.len(), |length| at + length);
    let comparison = match &text[at..after] {
        "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    };
    Some(Filter { left: operand(&text[..at])?, test: Some((comparison, operand(&text[after..])?)) })
}

fn operand(text: &str) -> Option<Operand> {
    let text = text.trim();
    if let Some(text) = quoted(text) {
        return Some(Operand::Literal(text.into()));
    }
    if let Some(path) = text.strip_prefix(['@', '$']) {
        return steps(path).map(Operand::Path);
    }
    if text.starts_with(['.', '[']) {
        return steps(text).map(Operand::Path);
    }
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => Some(Operand::Literal(value)),
        _ => None,
    }
}
