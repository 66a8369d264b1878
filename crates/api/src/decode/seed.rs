//! Values of a known type, as `serde` hands them over: the same code reads JSON text and trees.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Map;
use steersman_apimachinery::Tree;

use super::DecodeError;
use super::scalars::{canonical_base64, canonical_quantity, canonical_time, to_base64};
use super::state::{Place, State};
use super::untyped::TreeSeed;
use super::zero::{fill, is_zero, zero_of};
use crate::catalog::{Scalar, Shape, Type, TypeId, ValueType, catalog};

/// Reads one value. `None` stands for `null`, and for what was refused: the state knows which.
pub(super) struct ValueSeed<'a> {
    pub(super) state: &'a mut State,
    pub(super) value: ValueType,
    pub(super) place: Place,
}

type Outcome<E> = Result<Option<Tree>, E>;

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Option<Tree>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Outcome<D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A scalar as JSON has it.
enum Found<'a> {
    Bool(bool),
    Int(i64),
    /// Any other number, as text.
    Number(f64, String),
    String(&'a str),
}

impl Found<'_> {
    /// What Go's errors call it; `precise` with the number.
    fn name(&self, precise: bool) -> String {
        match self {
            Self::Bool(_) => "bool".to_owned(),
            Self::String(_) => "string".to_owned(),
            Self::Int(n) if precise => format!("number {n}"),
            Self::Number(_, text) if precise => format!("number {text}"),
            Self::Int(_) | Self::Number(..) => "number".to_owned(),
        }
    }

    fn tree(&self) -> Tree {
        match self {
            Self::Bool(b) => (*b).into(),
            Self::Int(n) => (*n).into(),
            Self::Number(n, _) => (*n).into(),
            Self::String(s) => (*s).into(),
        }
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Option<Tree>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Outcome<E> {
        Ok(None)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Outcome<E> {
        self.scalar(Found::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Outcome<E> {
        self.scalar(Found::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Outcome<E> {
        match i64::try_from(value) {
            Ok(value) => self.scalar(Found::Int(value)),
            Err(_) => self.scalar(Found::Number(value as f64, value.to_string())),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Outcome<E> {
        let text = serde_json::Number::from_f64(value).map(|n| n.to_string()).unwrap_or_default();
        self.scalar(Found::Number(value, text))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Outcome<E> {
        self.scalar(Found::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Outcome<A::Error> {
        match self.value {
            ValueType::List(item) | ValueType::WrappedList(item) => self.list(catalog().element(item), items),
            ValueType::Ref(id) => self.list_for_type(id, items),
            ValueType::Scalar(Scalar::Any) => self.any_seq(items),
            ValueType::Scalar(Scalar::Bytes) => self.bytes(items),
            ValueType::Scalar(_) | ValueType::Map(_) => self.skip_seq(items),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Outcome<A::Error> {
        match self.value {
            ValueType::Map(item) => self.map(catalog().element(item), entries),
            ValueType::Ref(id) => self.map_for_type(id, entries),
            ValueType::Scalar(Scalar::Any) => self.any_map(entries),
            ValueType::Scalar(_) | ValueType::List(_) | ValueType::WrappedList(_) => self.skip_map(entries),
        }
    }
}

impl<'a> ValueSeed<'a> {
    fn scalar<E: de::Error>(self, found: Found<'_>) -> Outcome<E> {
        let Self { state, value, place } = self;
        let taken = match value {
            ValueType::Scalar(scalar) => take_scalar(scalar, &found),
            ValueType::Ref(id) => return take_special(state, catalog().get(id), value, place, &found),
            ValueType::List(_) | ValueType::WrappedList(_) | ValueType::Map(_) => Taken::Wrong(false),
        };
        match taken {
            Taken::Value(tree) => return Ok(Some(tree)),
            Taken::Wrong(precise) => state.wrong_type(found.name(precise), value, place),
            Taken::BadForm(why) => state.note_form(why),
        }
        Ok(None)
    }

    fn list<'de, A: SeqAccess<'de>>(self, value: ValueType, mut items: A) -> Outcome<A::Error> {
        let place = self.place.element();
        let mut out = Vec::new();
        let mut index = 0;
        loop {
            let next = self
                .state
                .within_index(index, |state| items.next_element_seed(ValueSeed { state, value, place }))?;
            match next {
                Some(item) => out.push(item.or_else(|| zero_of(value)).unwrap_or(Tree::Null)),
                None => return Ok(Some(out.into())),
            }
            index += 1;
        }
    }

    fn map<'de, A: MapAccess<'de>>(self, value: ValueType, mut entries: A) -> Outcome<A::Error> {
        let place = self.place.element();
        let mut out = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if out.contains_key(&key) {
                self.state.duplicate(&key);
            }
            let item = self
                .state
                .within_key(&key, |state| entries.next_value_seed(ValueSeed { state, value, place }))?;
            out.insert(key, item.or_else(|| zero_of(value)).unwrap_or(Tree::Null));
        }
        Ok(Some(out.into()))
    }

    /// Bytes as a list of numbers, which Go takes, too.
    fn bytes<'de, A: SeqAccess<'de>>(self, mut items: A) -> Outcome<A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element::<Tree>()? {
            let byte = item.as_u64().and_then(|n| u8::try_from(n).ok());
            match (byte, item) {
                (None, Tree::Null) => out.push(0),
                (None, item) => self.state.wrong_byte(json_name(&item)),
                (Some(byte), _) => out.push(byte),
            }
        }
        Ok(Some(to_base64(&out).into()))
    }

    /// An array where one of the catalogue's types is expected.
    fn list_for_type<'de, A: SeqAccess<'de>>(self, id: TypeId, items: A) -> Outcome<A::Error> {
        match catalog().get(id).shape {
            Shape::Raw | Shape::Fields | Shape::Patch | Shape::Json => self.any_seq(items),
            Shape::SchemaOrArray => self.nested(|seed| seed.list(schema_props(), items)),
            Shape::SchemaOrStrings => self.nested(|seed| seed.list(ValueType::Scalar(Scalar::String), items)),
            Shape::Struct => self.skip_seq(items),
            Shape::SchemaOrBool => {
                IgnoredAny.visit_seq(items)?;
                self.state.refuse(DecodeError::Form(BOOL_OR_SCHEMA.to_owned()));
                Err(de::Error::custom("refused"))
            }
            shape => {
                IgnoredAny.visit_seq(items)?;
                self.refuse_special(shape, "array")
            }
        }
    }

    /// An object where one of the catalogue's types is expected.
    fn map_for_type<'de, A: MapAccess<'de>>(self, id: TypeId, entries: A) -> Outcome<A::Error> {
        match catalog().get(id).shape {
            Shape::Struct => self.fields(id, entries),
            Shape::Raw | Shape::Fields | Shape::Patch | Shape::Json => self.any_map(entries),
            Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings => {
                let ValueType::Ref(props) = schema_props() else { return self.skip_map(entries) };
                self.nested(|seed| seed.fields(props, entries))
            }
            shape => {
                IgnoredAny.visit_map(entries)?;
                self.refuse_special(shape, "object")
            }
        }
    }

    fn fields<'de, A: MapAccess<'de>>(self, id: TypeId, mut entries: A) -> Outcome<A::Error> {
        let owner = catalog().get(id).go_struct();
        let mut out = Map::new();
        let mut seen = Seen::default();
        while let Some(name) = entries.next_key::<String>()? {
            let Some(index) = catalog().field_index(id, &name) else {
                self.state.unknown(&name);
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &catalog().fields(id)[index];
            if seen.again(index) {
                self.state.duplicate(&name);
            }
            let value = self.state.within_field(owner, field, |state| {
                entries.next_value_seed(ValueSeed {
                    state,
                    value: field.value,
                    place: Place::Field(field, 0),
                })
            })?;
            if self.state.has_ended() {
                return Err(de::Error::custom("refused"));
            }
            match value.filter(|v| !is_zero(field, v)) {
                Some(value) => drop(out.insert(name, value)),
                None => drop(out.remove(&name)),
            }
        }
        fill(id, &mut out);
        Ok(Some(out.into()))
    }

    /// A value with a decoder of its own.
    fn nested<E: de::Error>(self, inner: impl FnOnce(ValueSeed<'_>) -> Outcome<E>) -> Outcome<E> {
        let Self { state, value, place } = self;
        match state.nested(|state| inner(ValueSeed { state, value, place })) {
            (Ok(_), true) => Err(E::custom("refused")),
            (out, _) => out,
        }
    }

    fn any_seq<'de, A: SeqAccess<'de>>(self, items: A) -> Outcome<A::Error> {
        self.state.muted += 1;
        let out = TreeSeed(self.state).visit_seq(items);
        self.state.muted -= 1;
        out.map(Some)
    }

    fn any_map<'de, A: MapAccess<'de>>(self, entries: A) -> Outcome<A::Error> {
        self.state.muted += 1;
        let out = TreeSeed(self.state).visit_map(entries);
        self.state.muted -= 1;
        out.map(Some)
    }

    fn skip_seq<'de, A: SeqAccess<'de>>(self, items: A) -> Outcome<A::Error> {
        self.state.wrong_type("array".to_owned(), self.value, self.place);
        IgnoredAny.visit_seq(items)?;
        Ok(None)
    }

    fn skip_map<'de, A: MapAccess<'de>>(self, entries: A) -> Outcome<A::Error> {
        self.state.wrong_type("object".to_owned(), self.value, self.place);
        IgnoredAny.visit_map(entries)?;
        Ok(None)
    }

    /// A list or an object where a scalar with a decoder of its own is expected.
    fn refuse_special<E: de::Error>(self, shape: Shape, found: &str) -> Outcome<E> {
        match shape {
            Shape::Quantity => self.state.refuse(DecodeError::Form(QUANTITY_FORM.to_owned())),
            Shape::IntOrString => self.state.refuse_type(found.to_owned(), "int32"),
            _ => self.state.refuse_type(found.to_owned(), "string"),
        }
        Err(E::custom("refused"))
    }
}

const QUANTITY_FORM: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const BOOL_OR_SCHEMA: &str = "boolean or JSON schema expected";

fn schema_props() -> ValueType {
    const NAME: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    catalog().definition(NAME).map_or(ValueType::Scalar(Scalar::Any), ValueType::Ref)
}

/// What Go's errors call a value where a number is expected.
fn json_name(tree: &Tree) -> String {
    match tree {
        Tree::Null => "null".to_owned(),
        Tree::Bool(_) => "bool".to_owned(),
        Tree::Number(n) => format!("number {n}"),
        Tree::String(_) => "string".to_owned(),
        Tree::Array(_) => "array".to_owned(),
        Tree::Object(_) => "object".to_owned(),
    }
}

/// What became of a scalar.
enum Taken {
    Value(Tree),
    /// It has the wrong type; whether the error says which number it is.
    Wrong(bool),
    /// Its type is right, its form is not.
    BadForm(String),
}

fn take_scalar(scalar: Scalar, found: &Found<'_>) -> Taken {
    match (scalar, found) {
        (Scalar::Any, _) | (Scalar::String, Found::String(_)) | (Scalar::Bool, Found::Bool(_)) => {
            Taken::Value(found.tree())
        }
        (Scalar::Int32, Found::Int(n)) if i32::try_from(*n).is_ok() => Taken::Value((*n).into()),
        (Scalar::Int64, Found::Int(n)) => Taken::Value((*n).into()),
        (Scalar::Double, Found::Int(_) | Found::Number(..)) => Taken::Value(found.tree()),
        (Scalar::Int32 | Scalar::Int64, Found::Int(_) | Found::Number(..)) => Taken::Wrong(true),
        (Scalar::Bytes, Found::String(text)) => {
            canonical_base64(text).map_or_else(Taken::BadForm, |text| Taken::Value(text.into()))
        }
        _ => Taken::Wrong(false),
    }
}

/// A scalar where one of the catalogue's types is expected.
fn take_special<E: de::Error>(
    state: &mut State,
    expected: &Type,
    value: ValueType,
    place: Place,
    found: &Found<'_>,
) -> Outcome<E> {
    let formed = match (expected.shape, found) {
        (Shape::Raw | Shape::Fields | Shape::Patch | Shape::Json, _)
        | (Shape::SchemaOrBool, Found::Bool(_))
        | (Shape::IntOrString, Found::String(_)) => return Ok(Some(found.tree())),
        (Shape::IntOrString, Found::Int(n)) if i32::try_from(*n).is_ok() => return Ok(Some(found.tree())),
        // Upstream takes any other scalar for nothing.
        (Shape::SchemaOrArray | Shape::SchemaOrStrings, _) => return Ok(None),
        (Shape::SchemaOrBool, _) => Err(BOOL_OR_SCHEMA.to_owned()),
        (Shape::Struct, _) => {
            state.wrong_type(found.name(false), value, place);
            return Ok(None);
        }
        (Shape::Quantity, Found::String(text)) => canonical_quantity(text),
        (Shape::Quantity, Found::Int(n)) => canonical_quantity(&n.to_string()),
        (Shape::Quantity, Found::Number(_, text)) => canonical_quantity(text),
        (Shape::Quantity, Found::Bool(_)) => Err(QUANTITY_FORM.to_owned()),
        (Shape::Time | Shape::MicroTime, Found::String(text)) => {
            canonical_time(text, expected.shape == Shape::MicroTime)
        }
        (Shape::IntOrString, _) => {
            state.refuse_type(found.name(true), "int32");
            return Err(E::custom("refused"));
        }
        (Shape::Time | Shape::MicroTime, _) => {
            state.refuse_type(found.name(false), "string");
            return Err(E::custom("refused"));
        }
    };
    formed.map(|text| Some(text.into())).map_err(|why| {
        state.refuse(DecodeError::Form(why));
        E::custom("refused")
    })
}

/// Which fields of a struct have been met.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Seen {
    /// Whether the field at this place has been met before; it has now.
    fn again(&mut self, at: usize) -> bool {
        let (word, bit) = (at / 64, 1 << (at % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let again = self.0[word] & bit != 0;
        self.0[word] |= bit;
        again
    }
}
