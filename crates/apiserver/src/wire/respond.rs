//! Making answers: headers, encodings, compression, and errors as `Status` objects.

use std::io::Write;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

use super::body::{self, Response};
use super::negotiate::{Encoding, Wanted};
use crate::codec;

/// Bodies larger than this are gzipped for who takes it, as upstream does.
const GZIP_FROM: usize = 128 * 1024;

/// The catalogue's name of `Status`.
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// An answer of `code` with a tree of the catalogue's type `definition`.
pub fn tree(code: StatusCode, definition: &str, tree: &Tree, wanted: &Wanted) -> Result<Response, ApiError> {
    let bytes = match wanted.encoding {
        Encoding::Json => json_bytes(tree, wanted.pretty),
        Encoding::Yaml => codec::to_yaml(tree),
        Encoding::Protobuf => codec::to_protobuf(definition, tree)?,
    };
    Ok(encoded(code, vec![bytes.into()], wanted))
}

/// An answer of JSON that is there already, in pieces. Other encodings and people's indentation are made from it.
pub fn json_pieces(
    code: StatusCode,
    definition: &str,
    pieces: Vec<Bytes>,
    wanted: &Wanted,
) -> Result<Response, ApiError> {
    if wanted.encoding == Encoding::Json && !wanted.pretty {
        return Ok(encoded(code, pieces, wanted));
    }
    let whole: Tree = serde_json::from_slice(&pieces.concat()).map_err(ApiError::internal)?;
    tree(code, definition, &whole, wanted)
}

/// An answer of bytes in the wanted encoding.
pub fn encoded(code: StatusCode, pieces: Vec<Bytes>, wanted: &Wanted) -> Response {
    let size: usize = pieces.iter().map(Bytes::len).sum();
    let zip = wanted.gzip && size > GZIP_FROM;
    let body = if zip { body::whole(gzipped(&pieces)) } else { body::pieces(pieces) };
    let mut response = with_type(code, wanted.encoding.content_type(), body);
    if zip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

/// An answer of that content type.
pub fn with_type(code: StatusCode, content_type: &'static str, body: body::Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// An answer in plain text.
pub fn text(code: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = with_type(code, "text/plain; charset=utf-8", body::whole(text));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// An answer of a JSON document that is no API object.
pub fn json_document(code: StatusCode, document: &Value, pretty: bool) -> Response {
    with_type(code, "application/json", body::whole(json_bytes(document, pretty)))
}

/// A failure as a `Status`.
pub fn failure(error: &ApiError, wanted: &Wanted) -> Response {
    failure_status(error, error.to_status(), wanted)
}

/// A failure whose `Status` has more to say than `error`.
pub fn failure_status(error: &ApiError, mut status: Tree, wanted: &Wanted) -> Response {
    if let Some(fields) = status.as_object_mut()
        && error.reason.is_empty()
    {
        fields.remove("reason");
    }
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let made = tree(code, STATUS, &status, wanted).or_else(|_| tree(code, STATUS, &status, &Wanted::JSON));
    let mut response = made.unwrap_or_else(|_| text(code, error.message.clone()));
    let wait = error.details.as_ref().map_or(0, |d| d.retry_after_seconds);
    if wait > 0 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    response
}

/// A `Status` of success.
pub fn success(code: StatusCode, details: Value, wanted: &Wanted) -> Result<Response, ApiError> {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    tree(code, STATUS, &status, wanted)
}

fn json_bytes(tree: &Tree, pretty: bool) -> Vec<u8> {
    let bytes = if pretty { serde_json::to_vec_pretty(tree) } else { serde_json::to_vec(tree) };
    bytes.expect("a tree has string keys, and a Vec takes every byte")
}

fn gzipped(pieces: &[Bytes]) -> Vec<u8> {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(4));
    for piece in pieces {
        zip.write_all(piece).expect("a Vec takes every byte");
    }
    zip.finish().expect("a Vec takes every byte")
}
