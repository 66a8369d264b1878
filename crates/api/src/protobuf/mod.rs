//! Trees to and from Kubernetes's protobuf.
//!
//! A body is `k8s\0` and a `runtime.Unknown`: apiVersion and kind, the object's message, and its encoding and media
//! type, which are empty for protobuf. The messages follow the field catalogue.
//!
//! Upstream's generated code writes every field that is no pointer, zero or not, and reads absent ones as zero, so the
//! zero values on the wire say nothing. JSON has no such fields, so reading drops zero values where Go's JSON would
//! leave them out, and keeps them for pointers (`replicas: 0`) and for fields that JSON always has (`restartCount: 0`).
//! What comes out equals what [`crate::decode`] makes of the same object's JSON. Unknown fields are skipped.

mod read;
pub(crate) mod wire;
mod write;

use steersman_apimachinery::Tree;

use crate::catalog::{TypeId, catalog};

/// What a protobuf body begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// A `runtime.Unknown`: an object that is not decoded yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `apps/v1`.
    pub api_version: &'a str,
    /// `Deployment`.
    pub kind: &'a str,
    /// The object's message, or whatever `content_type` says.
    pub raw: &'a [u8],
    /// Empty, or how `raw` is compressed.
    pub content_encoding: &'a str,
    /// Empty for protobuf.
    pub content_type: &'a str,
}

/// Why bytes are no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// Not `k8s\0`.
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    Magic,
    /// The bytes end too early.
    #[error("unexpected EOF")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field number that cannot be.
    #[error("proto: illegal tag {0}")]
    Tag(u64),
    /// A wire type that cannot be.
    #[error("proto: illegal wireType {0}")]
    WireType(u8),
    /// A field whose bytes are laid out for another type.
    #[error("proto: wrong wireType for field {0}")]
    WrongWireType(&'static str),
    /// Text that is not UTF-8, or a number or a time out of range.
    #[error("proto: invalid value for field {0}")]
    Value(&'static str),
    /// JSON within the message that is none.
    #[error("proto: invalid JSON in field {0}")]
    Json(&'static str),
    /// Messages too deep within messages.
    #[error("proto: exceeded max depth")]
    TooDeep,
    /// `contentEncoding` or `contentType` of another kind.
    #[error("unable to decode object of content type {0:?}")]
    ContentType(String),
    /// The kind is not in the catalogue.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind {
        /// `apps/v1`.
        api_version: String,
        /// `Deployment`.
        kind: String,
    },
    /// The tree has a value that the field cannot hold: it did not come through decoding.
    #[error("{0} cannot be written as protobuf: it has the wrong type")]
    Tree(&'static str),
}

/// Whether a body is protobuf.
pub fn is_protobuf(body: &[u8]) -> bool {
    body.starts_with(MAGIC)
}

/// Opens a body without decoding the object.
pub fn open(body: &[u8]) -> Result<Envelope<'_>, ProtoError> {
    read::envelope(body.strip_prefix(MAGIC).ok_or(ProtoError::Magic)?)
}

/// Decodes a body into a tree with apiVersion and kind, and says of which type it is.
pub fn decode(body: &[u8]) -> Result<(Tree, TypeId), ProtoError> {
    let envelope = open(body)?;
    let id = type_of(&envelope)?;
    Ok((decode_opened(&envelope, id)?, id))
}

/// Decodes an opened body as an object of a type, with the apiVersion and kind that it names.
pub fn decode_opened(envelope: &Envelope<'_>, id: TypeId) -> Result<Tree, ProtoError> {
    read::object(envelope, id)
}

fn type_of(envelope: &Envelope<'_>) -> Result<TypeId, ProtoError> {
    let (group, version) = envelope.api_version.split_once('/').unwrap_or(("", envelope.api_version));
    catalog().kind(group, version, envelope.kind).ok_or_else(|| ProtoError::UnknownKind {
        api_version: envelope.api_version.to_owned(),
        kind: envelope.kind.to_owned(),
    })
}

/// Decodes a bare message; the tree has no apiVersion and no kind.
pub fn decode_message(message: &[u8], id: TypeId) -> Result<Tree, ProtoError> {
    read::message(message, id)
}

/// Encodes an object as a body. apiVersion and kind are the tree's.
pub fn encode(tree: &Tree, id: TypeId) -> Result<Vec<u8>, ProtoError> {
    let text = |name: &str| tree.get(name).and_then(Tree::as_str).unwrap_or_default();
    let mut body = begin(text("apiVersion"), text("kind"));
    wire::put_message(&mut body, 2, |out| write::message(tree, id, out))?;
    end(&mut body);
    Ok(body)
}

/// Wraps a message that is encoded already.
pub fn wrap(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut body = begin(api_version, kind);
    body.reserve(message.len() + 10);
    wire::put_bytes(&mut body, 2, message);
    end(&mut body);
    body
}

/// Encodes a bare message.
pub fn encode_message(tree: &Tree, id: TypeId) -> Result<Vec<u8>, ProtoError> {
    let mut out = Vec::new();
    write::message(tree, id, &mut out)?;
    Ok(out)
}

/// A list's body from its metadata and the messages of its items, which are not decoded. Every `*List` kind has the
/// metadata in field 1 and the items in field 2.
pub fn encode_list<'a>(
    api_version: &str,
    kind: &str,
    metadata: &Tree,
    items: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, ProtoError> {
    let list_meta = catalog().definition(LIST_META).ok_or(ProtoError::Tree("metadata"))?;
    let mut message = Vec::new();
    wire::put_message(&mut message, 1, |out| write::message(metadata, list_meta, out))?;
    for item in items {
        wire::put_bytes(&mut message, 2, item);
    }
    Ok(wrap(api_version, kind, &message))
}

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// A watch event's message, as a frame of a watch has it: the object is a whole body.
pub fn encode_watch_event(event_type: &str, object: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(event_type.len() + object.len() + 16);
    wire::put_bytes(&mut out, 1, event_type.as_bytes());
    let mut raw = Vec::with_capacity(object.len() + 8);
    wire::put_bytes(&mut raw, 1, object);
    wire::put_bytes(&mut out, 2, &raw);
    out
}

/// Whether a type has a protobuf form at all (`meta.k8s.io`'s `Table` has none).
pub fn has_message(id: TypeId) -> bool {
    let fields = catalog().fields(id);
    fields.is_empty() || fields.iter().any(|f| !f.proto.numbers().is_empty())
}

fn begin(api_version: &str, kind: &str) -> Vec<u8> {
    let mut type_meta = Vec::with_capacity(api_version.len() + kind.len() + 4);
    wire::put_bytes(&mut type_meta, 1, api_version.as_bytes());
    wire::put_bytes(&mut type_meta, 2, kind.as_bytes());
    let mut body = MAGIC.to_vec();
    wire::put_bytes(&mut body, 1, &type_meta);
    body
}

/// Upstream writes both empty strings.
fn end(body: &mut Vec<u8>) {
    wire::put_bytes(body, 3, b"");
    wire::put_bytes(body, 4, b"");
}

#[cfg(test)]
mod tests;
