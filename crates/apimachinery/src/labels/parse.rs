//! The text form: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a>1`, `a<1`, `a in (b,c)`, `a notin (b)`, joined by commas.
//! White space separates and is otherwise ignored. `in` and `notin` are words of the grammar only after a key.

use super::{Operator, ParseError, Requirement, key_problem};
use crate::field::Path;

/// A symbol, a word, or (empty) the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    word: bool,
}

impl Token<'_> {
    fn is(self, symbol: &str) -> bool {
        !self.word && self.text == symbol
    }

    fn is_end(self) -> bool {
        self.is("")
    }
}

/// Reads a whole selector.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, ParseError> {
    let mut tokens = Tokens { rest: text.split('\0').next().unwrap_or_default() };
    let mut requirements = Vec::new();
    if tokens.peek().is_end() {
        return Ok(requirements);
    }
    let first = tokens.peek();
    if !first.word && !first.is("!") {
        return Err(unexpected(first, "!, identifier, or 'end of string'"));
    }
    loop {
        let requirement =
            requirement(&mut tokens).map_err(|e| ParseError(format!("unable to parse requirement: {e}")))?;
        requirements.push(requirement);
        let after = tokens.next();
        if after.is_end() {
            return Ok(requirements);
        }
        if !after.is(",") {
            return Err(unexpected(after, "',' or 'end of string'"));
        }
        let next = tokens.peek();
        if !next.word && !next.is("!") {
            return Err(unexpected(next, "identifier after ','"));
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, ParseError> {
    let absent = tokens.peek().is("!");
    if absent {
        tokens.next();
    }
    let key = tokens.next();
    if !key.word {
        return Err(unexpected(key, "identifier"));
    }
    if let Some(problem) = key_problem(Path::root(), key.text) {
        return Err(ParseError(problem.to_string()));
    }
    let after = tokens.peek();
    if absent {
        return Requirement::new(key.text, Operator::DoesNotExist, Vec::new());
    }
    if after.is_end() || after.is(",") {
        return Requirement::new(key.text, Operator::Exists, Vec::new());
    }
    let operator = operator(tokens.next())?;
    let values = match operator {
        Operator::In | Operator::NotIn => value_list(tokens)?,
        _ => vec![exact_value(tokens)?],
    };
    Requirement::new(key.text, operator, values)
}

fn operator(token: Token<'_>) -> Result<Operator, ParseError> {
    match token.text {
        "=" => Ok(Operator::Equals),
        "==" => Ok(Operator::DoubleEquals),
        "!=" => Ok(Operator::NotEquals),
        ">" => Ok(Operator::GreaterThan),
        "<" => Ok(Operator::LessThan),
        "in" => Ok(Operator::In),
        "notin" => Ok(Operator::NotIn),
        _ => Err(unexpected(token, "in, notin, =, ==, !=, gt, lt")),
    }
}

fn exact_value(tokens: &mut Tokens<'_>) -> Result<String, ParseError> {
    let value = tokens.peek();
    if value.is_end() || value.is(",") {
        return Ok(String::new());
    }
    tokens.next();
    if value.word { Ok(value.text.to_owned()) } else { Err(unexpected(value, "identifier")) }
}

/// `(a,b)`; where a value is missing beside a comma or between the brackets, the empty one is meant.
fn value_list(tokens: &mut Tokens<'_>) -> Result<Vec<String>, ParseError> {
    let open = tokens.next();
    if !open.is("(") {
        return Err(ParseError(format!("found '{}' expected: '('", open.text)));
    }
    let first = tokens.peek();
    if first.is(")") {
        tokens.next();
        return Ok(vec![String::new()]);
    }
    if !first.word && !first.is(",") {
        return Err(unexpected(first, "',', ')' or identifier"));
    }
    let mut values = Vec::new();
    loop {
        let value = tokens.next();
        let next = tokens.peek();
        if value.word {
            values.push(value.text.to_owned());
            if !next.is(",") && !next.is(")") {
                return Err(unexpected(next, "',' or ')'"));
            }
        } else if value.is(",") {
            if values.is_empty() || next.is(",") || next.is(")") {
                values.push(String::new());
            }
        } else {
            return Err(unexpected(value, "',', or identifier"));
        }
        if next.is(")") {
            tokens.next();
            values.sort();
            values.dedup();
            return Ok(values);
        }
    }
}

fn unexpected(token: Token<'_>, expected: &str) -> ParseError {
    ParseError(format!("found '{}', expected: {expected}", token.text))
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn peek(&self) -> Token<'a> {
        let text = self.rest.trim_start_matches(is_space);
        let length = match text.chars().next() {
            None => 0,
            Some(c) if is_symbol(c) => symbol_length(text),
            Some(_) => text.find(|c| is_symbol(c) || is_space(c)).unwrap_or(text.len()),
        };
        let word = text.starts_with(|c| !is_symbol(c));
        Token { text: &text[..length], word }
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.rest = &self.rest.trim_start_matches(is_space)[token.text.len()..];
        token
    }
}

fn symbol_length(text: &str) -> usize {
    if text.starts_with("==") || text.starts_with("!=") { 2 } else { 1 }
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}
