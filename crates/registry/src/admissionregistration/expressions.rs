//! CEL expressions and names in them.
//!
//! [`expression`] sees every expression of a policy or a webhook when it is written, with the field that a problem
//! belongs to. It checks that there is one; compiling and typing it is the place for a CEL compiler, which this crate
//! does not have. What is stored has therefore not been compiled yet.

use steersman_apimachinery::field::{Error, ErrorList, Path};

/// An expression that must be given. `missing` is what upstream says if it is not.
pub(super) fn expression(found: &mut ErrorList, path: Path, text: &str, missing: &str) {
    if text.trim().is_empty() {
        found.push(Error::required(path, missing));
    }
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether an expression can name it.
pub(super) fn is_identifier(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter)
        && name.chars().all(|c| letter(c) || c.is_ascii_digit())
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_words_that_are_not_reserved() {
        for (name, want) in
            [("a", true), ("_a1", true), ("1a", false), ("a-b", false), ("in", false), ("", false)]
        {
            assert_eq!(is_identifier(name), want, "{name}");
        }
    }

    #[test]
    fn an_expression_is_given() {
        let mut found = ErrorList::new();
        expression(&mut found, Path::new("e"), " ", "say something");
        expression(&mut found, Path::new("e"), "true", "");
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["e: Required value: say something"]
        );
    }
}
