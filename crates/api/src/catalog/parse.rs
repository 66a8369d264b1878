//! The catalogue's text form. Lines, with columns separated by tabs:
//!
//! ```text
//! =io.k8s.api.core.v1.Pod <shape> <Go type> <group/version/kind> <map type>     a type, followed by its fields
//! name <value type> <protobuf numbers: 2.4> <flags> <marker=value> …             a field, sorted by name
//! ```
//!
//! Value types: a scalar's name, `@definition` (`@.Name` in the same package), `[]item`, `<>item` (a list that is a
//! protobuf message of its own), `{}value`. Flags: `p`ointer, `e`mit nothing if empty, `z`ero is left out, `r`equired.
//! Markers: `list`, `patch`, `key`, `map`, `default`, `go` (type), `in` (Go names of embedded structs).

use std::collections::HashMap;

use super::{Catalog, ElementId, Field, Gvk, MapType, ProtoPath, Scalar, Shape, Type, TypeId, ValueType};

/// What is wrong with the table.
#[derive(Debug, thiserror::Error)]
#[error("{why}: {line}")]
pub(super) struct BadTable {
    why: &'static str,
    line: String,
}

fn bad(why: &'static str, line: &str) -> BadTable {
    BadTable { why, line: line.to_owned() }
}

/// Reads the table.
pub(super) fn parse(text: &'static str) -> Result<Catalog, BadTable> {
    let mut reader = Reader { ids: type_ids(text)?, ..Reader::default() };
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        match line.strip_prefix('=') {
            Some(rest) => reader.start_type(rest)?,
            None => reader.add_field(line)?,
        }
    }
    Ok(reader.finish())
}

fn type_ids(text: &'static str) -> Result<HashMap<&'static str, TypeId>, BadTable> {
    let lines = text.lines().filter_map(|l| l.strip_prefix('='));
    let names = lines.map(|l| l.split('\t').next().unwrap_or(l));
    names
        .enumerate()
        .map(|(at, name)| Ok((name, TypeId(u16::try_from(at).map_err(|_| bad("too many types", name))?))))
        .collect()
}

#[derive(Default)]
struct Reader {
    ids: HashMap<&'static str, TypeId>,
    package: &'static str,
    types: Vec<Type>,
    fields: Vec<Field>,
    elements: Vec<ValueType>,
}

impl Reader {
    fn start_type(&mut self, line: &'static str) -> Result<(), BadTable> {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [name, shape, go, gvk, map_type] = columns[..] else { return Err(bad("not five columns", line)) };
        let at = u16::try_from(self.fields.len()).map_err(|_| bad("too many fields", line))?;
        self.package = name.rsplit_once('.').ok_or_else(|| bad("no package", line))?.0;
        self.types.push(Type {
            name,
            shape: shape_from(shape).ok_or_else(|| bad("unknown shape", line))?,
            go,
            gvk: gvk_from(gvk),
            map_type: MapType::from_text(map_type),
            fields: at..at,
        });
        Ok(())
    }

    fn add_field(&mut self, line: &'static str) -> Result<(), BadTable> {
        let mut columns = line.splitn(5, '\t');
        let mut next = || columns.next().ok_or_else(|| bad("too few columns", line));
        let (name, value, proto, flags) = (next()?, next()?, next()?, next()?);
        let markers = columns.next().unwrap_or_default();
        let value = self.value_type(value).ok_or_else(|| bad("unknown type", line))?;
        let proto = proto_from(proto).ok_or_else(|| bad("bad protobuf numbers", line))?;
        self.fields.push(Field { name, value, proto, flags: flags_from(flags), markers });
        let owner = self.types.last_mut().ok_or_else(|| bad("a field before any type", line))?;
        owner.fields.end += 1;
        Ok(())
    }

    fn value_type(&mut self, text: &'static str) -> Option<ValueType> {
        if let Some(item) = text.strip_prefix("[]") {
            return Some(ValueType::List(self.element(item)?));
        }
        if let Some(item) = text.strip_prefix("<>") {
            return Some(ValueType::WrappedList(self.element(item)?));
        }
        if let Some(item) = text.strip_prefix("{}") {
            return Some(ValueType::Map(self.element(item)?));
        }
        match text.strip_prefix('@') {
            Some(name) => self.reference(name).map(ValueType::Ref),
            None => scalar_from(text).map(ValueType::Scalar),
        }
    }

    fn reference(&self, name: &str) -> Option<TypeId> {
        match name.starts_with('.') {
            true => self.ids.get(format!("{}{name}", self.package).as_str()).copied(),
            false => self.ids.get(name).copied(),
        }
    }

    fn element(&mut self, text: &'static str) -> Option<ElementId> {
        let value = self.value_type(text)?;
        let at = self.elements.iter().position(|v| *v == value).unwrap_or_else(|| {
            self.elements.push(value);
            self.elements.len() - 1
        });
        u16::try_from(at).ok().map(ElementId)
    }

    fn finish(self) -> Catalog {
        let kinds = self.types.iter().zip(0..).filter_map(|(t, at)| Some((t.gvk?, TypeId(at))));
        let mut gvks: Vec<(Gvk, TypeId)> = kinds.collect();
        gvks.sort_unstable_by_key(|(gvk, _)| *gvk);
        Catalog { types: self.types, fields: self.fields, elements: self.elements, gvks }
    }
}

fn gvk_from(text: &'static str) -> Option<Gvk> {
    let (rest, kind) = text.rsplit_once('/')?;
    let (group, version) = rest.rsplit_once('/')?;
    Some(Gvk { group, version, kind })
}

fn proto_from(text: &str) -> Option<ProtoPath> {
    let mut path = ProtoPath::default();
    for (at, number) in text.split('.').filter(|n| !n.is_empty()).enumerate() {
        *path.0.get_mut(at)? = number.parse().ok().filter(|n| *n != 0)?;
    }
    Some(path)
}

fn flags_from(text: &str) -> u8 {
    let bit = |letter| match letter {
        'p' => Field::POINTER,
        'e' => Field::OMIT_EMPTY,
        'z' => Field::OMIT_ZERO,
        'r' => Field::REQUIRED,
        _ => 0,
    };
    text.chars().fold(0, |flags, letter| flags | bit(letter))
}

fn scalar_from(text: &str) -> Option<Scalar> {
    Some(match text {
        "string" => Scalar::String,
        "boolean" => Scalar::Bool,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "double" => Scalar::Double,
        "bytes" => Scalar::Bytes,
        "any" => Scalar::Any,
        _ => return None,
    })
}

fn shape_from(text: &str) -> Option<Shape> {
    Some(match text {
        "struct" => Shape::Struct,
        "quantity" => Shape::Quantity,
        "time" => Shape::Time,
        "microtime" => Shape::MicroTime,
        "int-or-string" => Shape::IntOrString,
        "raw" => Shape::Raw,
        "fields" => Shape::Fields,
        "patch" => Shape::Patch,
        "json" => Shape::Json,
        "schema-or-array" => Shape::SchemaOrArray,
        "schema-or-bool" => Shape::SchemaOrBool,
        "schema-or-strings" => Shape::SchemaOrStrings,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_table_is_refused() {
        let cases = [
            ("name\tstring\t\t", "a field before any type"),
            ("=a.B\tstruct\tB", "not five columns"),
            ("=a.B\tcircle\tB\t\t", "unknown shape"),
            ("=a.B\tstruct\tB\t\t\nx\t@.C\t1\t", "unknown type"),
            ("=a.B\tstruct\tB\t\t\nx\tstring\t1.2.3.4\t", "bad protobuf numbers"),
            ("=a.B\tstruct\tB\t\t\nx", "too few columns"),
        ];
        for (text, why) in cases {
            assert_eq!(parse(text).expect_err(text).why, why, "{text}");
        }
    }

    #[test]
    fn a_small_table() {
        let text = "=a.B\tstruct\tv1.B\tg/v1/B\tatomic\nx\t{}[]@.B\t2.1\tpr\tlist=set\tkey=k\n";
        let c = parse(text).unwrap();
        let id = c.kind("g", "v1", "B").unwrap();
        let x = c.field(id, "x").unwrap();
        assert_eq!(x.proto.numbers(), [2, 1]);
        assert!(x.is_pointer() && x.is_required() && !x.omits_empty());
        assert_eq!(c.go_type(x), "map[string][]v1.B");
        assert_eq!(x.patch_merge_key(), Some("k"));
    }
}
