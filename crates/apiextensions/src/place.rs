//! Where in an object a walk is. Nothing is written down until somebody asks.

use steersman_apimachinery::field::Path;

/// A position, with the way to it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(crate) const ROOT: Place<'static> = Place { parent: None, step: Step::Root };

    /// A named field.
    pub(crate) fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// A key that the schema does not name.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }

    /// An item of a list.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    /// As unknown fields are reported: `spec.list[0].key`.
    pub(crate) fn dotted(&self) -> String {
        let text = self.loose();
        text.strip_prefix('.').map(str::to_owned).unwrap_or(text)
    }

    /// As messages of keywords say it: like [`Self::dotted`], but a key of the object itself starts with a dot.
    pub(crate) fn loose(&self) -> String {
        let Some(parent) = self.parent else { return String::new() };
        let mut text = parent.loose();
        match self.step {
            Step::Root => {}
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) | Step::Key(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
        text
    }

    /// As a field path, with keys in brackets: `spec.map[key]`.
    pub(crate) fn path(&self) -> Path {
        let Some(parent) = self.parent else { return Path::root() };
        let path = parent.path();
        match self.step {
            Step::Root => path,
            Step::Field(name) => path.child(name),
            Step::Key(key) => path.key(key),
            Step::Index(index) => path.index(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_in_three_ways() {
        let root = Place::ROOT;
        let (spec, key) = (root.field("spec"), root.key("k"));
        let (list, entry) = (spec.field("list"), spec.key("k"));
        let item = list.index(2);
        let cases = [
            (root, "", "", "<nil>"),
            (item, "spec.list[2]", "spec.list[2]", "spec.list[2]"),
            (entry, "spec.k", "spec.k", "spec[k]"),
            (key, "k", ".k", "[k]"),
        ];
        for (place, dotted, loose, path) in cases {
            assert_eq!(
                (place.dotted(), place.loose(), place.path().to_string()),
                (dotted.into(), loose.into(), path.into())
            );
        }
    }
}
