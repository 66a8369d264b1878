//! Trees from a parser's events.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::Map;
use steersman_apimachinery::Tree;
use steersman_apimachinery::quote::quote;

use super::scalar::{Resolved, resolve, to_tree};
use super::{Document, YamlError};
use crate::decode::StrictProblem;

/// Containers within containers.
const MAX_DEPTH: usize = 128;
/// Values that aliases may add to a document.
const MAX_ALIASED: usize = 100_000;

/// Reads at most `limit` documents.
pub(super) fn documents(text: &str, limit: usize) -> Result<Vec<Document>, YamlError> {
    let mut out = Vec::new();
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| syntax(&e))?;
        if let Event::DocumentEnd = event {
            out.push(std::mem::take(&mut reader).finish());
            if out.len() == limit {
                break;
            }
        } else {
            reader.take(event, span)?;
        }
    }
    Ok(out)
}

fn syntax(error: &ScanError) -> YamlError {
    if error.info().starts_with("recursion limit") {
        return YamlError::TooDeep;
    }
    YamlError::Syntax { line: error.marker().line(), why: error.info().to_owned() }
}

/// A container that is not closed yet.
struct Open {
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Tree>),
    Map {
        map: Map<String, Tree>,
        /// Keys set here, not merged in.
        own: HashSet<String>,
        key: Option<Key>,
    },
}

/// A key that waits for its value.
enum Key {
    Name(String, usize),
    Merge,
}

#[derive(Default)]
struct Reader {
    root: Tree,
    open: Vec<Open>,
    anchors: HashMap<usize, Tree>,
    aliased: usize,
    duplicates: Vec<String>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), line)
            }
            Event::Alias(anchor) => self.alias(anchor, line),
            Event::SequenceStart(anchor, _) => self.start(anchor, Kind::List(Vec::new()), line),
            Event::MappingStart(anchor, _) => {
                let map = Kind::Map { map: Map::new(), own: HashSet::new(), key: None };
                self.start(anchor, map, line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn start(&mut self, anchor: usize, kind: Kind, line: usize) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::TooDeep);
        }
        if self.awaits_key() {
            return Err(not_json(line, "unsupported map key: a list or a map"));
        }
        self.open.push(Open { anchor, kind });
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), YamlError> {
        let Some(Open { anchor, kind }) = self.open.pop() else { return Ok(()) };
        let tree = match kind {
            Kind::List(items) => items.into(),
            Kind::Map { map, .. } => map.into(),
        };
        self.put(tree, anchor, line)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), YamlError> {
        let (resolved, text) = meaning(text, style, tag)?;
        if self.awaits_key() {
            if anchor != 0 {
                self.anchors.insert(anchor, text.as_str().into());
            }
            return self.put_key(&resolved, &text, line);
        }
        let tree = to_tree(&resolved, &text)
            .ok_or_else(|| not_json(line, &format!("json: unsupported value: {text}")))?;
        self.put(tree, anchor, line)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<(), YamlError> {
        let tree = self.anchors.get(&anchor).ok_or(YamlError::Cycle)?;
        self.aliased += count(tree);
        if self.aliased > MAX_ALIASED {
            return Err(YamlError::TooManyAliases);
        }
        let tree = tree.clone();
        if !self.awaits_key() {
            return self.put(tree, 0, line);
        }
        match &tree {
            Tree::String(text) => self.put_key(&Resolved::String, text, line),
            _ => Err(not_json(line, "unsupported map key: an alias that is no string")),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn put_key(&mut self, resolved: &Resolved, text: &str, line: usize) -> Result<(), YamlError> {
        let name =
            key_text(resolved, text).ok_or_else(|| not_json(line, "unsupported map key of type: <nil>"))?;
        if let Some(Open { kind: Kind::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(if *resolved == Resolved::Merge { Key::Merge } else { Key::Name(name, line) });
        }
        Ok(())
    }

    /// Puts a value where it belongs, and remembers it if it has an anchor.
    fn put(&mut self, tree: Tree, anchor: usize, line: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = tree,
            Some(Kind::List(items)) => items.push(tree),
            Some(Kind::Map { map, own, key }) => match key.take() {
                Some(Key::Name(name, at)) => {
                    if !own.insert(name.clone()) {
                        self.duplicates.push(format!("  line {at}: key {} already set in map", quote(&name)));
                    }
                    map.insert(name, tree);
                }
                Some(Key::Merge) => merge(map, own, tree, line)?,
                None => return Err(not_json(line, "a value without a key")),
            },
        }
        Ok(())
    }

    fn finish(self) -> Document {
        let problems = match self.duplicates.as_slice() {
            [] => Vec::new(),
            lines => vec![StrictProblem::Yaml(format!("yaml: unmarshal errors:\n{}", lines.join("\n")))],
        };
        Document { tree: self.root, problems }
    }
}

fn not_json(line: usize, why: &str) -> YamlError {
    YamlError::NotJson { line, why: why.to_owned() }
}

/// Merges one map or a list of maps; what the map sets itself wins, and so do the earlier maps of a list.
fn merge(
    map: &mut Map<String, Tree>,
    own: &HashSet<String>,
    tree: Tree,
    line: usize,
) -> Result<(), YamlError> {
    let maps = match tree {
        Tree::Object(one) => vec![Tree::Object(one)],
        Tree::Array(many) => many,
        _ => return Err(not_json(line, "map merge requires map or sequence of maps as the value")),
    };
    for tree in maps.into_iter().rev() {
        let Tree::Object(from) = tree else {
            return Err(not_json(line, "map merge requires map or sequence of maps as the value"));
        };
        map.extend(from.into_iter().filter(|(key, _)| !own.contains(key)));
    }
    Ok(())
}

/// What a scalar means, by its tag if it has one.
fn meaning(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<(Resolved, String), YamlError> {
    let plain = matches!(style, ScalarStyle::Plain);
    let suffix = tag.filter(|t| t.is_yaml_core_schema()).map(|t| t.suffix.as_str());
    let resolved = match (suffix, plain) {
        (None, true) if tag.is_none() => resolve(text),
        (None, _) | (Some("str"), _) => Resolved::String,
        (Some("binary"), _) => return Ok((Resolved::String, from_base64(text)?)),
        (Some(wanted), _) => tagged(text, wanted)?,
    };
    Ok((resolved, text.to_owned()))
}

fn tagged(text: &str, wanted: &str) -> Result<Resolved, YamlError> {
    let resolved = resolve(text);
    match (wanted, &resolved) {
        ("int", Resolved::Int(_) | Resolved::Unsigned(_))
        | ("bool", Resolved::Bool(_))
        | ("null", Resolved::Null)
        | ("float", Resolved::Float(_) | Resolved::Int(_) | Resolved::Unsigned(_))
        | ("timestamp", Resolved::Timestamp) => Ok(resolved),
        _ => Err(YamlError::Tag {
            found: resolved.tag(),
            text: text.to_owned(),
            wanted: format!("!!{wanted}"),
        }),
    }
}

impl Resolved {
    fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Unsigned(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Merge => "!!merge",
            Self::Timestamp => "!!timestamp",
            Self::String => "!!str",
        }
    }
}

fn from_base64(text: &str) -> Result<String, YamlError> {
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).ok();
    bytes.and_then(|b| String::from_utf8(b).ok()).ok_or_else(|| YamlError::Tag {
        found: "!!str",
        text: text.to_owned(),
        wanted: "!!binary".to_owned(),
    })
}

/// JSON's keys are strings; null cannot be one.
fn key_text(resolved: &Resolved, text: &str) -> Option<String> {
    Some(match resolved {
        Resolved::Null => return None,
        Resolved::Bool(b) => b.to_string(),
        Resolved::Int(n) => n.to_string(),
        Resolved::Unsigned(n) => n.to_string(),
        Resolved::Float(f) if f.is_finite() => super::write::float_text(*f),
        _ => text.to_owned(),
    })
}

fn count(tree: &Tree) -> usize {
    1 + match tree {
        Tree::Array(items) => items.iter().map(count).sum(),
        Tree::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}
