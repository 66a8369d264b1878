//! JSONPath as printer columns and selectable fields use it: `.spec.a`, `.list[0]`, `.map['a.b']`,
//! `.status.conditions[?(@.type=="Ready")].status`. The dialect is client-go's, with missing fields allowed.

mod find;
mod parse;

use serde_json::Value;
use steersman_apimachinery::Tree;

pub use parse::InvalidPath;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(Box<str>),
    /// `*`
    Every,
    /// `..`
    Recursive,
    /// `[1]`, `[1:5:2]`
    Slice(Slice),
    /// `[0,2]`, `['a','b']`
    Union(Vec<Vec<Step>>),
    /// `[?(…)]`
    Filter(Filter),
}

/// A range of indices; negative ones count from the end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    /// Whether `to` follows from a single index.
    single: bool,
    step: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    /// Without a comparison, it is enough that the left side is there.
    test: Option<(Comparison, Operand)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Value),
    /// Below the item.
    Path(Vec<Step>),
}

impl JsonPath {
    /// Reads a path, with or without the braces of a template.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        parse::parse(text).map(|steps| Self { steps })
    }

    /// What is found, in order; `None` if the object does not have the form that the path asks for (an index beyond
    /// a list's end, a filter on something that is no list).
    pub fn find<'a>(&self, object: &'a Tree) -> Option<Vec<&'a Tree>> {
        find::find(&self.steps, object)
    }
}

#[cfg(test)]
mod tests;
