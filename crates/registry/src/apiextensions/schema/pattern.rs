//! Patterns in the syntax of Go's `regexp`, which differs from Rust's in details.

use regex::Regex;

/// Compiles a pattern. The error reads as Go's where the cause is a common one.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(&translate(pattern))
        .map_err(|error| format!("error parsing regexp: {}", go_words(pattern, &error)))
}

fn go_words(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let has = |what: &str| text.contains(what);
    if has("unclosed character class") {
        let class = pattern.rfind('[').map_or(pattern, |at| &pattern[at..]);
        format!("missing closing ]: `{class}`")
    } else if has("unclosed group") {
        format!("missing closing ): `{pattern}`")
    } else if has("unopened group") {
        format!("unexpected ): `{pattern}`")
    } else if has("repetition operator missing expression") {
        let operator = pattern.chars().find(|c| "*+?".contains(*c)).unwrap_or('*');
        format!("missing argument to repetition operator: `{operator}`")
    } else if has("look-around") {
        "invalid or unsupported Perl syntax: `(?`".to_owned()
    } else {
        let last = text.lines().last().unwrap_or_default();
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    }
}

/// Rewrites what the two syntaxes read differently: classes are of ASCII, a brace that repeats nothing stands for
/// itself, brackets do not nest, and `\Q` quotes.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let (mut rest, mut in_class) = (pattern, false);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let (written, left) = escape(after, in_class);
                out.push_str(&written);
                rest = left;
                continue;
            }
            '[' if in_class => {
                let named = after.strip_prefix(':').and_then(|name| name.split_once(":]"));
                if let Some((name, left)) = named {
                    out.push_str(&format!("[:{name}:]"));
                    rest = left;
                    continue;
                }
                out.push_str("\\[");
            }
            '[' => {
                in_class = true;
                out.push('[');
                // A bracket or a caret and a bracket at the beginning stand for the bracket.
                let (caret, body) = after.strip_prefix('^').map_or(("", after), |body| ("^", body));
                out.push_str(caret);
                rest = body;
                if let Some(body) = body.strip_prefix(']') {
                    out.push_str("\\]");
                    rest = body;
                }
                continue;
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && after.starts_with('-') => out.push_str("\\-"),
            '{' if !in_class && !repeats(after) => out.push_str("\\{"),
            '}' if !in_class && !out.ends_with(|c: char| c.is_ascii_digit() || c == ',') => {
                out.push_str("\\}")
            }
            _ => out.push(c),
        }
        rest = after;
    }
    out
}

/// What stands for an escape, and what follows it.
fn escape(after: &str, in_class: bool) -> (String, &str) {
    let Some(c) = after.chars().next() else { return ("\\".to_owned(), "") };
    let left = &after[c.len_utf8()..];
    let written = match c {
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        's' => "[\\t\\n\\f\\r ]".to_owned(),
        'S' => "[^\\t\\n\\f\\r ]".to_owned(),
        'b' | 'B' if !in_class => format!("(?-u:\\{c})"),
        'Q' if !in_class => {
            let (literal, left) = left.split_once("\\E").unwrap_or((left, ""));
            return (regex::escape(literal), left);
        }
        _ => format!("\\{c}"),
    };
    (written, left)
}

/// Whether what follows a brace is a count: `2}`, `2,}` or `2,3}`.
fn repeats(after: &str) -> bool {
    let Some((count, _)) = after.split_once('}') else { return false };
    let (low, high) = count.split_once(',').unwrap_or((count, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        let cases = [
            ("^a+$", "aa", true),
            ("a", "xax", true),
            (r"^\d+$", "12", true),
            (r"^\d+$", "१२", false),
            (r"^\w$", "é", false),
            (r"^[\w-]+$", "a-b", true),
            (r"^[a[]+$", "a[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]]$", "a", true),
            ("^[[:alpha:]]+$", "ab", true),
            ("^[a&&b]+$", "a&b", true),
            ("^a{2}$", "aa", true),
            ("^{{x}}$", "{{x}}", true),
            ("^a{,2}$", "a{,2}", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"\bab\b", "x ab y", true),
        ];
        for (pattern, text, want) in cases {
            let compiled = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_match(text), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn errors_read_as_go_writes_them() {
        let why = |pattern: &str| compile(pattern).err().unwrap_or_default();
        assert_eq!(why("["), "error parsing regexp: missing closing ]: `[`");
        assert_eq!(why("(a"), "error parsing regexp: missing closing ): `(a`");
        assert_eq!(why("a)"), "error parsing regexp: unexpected ): `a)`");
        assert_eq!(why("*"), "error parsing regexp: missing argument to repetition operator: `*`");
        assert_eq!(why("(?=a)"), "error parsing regexp: invalid or unsupported Perl syntax: `(?`");
    }
}
