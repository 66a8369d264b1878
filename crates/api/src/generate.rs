//! Objects of any type for tests, made from a seed.

use serde_json::{Map, json};
use steersman_apimachinery::Tree;

use crate::catalog::{Gvk, Scalar, Shape, TypeId, ValueType, catalog};

/// A source of choices: the same seed makes the same object.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound` (xorshift64*).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

/// An object of a kind with apiVersion and kind, as a client might send it.
pub(crate) fn object(gvk: Gvk, id: TypeId, choices: &mut Choices) -> Tree {
    let mut tree = value(ValueType::Ref(id), 0, choices);
    if catalog().field(id, "kind").is_some() {
        let every = gvk.group == Gvk::EVERY;
        let api_version = match (every, gvk.group) {
            (true, _) => "v1".to_owned(),
            (false, "") => gvk.version.to_owned(),
            (false, group) => format!("{group}/{}", gvk.version),
        };
        tree["apiVersion"] = api_version.into();
        tree["kind"] = gvk.kind.into();
    }
    tree
}

/// A value of a definition, as full as an object's own fields are.
pub(crate) fn part(definition: &str, choices: &mut Choices) -> Tree {
    let id = catalog().definition(definition).expect("the definition is in the catalogue");
    value(ValueType::Ref(id), 0, choices)
}

fn value(value_type: ValueType, depth: usize, choices: &mut Choices) -> Tree {
    match value_type {
        ValueType::Scalar(kind) => scalar(kind, choices),
        ValueType::List(item) | ValueType::WrappedList(item) => {
            let item = catalog().element(item);
            (0..choices.below(3)).map(|_| value(item, depth + 1, choices)).collect()
        }
        ValueType::Map(item) => {
            let item = catalog().element(item);
            let entries =
                (0..choices.below(3)).map(|i| (format!("key-{i}"), value(item, depth + 1, choices)));
            Tree::Object(entries.collect())
        }
        ValueType::Ref(id) => typed(id, depth, choices),
    }
}

fn typed(id: TypeId, depth: usize, choices: &mut Choices) -> Tree {
    let any = [json!({"a": [1, "b", null, 0.5]}), json!({}), json!({"kind": "X", "x": {"y": true}})];
    match catalog().get(id).shape {
        Shape::Struct => {
            let mut out = Map::new();
            for field in catalog().fields(id).iter().filter(|f| !matches!(f.name, "kind" | "apiVersion")) {
                // Deeper objects have fewer fields, so that they end.
                if choices.below(2 + 2 * depth as u64) <= 1 {
                    out.insert(field.name.to_owned(), value(field.value, depth + 1, choices));
                }
            }
            out.into()
        }
        Shape::Quantity => {
            choices.pick(&[json!("100m"), json!("1Gi"), json!(2), json!("0"), json!("1500Mi"), json!("3e6")])
        }
        Shape::Time => choices.pick(&[json!("2026-01-02T03:04:05Z"), json!("1969-12-31T23:00:00+02:00")]),
        Shape::MicroTime => {
            choices.pick(&[json!("2026-01-02T03:04:05.000006Z"), json!("1969-12-31T23:59:59.500000Z")])
        }
        Shape::IntOrString => choices.pick(&[json!(80), json!("25%"), json!(-1), json!("")]),
        Shape::Raw | Shape::Fields | Shape::Patch | Shape::Json => choices.pick(&any),
        Shape::SchemaOrArray => {
            choices.pick(&[json!({"type": "string"}), json!([{"type": "string"}, {"odd": 1}])])
        }
        Shape::SchemaOrBool => choices.pick(&[json!({"type": "string"}), json!(true), json!(false)]),
        Shape::SchemaOrStrings => choices.pick(&[json!({"type": "string"}), json!(["a", "b"])]),
    }
}

fn scalar(kind: Scalar, choices: &mut Choices) -> Tree {
    match kind {
        Scalar::String => choices.pick(&[json!(""), json!("web"), json!("é \"x\"\n")]),
        Scalar::Bool => choices.pick(&[json!(true), json!(false)]),
        Scalar::Int32 => choices.pick(&[json!(0), json!(1), json!(-1), json!(i32::MAX), json!(i32::MIN)]),
        Scalar::Int64 => choices.pick(&[json!(0), json!(7), json!(-1), json!(i64::MAX), json!(i64::MIN)]),
        Scalar::Double => choices.pick(&[json!(0), json!(1.5), json!(-2)]),
        Scalar::Bytes => choices.pick(&[json!(""), json!("aGk="), json!("AAECAw==")]),
        Scalar::Any => json!("any"),
    }
}
