//! The field catalogue: every type of Kubernetes's API, its fields, and what upstream's Go types and OpenAPI
//! definitions say about each.
//!
//! The table is text inside the binary (see [`parse`](self::parse)); it is read at first use into flat arrays of
//! about 200 KiB whose strings point into the text.

mod parse;

use std::ops::Range;
use std::sync::OnceLock;

const TABLE: &str = include_str!("table.txt");

/// The catalogue of the built-in kinds.
pub fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        parse::parse(include_str!("table.txt")).expect("the embedded catalogue is well-formed")
    })
}

/// All types. [`TypeId`]s and [`ValueType`]s of one catalogue are meaningless in another.
#[derive(Debug)]
pub struct Catalog {
    /// Sorted by name.
    types: Vec<Type>,
    fields: Vec<Field>,
    /// What lists and maps hold.
    elements: Vec<ValueType>,
    /// Sorted by group, version and kind.
    gvks: Vec<(Gvk, TypeId)>,
}

/// A type's place in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u16);

/// The place of a list's or map's value type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementId(u16);

/// Group (empty for core), version and kind. [`Gvk::EVERY`] as group and version stands for every group version
/// (`DeleteOptions`, `WatchEvent`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// API group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
}

impl Gvk {
    /// Stands for every group and every version.
    pub const EVERY: &'static str = "*";
}

/// One type.
#[derive(Debug)]
pub struct Type {
    /// The OpenAPI definition's name, such as `io.k8s.api.apps.v1.Deployment`.
    pub name: &'static str,
    /// Its JSON form.
    pub shape: Shape,
    /// The Go type, such as `v1.Deployment`: decoding errors mention it.
    pub go: &'static str,
    /// Its kind, if it is a top-level one.
    pub gvk: Option<Gvk>,
    /// `x-kubernetes-map-type`.
    pub map_type: MapType,
    fields: Range<u16>,
}

impl Type {
    /// The Go type without its package: `Deployment`.
    pub fn go_struct(&self) -> &'static str {
        self.go.rsplit('.').next().unwrap_or(self.go)
    }

    /// The protobuf message: `k8s.io.api.apps.v1.Deployment`.
    pub fn message(&self) -> String {
        self.name.replacen("io.k8s.", "k8s.io.", 1).replace('-', "_")
    }
}

/// The JSON form of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An object with the type's fields.
    Struct,
    /// `resource.Quantity`: a string, or a number.
    Quantity,
    /// `metav1.Time`: RFC 3339 in seconds.
    Time,
    /// `metav1.MicroTime`: RFC 3339 with six digits of a second.
    MicroTime,
    /// `intstr.IntOrString`.
    IntOrString,
    /// `runtime.RawExtension`: any object.
    Raw,
    /// `metav1.FieldsV1`: any object.
    Fields,
    /// `metav1.Patch`: any object; only OpenAPI mentions it.
    Patch,
    /// apiextensions' `JSON`: any value.
    Json,
    /// apiextensions' `JSONSchemaPropsOrArray`.
    SchemaOrArray,
    /// apiextensions' `JSONSchemaPropsOrBool`.
    SchemaOrBool,
    /// apiextensions' `JSONSchemaPropsOrStringArray`.
    SchemaOrStrings,
}

/// `x-kubernetes-map-type` of a type or a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// Not stated: granular, or for a field as its type says.
    Unstated,
    /// Each field has its own owner.
    Granular,
    /// Replaced as a whole.
    Atomic,
}

/// A scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// UTF-8 text.
    String,
    /// `true` or `false`.
    Bool,
    /// 32 bits, signed.
    Int32,
    /// 64 bits, signed.
    Int64,
    /// A float of 64 bits.
    Double,
    /// Bytes: base64 in JSON.
    Bytes,
    /// Anything.
    Any,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A scalar.
    Scalar(Scalar),
    /// One of the catalogue's types.
    Ref(TypeId),
    /// A list.
    List(ElementId),
    /// A list that is a message of its own in protobuf, with the items in field 1 (`ExtraValue`).
    WrappedList(ElementId),
    /// A map with string keys.
    Map(ElementId),
}

/// How server-side apply merges a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// Not stated, or replaced as a whole.
    Atomic,
    /// Items are the keys.
    Set,
    /// Items are told apart by these fields, comma-separated.
    Map(&'static str),
}

/// One JSON field of a struct, those of inlined structs included.
#[derive(Debug)]
pub struct Field {
    /// The JSON name.
    pub name: &'static str,
    /// The type of its value.
    pub value: ValueType,
    /// Its place in protobuf.
    pub proto: ProtoPath,
    flags: u8,
    /// `name=value`, separated by tabs.
    markers: &'static str,
}

/// A protobuf field number, below the numbers of the messages that it is inlined in. All zero: not in protobuf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtoPath([u8; 3]);

impl ProtoPath {
    /// Outermost number first; empty if the field is not in protobuf.
    pub fn numbers(&self) -> &[u8] {
        let len = self.0.iter().position(|n| *n == 0).unwrap_or(self.0.len());
        &self.0[..len]
    }
}

impl Field {
    const POINTER: u8 = 1;
    const OMIT_EMPTY: u8 = 2;
    const OMIT_ZERO: u8 = 4;
    const REQUIRED: u8 = 8;

    /// Whether the Go field is a pointer, so that a zero value differs from none.
    pub fn is_pointer(&self) -> bool {
        self.flags & Self::POINTER != 0
    }

    /// Whether Go leaves the field out of JSON when it is zero (structs stay), empty, or nil.
    pub fn omits_empty(&self) -> bool {
        self.flags & Self::OMIT_EMPTY != 0
    }

    /// Whether Go leaves the field out of JSON when it is a zero struct.
    pub fn omits_zero(&self) -> bool {
        self.flags & Self::OMIT_ZERO != 0
    }

    /// Whether OpenAPI lists the field as required.
    pub fn is_required(&self) -> bool {
        self.flags & Self::REQUIRED != 0
    }

    /// How server-side apply merges it, if it is a list.
    pub fn list_type(&self) -> ListType {
        match self.marker("list") {
            Some("set") => ListType::Set,
            Some(text) => text.strip_prefix("map:").map_or(ListType::Atomic, ListType::Map),
            None => ListType::Atomic,
        }
    }

    /// Whether the definition states a list type at all: OpenAPI repeats only what is stated.
    pub fn states_list_type(&self) -> bool {
        self.marker("list").is_some()
    }

    /// `x-kubernetes-patch-strategy`.
    pub fn patch_strategy(&self) -> Option<&'static str> {
        self.marker("patch")
    }

    /// `x-kubernetes-patch-merge-key`.
    pub fn patch_merge_key(&self) -> Option<&'static str> {
        self.marker("key")
    }

    /// `x-kubernetes-map-type` of the field; it overrides its type's.
    pub fn map_type(&self) -> MapType {
        MapType::from_text(self.marker("map").unwrap_or_default())
    }

    /// The stated default as JSON text.
    pub fn default_json(&self) -> Option<&'static str> {
        self.marker("default")
    }

    /// The Go names of the embedded structs that the field is in (`RuleWithOperations.Rule`).
    pub fn go_embedded_in(&self) -> Option<&'static str> {
        self.marker("in")
    }

    fn marker(&self, name: &str) -> Option<&'static str> {
        self.markers.split('\t').find_map(|m| m.strip_prefix(name)?.strip_prefix('='))
    }
}

impl MapType {
    fn from_text(text: &str) -> Self {
        match text {
            "atomic" => Self::Atomic,
            "granular" => Self::Granular,
            _ => Self::Unstated,
        }
    }
}

impl Catalog {
    /// The text that the embedded catalogue is read from: it changes when the catalogue does.
    pub fn text(&self) -> &'static str {
        TABLE
    }

    /// The type of this OpenAPI definition.
    pub fn definition(&self, name: &str) -> Option<TypeId> {
        let at = self.types.binary_search_by(|t| t.name.cmp(name)).ok()?;
        u16::try_from(at).ok().map(TypeId)
    }

    /// The type of this kind, `*List` kinds included; `group` is empty for core.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        let find = |group: &str, version: &str| {
            let at = self
                .gvks
                .binary_search_by(|(g, _)| (g.group, g.version, g.kind).cmp(&(group, version, kind)));
            at.ok().map(|at| self.gvks[at].1)
        };
        find(group, version).or_else(|| find(Gvk::EVERY, Gvk::EVERY))
    }

    /// The type at a place.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[usize::from(id.0)]
    }

    /// A type's fields, sorted by JSON name.
    pub fn fields(&self, id: TypeId) -> &[Field] {
        let Range { start, end } = self.get(id).fields;
        &self.fields[usize::from(start)..usize::from(end)]
    }

    /// The field of this JSON name. Case matters.
    pub fn field(&self, id: TypeId, name: &str) -> Option<&Field> {
        self.field_index(id, name).map(|at| &self.fields(id)[at])
    }

    /// The place of a field in [`Self::fields`].
    pub fn field_index(&self, id: TypeId, name: &str) -> Option<usize> {
        self.fields(id).binary_search_by(|f| f.name.cmp(name)).ok()
    }

    /// What a list or map holds.
    pub fn element(&self, id: ElementId) -> ValueType {
        self.elements[usize::from(id.0)]
    }

    /// Every type, sorted by definition name.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.types.iter().enumerate().map(|(at, t)| (TypeId(at as u16), t))
    }

    /// Every kind, sorted by group, version and kind.
    pub fn kinds(&self) -> impl Iterator<Item = (Gvk, TypeId)> + '_ {
        self.gvks.iter().copied()
    }

    /// The Go type of a field's value without a pointer (`int32`, `[]v1.Container`, `v1.PullPolicy`).
    pub fn go_type(&self, field: &Field) -> String {
        field.marker("go").map_or_else(|| self.go_value(field.value), str::to_owned)
    }

    /// The Go type of a value in which no scalar, list or map has a name of its own.
    pub fn go_value(&self, value: ValueType) -> String {
        match value {
            ValueType::Scalar(scalar) => scalar.go().to_owned(),
            ValueType::Ref(id) => self.get(id).go.to_owned(),
            ValueType::List(item) | ValueType::WrappedList(item) => {
                format!("[]{}", self.go_value(self.element(item)))
            }
            ValueType::Map(item) => format!("map[string]{}", self.go_value(self.element(item))),
        }
    }
}

impl Scalar {
    fn go(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Double => "float64",
            Self::Bytes => "[]uint8",
            Self::Any => "interface {}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(definition: &str, name: &str) -> &'static Field {
        let id = catalog().definition(definition).expect(definition);
        catalog().field(id, name).expect(name)
    }

    #[test]
    fn kinds_are_found_with_their_lists() {
        let c = catalog();
        let cases = [
            ("apps", "v1", "Deployment", Some("io.k8s.api.apps.v1.Deployment")),
            ("", "v1", "PodList", Some("io.k8s.api.core.v1.PodList")),
            ("apps", "v1", "DeleteOptions", Some("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")),
            ("", "v1", "deployment", None),
            ("apps", "v1beta1", "Deployment", None),
        ];
        for (group, version, kind, want) in cases {
            assert_eq!(
                c.kind(group, version, kind).map(|id| c.get(id).name),
                want,
                "{group}/{version} {kind}"
            );
        }
    }

    #[test]
    fn every_top_level_kind_is_found_by_itself() {
        for (gvk, id) in catalog().kinds().filter(|(g, _)| g.group != Gvk::EVERY) {
            assert_eq!(catalog().kind(gvk.group, gvk.version, gvk.kind), Some(id));
        }
        assert!(catalog().kinds().count() > 200);
    }

    #[test]
    fn facts_of_fields() {
        let ports = field("io.k8s.api.core.v1.Container", "ports");
        assert_eq!(ports.list_type(), ListType::Map("containerPort,protocol"));
        assert_eq!((ports.patch_strategy(), ports.patch_merge_key()), (Some("merge"), Some("containerPort")));
        assert_eq!(ports.proto.numbers(), [6]);
        assert_eq!(catalog().go_type(ports), "[]v1.ContainerPort");
        let pull = field("io.k8s.api.core.v1.Container", "imagePullPolicy");
        assert_eq!(catalog().go_type(pull), "v1.PullPolicy");
        let replicas = field("io.k8s.api.apps.v1.DeploymentSpec", "replicas");
        assert!(replicas.is_pointer() && replicas.omits_empty() && !replicas.is_required());
        assert_eq!(field("io.k8s.api.core.v1.Volume", "emptyDir").proto.numbers(), [2, 2]);
        assert_eq!(field("io.k8s.api.core.v1.PodSpec", "nodeSelector").map_type(), MapType::Atomic);
        assert_eq!(field("io.k8s.api.core.v1.ServicePort", "protocol").default_json(), Some("\"TCP\""));
    }

    #[test]
    fn stays_small_in_memory() {
        let c = catalog();
        let bytes = size_of_val(c.types.as_slice())
            + size_of_val(c.fields.as_slice())
            + size_of_val(c.gvks.as_slice())
            + size_of_val(c.elements.as_slice());
        assert!(bytes < 400 * 1024, "{bytes} bytes");
    }
}
