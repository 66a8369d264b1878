//! YAML as upstream reads and writes it (`sigs.k8s.io/yaml`): scalars of YAML 1.1, so that `yes` is true and `012` is
//! ten, turned into what JSON can hold; and a writer whose strings read back as strings.

mod read;
mod scalar;
mod write;

use steersman_apimachinery::Tree;

use crate::decode::StrictProblem;

pub use write::to_yaml;

/// One document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Its value; `null` if it is empty.
    pub tree: Tree,
    /// Keys that were set twice, as one problem in the words of Go's YAML; the last one counts.
    pub problems: Vec<StrictProblem>,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// Not YAML.
    #[error("yaml: line {line}: {why}")]
    Syntax {
        /// Counts from one.
        line: usize,
        /// The parser's words.
        why: String,
    },
    /// Something that JSON cannot hold: an infinite number, a map as a key.
    #[error("yaml: line {line}: {why}")]
    NotJson {
        /// Counts from one.
        line: usize,
        /// What it is.
        why: String,
    },
    /// A `!!tag` that its scalar does not fit.
    #[error("yaml: cannot decode {found} `{text}` as a {wanted}")]
    Tag {
        /// `!!str`, ….
        found: &'static str,
        /// The scalar.
        text: String,
        /// The tag.
        wanted: String,
    },
    /// Aliases blow the document up.
    #[error("yaml: document contains excessive aliasing")]
    TooManyAliases,
    /// An alias within the value that it stands for.
    #[error("yaml: anchor value contains itself")]
    Cycle,
    /// More than 128 levels of nesting.
    #[error("yaml: exceeded max depth")]
    TooDeep,
    /// Not UTF-8.
    #[error("yaml: invalid leading UTF-8 octet")]
    Encoding,
}

/// Reads the first document, as upstream does with a body of several.
pub fn parse(yaml: &[u8]) -> Result<Document, YamlError> {
    read::documents(text(yaml)?, 1).map(|all| all.into_iter().next().unwrap_or_default())
}

/// Reads every document; empty ones come as `null`.
pub fn parse_all(yaml: &[u8]) -> Result<Vec<Document>, YamlError> {
    read::documents(text(yaml)?, usize::MAX)
}

fn text(yaml: &[u8]) -> Result<&str, YamlError> {
    std::str::from_utf8(yaml).map_err(|_| YamlError::Encoding)
}

#[cfg(test)]
mod tests;
