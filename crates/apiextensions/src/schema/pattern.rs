//! `pattern`: regular expressions in Go's syntax (RE2), run by a crate whose syntax is almost the same.
//!
//! What differs is rewritten: `\d`, `\w`, `\s` and `\b` are ASCII in Go; inside a class, `[`, `&&`, `--` and `~~` are
//! plain characters; `{` that begins no repetition is a plain character; `\Q…\E` quotes.

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

const SIZE_LIMIT_BYTES: usize = 64 << 20;

/// A pattern, compiled when it is first needed.
#[derive(Clone)]
pub(crate) struct Pattern {
    pub(crate) source: Box<str>,
    compiled: OnceLock<Result<Regex, String>>,
}

impl Pattern {
    pub(crate) fn new(source: &str) -> Self {
        Self { source: source.into(), compiled: OnceLock::new() }
    }

    /// Whether the pattern occurs in a text; the error says why it is none.
    pub(crate) fn matches(&self, text: &str) -> Result<bool, &str> {
        let compiled = self.compiled.get_or_init(|| {
            let pattern = RegexBuilder::new(&from_go(&self.source)).size_limit(SIZE_LIMIT_BYTES).build();
            pattern.map_err(|error| format!("error parsing regexp: {error}"))
        });
        compiled.as_ref().map(|regex| regex.is_match(text)).map_err(String::as_str)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// The same expression in the crate's syntax.
fn from_go(go: &str) -> String {
    let mut out = String::with_capacity(go.len() + 16);
    let mut rest = go;
    while let Some(c) = rest.chars().next() {
        let used = match c {
            '\\' => escape(rest, false, &mut out),
            '[' => class(rest, &mut out),
            '{' if !is_repetition(rest) => plain('{', &mut out),
            '}' if !ends_repetition(&out) => plain('}', &mut out),
            c => {
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[used..];
    }
    out
}

fn plain(c: char, out: &mut String) -> usize {
    out.extend(['\\', c]);
    c.len_utf8()
}

/// `{2}`, `{2,}`, `{2,5}`.
fn is_repetition(text: &str) -> bool {
    let Some((inside, _)) = text[1..].split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

/// Whether what was written so far ends in an open repetition, or in a name (`\p{Greek`, `\x{41`).
fn ends_repetition(out: &str) -> bool {
    out.rfind('{').is_some_and(|at| !out[..at].ends_with('\\') && !out[at..].contains('}'))
}

/// Writes the escape at the start of `rest`; how many bytes it takes.
fn escape(rest: &str, in_class: bool, out: &mut String) -> usize {
    let Some(c) = rest[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    let same = match c {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        'b' if !in_class => "(?-u:\\b)",
        'B' if !in_class => "(?-u:\\B)",
        '<' => "<",
        '>' => ">",
        'Q' if !in_class => {
            let quoted = rest[2..].split("\\E").next().unwrap_or_default();
            out.push_str(&regex::escape(quoted));
            let end = 2 + quoted.len();
            return if rest[end..].starts_with("\\E") { end + 2 } else { end };
        }
        'p' | 'P' | 'x' if rest[2..].starts_with('{') => {
            let end = rest.find('}').map_or(rest.len(), |at| at + 1);
            out.push_str(&rest[..end]);
            return end;
        }
        c => {
            out.extend(['\\', c]);
            return 1 + c.len_utf8();
        }
    };
    out.push_str(same);
    2
}

/// Writes the class at the start of `rest`; how many bytes it takes.
fn class(rest: &str, out: &mut String) -> usize {
    out.push('[');
    let mut at = 1;
    if rest[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    // The first bracket is a character.
    if rest[at..].starts_with(']') {
        out.push_str("\\]");
        at += 1;
    }
    while let Some(c) = rest[at..].chars().next() {
        match c {
            ']' => {
                out.push(']');
                return at + 1;
            }
            '\\' => at += escape(&rest[at..], true, out),
            '[' => {
                let name = rest[at..].starts_with("[:").then(|| rest[at..].find(":]")).flatten();
                let end = name.map_or(at + 1, |end| at + end + 2);
                out.push_str(if name.is_some() { &rest[at..end] } else { "\\[" });
                at = end;
            }
            '&' | '~' => at += plain(c, out),
            '-' if at == first => at += plain(c, out),
            // Two dashes would be a difference; here they are a range up to the dash.
            '-' if rest[at + 1..].starts_with('-') => {
                out.push_str("-\\-");
                at += 2;
            }
            c => {
                out.push(c);
                at += c.len_utf8();
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        let cases = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w.-]+$", "a.b-c_9", true),
            (r"^[\w.-]+$", "é", false),
            (r"^\w+$", "é", false),
            (r"^[a-z&&b]+$", "a&b", true),
            (r"^[[a]+$", "[a", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]a]+$", "]", false),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[[:^alpha:]]+$", "123", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"^{{ x }}$", "{{ x }}", true),
            (r"^a{2,3}$", "aaa", true),
            (r"^a{2,3}$", "a", false),
            (r"^\Qa.b\E+$", "a.bb", true),
            (r"^\<a\>$", "<a>", true),
            (r"^\p{Greek}+$", "αβ", true),
            (r"^\x{41}$", "A", true),
            (r"^\x41$", "A", true),
            (r"\bfoo\b", "a foo b", true),
            (r"^[+--]+$", "+,-", true),
            (r"^[~~&&]+$", "~&", true),
            (r"^(?i)abc$", "ABC", true),
            (r"a/b", "xa/by", true),
            (r"^[a\-z]+$", "a-z", true),
            (r"^\S+$", "a\u{b}b", true),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                Ok(want),
                "{pattern} {text} {}",
                from_go(pattern)
            );
        }
        assert!(Pattern::new("a(b").matches("").is_err());
    }
}
