use serde_json::json;

use super::*;
use crate::checks::tests::texts;

fn check(schema: &Tree) -> Vec<String> {
    texts(&problems(schema, &Path::new("s"), Demands::ALL))
}

#[test]
fn some_words_are_not_for_custom_resources() {
    let cases: Vec<(Tree, Vec<&str>)> = vec![
        (json!({"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}), vec![]),
        (
            json!({"type": "text"}),
            vec![
                "s.type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            ],
        ),
        (
            json!({"id": "i", "additionalItems": false, "patternProperties": {"a": {"type": "string"}},
                "definitions": {"a": {"type": "string"}}, "dependencies": {"a": ["b"]}, "$ref": "r"}),
            vec![
                "s.id: Forbidden: id is not supported",
                "s.additionalItems: Forbidden: additionalItems is not supported",
                "s.patternProperties: Forbidden: patternProperties is not supported",
                "s.definitions: Forbidden: definitions is not supported",
                "s.dependencies: Forbidden: dependencies is not supported",
                "s.$ref: Forbidden: $ref is not supported",
            ],
        ),
        (
            json!({"type": "array", "items": [{"type": "string"}], "uniqueItems": true}),
            vec![
                "s.items: Forbidden: items must be a schema object and not an array",
                "s.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ],
        ),
        (
            json!({"properties": {"a": {"type": "string"}}, "additionalProperties": false,
                "x-kubernetes-preserve-unknown-fields": false}),
            vec![
                "s.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
                "s.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
            ],
        ),
        (
            json!({"properties": {"metadata": {"default": {}, "x-kubernetes-embedded-resource": true}}}),
            vec![
                "s.properties[metadata].default: Forbidden: must not be set in top-level metadata",
                "s.properties[metadata].x-kubernetes-embedded-resource: Forbidden: must not be used inside of resource meta",
            ],
        ),
        (
            json!({"properties": {"t": {"x-kubernetes-embedded-resource": true, "properties": {"metadata":
                {"additionalProperties": {"default": "x"}}}}}}),
            vec![
                "s.properties[t].properties[metadata].additionalProperties.default: Forbidden: must not be set inside additionalProperties applying to object metadata",
            ],
        ),
    ];
    for (schema, want) in cases {
        assert_eq!(check(&schema), want, "{schema}");
    }
    let got = check(&json!({"type": "null"}));
    assert_eq!(got[1], "s.type: Forbidden: type cannot be set to null, use nullable as an alternative");
}

#[test]
fn lists_and_maps_say_how_they_merge() {
    let (list, map, keys) = ("x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-list-map-keys");
    let key = json!({"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]});
    let cases: Vec<(Tree, Vec<&str>)> = vec![
        (json!({"type": "array", list: "map", keys: ["k"], "items": key}), vec![]),
        (
            json!({map: "atomic", list: "set"}),
            vec![
                "s.type: Required value: must be object if x-kubernetes-map-type is specified",
                "s.type: Required value: must be array if x-kubernetes-list-type is specified",
            ],
        ),
        (
            json!({"type": "string", map: "x"}),
            vec![
                "s.type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified",
                "s.x-kubernetes-map-type: Unsupported value: \"x\": supported values: \"atomic\", \"granular\"",
            ],
        ),
        (
            json!({"type": "array", list: "bag", keys: ["k"]}),
            vec![
                "s.x-kubernetes-list-type: Unsupported value: \"bag\": supported values: \"atomic\", \"set\", \"map\"",
                "s.x-kubernetes-list-type: Invalid value: \"bag\": must be map if x-kubernetes-list-map-keys is non-empty",
            ],
        ),
        (
            json!({"type": "array", keys: ["k"]}),
            vec![
                "s.x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty",
            ],
        ),
        (
            json!({"type": "array", list: "set", "items": {"type": "object"}}),
            vec![
                "s.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
            ],
        ),
        (
            json!({"type": "array", list: "set", "items": {"type": "array", list: "map", keys: ["k"], "items": key}}),
            vec![
                "s.items.x-kubernetes-list-type: Invalid value: \"map\": must be atomic as item of a list with x-kubernetes-list-type=set",
            ],
        ),
        (
            json!({"type": "array", list: "map"}),
            vec![
                "s.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
                "s.items: Required value: must have a schema if x-kubernetes-list-type is map",
            ],
        ),
        (
            json!({"type": "array", list: "map", keys: ["k"], "items": {"type": "string"}}),
            vec![
                "s.items.type: Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map",
            ],
        ),
        (
            json!({"type": "array", list: "map", keys: ["k", "k", "l"], "items": {"type": "object", "nullable": true,
                "properties": {"k": {"type": "object", "nullable": true}}}}),
            vec![
                "s.items.properties[k].type: Invalid value: \"object\": must be a scalar type if parent array's x-kubernetes-list-type is map",
                "s.items.properties[k].type: Invalid value: \"object\": must be a scalar type if parent array's x-kubernetes-list-type is map",
                "s.x-kubernetes-list-map-keys: Invalid value: [\"k\",\"k\",\"l\"]: must not contain duplicate entries",
                "s.x-kubernetes-list-map-keys: Invalid value: [\"k\",\"k\",\"l\"]: entries must all be names of item properties",
                "s.items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is map",
                "s.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                "s.items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                "s.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                "s.items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
            ],
        ),
    ];
    for (schema, want) in cases {
        assert_eq!(check(&schema), want, "{schema}");
    }
}

#[test]
fn rules_come_with_their_texts() {
    let path = "s.x-kubernetes-validations[0]";
    let cases: Vec<(Tree, Vec<String>)> = vec![
        (json!({"rule": "true", "message": "m", "reason": "FieldValueInvalid", "fieldPath": ".a"}), vec![]),
        (json!({"rule": " "}), vec![format!("{path}.rule: Required value: rule is not specified")]),
        (
            json!({"rule": "true", "message": " ", "messageExpression": " "}),
            vec![
                format!("{path}.message: Invalid value: \" \": must be non-empty if specified"),
                format!(
                    "{path}.messageExpression: Required value: messageExpression must be non-empty if specified"
                ),
            ],
        ),
        (
            json!({"rule": "true", "message": "a\nb"}),
            vec![format!("{path}.message: Invalid value: \"a\\nb\": must not contain line breaks")],
        ),
        (
            json!({"rule": "true\n&& true"}),
            vec![format!(
                "{path}.message: Required value: message must be specified if rule contains line breaks"
            )],
        ),
        (
            json!({"rule": "true", "reason": "Because"}),
            vec![format!(
                "{path}.reason: Unsupported value: \"Because\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
            )],
        ),
        (
            json!({"rule": "true", "fieldPath": ".b\n"}),
            vec![
                format!("{path}.fieldPath: Invalid value: \".b\\n\": must not contain line breaks"),
                format!("{path}.fieldPath: Invalid value: \".b\\n\": must be a valid path"),
            ],
        ),
    ];
    for (rule, want) in cases {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [rule]});
        assert_eq!(check(&schema), want, "{rule}");
    }
}

#[test]
fn old_definitions_keep_what_they_lack() {
    let of = |schema: Tree| Demands::met_by([&schema].into_iter());
    assert!(!of(json!({"properties": {"a": {"type": "text"}}})).types);
    let set = json!({"x-kubernetes-list-type": "set", "items": {"type": "object"}});
    assert!(!of(json!({"properties": {"a": set}})).atomic_sets);
    let nullable = json!({"x-kubernetes-list-type": "set", "items": {"type": "string", "nullable": true}});
    assert!(!of(nullable).map_keys);
    let good = of(json!({"type": "object"}));
    assert!(good.types && good.atomic_sets && good.map_keys);
}
