//! What a version says: schema, subresources, columns, selectable fields.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quote::is_printable;

use crate::apiextensions::schema::{defaults, openapi, paths, structural};
use crate::checks::Seen;
use crate::tree::{Read, same};

/// What is checked though definitions of before the check may lack it.
#[derive(Clone, Copy)]
pub(super) struct Demands {
    /// Schemas are structural.
    pub(super) structural: bool,
    /// Defaults have no unknown field.
    pub(super) pruned_defaults: bool,
    /// Of what a schema says.
    pub(super) openapi: openapi::Demands,
}

/// What a schema may say at its root if `status` is a subresource, with upstream's names for it.
const AT_ROOT: [(&str, &str); 22] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
];

/// Checks the part `schema` of a version.
pub(super) fn schema(found: &mut ErrorList, part: &Tree, has_status: bool, path: &Path, demands: Demands) {
    let (schema, at) = (part.at("openAPIV3Schema"), path.child("openAPIV3Schema"));
    if !schema.is_object() {
        return;
    }
    let before = found.len();
    if has_status {
        found.extend(root_problem(schema, &at));
    }
    if schema.flag("nullable") {
        found.push(Error::forbidden(at.child("nullable"), "nullable cannot be true at the root"));
    }
    let unreadable = if demands.structural { structural::unreadable(schema) } else { None };
    if demands.structural && unreadable.is_none() {
        let mut problems = structural::problems(schema, &at);
        if problems.is_empty() {
            problems = defaults::problems(schema, &at, demands.pruned_defaults);
        }
        found.append(&mut problems);
    }
    found.extend(openapi::problems(schema, &at, demands.openapi));
    // Mostly said in other words above.
    if found.len() == before
        && let Some(why) = unreadable
    {
        found.push(Error::invalid(at, "", why));
    }
}

fn root_problem(schema: &Tree, path: &Path) -> Option<Error> {
    let kind = schema.text("type");
    // Upstream goes through the fields of the struct and stops at the first odd one; the type comes after these.
    let earlier = ["id", "$schema", "$ref"].iter().any(|field| !schema.text(field).is_empty());
    if !earlier && !matches!(kind, "" | "object") {
        let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return Some(Error::invalid(path.child("type"), kind, why));
    }
    let known = |field: &str| AT_ROOT.iter().any(|(known, _)| *known == field);
    let pointer =
        |field: &str| matches!(field, "additionalProperties" | "additionalItems" | "default" | "not");
    let given = |field: &str, value: &Tree| !same(value, &Tree::Null) || (pointer(field) && !value.is_null());
    let odd = schema.entries("").any(|(field, value)| !known(field) && given(field, value));
    let names = AT_ROOT.map(|(_, name)| name).join(" ");
    let why = format!(
        "only [{names}] fields are allowed at the root of the schema if the status subresource is enabled"
    );
    odd.then(|| Error::invalid(path.clone(), schema.clone(), why))
}

/// Checks the part `subresources` of a version.
pub(super) fn subresources(found: &mut ErrorList, part: &Tree, path: &Path) {
    let scale = part.at("scale");
    if scale.is_null() {
        return;
    }
    let fields = [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")];
    for (field, below) in fields {
        let (text, at) = (scale.text(field), path.child(&format!("scale.{field}")));
        if text.is_empty() {
            found.push(Error::required(at, ""));
        } else if paths::simple(found, text, &at) && !text.starts_with(below) {
            let why = format!("should be a json path under {}", below.trim_end_matches('.'));
            found.push(Error::invalid(at, text, why));
        }
    }
    let (text, at) = (scale.text("labelSelectorPath"), path.child("scale.labelSelectorPath"));
    let placed = text.starts_with(".spec.") || text.starts_with(".status.");
    if !text.is_empty() && paths::simple(found, text, &at) && !placed {
        found.push(Error::invalid(at, text, "should be a json path under either .spec or .status"));
    }
}

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// Checks the part `additionalPrinterColumns` of a version.
pub(super) fn columns(found: &mut ErrorList, columns: &Tree, path: &Path) {
    for (index, column) in columns.items("").iter().enumerate() {
        let path = path.index(index);
        if column.text("name").is_empty() {
            found.push(Error::required(path.child("name"), ""));
        }
        let (kind, why) = (column.text("type"), format!("must be one of {}", COLUMN_TYPES.join(",")));
        if kind.is_empty() {
            found.push(Error::required(path.child("type"), why));
        } else if !COLUMN_TYPES.contains(&kind) {
            found.push(Error::invalid(path.child("type"), kind, why));
        }
        let format = column.text("format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
            found.push(Error::invalid(path.child("format"), format, why));
        }
        let (text, at) = (column.text("jsonPath"), path.child("JSONPath"));
        if text.is_empty() {
            found.push(Error::required(at, ""));
        } else {
            paths::simple(found, text, &at);
        }
    }
}

const MAX_SELECTABLE: usize = 8;

/// Checks the part `selectableFields` of a version. `more` allows more than there may be of them.
pub(super) fn selectable(found: &mut ErrorList, fields: &Tree, schema: &Tree, path: &Path, more: bool) {
    let mut seen = Seen::default();
    let mut count = 0;
    for (index, field) in fields.items("").iter().enumerate() {
        let (text, at) = (field.text("jsonPath"), path.index(index).child("jsonPath"));
        if text.is_empty() {
            found.push(Error::required(at, ""));
            continue;
        }
        let (names, leaf) = match paths::resolve(text, schema, false) {
            Ok(resolved) => resolved,
            Err(why) => {
                found.push(Error::invalid(at, text, format!("is an invalid path: {why}")));
                continue;
            }
        };
        if names.first().is_some_and(|name| name == "metadata") {
            found.push(Error::invalid(at.clone(), text, "must not point to fields in metadata"));
        }
        if !matches!(leaf.text("type"), "string" | "boolean" | "integer") {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            found.push(Error::invalid(at.clone(), text, why));
        }
        if seen.first(names.join(".")) {
            count += 1;
        } else {
            found.push(Error::duplicate(at, text));
        }
    }
    if count > MAX_SELECTABLE && !more {
        found.push(Error::too_many(path.clone(), count, MAX_SELECTABLE));
    }
}

/// Whether `new` is what `old` was, and that is more than there may be.
pub(super) fn too_many_already(new: &Tree, old: &Tree) -> bool {
    old.items("").len() > MAX_SELECTABLE && new == old
}

/// Checks `deprecationWarning` of a version.
pub(super) fn deprecation(found: &mut ErrorList, version: &Tree, path: &Path) {
    let Some(text) = version.at("deprecationWarning").as_str() else { return };
    let at = path.child("deprecationWarning");
    let mut push = |why: String| found.push(Error::invalid(at.clone(), text, why));
    if !version.flag("deprecated") {
        push("can only be set for deprecated versions".to_owned());
        return;
    }
    if text.len() > 256 {
        push("must be <= 256 characters long".to_owned());
    }
    if text.is_empty() {
        push("must not be an empty string".to_owned());
    }
    if let Some((index, _)) = text.char_indices().find(|(_, c)| !is_printable(*c)) {
        push(format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        ));
    }
}

/// The versions with the names of Go's fields, as upstream shows them; what is shared is not in them.
pub(super) fn as_go(versions: &Tree) -> Tree {
    let shown = |version: &Tree| {
        json!({
            "Name": version.text("name"), "Served": version.flag("served"), "Storage": version.flag("storage"),
            "Deprecated": version.flag("deprecated"), "DeprecationWarning": version.at("deprecationWarning"),
            "Schema": null, "Subresources": null, "AdditionalPrinterColumns": null, "SelectableFields": null,
        })
    };
    if versions.is_null() { Tree::Null } else { versions.items("").iter().map(shown).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;

    const ALL: Demands = Demands { structural: true, pruned_defaults: true, openapi: openapi::Demands::ALL };

    fn of_schema(schema: Tree, has_status: bool) -> Vec<String> {
        let mut found = ErrorList::new();
        super::schema(&mut found, &json!({"openAPIV3Schema": schema}), has_status, &Path::new("s"), ALL);
        texts(&found)
    }

    #[test]
    fn schemas_are_checked_step_by_step() {
        assert!(
            of_schema(json!({"type": "object", "properties": {"a": {"type": "string"}}}), true).is_empty()
        );
        let cases: Vec<(Tree, bool, Vec<&str>)> = vec![
            (
                json!({"type": "object", "nullable": true}),
                false,
                vec!["s.openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root"],
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "default": 1}}}),
                false,
                vec![
                    "s.openAPIV3Schema.properties[a].default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
                ],
            ),
            (
                json!({"type": "object", "$schema": "x"}),
                false,
                vec!["s.openAPIV3Schema: Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"],
            ),
            (
                json!({"type": "string"}),
                true,
                vec![
                    "s.openAPIV3Schema.type: Invalid value: \"string\": only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled",
                    "s.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root",
                ],
            ),
        ];
        for (schema, has_status, want) in cases {
            assert_eq!(of_schema(schema.clone(), has_status), want, "{schema}");
        }
        let got = of_schema(json!({"type": "object", "maxProperties": 3}), true);
        let want = "s.openAPIV3Schema: Invalid value: {\"maxProperties\":3,\"type\":\"object\"}: only [Description Type Format ";
        assert!(got.len() == 1 && got[0].starts_with(want), "{got:?}");
    }

    #[test]
    fn scales_have_paths() {
        let check = |scale: Tree| {
            let mut found = ErrorList::new();
            subresources(&mut found, &json!({"scale": scale}), &Path::new("s"));
            texts(&found)
        };
        assert!(check(json!({"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n", "labelSelectorPath": ".status.s"})).is_empty());
        let want = ["s.scale.specReplicasPath: Required value", "s.scale.statusReplicasPath: Required value"];
        assert_eq!(check(json!({})), want);
        let want = [
            "s.scale.specReplicasPath: Invalid value: \".status.n\": should be a json path under .spec",
            "s.scale.statusReplicasPath: Invalid value: \"status.n\": must be a simple json path starting with .",
            "s.scale.labelSelectorPath: Invalid value: \".x\": should be a json path under either .spec or .status",
        ];
        let got = check(
            json!({"specReplicasPath": ".status.n", "statusReplicasPath": "status.n", "labelSelectorPath": ".x"}),
        );
        assert_eq!(got, want);
    }

    #[test]
    fn columns_have_types_and_paths() {
        let check = |column: Tree| {
            let mut found = ErrorList::new();
            columns(&mut found, &json!([column]), &Path::new("c"));
            texts(&found)
        };
        assert!(
            check(json!({"name": "n", "type": "integer", "format": "int32", "jsonPath": ".spec.n"}))
                .is_empty()
        );
        let want = [
            "c[0].name: Required value",
            "c[0].type: Required value: must be one of boolean,date,integer,number,string",
            "c[0].JSONPath: Required value",
        ];
        assert_eq!(check(json!({})), want);
        let want = [
            "c[0].type: Invalid value: \"t\": must be one of boolean,date,integer,number,string",
            "c[0].format: Invalid value: \"f\": must be one of byte,date,date-time,double,float,int32,int64,password",
            "c[0].JSONPath: Invalid value: \"p\": must be a simple json path starting with .",
        ];
        assert_eq!(check(json!({"name": "n", "type": "t", "format": "f", "jsonPath": "p"})), want);
    }

    #[test]
    fn selectable_fields_are_scalars() {
        let schema = json!({"properties": {"a": {"type": "string"}, "o": {"type": "object"}, "metadata":
            {"properties": {"name": {"type": "string"}}}}});
        let check = |fields: Tree| {
            let mut found = ErrorList::new();
            selectable(&mut found, &fields, &schema, &Path::new("f"), false);
            texts(&found)
        };
        assert!(check(json!([{"jsonPath": ".a"}])).is_empty());
        let got = check(
            json!([{}, {"jsonPath": ".b"}, {"jsonPath": ".o"}, {"jsonPath": ".metadata.name"}, {"jsonPath": ".a"},
            {"jsonPath": ".a"}]),
        );
        let want = [
            "f[0].jsonPath: Required value",
            "f[1].jsonPath: Invalid value: \".b\": is an invalid path: does not refer to a valid field",
            "f[2].jsonPath: Invalid value: \".o\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            "f[3].jsonPath: Invalid value: \".metadata.name\": must not point to fields in metadata",
            "f[5].jsonPath: Duplicate value: \".a\"",
        ];
        assert_eq!(got, want);
        let names: Vec<String> = (0..9).map(|n| format!("p{n}")).collect();
        let wide = json!({"properties": names.iter().map(|n| (n.clone(), json!({"type": "string"}))).collect::<serde_json::Map<_, _>>()});
        let fields: Tree = names.iter().map(|n| json!({"jsonPath": format!(".{n}")})).collect();
        let mut found = ErrorList::new();
        selectable(&mut found, &fields, &wide, &Path::new("f"), false);
        assert_eq!(texts(&found), ["f: Too many: 9: must have at most 8 items"]);
        assert!(too_many_already(&fields, &fields));
    }

    #[test]
    fn deprecations_are_told_in_a_line() {
        let check = |version: Tree| {
            let mut found = ErrorList::new();
            deprecation(&mut found, &version, &Path::new("v"));
            found.into_iter().map(|error| error.detail).collect::<Vec<_>>()
        };
        assert!(check(json!({"deprecated": true, "deprecationWarning": "use v2"})).is_empty());
        assert_eq!(check(json!({"deprecationWarning": "x"})), ["can only be set for deprecated versions"]);
        assert_eq!(
            check(json!({"deprecated": true, "deprecationWarning": ""})),
            ["must not be an empty string"]
        );
        let long = "x".repeat(257);
        assert_eq!(
            check(json!({"deprecated": true, "deprecationWarning": long})),
            ["must be <= 256 characters long"]
        );
        let want = "must only contain printable UTF-8 characters; non-printable character found at index 1";
        assert_eq!(check(json!({"deprecated": true, "deprecationWarning": "a\n"})), [want]);
    }
}
