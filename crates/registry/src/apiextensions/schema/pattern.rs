//! Patterns in the syntax of Go's `regexp`, which differs from Rust's in details.

use regex::Regex;

/// Compiles a pattern. The error reads as Go's where the cause is a common one.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let go = |why: String| format!("error parsing regexp: {why}");
    if let Some(operators) = nested_repetition(pattern) {
        return Err(go(format!("invalid nested repetition operator: `{operators}`")));
    }
    if let Some(class) = unknown_class(pattern) {
        return Err(go(format!("invalid character class range: `{class}`")));
    }
    Regex::new(&translate(pattern)).map_err(|error| go(go_words(pattern, &error.to_string())))
}

/// What Go says where Rust says `text`, which shows the pattern, marks the place below it, and ends with the cause.
fn go_words(pattern: &str, text: &str) -> String {
    let mut lines = text.lines().skip(1);
    let (shown, marks) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let place: String =
        shown.chars().zip(marks.chars()).filter(|(_, mark)| *mark == '^').map(|(c, _)| c).collect();
    let cause = text.lines().last().unwrap_or_default();
    let has = |what: &str| cause.contains(what);
    if has("unclosed character class") {
        let class = pattern.rfind('[').map_or(pattern, |at| &pattern[at..]);
        format!("missing closing ]: `{class}`")
    } else if has("unclosed group") {
        format!("missing closing ): `{pattern}`")
    } else if has("unopened group") {
        format!("unexpected ): `{pattern}`")
    } else if has("repetition operator missing expression") {
        format!("missing argument to repetition operator: `{place}`")
    } else if has("repetition count range") || has("repetition quantifier") {
        format!("invalid repeat count: `{place}`")
    } else if has("look-around") {
        // Go stops at the first character that it does not know.
        format!("invalid or unsupported Perl syntax: `{}`", place.chars().take(3).collect::<String>())
    } else if has("incomplete escape") {
        "trailing backslash at end of expression: ``".to_owned()
    } else if has("character class range") {
        format!("invalid character class range: `{place}`")
    } else if has("backreferences") || has("unrecognized escape") {
        format!("invalid escape sequence: `{place}`")
    } else {
        cause.strip_prefix("error: ").unwrap_or(cause).to_owned()
    }
}

/// Two repetitions of the same thing, such as `**`.
fn nested_repetition(pattern: &str) -> Option<&str> {
    let (mut in_class, mut escaped) = (false, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            '[' => in_class = true,
            '*' | '+' if !in_class => {
                let rest = &pattern[at + 1..];
                if rest.starts_with(['*', '+']) {
                    return Some(&pattern[at..at + 2]);
                }
            }
            _ => {}
        }
    }
    None
}

/// A class such as `[:word:]` that there is not.
fn unknown_class(pattern: &str) -> Option<&str> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    let (start, _) = pattern.match_indices("[[:").next()?;
    let class = &pattern[start + 1..];
    let end = class.find(":]")?;
    let name = class[2..end].trim_start_matches('^');
    (!NAMES.contains(&name)).then(|| &class[..end + 2])
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
        assert_eq!(why("(?=a)"), "error parsing regexp: invalid or unsupported Perl syntax: `(?=`");
        assert_eq!(why("(?<=a)"), "error parsing regexp: invalid or unsupported Perl syntax: `(?<`");
        assert_eq!(why("a**"), "error parsing regexp: invalid nested repetition operator: `**`");
        assert_eq!(why("a{2,1}"), "error parsing regexp: invalid repeat count: `{2,1}`");
        assert_eq!(why("\\"), "error parsing regexp: trailing backslash at end of expression: ``");
        assert_eq!(why("[b-a]"), "error parsing regexp: invalid character class range: `b-a`");
        assert_eq!(why("[[:foo:]]"), "error parsing regexp: invalid character class range: `[:foo:]`");
        assert_eq!(why("\\8"), "error parsing regexp: invalid escape sequence: `\\8`");
    }
}
