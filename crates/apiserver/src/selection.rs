//! The label and field selectors of a list, a watch or a collection's deletion.

use std::borrow::Cow;

use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_apimachinery::{fields, labels};

use crate::object::form::{Form, Selectable};
use crate::routes::Entry;
use crate::wire::query::Query;

/// Which objects are asked for.
pub struct Selection {
    labels: labels::Selector,
    fields: fields::Selector,
}

impl Selection {
    /// What `query` asks for; 400 if a selector cannot be read or names a field that the resource does not offer.
    /// `name` (from the path, for a watch of one object) is one more condition.
    pub fn parse(query: &Query, entry: &Entry, name: Option<&str>) -> Result<Self, ApiError> {
        let labels = labels::Selector::parse(query.get("labelSelector").unwrap_or_default());
        let labels = labels.map_err(|e| ApiError::bad_request(e.to_string()))?;
        let fields = fields::Selector::parse(query.get("fieldSelector").unwrap_or_default());
        let mut fields = fields.map_err(|e| ApiError::bad_request(e.to_string()))?;
        fields.requirements().iter().try_for_each(|r| check_field(&r.field, entry))?;
        if let Some(name) = name {
            let named = fields::Requirement {
                field: "metadata.name".to_owned(),
                equal: true,
                value: name.to_owned(),
            };
            fields = fields::Selector::new(fields.requirements().iter().cloned().chain([named]).collect());
        }
        Ok(Self { labels, fields })
    }

    /// Whether everything is asked for.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The only name that an object may have, if the selection says so.
    pub fn single_name(&self) -> Option<&str> {
        self.fields.required_value("metadata.name")
    }

    /// Whether an object that is not stored is asked for.
    pub fn matches_tree(&self, tree: &steersman_apimachinery::Tree, entry: &Entry) -> bool {
        let values = field_values(tree, entry);
        let value =
            |name: &str| field_labels(entry).position(|label| label == name).map_or("", |at| &values[at]);
        self.labels.matches_object(tree) && self.fields.matches(|name| Cow::Borrowed(value(name)))
    }

    /// Whether an object is asked for.
    pub fn matches(&self, form: &Form, entry: &Entry) -> bool {
        if self.is_everything() {
            return true;
        }
        let of = form.selectable(entry);
        self.labels.matches(|key| label(of, key))
            && self.fields.matches(|name| Cow::Borrowed(field(of, name, entry)))
    }
}

fn label<'s>(of: &'s Selectable, key: &str) -> Option<&'s str> {
    let at = of.labels.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
    Some(&of.labels[at].1)
}

fn field<'s>(of: &'s Selectable, name: &str, entry: &Entry) -> &'s str {
    field_labels(entry).position(|label| label == name).map_or("", |at| &of.fields[at])
}

/// The field labels of a resource.
fn field_labels(entry: &Entry) -> impl Iterator<Item = &str> {
    let own = entry.resource.selectable_fields.iter().map(|(name, _)| &**name);
    ["metadata.name", "metadata.namespace"].into_iter().chain(own)
}

/// The values of every field label of an object, in the order of [`field_labels`].
pub fn field_values(tree: &steersman_apimachinery::Tree, entry: &Entry) -> Vec<Box<str>> {
    let own = entry.resource.selectable_fields.iter().map(|(_, read)| read(tree).into());
    [tree.name().into(), tree.namespace().into()].into_iter().chain(own).collect()
}

fn check_field(name: &str, entry: &Entry) -> Result<(), ApiError> {
    if field_labels(entry).any(|label| label == name) {
        return Ok(());
    }
    Err(ApiError::bad_request(if entry.resource.selectable_fields.is_empty() {
        format!("{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {name}")
    }))
}
