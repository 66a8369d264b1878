//! Field selectors: `fieldSelector=status.phase!=Failed,metadata.name=a`. Values may hold `\\`, `\,` and `\=`.

use std::borrow::Cow;
use std::fmt;

/// A text that is no field selector; the message is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A term without an operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole text.
        selector: String,
        /// The part of it that has no operator.
        term: String,
    },
    /// A backslash before something that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A comma or equals sign in a value without a backslash. (Upstream prints the character's number.)
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The field's label, such as `status.phase`.
    pub field: String,
    /// Whether the value must be this one, or must not.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// Conditions that must all hold; without any, everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

impl Selector {
    /// Reads `a=b,c!=d`. Terms are sorted as upstream sorts them; empty ones are ignored.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut terms = terms(text);
        terms.sort_unstable();
        let wanted = terms.into_iter().filter(|term| !term.is_empty());
        let mut requirements = wanted.map(|term| requirement(text, term)).collect::<Result<Vec<_>, _>>()?;
        requirements.retain(|r| !(r.field.is_empty() && r.value.is_empty()));
        Ok(Self { requirements })
    }

    /// A selector of these conditions.
    pub fn new(requirements: Vec<Requirement>) -> Self {
        Self { requirements }
    }

    /// Its conditions.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it matches every object.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether it matches an object, given as a function from field label to value. A field that the object does not
    /// have is the empty string.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.requirements.iter().all(|r| (field(&r.field) == r.value.as_str()) == r.equal)
    }

    /// The only value that it lets `field` have, if it says so.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Requirement { field, equal, value }) in self.requirements.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if *equal { "=" } else { "!=" };
            write!(f, "{comma}{field}{operator}{}", escape(value))?;
        }
        Ok(())
    }
}

/// `value` with a backslash before each character that a selector would read otherwise.
pub fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

/// The parts between commas that no backslash precedes.
fn terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let at_comma = |c: char| {
        let splits = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    };
    text.split(at_comma).collect()
}

fn requirement(selector: &str, term: &str) -> Result<Requirement, ParseError> {
    let unclear = || ParseError::Term { selector: selector.to_owned(), term: term.to_owned() };
    let (field, equal, value) = split(term).ok_or_else(unclear)?;
    Ok(Requirement { field: field.to_owned(), equal, value: unescape(value)? })
}

/// Splits at the first operator. A `!` alone is part of the field's name.
fn split(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.find('=')?;
    let (head, tail) = (&term[..at], &term[at + 1..]);
    match head.strip_suffix('!') {
        Some(field) => Some((field, false, tail)),
        None => Some((head, true, tail.strip_prefix('=').unwrap_or(tail))),
    }
}

fn unescape(value: &str) -> Result<String, ParseError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(ParseError::Escape(format!("\\{c}"))),
                None => return Err(ParseError::Escape("\\".to_owned())),
            },
            (',' | '=', _) => return Err(ParseError::Unescaped(c)),
            _ => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_and_printed() {
        let cases = [
            ("", ""),
            ("b=1,a==2,", "a=2,b=1"),
            ("status.phase!=Failed", "status.phase!=Failed"),
            (r"a=x\,y\=z\\", r"a=x\,y\=z\\"),
            ("a=", "a="),
            ("a!=,b=", "a!=,b="),
        ];
        for (text, want) in cases {
            let got = Selector::parse(text).map(|s| s.to_string());
            assert_eq!(got.as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn bad_texts_are_refused_in_upstreams_words() {
        let cases = [
            ("a=b,cd", "invalid selector: 'a=b,cd'; can't understand 'cd'"),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
            ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ];
        for (text, want) in cases {
            assert_eq!(Selector::parse(text).expect_err(text).to_string(), want);
        }
    }

    #[test]
    fn an_absent_field_is_the_empty_string() {
        let field = |name: &str| Cow::Borrowed(if name == "a" { "1" } else { "" });
        for (text, want) in [("a=1", true), ("a!=1", false), ("b=", true), ("b!=x", true), ("a=1,b=x", false)]
        {
            assert_eq!(Selector::parse(text).expect(text).matches(field), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn printed_selectors_read_back(terms in prop::collection::vec(("[a-c.]{1,3}", any::<bool>(), ".{0,4}"), 0..4)) {
            let requirements =
                terms.into_iter().map(|(field, equal, value)| Requirement { field, equal, value }).collect();
            let printed = Selector::new(requirements).to_string();
            let read = Selector::parse(&printed).expect("what is printed can be read");
            let mut want = super::terms(&printed);
            want.sort_unstable();
            prop_assert_eq!(read.to_string(), want.join(","));
        }

        #[test]
        fn no_text_panics(text in r"[a=!,\\]{0,12}|.{0,12}") {
            let _ = Selector::parse(&text);
        }
    }
}
