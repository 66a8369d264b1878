//! Printer columns of a custom resource.

use jiff::Timestamp;
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::quote::{go_value, json as go_json};
use steersman_apimachinery::time::{human_duration, parse};

use crate::jsonpath::JsonPath;
use crate::texts::texts;
use crate::validate::truncated;

/// One column of what `kubectl get` prints.
#[derive(Clone, Debug, PartialEq)]
pub struct PrinterColumn {
    /// Header.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// OpenAPI format; empty if not stated.
    pub format: String,
    /// For the table's `columnDefinitions`.
    pub description: String,
    /// 0 is always shown, others with `-o wide`.
    pub priority: i64,
    path: JsonPath,
}

/// A column whose path cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized column definition {0:?}")]
pub struct InvalidColumn(pub String);

/// The name, and the `additionalPrinterColumns` of a definition (the age, if there are none). A column that cannot be
/// read ends the table before it; the error is the caller's to log.
pub fn printer_columns(additional: &[Value]) -> (Vec<PrinterColumn>, Option<InvalidColumn>) {
    let mut out = vec![of_metadata("Name", "string", "name", ".metadata.name", &texts().name)];
    for column in additional {
        match PrinterColumn::parse(column) {
            Ok(column) => out.push(column),
            Err(problem) => return (out, Some(problem)),
        }
    }
    if additional.is_empty() {
        let description = &texts().creation_timestamp;
        out.push(of_metadata("Age", "date", "", ".metadata.creationTimestamp", description));
    }
    (out, None)
}

fn of_metadata(name: &str, kind: &str, format: &str, path: &str, description: &str) -> PrinterColumn {
    PrinterColumn {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: format.to_owned(),
        description: description.to_owned(),
        priority: 0,
        path: JsonPath::parse(path).expect("a constant path"),
    }
}

impl PrinterColumn {
    fn parse(column: &Value) -> Result<Self, InvalidColumn> {
        let path = column.str_at("jsonPath");
        let description = match column.str_at("description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            stated => stated.to_owned(),
        };
        Ok(Self {
            name: column.str_at("name").to_owned(),
            kind: column.str_at("type").to_owned(),
            format: column.str_at("format").to_owned(),
            description,
            priority: column.i64_at("priority").unwrap_or(0),
            path: JsonPath::parse(path).map_err(|_| InvalidColumn(path.to_owned()))?,
        })
    }

    /// The cell of one object: null where nothing is found, or something of another type. `now` is for dates, which
    /// are shown as ages.
    pub fn cell(&self, object: &Tree, now: Timestamp) -> Value {
        let found = self.path.find(object).unwrap_or_default();
        match (self.kind.as_str(), found.first().copied()) {
            (_, None) => Value::Null,
            ("string", Some(value)) => text(value).into(),
            ("integer", Some(Value::Number(n))) => {
                n.as_i64().or_else(|| n.as_f64().map(truncated)).map_or(Value::Null, Value::from)
            }
            ("number", Some(Value::Number(n))) => n.as_f64().map_or(Value::Null, Value::from),
            ("boolean", Some(Value::Bool(b))) => (*b).into(),
            ("date", Some(Value::String(stamp))) => age(stamp, now).into(),
            _ => Value::Null,
        }
    }
}

/// A value as text: objects and lists as JSON, others as Go prints them.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::Array(_) | Value::Object(_) => go_json(value),
        scalar => go_value(scalar),
    }
}

fn age(stamp: &str, now: Timestamp) -> String {
    if matches!(stamp, "" | "null") {
        return "<unknown>".to_owned();
    }
    match parse(stamp) {
        Ok(then) => {
            human_duration(now.as_millisecond().saturating_sub(then.as_millisecond()).div_euclid(1000))
        }
        Err(_) => "<invalid>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cells(columns: &[PrinterColumn], object: &Value, now: Timestamp) -> Vec<Value> {
        columns.iter().map(|column| column.cell(object, now)).collect()
    }

    #[test]
    fn cells_have_the_types_of_their_columns() {
        let column = |kind: &str, path: &str| json!({"name": path, "type": kind, "jsonPath": path});
        let object = json!({"metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {
            "s": "text", "i": 5, "f": 1.5, "w": 2.0, "b": true, "null": null, "list": ["a", 1], "map": {"k": "<"},
            "d": "2026-01-01T00:00:00Z", "nodate": "yesterday"}});
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let cases = [
            ("string", ".spec.s", json!("text")),
            ("string", ".spec.i", json!("5")),
            ("string", ".spec.w", json!("2")),
            ("string", ".spec.b", json!("true")),
            ("string", ".spec.list", json!("[\"a\",1]")),
            ("string", ".spec.map", json!("{\"k\":\"\\u003c\"}")),
            ("string", ".spec.null", json!("<no value>")),
            ("string", ".spec.missing", json!(null)),
            ("integer", ".spec.i", json!(5)),
            ("integer", ".spec.f", json!(1)),
            ("integer", ".spec.s", json!(null)),
            ("number", ".spec.f", json!(1.5)),
            ("number", ".spec.i", json!(5.0)),
            ("boolean", ".spec.b", json!(true)),
            ("boolean", ".spec.s", json!(null)),
            ("date", ".spec.d", json!("60m")),
            ("date", ".spec.nodate", json!("<invalid>")),
            ("date", ".spec.null", json!(null)),
            ("integer", ".spec.list[9]", json!(null)),
        ];
        for (kind, path, want) in cases {
            let (columns, problem) = printer_columns(&[column(kind, path)]);
            let got = (cells(&columns, &object, now), problem);
            assert_eq!(got, (vec![json!("n"), want], None), "{kind} {path}");
        }
        let (columns, _) = printer_columns(&[]);
        assert_eq!(cells(&columns, &object, now), [json!("n"), json!("60m")]);
        assert_eq!(columns[1].name, "Age");
    }

    #[test]
    fn headers_say_what_the_definition_says() {
        let (columns, problem) = printer_columns(&[
            json!({"name": "A", "type": "integer", "jsonPath": ".a", "format": "int32", "priority": 1, "description": "d"}),
            json!({"name": "B", "type": "string", "jsonPath": ".b"}),
            json!({"name": "C", "type": "string", "jsonPath": "c["}),
        ]);
        assert_eq!(problem.unwrap().to_string(), "unrecognized column definition \"c[\"");
        let [name, a, b] = columns.as_slice() else { panic!("{columns:?}") };
        assert!(name.description.starts_with("Name must be unique within a namespace."));
        let of_a = (a.name.as_str(), a.format.as_str(), a.description.as_str(), a.priority);
        assert_eq!(of_a, ("A", "int32", "d", 1));
        assert_eq!(b.description, "Custom resource definition column (in JSONPath format): .b");
    }
}
