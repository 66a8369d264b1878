//! Label selectors: the text form of `labelSelector=` and the `metav1.LabelSelector` of an object, matched alike.

mod parse;
mod tree;

use std::fmt;

use crate::Tree;
use crate::field::{self, Error, ErrorList, Path};
use crate::meta::Object;
use crate::names::{label_value_problems, qualified_name_problems};

pub use tree::{InvalidSelector, validate_label_selector, validate_labels};

/// A text that is no selector; the message is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One condition on one label. Made by [`Requirement::new`], so its key and values are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// A condition, if the number of values fits the operator and key and values may be those of labels.
    pub fn new(key: impl Into<String>, operator: Operator, values: Vec<String>) -> Result<Self, ParseError> {
        let key = key.into();
        let problems = problems(&key, operator, &values);
        if !problems.is_empty() {
            return Err(ParseError(field::aggregate(&problems)));
        }
        Ok(Self { key, operator, values })
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it compares.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it compares with.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether it holds for a label's value, `None` if the label does not exist.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => value.is_some_and(among),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(among),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compares(value, |label, bound| label > bound),
            Operator::LessThan => self.compares(value, |label, bound| label < bound),
        }
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let label = value.and_then(integer);
        let bound = self.values.first().and_then(|bound| integer(bound));
        label.zip(bound).is_some_and(|(label, bound)| holds(label, bound))
    }
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn problems(key: &str, operator: Operator, values: &[String]) -> ErrorList {
    let mut found = ErrorList::new();
    let at = Path::new("values");
    found.extend(key_problem(Path::new("key"), key));
    let list = || if values.is_empty() { Tree::Null } else { values.to_vec().into() };
    let count = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    };
    found.extend(count.map(|why| Error::invalid(at.clone(), list(), why)));
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        let why = "for 'Gt', 'Lt' operators, the value must be an integer";
        let wrong = values.iter().enumerate().filter(|(_, value)| integer(value).is_none());
        found.extend(wrong.map(|(i, value)| Error::invalid(at.index(i), value.as_str(), why)));
    }
    for (i, value) in values.iter().enumerate() {
        let why = label_value_problems(value).join("; ");
        if !why.is_empty() {
            found.push(Error::invalid(at.index(i).key(key), value.as_str(), why));
        }
    }
    found
}

fn key_problem(path: Path, key: &str) -> Option<Error> {
    let why = qualified_name_problems(key).join("; ");
    (!why.is_empty()).then(|| Error::invalid(path, key, why))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let mut sorted = values.clone();
        sorted.sort();
        let values = sorted.join(",");
        match operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// Conditions that must all hold, or a selector that nothing matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Matches no object at all (a `LabelSelector` that is null).
    Nothing,
    /// Matches where all hold; without any, everything. Sorted by key.
    All(Vec<Requirement>),
}

impl Selector {
    /// The selector that matches every object.
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// All of these, sorted by key as upstream sorts them.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self::All(requirements)
    }

    /// Reads `a=b,c in (d,e),!f`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text).map(Self::new)
    }

    /// Reads a `metav1.LabelSelector`. None (or null) matches nothing, an empty one everything.
    pub fn from_label_selector(selector: Option<&Tree>) -> Result<Self, InvalidSelector> {
        tree::from_label_selector(selector)
    }

    /// Equality with every entry of a map (`spec.selector` of a Service or ReplicationController); everything if there
    /// is none. The entries are not checked.
    pub fn from_map(map: Option<&Tree>) -> Self {
        let entries = map.and_then(Tree::as_object).into_iter().flatten();
        let equals = |(key, value): (&String, &Tree)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        };
        Self::new(entries.map(equals).collect())
    }

    /// Whether it matches every object.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(requirements) if requirements.is_empty())
    }

    /// Its conditions; none for [`Selector::Nothing`].
    pub fn requirements(&self) -> &[Requirement] {
        match self {
            Self::Nothing => &[],
            Self::All(requirements) => requirements,
        }
    }

    /// Whether it matches labels, given as a function from key to value.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(requirements) => requirements.iter().all(|r| r.matches(label(&r.key))),
        }
    }

    /// Whether it matches `metadata.labels` of an object.
    pub fn matches_object(&self, object: &Tree) -> bool {
        self.matches(|key| object.label(key))
    }

    /// Whether it matches a tree of labels (`spec.template.metadata.labels`, say).
    pub fn matches_labels(&self, labels: Option<&Tree>) -> bool {
        self.matches(|key| labels.and_then(|labels| labels.get(key)).and_then(Tree::as_str))
    }

    /// The only value that it lets `key` have, if it says so.
    pub fn required_value(&self, key: &str) -> Option<&str> {
        let first = self.requirements().iter().find(|r| r.key == key)?;
        match (first.operator, first.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [one]) => Some(one),
            _ => None,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements().iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests;
