//! How a stored record is served. A [`Form`] is made once per record and API version, is kept in the record, and is
//! shared by GET, LIST and every watcher; bytes are shared with the store and never copied to put the version in.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_store::{Record, Revision, Versioned};

use super::encode;
use crate::routes::Entry;

/// One record in one API version.
pub struct Form {
    /// Stored form, without `resourceVersion`.
    value: Bytes,
    /// Where the metadata's members begin in `value`.
    at: usize,
    revision: Revision,
    /// What selectors look at; made on demand.
    selectable: OnceLock<Selectable>,
    /// Kept as long as somebody uses it.
    tree: Mutex<Weak<Tree>>,
    protobuf: Mutex<Weak<Vec<u8>>>,
}

/// What selectors look at.
#[derive(Debug, Default)]
pub struct Selectable {
    /// `metadata.labels`, sorted by key.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// The object's values of the resource's field labels.
    pub fields: Vec<Box<str>>,
}

/// What a record keeps: its form in the storage version, and in others where they are served.
struct Forms {
    primary: OnceLock<Kept>,
    others: Mutex<Vec<Kept>>,
}

/// A form, or why the record cannot be read in it.
type Kept = (FormId, Result<Arc<Form>, String>);

/// The row by whose rules a form was made.
type FormId = u64;

/// How many forms a record keeps beside its first. Only a custom resource whose definition changes can have more.
const OTHERS: usize = 4;

impl Form {
    /// The form of `record` as `entry` serves it; 500 if the record cannot be read.
    pub fn of(record: &Versioned, entry: &Entry) -> Result<Arc<Self>, ApiError> {
        Self::kept(record, entry, || Self::read(record, entry)).map_err(|why| unreadable(record, &why))
    }

    /// Takes a record that was just written by `entry` as its form, so that it need not be read again.
    pub fn seed(record: &Versioned, entry: &Entry) {
        // A record that somebody has read already keeps what it has: it is the same.
        let _ = Self::kept(record, entry, || {
            Self::new(record.value.clone(), record.mod_revision)
                .ok_or_else(|| "not in stored form".to_owned())
        });
    }

    fn kept(
        record: &Record,
        entry: &Entry,
        make: impl FnOnce() -> Result<Self, String>,
    ) -> Result<Arc<Self>, String> {
        let forms = record
            .derived
            .get_or_init(|| Forms { primary: OnceLock::new(), others: Mutex::new(Vec::new()) })
            .expect("only this module derives from records");
        let id: FormId = entry.resource.id;
        let mut make = Some(make);
        let mut made = || {
            let make = make.take().expect("asked for once");
            (id, make().map(Arc::new))
        };
        if let Some((kept, form)) = forms.primary.get() {
            if *kept == id {
                return form.clone();
            }
        } else {
            let (kept, form) = forms.primary.get_or_init(&mut made);
            if *kept == id {
                return form.clone();
            }
        }
        let mut others = forms.others.lock();
        if let Some((_, form)) = others.iter().find(|(kept, _)| *kept == id) {
            return form.clone();
        }
        if others.len() == OTHERS {
            drop(others.remove(0));
        }
        others.push(made());
        others.last().expect("was just pushed").1.clone()
    }

    fn new(value: Bytes, revision: Revision) -> Option<Self> {
        let at = encode::splice_point(&value)?;
        Some(Self {
            value,
            at,
            revision,
            selectable: OnceLock::new(),
            tree: Mutex::new(Weak::new()),
            protobuf: Mutex::new(Weak::new()),
        })
    }

    /// Reads what the store holds, whoever wrote it, and brings it to today's form.
    fn read(record: &Record, entry: &Entry) -> Result<Self, String> {
        let mut tree = entry.decode_stored(&record.value)?;
        entry.to_current(&mut tree)?;
        // What is served as it is stored shares the store's bytes.
        let current = encode::stored(&tree);
        let value = if current == record.value { record.value.clone() } else { current };
        Self::new(value, record.mod_revision).ok_or_else(|| "has no apiVersion or kind".to_owned())
    }

    /// The object as JSON, with `revision` as its `resourceVersion`: a small head and a shared tail.
    pub fn json_at(&self, revision: Revision, head: &mut Vec<u8>) -> Bytes {
        head.extend_from_slice(&self.value[..self.at]);
        encode::write_version(head, revision.0, self.value[self.at] != b'}');
        self.value.slice(self.at..)
    }

    /// [`Self::json_at`] its own revision.
    pub fn json(&self, head: &mut Vec<u8>) -> Bytes {
        self.json_at(self.revision, head)
    }

    /// The object as an item of a list, whose `apiVersion` and `kind` the list's tell.
    pub fn json_item(&self, head: &mut Vec<u8>) -> Bytes {
        head.extend_from_slice(br#"{"metadata":{"#);
        encode::write_version(head, self.revision.0, self.value[self.at] != b'}');
        self.value.slice(self.at..)
    }

    /// The revision that wrote it.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The stored bytes.
    pub fn value(&self) -> &Bytes {
        &self.value
    }

    /// The object as a tree with its `resourceVersion`; shared with whoever uses it at the same time.
    pub fn tree(&self) -> Arc<Tree> {
        let mut kept = self.tree.lock();
        if let Some(tree) = kept.upgrade() {
            return tree;
        }
        let mut tree: Tree =
            serde_json::from_slice(&self.value).expect("was encoded from a tree or read as one");
        tree.set("metadata.resourceVersion", self.revision.to_string());
        let tree = Arc::new(tree);
        *kept = Arc::downgrade(&tree);
        tree
    }

    /// [`Self::tree`] with another `resourceVersion`, as the event of a removal shows it.
    pub fn tree_at(&self, revision: Revision) -> Arc<Tree> {
        if revision == self.revision {
            return self.tree();
        }
        let mut tree = (*self.tree()).clone();
        tree.set("metadata.resourceVersion", revision.to_string());
        Arc::new(tree)
    }

    /// The object as a protobuf message; shared with whoever uses it at the same time.
    pub fn protobuf(&self, entry: &Entry) -> Result<Arc<Vec<u8>>, ApiError> {
        let mut kept = self.protobuf.lock();
        if let Some(message) = kept.upgrade() {
            return Ok(message);
        }
        let message =
            Arc::new(crate::codec::to_protobuf_message(entry.resource.definition.name(), &self.tree())?);
        *kept = Arc::downgrade(&message);
        Ok(message)
    }

    /// What selectors look at.
    pub fn selectable(&self, entry: &Entry) -> &Selectable {
        self.selectable.get_or_init(|| selectable(&self.tree(), entry))
    }
}

fn selectable(tree: &Tree, entry: &Entry) -> Selectable {
    Selectable {
        labels: tree.labels().map(|(key, value)| (key.into(), value.into())).collect(),
        fields: crate::selection::field_values(tree, entry),
    }
}

fn unreadable(record: &Record, why: &str) -> ApiError {
    tracing::error!(key = %record.key, why, "a stored object cannot be read");
    ApiError::internal(format!("unable to decode the object stored at {}: {why}", record.key))
}
