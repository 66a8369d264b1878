//! The forms in which an object or a list is sent: whole, as a row of a table, or as metadata alone.

pub mod list;
pub mod table;

use http::StatusCode;
use serde_json::{Value, json};
use steersman_api::protobuf;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use crate::call::{Call, Shown};
use crate::wire::body::Response;
use crate::wire::negotiate::{Encoding, View};
use crate::wire::respond;

/// The catalogue's name of `PartialObjectMetadata`.
pub const PARTIAL: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata";
/// The catalogue's name of `Table`.
pub const TABLE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Table";

/// The catalogue's name of `PartialObjectMetadataList`.
pub const PARTIAL_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList";

/// Answers with one object in the wanted form.
pub fn object(call: &Call<'_>, code: StatusCode, shown: &Shown) -> Result<Response, ApiError> {
    let definition = call.definition().name();
    match (call.wanted.view, shown) {
        (View::Whole, Shown::Form(form)) => match call.wanted.encoding {
            Encoding::Protobuf => {
                let message = form.protobuf(call.entry)?;
                let body = protobuf::wrap(&call.entry.api_version, &call.entry.resource.kind, &message);
                Ok(respond::encoded(code, vec![body.into()], &call.wanted))
            }
            _ => {
                let mut head = Vec::with_capacity(128);
                let tail = form.json(&mut head);
                respond::json_pieces(code, definition, vec![head.into(), tail], &call.wanted)
            }
        },
        (View::Whole, Shown::Tree(tree)) => respond::tree(code, definition, tree, &call.wanted),
        (View::Partial, shown) => respond::tree(code, PARTIAL, &partial(&shown.tree()), &call.wanted),
        (View::Table, shown) => {
            let include = table::Include::parse(call.query)?;
            let mut made = table::of(call.entry, &[shown.tree()], call.now, include);
            made["metadata"] = json!({ "resourceVersion": shown.tree().resource_version() });
            respond::tree(code, TABLE, &made, &call.wanted)
        }
    }
}

/// An object's metadata alone.
pub fn partial(tree: &Tree) -> Tree {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": tree.get("metadata").cloned().unwrap_or(Value::Null),
    })
}
