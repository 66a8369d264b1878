//! `IntOrString`: a number, or a text that is mostly a percentage (`maxUnavailable: 25%`) or a port's name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Tree;
use crate::quote::quote;

/// A number or a text; its JSON type is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A text.
    String(String),
}

/// Which way a share of a whole is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Round {
    Up,
    Down,
}

/// A text that is neither a number nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// It does not end in `%`.
    #[error("invalid value for IntOrString: invalid type: string is not a percentage")]
    NotAPercentage,
    /// What is before the `%` is no number.
    #[error(
        "invalid value for IntOrString: invalid value {}: strconv.Atoi: parsing {}: invalid syntax",
        quote(.0), quote(.0.trim_end_matches('%'))
    )]
    NotANumber(String),
}

impl IntOrString {
    /// Reads a JSON number (32 bits) or string.
    pub fn from_tree(tree: &Tree) -> Option<Self> {
        match tree {
            Tree::String(text) => Some(Self::String(text.clone())),
            Tree::Number(number) => Some(Self::Int(i32::try_from(number.as_i64()?).ok()?)),
            _ => None,
        }
    }

    /// A number if the text is one, the text otherwise.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::String(text.to_owned()), Self::Int)
    }

    /// The number, or the percentage of `total`, rounded.
    pub fn scaled(&self, total: i64, round: Round) -> Result<i64, ScaleError> {
        let text = match self {
            Self::Int(number) => return Ok(i64::from(*number)),
            Self::String(text) => text,
        };
        let digits = text.strip_suffix('%').ok_or(ScaleError::NotAPercentage)?;
        let percent: i64 = digits.parse().map_err(|_| ScaleError::NotANumber(text.clone()))?;
        let product = i128::from(percent) * i128::from(total);
        let down = product.div_euclid(100);
        let up = down + i128::from(product.rem_euclid(100) != 0);
        let whole = if round == Round::Up { up } else { down };
        Ok(i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl From<i32> for IntOrString {
    fn from(number: i32) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for IntOrString {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::String(text) => text.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_scaled_and_rounded() {
        let cases = [
            (IntOrString::from(7), 10, 7, 7),
            ("25%".into(), 10, 3, 2),
            ("25%".into(), 3, 1, 0),
            ("100%".into(), 3, 3, 3),
            ("0%".into(), 3, 0, 0),
            ("150%".into(), 3, 5, 4),
        ];
        for (value, total, up, down) in cases {
            assert_eq!(value.scaled(total, Round::Up), Ok(up), "{value}");
            assert_eq!(value.scaled(total, Round::Down), Ok(down), "{value}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let scaled = |text: &str| IntOrString::from(text).scaled(1, Round::Up).map_err(|e| e.to_string());
        let no_percentage = "invalid value for IntOrString: invalid type: string is not a percentage";
        assert_eq!(scaled("5"), Err(no_percentage.to_owned()));
        let no_number = "invalid value for IntOrString: invalid value \"a%\": strconv.Atoi: parsing \"a\": invalid syntax";
        assert_eq!(scaled("a%"), Err(no_number.to_owned()));
    }

    #[test]
    fn the_json_type_is_kept() {
        for tree in [serde_json::json!(80), serde_json::json!("80"), serde_json::json!("http")] {
            let value = IntOrString::from_tree(&tree).expect("number or string");
            assert_eq!(serde_json::to_value(&value).expect("serializable"), tree);
        }
        assert_eq!(IntOrString::from_tree(&serde_json::json!(1.5)), None);
        assert_eq!(IntOrString::from_tree(&serde_json::json!(5_000_000_000_i64)), None);
        assert_eq!(IntOrString::parse("80"), IntOrString::Int(80));
        assert_eq!(IntOrString::parse("80%").to_string(), "80%");
    }
}
