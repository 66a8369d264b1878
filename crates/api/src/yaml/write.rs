//! Trees as YAML text, laid out as `sigs.k8s.io/yaml` lays it out: keys in natural order, lists at their key's
//! indentation, literal blocks for text of several lines, quotes where a string would read back as something else,
//! and long lines folded at blanks.

use std::cmp::Ordering;

use serde_json::Map;
use steersman_apimachinery::Tree;

use super::scalar::{Resolved, resolve};

/// A line that is longer is folded at the next blank.
const WIDTH: usize = 80;

/// The tree as one document, with a line break at its end.
pub fn to_yaml(tree: &Tree) -> String {
    let mut writer = Writer::default();
    match tree {
        Tree::Object(map) if !map.is_empty() => writer.map(map, 0),
        Tree::Array(items) if !items.is_empty() => writer.list(items, 0),
        scalar => writer.scalar(scalar, 0),
    }
    writer.out.push('\n');
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
}

impl Writer {
    /// Writes entries; the first begins where the text ends.
    fn map(&mut self, map: &Map<String, Tree>, indent: usize) {
        let mut entries: Vec<(&String, &Tree)> = map.iter().collect();
        entries.sort_by(|a, b| natural_order(a.0, b.0));
        for (at, (key, value)) in entries.into_iter().enumerate() {
            if at > 0 {
                self.line(indent);
            }
            self.key(key);
            self.out.push(':');
            self.value(value, indent);
        }
    }

    fn key(&mut self, key: &str) {
        match style(key, true) {
            Style::Plain => self.out.push_str(key),
            Style::Single => self.single(key, None),
            Style::Double | Style::Literal => self.double(key, None),
        }
    }

    /// A value after its key.
    fn value(&mut self, value: &Tree, indent: usize) {
        match value {
            Tree::Object(map) if !map.is_empty() => {
                self.line(indent + 2);
                self.map(map, indent + 2);
            }
            Tree::Array(items) if !items.is_empty() => {
                self.line(indent);
                self.list(items, indent);
            }
            scalar => {
                self.out.push(' ');
                self.scalar(scalar, indent + 2);
            }
        }
    }

    fn list(&mut self, items: &[Tree], indent: usize) {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.line(indent);
            }
            self.out.push_str("- ");
            match item {
                Tree::Object(map) if !map.is_empty() => self.map(map, indent + 2),
                Tree::Array(items) if !items.is_empty() => self.list(items, indent + 2),
                scalar => self.scalar(scalar, indent + 2),
            }
        }
    }

    /// A scalar or an empty container; `indent` is for what continues on further lines.
    fn scalar(&mut self, value: &Tree, indent: usize) {
        match value {
            Tree::Null => self.out.push_str("null"),
            Tree::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Tree::Number(n) => self.number(n),
            Tree::String(s) => self.string(s, indent),
            Tree::Array(_) => self.out.push_str("[]"),
            Tree::Object(_) => self.out.push_str("{}"),
        }
    }

    fn number(&mut self, n: &serde_json::Number) {
        match n.as_f64().filter(|_| n.is_f64()) {
            Some(f) => self.out.push_str(&float_text(f)),
            None => self.out.push_str(&n.to_string()),
        }
    }

    fn string(&mut self, s: &str, indent: usize) {
        match style(s, false) {
            Style::Plain => self.folded(s, Some(indent), |_, _| {}),
            Style::Single => self.single(s, Some(indent)),
            Style::Double => self.double(s, Some(indent)),
            // At the root there is no indentation that an indicator could tell from the text's own.
            Style::Literal if indent == 0 && s.starts_with([' ', '\n']) => self.double(s, Some(indent)),
            Style::Literal => self.literal(s, indent),
        }
    }

    /// Copies text; a lone blank beyond the width becomes a line break, if `indent` is given. `escape` may put
    /// something before a character.
    fn folded(&mut self, s: &str, indent: Option<usize>, escape: impl Fn(&mut String, char)) {
        let chars: Vec<char> = s.chars().collect();
        for (at, c) in chars.iter().enumerate() {
            let inner = at > 0 && at + 1 < chars.len();
            let lone = *c == ' ' && inner && chars[at - 1] != ' ' && chars[at + 1] != ' ';
            match indent {
                Some(indent) if lone && self.column() > WIDTH => self.line(indent),
                _ => {
                    escape(&mut self.out, *c);
                    self.out.push(*c);
                }
            }
        }
    }

    fn single(&mut self, s: &str, indent: Option<usize>) {
        self.out.push('\'');
        self.folded(s, indent, |out, c| {
            if c == '\'' {
                out.push('\'');
            }
        });
        self.out.push('\'');
    }

    fn double(&mut self, s: &str, indent: Option<usize>) {
        self.out.push('"');
        let chars: Vec<char> = s.chars().collect();
        for (at, c) in chars.iter().enumerate() {
            let inner = at > 0 && at + 1 < chars.len();
            match (c, indent) {
                (' ', Some(indent)) if inner && self.column() > WIDTH && chars[at - 1] != ' ' => {
                    self.line(indent);
                    if chars[at + 1] == ' ' {
                        self.out.push('\\');
                    }
                }
                _ => self.escaped(*c),
            }
        }
        self.out.push('"');
    }

    fn escaped(&mut self, c: char) {
        match ESCAPES.iter().find(|(raw, _)| *raw == c) {
            Some((_, escape)) => self.out.push_str(escape),
            None if is_plain_char(c) => self.out.push(c),
            None => self.out.push_str(&match u32::from(c) {
                n @ ..=0xff => format!("\\x{n:02X}"),
                n @ ..=0xffff => format!("\\u{n:04X}"),
                n => format!("\\U{n:08X}"),
            }),
        }
    }

    fn literal(&mut self, s: &str, indent: usize) {
        self.out.push('|');
        if s.starts_with([' ', '\n']) {
            self.out.push('2');
        }
        let body = s.strip_suffix('\n');
        match body {
            None => self.out.push('-'),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.out.push('+'),
            Some(_) => {}
        }
        for line in body.unwrap_or(s).split('\n') {
            self.out.push('\n');
            if !line.is_empty() {
                self.out.extend(std::iter::repeat_n(' ', indent));
                self.out.push_str(line);
            }
        }
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// Characters since the last line break.
    fn column(&self) -> usize {
        self.out.rsplit('\n').next().map_or(0, |line| line.chars().count())
    }
}

const ESCAPES: [(char, &str); 16] = [
    ('\0', "\\0"),
    ('\x07', "\\a"),
    ('\x08', "\\b"),
    ('\t', "\\t"),
    ('\n', "\\n"),
    ('\x0b', "\\v"),
    ('\x0c', "\\f"),
    ('\r', "\\r"),
    ('\x1b', "\\e"),
    ('"', "\\\""),
    ('\\', "\\\\"),
    ('\u{85}', "\\N"),
    ('\u{2028}', "\\L"),
    ('\u{2029}', "\\P"),
    ('\u{feff}', "\\uFEFF"),
    ('\u{7f}', "\\x7F"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// How to write a string so that it reads back as itself.
fn style(s: &str, is_key: bool) -> Style {
    let special = !s.chars().all(|c| c == '\n' || is_plain_char(c));
    let broken = s.contains('\n');
    if special || (broken && (is_key || s.contains(" \n") || s.ends_with(' '))) {
        return Style::Double;
    }
    if broken {
        return Style::Literal;
    }
    if resolve(s) != Resolved::String || is_base60(s) {
        return Style::Double;
    }
    if is_plain(s) { Style::Plain } else { Style::Single }
}

/// What may stand in a scalar without an escape: upstream's emitter escapes all that is beyond 16 bits.
fn is_plain_char(c: char) -> bool {
    match c {
        '\u{feff}' | '\u{2028}' | '\u{2029}' => false,
        c => matches!(c, ' '..='~' | '\u{a0}'..='\u{fffd}'),
    }
}

/// Whether nothing in the text means something to a YAML reader.
fn is_plain(s: &str) -> bool {
    let begins_badly = s.starts_with("---")
        || s.starts_with("...")
        || s.starts_with(['#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`'])
        || matches!(s, "-" | "?")
        || s.starts_with("- ")
        || s.starts_with("? ");
    let has_edges = s.starts_with(' ') || s.ends_with(' ');
    !begins_badly && !has_edges && !s.contains(": ") && !s.ends_with(':') && !s.contains(" #")
}

/// `1:30`: a number to base sixty for other readers.
fn is_base60(s: &str) -> bool {
    let unsigned = s.strip_prefix(['-', '+']).unwrap_or(s);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let sixtieth = |s: &&str| s.len() <= 2 && s.parse::<u8>().is_ok_and(|n| n < 60);
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && digits(fraction)
        && !rest.is_empty()
        && rest.iter().all(sixtieth)
}

/// The shortest text that reads back, with an exponent where Go's `%g` has one.
pub(super) fn float_text(f: f64) -> String {
    let size = f.abs();
    if size == 0.0 || (1e-4..1e21).contains(&size) {
        return format!("{f}");
    }
    let text = format!("{f:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Letters after everything else, numbers by their value.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => a[at].cmp(&b[at]),
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => number_at(&a, at).cmp(&number_at(&b, at)).then(a[at].cmp(&b[at])),
    }
}

/// The number that begins at a place, and how long it is. Zeros after the same digits are no leading zeros.
fn number_at(text: &[char], at: usize) -> (u128, usize) {
    let digits: Vec<u32> = text[at..].iter().map_while(|c| c.to_digit(10)).take(36).collect();
    let before = text[..at].iter().rev().take_while(|c| c.is_ascii_digit());
    let head = u128::from(before.into_iter().any(|c| *c != '0') && digits.first() == Some(&0));
    (digits.iter().fold(head, |n, d| n * 10 + u128::from(*d)), digits.len())
}
