use proptest::prelude::*;
use serde_json::json;

use super::*;

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Errors of `{"spec": {"x": value}}` where `x` has the schema.
fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let schema =
        json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": schema}}}});
    texts(&Schema::parse(&schema).unwrap().validate(&json!({"spec": {"x": value}})))
}

#[test]
fn keywords_are_worded_as_upstream_words_them() {
    let cases = [
        (
            json!({"type": "integer"}),
            json!("a"),
            "spec.x: Invalid value: \"string\": spec.x in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "string"}),
            json!(null),
            "spec.x: Invalid value: \"null\": spec.x in body must be of type string: \"null\"",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "spec.x: Invalid value: \"boolean\": spec.x in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"type": "string", "format": "date"}),
            json!(5),
            "spec.x: Invalid value: \"int64\": spec.x in body must be of type date: \"int64\"",
        ),
        (
            json!({"type": "string", "format": "date"}),
            json!("x"),
            "spec.x: Invalid value: \"x\": spec.x in body must be of type date: \"x\"",
        ),
        (
            json!({"type": "integer", "maximum": 10}),
            json!(11),
            "spec.x: Invalid value: 11: spec.x in body should be less than or equal to 10",
        ),
        (
            json!({"type": "number", "maximum": 10.5}),
            json!(11.0),
            "spec.x: Invalid value: 11: spec.x in body should be less than or equal to 10.5",
        ),
        (
            json!({"type": "integer", "maximum": 10, "exclusiveMaximum": true}),
            json!(10),
            "spec.x: Invalid value: 10: spec.x in body should be less than 10",
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
            json!(1),
            "spec.x: Invalid value: 1: spec.x in body should be greater than 1",
        ),
        (
            json!({"type": "integer", "multipleOf": 3}),
            json!(4),
            "spec.x: Invalid value: 4: spec.x in body should be a multiple of 3",
        ),
        (
            json!({"type": "number", "multipleOf": 0.5}),
            json!(0.7),
            "spec.x: Invalid value: 0.7: spec.x in body should be a multiple of 0.5",
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_i64),
            "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.x",
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("éàü"),
            "spec.x: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("é"),
            "spec.x: Invalid value: \"é\": spec.x in body should be at least 2 chars long",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            "spec.x: Invalid value: \"b\": spec.x in body should match '^a+$'",
        ),
        (
            json!({"type": "string", "enum": ["b", "a"]}),
            json!("x"),
            "spec.x: Unsupported value: \"x\": supported values: \"b\", \"a\"",
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            "spec.x: Unsupported value: 3: supported values: \"1\", \"2\"",
        ),
        (
            json!({"type": "string", "nullable": true, "enum": ["a", null]}),
            json!(null),
            "spec.x: Unsupported value: null: supported values: \"a\", \"null\"",
        ),
        (
            json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}),
            json!(["a", "b"]),
            "spec.x: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "array", "minItems": 2}),
            json!(["a"]),
            "spec.x: Invalid value: 1: spec.x in body should have at least 2 items",
        ),
        (
            json!({"type": "array", "uniqueItems": true}),
            json!([1, 1]),
            "spec.x: Invalid value: \"\": spec.x in body shouldn't contain duplicates",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 1]),
            "spec.x[1]: Invalid value: \"integer\": spec.x[1] in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "maxProperties": 1}),
            json!({"a": 1, "b": 2}),
            "spec.x: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "object", "minProperties": 1}),
            json!({}),
            "spec.x: Invalid value: 0: spec.x in body should have at least 1 properties",
        ),
        (json!({"type": "object", "required": ["a"]}), json!({}), "spec.x.a: Required value"),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"a": 1}),
            "spec.x.a: Invalid value: \"integer\": spec.x.a in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "additionalProperties": false}),
            json!({"a": 1}),
            "spec.x: Invalid value: \"a\": spec.x.a in body is a forbidden property",
        ),
        (
            json!({"type": "string", "not": {"enum": ["a"]}}),
            json!("a"),
            "<nil>: Invalid value: \"\": \"spec.x\" must not validate the schema (not)",
        ),
    ];
    for (schema, value, want) in cases {
        assert_eq!(problems(&schema, &value), [want], "{schema} {value}");
    }
}

#[test]
fn a_fraction_is_no_integer_in_two_ways() {
    let want = [
        "spec.x: Invalid value: \"float64\": spec.x in body must be of type int32: \"float64\"",
        "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.x",
    ];
    assert_eq!(problems(&json!({"type": "integer", "format": "int32"}), &json!(1.5)), want);
    let want = [
        "spec.x: Invalid value: \"number\": spec.x in body must be of type integer: \"number\"",
        "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.x",
    ];
    assert_eq!(problems(&json!({"type": "integer"}), &json!(1.5)), want);
}

#[test]
fn what_fits_has_no_problems() {
    let cases = [
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "number"}), json!(1)),
        (json!({"type": "number", "multipleOf": 0.1}), json!(0.3)),
        (json!({"x-kubernetes-int-or-string": true}), json!("50%")),
        (json!({"x-kubernetes-int-or-string": true}), json!(50)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (json!({"type": "string", "format": "unknown"}), json!("x")),
        (
            json!({"type": "string", "format": "date"}),
            json!(["upstream", "leaves", "lists", "to", "the", "format"]),
        ),
        (json!({"type": "number", "enum": [1]}), json!(1.0)),
        (json!({"type": "object", "additionalProperties": true}), json!({"a": 1})),
        (json!({}), json!([{"anything": null}])),
    ];
    for (schema, value) in cases {
        assert!(problems(&schema, &value).is_empty(), "{schema} {value}");
    }
}

#[test]
fn junctors_show_what_comes_closest() {
    let any_of = json!({"type": "object", "properties": {"a": {}, "b": {}, "n": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
    let want = [
        "<nil>: Invalid value: \"\": \"spec.x\" must validate at least one schema (anyOf)",
        "spec.x.a: Required value",
    ];
    assert_eq!(problems(&any_of, &json!({})), want);
    assert!(problems(&any_of, &json!({"b": 1})).is_empty());
    let one_of = json!({"type": "object", "properties": {"a": {}, "b": {}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    let want = [
        "<nil>: Invalid value: \"\": \"spec.x\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
    ];
    assert_eq!(problems(&one_of, &json!({"a": 1, "b": 1})), want);
    let want = [
        "<nil>: Invalid value: \"\": \"spec.x\" must validate one and only one schema (oneOf). Found none valid",
        "spec.x.a: Required value",
    ];
    assert_eq!(problems(&one_of, &json!({})), want);
    let all_of = json!({"type": "integer", "allOf": [{"minimum": 5}, {"maximum": 7}]});
    let want = [
        "spec.x: Invalid value: 8: spec.x in body should be less than or equal to 7",
        "<nil>: Invalid value: \"\": \"spec.x\" must validate all the schemas (allOf)",
    ];
    assert_eq!(problems(&all_of, &json!(8)), want);
    let closest = json!({"type": "object", "anyOf": [
        {"required": ["z"]}, {"properties": {"n": {"minimum": 3}, "m": {"minimum": 1}}}]});
    let got = problems(&closest, &json!({"n": 1, "m": 1}));
    assert_eq!(got[1], "spec.x.n: Invalid value: 1: spec.x.n in body should be greater than or equal to 3");
}

#[test]
fn errors_at_the_root() {
    let schema = Schema::parse(&json!({"type": "object", "required": ["spec"], "minProperties": 1})).unwrap();
    let want =
        ["<nil>: Invalid value: 0:  in body should have at least 1 properties", "spec: Required value"];
    assert_eq!(texts(&schema.validate(&json!({}))), want);
}

fn ratcheted() -> Schema {
    Schema::parse(&json!({"type": "object", "properties": {
        "kind": {"type": "string", "maxLength": 1},
        "spec": {"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1}, "b": {"type": "integer", "maximum": 1},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 1}}}},
            "plain": {"type": "array", "items": {"type": "integer", "maximum": 1}},
            "m": {"type": "object", "maxProperties": 0, "properties": {"n": {"type": "integer"}}}}},
        "status": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 1}}}}}))
    .unwrap()
}

#[test]
fn unchanged_values_may_stay_wrong() {
    let old = json!({"kind": "KK", "spec": {"a": "xx", "b": 5, "list": [{"k": "1", "v": 5}, {"k": "2", "v": 5}],
        "plain": [5, 6], "m": {"n": 1}}});
    let cases = [
        ("/spec/b", json!(5), &[][..]),
        ("/spec/b", json!(6), &["spec.b"]),
        ("/spec/list", json!([{"k": "2", "v": 5}, {"k": "1", "v": 5}, {"k": "3", "v": 1}]), &[]),
        ("/spec/list", json!([{"k": "2", "v": 6}, {"k": "1", "v": 5}]), &["spec.list[0].v"]),
        ("/spec/list", json!([{"k": "3", "v": 5}]), &["spec.list[0].v"]),
        ("/spec/plain", json!([5, 6, 1]), &["spec.plain[0]", "spec.plain[1]"]),
        ("/spec/m", json!({"n": 2}), &["spec.m"]),
    ];
    for (at, value, want) in cases {
        let mut new = old.clone();
        new["kind"] = "K".into();
        *new.pointer_mut(at).unwrap() = value;
        let errors = ratcheted().validate_update(&new, &old);
        let paths: Vec<String> = errors.iter().map(|error| error.path.to_string()).collect();
        assert_eq!(paths, want, "{at} {new}");
    }
    let want = ["kind: Too long: may not be more than 1 byte"];
    let mut new = old.clone();
    new["spec"]["b"] = 1.into();
    assert_eq!(texts(&ratcheted().validate_update(&new, &old)), want, "versions cannot be compared");
}

#[test]
fn a_status_is_looked_at_alone() {
    let (old, new) = (json!({"status": {"n": 5}}), json!({"spec": {"b": 9}, "status": {"n": 6}}));
    let want = ["status.n: Invalid value: 6: n in body should be less than or equal to 1"];
    assert_eq!(texts(&ratcheted().validate_status_update(&new, &old)), want);
    assert!(ratcheted().validate_status_update(&old, &old).is_empty());
    assert!(ratcheted().validate_status_update(&json!({}), &old).is_empty());
}

fn any_tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..12_i64).prop_map(Value::from),
        (-2.0..9.0).prop_map(|f: f64| Value::from(f)),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec!["a", "b", "list", "map", "spec", "x", "kind", "metadata"]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Value> {
    (any_tree(), any_tree(), any_tree()).prop_map(
        |(a, spec, x)| json!({"spec": {"a": a, "spec": spec, "x": x, "list": [spec], "map": {"k": x}}}),
    )
}

/// A schema that looks at much of what such objects hold.
fn wide() -> Schema {
    let leaf = json!({"type": "object", "properties": {"a": {"type": "integer", "default": 1, "maximum": 5},
        "b": {"type": "string", "default": "b", "nullable": true}}, "default": {"a": 2}});
    Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "default": "x"}, "spec": leaf, "list": {"type": "array", "items": leaf},
        "map": {"type": "object", "additionalProperties": leaf},
        "x": {"x-kubernetes-preserve-unknown-fields": true, "properties": {"spec": leaf}}}}}}))
    .unwrap()
}

proptest! {
    #[test]
    fn pruning_twice_is_pruning_once(object in any_object()) {
        let mut once = object;
        wide().prune(&mut once);
        let mut twice = once.clone();
        prop_assert!(wide().prune(&mut twice).is_empty());
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(object in any_object()) {
        let mut once = object;
        wide().apply_defaults(&mut once);
        let mut twice = once.clone();
        wide().apply_defaults(&mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn pruning_leaves_valid_what_was_valid(object in any_object()) {
        let before = wide().validate(&object);
        let mut pruned = object;
        wide().prune(&mut pruned);
        prop_assert_eq!(before, wide().validate(&pruned));
    }

    #[test]
    fn an_update_that_changes_nothing_known_is_valid(object in any_object()) {
        let mut object = object;
        wide().prune(&mut object);
        // What is preserved without a schema cannot be compared.
        object["spec"].as_object_mut().unwrap().remove("x");
        prop_assert_eq!(wide().validate_update(&object, &object), vec![]);
    }

    #[test]
    fn ratcheting_only_forgives(new in any_object(), old in any_object()) {
        let strict = wide().validate(&new);
        let left = wide().validate_update(&new, &old);
        prop_assert!(left.iter().all(|error| strict.contains(error)));
    }
}
