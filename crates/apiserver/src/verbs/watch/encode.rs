//! Watch events as bytes. What is sent of an object is shared between all watchers; only the small beginning of each
//! frame is made anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use steersman_api::protobuf;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::Revision;

use crate::call::Call;
use crate::codec;
use crate::object::form::Form;
use crate::routes::Entry;
use crate::views::{self, table};
use crate::wire::negotiate::{Encoding, View};

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// Turns events into frames, in the form that a client asked for.
pub struct Encoder {
    entry: Arc<Entry>,
    encoding: Encoding,
    view: View,
    include: table::Include,
    /// Tables say their columns once.
    columns_sent: AtomicBool,
}

impl Encoder {
    /// The encoder of a call.
    pub fn new(call: &Call<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            entry: call.entry.clone(),
            encoding: call.wanted.encoding,
            view: call.wanted.view,
            include: table::Include::parse(call.query)?,
            columns_sent: AtomicBool::new(false),
        })
    }

    /// The frame of an object's change (`ADDED`, `MODIFIED`, `DELETED`) at `revision`.
    pub fn change(&self, kind: &str, form: &Form, revision: Revision) -> Result<Vec<Bytes>, ApiError> {
        match (self.view, self.encoding) {
            (View::Whole, Encoding::Protobuf) if revision == form.revision() => {
                let message = form.protobuf(&self.entry)?;
                let kind_of_object = &self.entry.resource.kind;
                let object = protobuf::wrap(&self.entry.api_version, kind_of_object, &message);
                Ok(vec![protobuf_frame(kind, &object)])
            }
            (View::Whole, Encoding::Json | Encoding::Yaml) => {
                let mut head = Vec::with_capacity(160);
                head.extend_from_slice(br#"{"type":""#);
                head.extend_from_slice(kind.as_bytes());
                head.extend_from_slice(br#"","object":"#);
                let tail = form.json_at(revision, &mut head);
                Ok(vec![head.into(), tail, Bytes::from_static(b"}\n")])
            }
            _ => self.of_tree(kind, &form.tree_at(revision)),
        }
    }

    /// A bookmark at `revision`; `end_of_state` marks that the state is complete.
    pub fn bookmark(&self, revision: Revision, end_of_state: bool) -> Result<Vec<Bytes>, ApiError> {
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if end_of_state {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = json!({
            "kind": self.entry.resource.kind, "apiVersion": self.entry.api_version, "metadata": metadata,
        });
        self.of_tree("BOOKMARK", &Arc::new(object))
    }

    /// The frame that ends a watch with a failure.
    pub fn error(&self, error: &ApiError) -> Result<Vec<Bytes>, ApiError> {
        self.frame("ERROR", STATUS, &error.to_status())
    }

    fn of_tree(&self, kind: &str, tree: &Arc<Tree>) -> Result<Vec<Bytes>, ApiError> {
        match self.view {
            View::Whole => self.frame(kind, self.entry.resource.definition.name(), tree),
            View::Partial => self.frame(kind, views::PARTIAL, &views::partial(tree)),
            View::Table => {
                let mut made =
                    table::of(&self.entry, std::slice::from_ref(tree), jiff::Timestamp::now(), self.include);
                made["metadata"] = json!({ "resourceVersion": tree["metadata"]["resourceVersion"] });
                if self.columns_sent.swap(true, Ordering::Relaxed) {
                    made["columnDefinitions"] = Value::Null;
                }
                self.frame(kind, views::TABLE, &made)
            }
        }
    }

    fn frame(&self, kind: &str, definition: &str, object: &Tree) -> Result<Vec<Bytes>, ApiError> {
        if self.encoding == Encoding::Protobuf {
            return Ok(vec![protobuf_frame(kind, &codec::to_protobuf(definition, object)?)]);
        }
        let mut text = json!({ "type": kind, "object": object }).to_string();
        text.push('\n');
        Ok(vec![text.into()])
    }
}

/// The length of a raw `WatchEvent`, and the event.
fn protobuf_frame(kind: &str, object: &[u8]) -> Bytes {
    let event = protobuf::encode_watch_event(kind, object);
    let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &event[..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_frames_have_their_length_in_front() {
        let frame = protobuf_frame("ADDED", &[7; 200]);
        assert_eq!(u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize, frame.len() - 4);
        assert_eq!(&frame[4..11], b"\x0a\x05ADDED");
        // The extension: its tag, a length of two bytes, then the raw field.
        assert_eq!(frame[11..17], [0x12, 0xcb, 0x01, 0x0a, 0xc8, 0x01]);
    }
}
