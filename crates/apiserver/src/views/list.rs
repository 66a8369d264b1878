//! Lists: the stored bytes of the objects one after the other, or trees where another form is wanted.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};
use steersman_api::protobuf;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

use super::{PARTIAL_LIST, TABLE, partial, table};
use crate::call::Call;
use crate::object::form::Form;
use crate::wire::body::Response;
use crate::wire::negotiate::{Encoding, View};
use crate::wire::respond;

/// Objects larger than this go out as pieces of their own instead of being copied.
const OWN_PIECE_FROM: usize = 16 * 1024;
/// Smaller objects are copied together into pieces of about this size.
const PIECE: usize = 64 * 1024;

/// A page of a list.
pub struct Listed {
    /// The objects.
    pub forms: Vec<Arc<Form>>,
    /// The list's `resourceVersion`.
    pub revision: u64,
    /// The token of the next page; empty on the last.
    pub next: String,
    /// How many objects follow, where that is known.
    pub remaining: Option<usize>,
}

impl Listed {
    fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".to_owned(), self.revision.to_string().into());
        if !self.next.is_empty() {
            metadata.insert("continue".to_owned(), self.next.as_str().into());
            if let Some(remaining) = self.remaining {
                metadata.insert("remainingItemCount".to_owned(), remaining.into());
            }
        }
        metadata.into()
    }

    fn trees(&self) -> Vec<Arc<Tree>> {
        self.forms.iter().map(|form| form.tree()).collect()
    }
}

/// Answers with a list in the wanted form.
pub fn respond(call: &Call<'_>, listed: &Listed) -> Result<Response, ApiError> {
    let wanted = &call.wanted;
    match wanted.view {
        View::Whole => {
            let definition = list_definition(call.entry.resource.definition.name());
            match wanted.encoding {
                Encoding::Protobuf => {
                    Ok(respond::encoded(StatusCode::OK, vec![protobuf_list(call, listed)?], wanted))
                }
                _ => respond::json_pieces(StatusCode::OK, &definition, json_pieces(call, listed), wanted),
            }
        }
        View::Partial => {
            let items: Vec<Value> = listed.trees().iter().map(|tree| partial(tree)).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": listed.metadata(), "items": items,
            });
            respond::tree(StatusCode::OK, PARTIAL_LIST, &list, wanted)
        }
        View::Table => {
            let include = table::Include::parse(call.query)?;
            let mut made = table::of(call.entry, &listed.trees(), call.now, include);
            made["metadata"] = listed.metadata();
            respond::tree(StatusCode::OK, TABLE, &made, wanted)
        }
    }
}

/// The catalogue's name of a kind's list.
pub fn list_definition(definition: &str) -> String {
    format!("{definition}List")
}

fn protobuf_list(call: &Call<'_>, listed: &Listed) -> Result<Bytes, ApiError> {
    let messages: Result<Vec<_>, ApiError> =
        listed.forms.iter().map(|form| form.protobuf(call.entry)).collect();
    let items = messages?;
    let items = items.iter().map(|message| message.as_slice());
    protobuf::encode_list(&call.entry.api_version, &call.entry.resource.list_kind, &listed.metadata(), items)
        .map(Bytes::from)
        .map_err(ApiError::internal)
}

fn json_pieces(call: &Call<'_>, listed: &Listed) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut piece = Vec::with_capacity(PIECE.min(256 + 2048 * listed.forms.len()));
    piece.extend_from_slice(
        format!(
            r#"{{"kind":"{}","apiVersion":"{}","metadata":{},"items":["#,
            call.entry.resource.list_kind,
            call.entry.api_version,
            listed.metadata()
        )
        .as_bytes(),
    );
    for (i, form) in listed.forms.iter().enumerate() {
        if i > 0 {
            piece.push(b',');
        }
        let tail = form.json_item(&mut piece);
        if tail.len() >= OWN_PIECE_FROM {
            pieces.push(std::mem::take(&mut piece).into());
            pieces.push(tail);
        } else {
            piece.extend_from_slice(&tail);
        }
        if piece.len() >= PIECE {
            pieces.push(std::mem::take(&mut piece).into());
        }
    }
    piece.extend_from_slice(b"]}");
    pieces.push(piece.into());
    pieces
}
