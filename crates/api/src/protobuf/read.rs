//! Messages to trees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Map;
use steersman_apimachinery::{Tree, time};

use super::wire::{Fields, Wire, take_varint};
use super::write::SCHEMA_PROPS;
use super::{Envelope, ProtoError};
use crate::catalog::{Field, Scalar, Shape, TypeId, ValueType, catalog};
use crate::decode::{canonical_quantity, fill, is_zero};

/// Messages within messages.
const MAX_DEPTH: usize = 128;

/// Reads a `runtime.Unknown`.
pub(super) fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, ProtoError> {
    let mut out = Envelope::default();
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(type_meta)) => {
                for field in Fields(type_meta) {
                    match field? {
                        (1, Wire::Bytes(bytes)) => out.api_version = text(bytes, "apiVersion")?,
                        (2, Wire::Bytes(bytes)) => out.kind = text(bytes, "kind")?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(raw)) => out.raw = raw,
            (3, Wire::Bytes(bytes)) => out.content_encoding = text(bytes, "contentEncoding")?,
            (4, Wire::Bytes(bytes)) => out.content_type = text(bytes, "contentType")?,
            _ => {}
        }
    }
    Ok(out)
}

/// Reads a message of a type.
pub(super) fn message(bytes: &[u8], id: TypeId) -> Result<Tree, ProtoError> {
    Reader { depth: 0 }.message(bytes, id).map(|tree| tree.unwrap_or(Tree::Null))
}

/// Reads an opened body.
pub(super) fn object(envelope: &Envelope<'_>, id: TypeId) -> Result<Tree, ProtoError> {
    Reader { depth: 0 }.object(envelope, id)
}

/// `None` stands for values that JSON writes as `null`: times of zero, raw values without bytes.
type Outcome = Result<Option<Tree>, ProtoError>;

#[derive(Clone, Copy)]
struct Reader {
    depth: usize,
}

impl Reader {
    fn deeper(self) -> Result<Self, ProtoError> {
        if self.depth >= MAX_DEPTH { Err(ProtoError::TooDeep) } else { Ok(Self { depth: self.depth + 1 }) }
    }

    /// An object with the apiVersion and kind that its envelope names.
    fn object(self, envelope: &Envelope<'_>, id: TypeId) -> Result<Tree, ProtoError> {
        if !envelope.content_encoding.is_empty() || !envelope.content_type.is_empty() {
            return Err(ProtoError::ContentType(envelope.content_type.to_owned()));
        }
        let mut tree = self.message(envelope.raw, id)?.unwrap_or(Tree::Null);
        if let Tree::Object(map) = &mut tree {
            for (name, value) in [("apiVersion", envelope.api_version), ("kind", envelope.kind)] {
                if !value.is_empty() && catalog().field(id, name).is_some() {
                    map.insert(name.to_owned(), value.into());
                }
            }
        }
        Ok(tree)
    }

    fn message(self, bytes: &[u8], id: TypeId) -> Outcome {
        let found = catalog().get(id);
        let inner = self.deeper()?;
        match found.shape {
            Shape::Struct => {
                let mut out = Map::new();
                inner.fields(bytes, catalog().fields(id), &mut Vec::new(), &mut out)?;
                out.retain(|name, value| {
                    catalog().field(id, name).is_some_and(|f| !value.is_null() && !is_zero(f, value))
                });
                fill(id, &mut out);
                Ok(Some(out.into()))
            }
            Shape::Quantity => {
                let quantity = text(only(bytes, 1)?.unwrap_or_default(), "string")?;
                let quantity = if quantity.is_empty() { "0" } else { quantity };
                canonical_quantity(quantity).map(|q| Some(q.into())).map_err(|_| ProtoError::Value("string"))
            }
            Shape::Time | Shape::MicroTime => timestamp(bytes, found.shape == Shape::MicroTime),
            Shape::IntOrString => int_or_string(bytes),
            Shape::Raw | Shape::Fields | Shape::Patch | Shape::Json => inner.raw(only(bytes, 1)?, found.name),
            Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
                inner.schema_or(found.shape, bytes)
            }
        }
    }

    /// Reads fields into `out`. `path` has the numbers of the messages that these fields are inlined in.
    fn fields(
        self,
        bytes: &[u8],
        fields: &'static [Field],
        path: &mut Vec<u8>,
        out: &mut Map<String, Tree>,
    ) -> Result<(), ProtoError> {
        for field in Fields(bytes) {
            let (number, wire) = field?;
            let Ok(number) = u8::try_from(number) else { continue };
            path.push(number);
            let met = fields.iter().find(|f| f.proto.numbers().starts_with(path));
            match (met, wire) {
                (Some(field), wire) if field.proto.numbers().len() == path.len() => {
                    self.field(field, wire, out)?
                }
                (Some(_), Wire::Bytes(bytes)) => self.deeper()?.fields(bytes, fields, path, out)?,
                (Some(field), _) => return Err(ProtoError::WrongWireType(field.name)),
                (None, _) => {}
            }
            path.pop();
        }
        Ok(())
    }

    fn field(
        self,
        field: &'static Field,
        wire: Wire<'_>,
        out: &mut Map<String, Tree>,
    ) -> Result<(), ProtoError> {
        let name = field.name;
        match field.value {
            ValueType::List(item) => {
                let items = array(out, name);
                self.items(catalog().element(item), name, wire, items)
            }
            ValueType::Map(item) => {
                let Wire::Bytes(entry) = wire else { return Err(ProtoError::WrongWireType(name)) };
                let (key, value) = self.entry(entry, catalog().element(item), name)?;
                if let Tree::Object(map) = out.entry(name).or_insert_with(|| Map::new().into()) {
                    map.insert(key, value);
                }
                Ok(())
            }
            value => {
                match self.value(value, name, wire)? {
                    Some(tree) => drop(out.insert(name.to_owned(), tree)),
                    None => drop(out.remove(name)),
                }
                Ok(())
            }
        }
    }

    /// One item of a list, or several scalars in one field.
    fn items(
        self,
        value: ValueType,
        name: &'static str,
        wire: Wire<'_>,
        items: &mut Vec<Tree>,
    ) -> Result<(), ProtoError> {
        match (value, wire) {
            (ValueType::Scalar(Scalar::Bool | Scalar::Int32 | Scalar::Int64), Wire::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    let wire = Wire::Varint(take_varint(&mut packed)?);
                    items.extend(self.value(value, name, wire)?);
                }
            }
            _ => items.push(self.value(value, name, wire)?.unwrap_or(Tree::Null)),
        }
        Ok(())
    }

    fn entry(self, bytes: &[u8], value: ValueType, name: &'static str) -> Result<(String, Tree), ProtoError> {
        let mut key = "";
        let mut tree = None;
        for field in Fields(bytes) {
            match field? {
                (1, Wire::Bytes(bytes)) => key = text(bytes, name)?,
                (2, wire) => tree = self.value(value, name, wire)?,
                _ => {}
            }
        }
        let tree = tree.or_else(|| crate::decode::zero_of(value)).unwrap_or(Tree::Null);
        Ok((key.to_owned(), tree))
    }

    fn value(self, value: ValueType, name: &'static str, wire: Wire<'_>) -> Outcome {
        match (value, wire) {
            (ValueType::Scalar(kind), wire) => scalar(kind, name, wire).map(Some),
            (ValueType::Ref(id), Wire::Bytes(bytes)) => self.message(bytes, id),
            (ValueType::WrappedList(item), Wire::Bytes(bytes)) => {
                let mut items = Vec::new();
                for field in Fields(bytes) {
                    if let (1, wire) = field? {
                        self.items(catalog().element(item), name, wire, &mut items)?;
                    }
                }
                Ok(Some(items.into()))
            }
            _ => Err(ProtoError::WrongWireType(name)),
        }
    }

    /// Bytes that are JSON, or a whole protobuf body of their own.
    fn raw(self, bytes: Option<&[u8]>, name: &'static str) -> Outcome {
        match bytes {
            None | Some([]) => Ok(None),
            Some(body) if super::is_protobuf(body) => {
                let envelope = super::open(body)?;
                let id = super::type_of(&envelope)?;
                self.object(&envelope, id).map(Some)
            }
            Some(json) => serde_json::from_slice(json).map(Some).map_err(|_| ProtoError::Json(name)),
        }
    }

    /// A schema, or what may stand in its place.
    fn schema_or(self, shape: Shape, bytes: &[u8]) -> Outcome {
        let props = catalog().definition(SCHEMA_PROPS).ok_or(ProtoError::Value("schema"))?;
        let schema_number = if shape == Shape::SchemaOrBool { 2 } else { 1 };
        let (mut schema, mut list, mut allows) = (None, Vec::new(), false);
        for field in Fields(bytes) {
            match (field?, shape) {
                ((number, Wire::Bytes(bytes)), _) if number == schema_number => {
                    schema = self.message(bytes, props)?;
                }
                ((1, Wire::Varint(n)), Shape::SchemaOrBool) => allows = n != 0,
                ((2, Wire::Bytes(bytes)), Shape::SchemaOrArray) => list.extend(self.message(bytes, props)?),
                ((2, Wire::Bytes(bytes)), _) => list.push(text(bytes, "property")?.into()),
                _ => {}
            }
        }
        Ok(Some(match (schema, shape) {
            (Some(schema), _) => schema,
            (None, Shape::SchemaOrBool) => allows.into(),
            (None, _) => list.into(),
        }))
    }
}

fn array<'a>(out: &'a mut Map<String, Tree>, name: &'static str) -> &'a mut Vec<Tree> {
    match out.entry(name).or_insert_with(|| Tree::Array(Vec::new())) {
        Tree::Array(items) => items,
        _ => unreachable!("a list's field holds nothing but its list"),
    }
}

fn scalar(kind: Scalar, name: &'static str, wire: Wire<'_>) -> Result<Tree, ProtoError> {
    Ok(match (kind, wire) {
        (Scalar::String, Wire::Bytes(bytes)) => text(bytes, name)?.into(),
        (Scalar::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Scalar::Bool, Wire::Varint(n)) => (n != 0).into(),
        // Go cuts off what is beyond 32 bits.
        (Scalar::Int32, Wire::Varint(n)) => (n as i32).into(),
        (Scalar::Int64, Wire::Varint(n)) => n.cast_signed().into(),
        (Scalar::Double, Wire::Fixed64(bits)) => serde_json::Number::from_f64(f64::from_bits(bits))
            .map(Tree::Number)
            .ok_or(ProtoError::Value(name))?,
        _ => return Err(ProtoError::WrongWireType(name)),
    })
}

fn text<'a>(bytes: &'a [u8], name: &'static str) -> Result<&'a str, ProtoError> {
    std::str::from_utf8(bytes).map_err(|_| ProtoError::Value(name))
}

/// The last bytes in the field of this number.
fn only(bytes: &[u8], number: u32) -> Result<Option<&[u8]>, ProtoError> {
    let mut out = None;
    for field in Fields(bytes) {
        if let (n, Wire::Bytes(bytes)) = field?
            && n == number
        {
            out = Some(bytes);
        }
    }
    Ok(out)
}

/// The time of zero seconds stands for no time at all.
fn timestamp(bytes: &[u8], micro: bool) -> Outcome {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Varint(n)) => seconds = n.cast_signed(),
            (2, Wire::Varint(n)) => nanos = n as i32,
            _ => {}
        }
    }
    if seconds == 0 && nanos == 0 {
        return Ok(None);
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_| ProtoError::Value("seconds"))?;
    Ok(Some(if micro { time::format_micro(time) } else { time::format(time) }.into()))
}

fn int_or_string(bytes: &[u8]) -> Outcome {
    let (mut kind, mut int, mut string) = (0, 0, "");
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Varint(n)) => kind = n,
            (2, Wire::Varint(n)) => int = n as i32,
            (3, Wire::Bytes(bytes)) => string = text(bytes, "strVal")?,
            _ => {}
        }
    }
    match kind {
        0 => Ok(Some(int.into())),
        1 => Ok(Some(string.into())),
        _ => Err(ProtoError::Value("type")),
    }
}
