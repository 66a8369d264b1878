//! Selectors as parts of objects: `metav1.LabelSelector`.

use super::{Operator, ParseError, Requirement, Selector};
use crate::Tree;
use crate::field::{Error, ErrorList, Path};
use crate::names::{label_value_problems, qualified_name_problems};
use crate::quote::quote;

/// A `LabelSelector` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// An operator that is none of the four.
    #[error("{} is not a valid label selector operator", quote(.0))]
    Operator(String),
    /// A key or value that no label can have, or a wrong number of values.
    #[error(transparent)]
    Requirement(#[from] ParseError),
}

const OPERATORS: [(&str, Operator); 4] = [
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
];

pub(super) fn from_label_selector(selector: Option<&Tree>) -> Result<Selector, InvalidSelector> {
    let Some(selector) = selector.filter(|s| !s.is_null()) else { return Ok(Selector::Nothing) };
    let mut requirements = Vec::new();
    for (key, value) in selector.get("matchLabels").and_then(Tree::as_object).into_iter().flatten() {
        let values = vec![text(Some(value)).to_owned()];
        requirements.push(Requirement::new(key, Operator::Equals, values)?);
    }
    for expression in items(selector.get("matchExpressions")) {
        let word = text(expression.get("operator"));
        let operator = operator(word).ok_or_else(|| InvalidSelector::Operator(word.to_owned()))?;
        let values = values(expression).iter().map(|value| text(Some(value)).to_owned()).collect();
        requirements.push(Requirement::new(text(expression.get("key")), operator, values)?);
    }
    Ok(Selector::new(requirements))
}

fn operator(word: &str) -> Option<Operator> {
    OPERATORS.iter().find(|(name, _)| *name == word).map(|(_, operator)| *operator)
}

/// The problems of a `metav1.LabelSelector`, as upstream's validation words them.
pub fn validate_label_selector(selector: &Tree, path: &Path) -> ErrorList {
    let mut found = validate_labels(selector.get("matchLabels"), &path.child("matchLabels"));
    for (i, expression) in items(selector.get("matchExpressions")).iter().enumerate() {
        found.extend(expression_problems(expression, &path.child("matchExpressions").index(i)));
    }
    found
}

fn expression_problems(expression: &Tree, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    let values = values(expression);
    let word = text(expression.get("operator"));
    let at = path.child("values");
    match operator(word) {
        Some(Operator::In | Operator::NotIn) if values.is_empty() => {
            found.push(Error::required(at.clone(), "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        Some(Operator::Exists | Operator::DoesNotExist) if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            found.push(Error::forbidden(at.clone(), why));
        }
        Some(_) => {}
        None => found.push(Error::invalid(path.child("operator"), word, "not a valid selector operator")),
    }
    let key = text(expression.get("key"));
    let invalid_key = |why| Error::invalid(path.child("key"), key, why);
    found.extend(qualified_name_problems(key).into_iter().map(invalid_key));
    for (i, value) in values.iter().enumerate() {
        let value = text(Some(value));
        let invalid = |why| Error::invalid(at.index(i), value, why);
        found.extend(label_value_problems(value).into_iter().map(invalid));
    }
    found
}

/// The problems of a map of labels.
pub fn validate_labels(labels: Option<&Tree>, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    for (key, value) in labels.and_then(Tree::as_object).into_iter().flatten() {
        let value = text(Some(value));
        let invalid_key = |why| Error::invalid(path.clone(), key.as_str(), why);
        found.extend(qualified_name_problems(key).into_iter().map(invalid_key));
        let invalid_value = |why| Error::invalid(path.clone(), value, why);
        found.extend(label_value_problems(value).into_iter().map(invalid_value));
    }
    found
}

fn values(expression: &Tree) -> &[Tree] {
    items(expression.get("values"))
}

fn items(list: Option<&Tree>) -> &[Tree] {
    list.and_then(Tree::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: Option<&Tree>) -> &str {
    value.and_then(Tree::as_str).unwrap_or_default()
}
