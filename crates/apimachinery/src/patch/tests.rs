use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schema::{FieldSchema, ListKind, ListSchema, Schema, StructSchema};

struct Fields(Vec<(&'static str, FieldSchema)>);

impl StructSchema for Fields {
    fn field(&self, name: &str) -> Option<FieldSchema> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, schema)| schema.clone())
    }
}

fn field(schema: Schema, strategy: &str, key: &str) -> FieldSchema {
    let text = |s: &str| (!s.is_empty()).then(|| Arc::from(s));
    FieldSchema { schema, patch_strategy: text(strategy), patch_merge_key: text(key), default: None }
}

fn list(items: Schema) -> Schema {
    Schema::List(Arc::new(ListSchema { items, kind: ListKind::Atomic }))
}

/// Like a pod: `containers` merge by name and hold `ports`; `tags` is a list of merged scalars, `args` one that is
/// replaced; `strategy` a map that is replaced, `volume` one whose kept keys a patch names.
fn schema() -> Schema {
    let port = Schema::Struct(Arc::new(Fields(vec![("port", field(Schema::Atomic, "", ""))])));
    let container = Schema::Struct(Arc::new(Fields(vec![
        ("name", field(Schema::Atomic, "", "")),
        ("image", field(Schema::Atomic, "", "")),
        ("ports", field(list(port), "merge", "port")),
        ("args", field(list(Schema::Atomic), "", "")),
    ])));
    let free = Schema::Map(Arc::new(Schema::Atomic));
    Schema::Struct(Arc::new(Fields(vec![
        ("containers", field(list(container.clone()), "merge", "name")),
        ("tags", field(list(Schema::Atomic), "merge", "")),
        ("args", field(list(Schema::Atomic), "", "")),
        ("labels", field(free.clone(), "", "")),
        ("strategy", field(free.clone(), "replace", "")),
        ("volume", field(free, "retainKeys", "")),
        ("nested", field(container, "", "")),
        ("keyless", field(list(Schema::Untyped), "merge", "")),
    ])))
}

fn strategic(object: Tree, patch: Tree) -> Result<Tree, ApiError> {
    apply_strategic(&object, &patch, &schema())
}

#[test]
fn merge_patch_follows_the_table_of_rfc_7386() {
    let cases = [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a":"b"}), json!(["c"]), json!(["c"])),
        (json!({"a":"foo"}), json!(null), json!(null)),
        (json!({"a":"foo"}), json!("bar"), json!("bar")),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
        (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
    ];
    for (mut target, patch, want) in cases {
        merge(&mut target, &patch);
        assert_eq!(target, want, "{patch}");
    }
}

#[test]
fn a_merge_patch_of_an_object_drops_nulls_as_upstreams_library_does() {
    let cases = [
        (json!({}), json!({"a": [{"b": null}, null]}), json!({"a": [{}, null]})),
        (json!({"a": [1]}), json!({"a": [{"b": null}]}), json!({"a": [{}]})),
        (json!({"a": {"x": 1}}), json!({"a": [{"b": null}]}), json!({"a": [{"b": null}]})),
        (json!({"a": {"x": 1}}), json!({"a": {"x": null, "y": {"z": null}}}), json!({"a": {"y": {}}})),
    ];
    for (object, patch, want) in cases {
        assert_eq!(apply_merge(&object, &patch), Ok(want), "{patch}");
    }
}

#[test]
fn json_patches_are_as_lenient_as_upstreams_library() {
    let cases = [
        (json!([{"op": "replace", "path": "/new", "value": 1}]), Ok(json!({"a": [1, 2], "new": 1}))),
        (json!([{"op": "copy", "from": "/none", "path": "/n"}]), Ok(json!({"a": [1, 2], "n": null}))),
        (json!([{"op": "remove", "path": "/a/-1"}]), Ok(json!({"a": [1]}))),
        (json!([{"op": "add", "path": "/a/-1", "value": 3}]), Ok(json!({"a": [1, 2, 3]}))),
        (json!([{"op": "test", "path": "/none"}]), Ok(json!({"a": [1, 2]}))),
        (json!([{"op": "replace", "path": "", "value": {}}]), Ok(json!({}))),
        (json!([{"op": "replace", "path": "", "value": 1}]), Err(422)),
        (json!([{"op": "add", "path": "", "value": {}}]), Err(422)),
    ];
    for (patch, want) in cases {
        assert_eq!(apply_json(&json!({"a": [1, 2]}), &patch).map_err(|e| e.code), want, "{patch}");
    }
}

#[test]
fn a_merge_patch_must_be_a_map() {
    assert_eq!(apply_merge(&json!({"a": 1}), &json!({"a": null})), Ok(json!({})));
    let problem = apply_merge(&json!({}), &json!([1])).expect_err("a list");
    let want =
        "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}";
    assert_eq!((problem.code, problem.message.as_str()), (400, want));
}

#[test]
fn json_patches_are_applied() {
    let cases = [
        (json!([]), Ok(json!({"a": [1, 2], "b/c": {"d": "e"}}))),
        (
            json!([{"op": "add", "path": "/a/-", "value": 3}, {"op": "remove", "path": "/b~1c"}]),
            Ok(json!({"a": [1, 2, 3]})),
        ),
        (
            json!([{"op": "test", "path": "/b~1c/d", "value": "e"}, {"op": "move", "from": "/a/0", "path": "/x"}]),
            Ok(json!({"a": [2], "b/c": {"d": "e"}, "x": 1})),
        ),
        (
            json!([{"op": "copy", "from": "/a", "path": "/y"}, {"op": "replace", "path": "/a", "value": null}]),
            Ok(json!({"a": null, "b/c": {"d": "e"}, "y": [1, 2]})),
        ),
        (json!([{"op": "test", "path": "/a/0", "value": 9}]), Err(422)),
        (json!([{"op": "remove", "path": "/none"}]), Err(422)),
        (json!([{"op": "add", "path": "/a/9", "value": 1}]), Err(422)),
        (json!([{"op": "grow", "path": "/a"}]), Err(422)),
        (json!([{"path": "/a"}]), Err(422)),
        (json!({"op": "add"}), Err(400)),
        (json!(["x"]), Err(400)),
        (Tree::Array(vec![json!({"op": "test", "path": "/a/0", "value": 1}); 10_001]), Err(413)),
    ];
    for (patch, want) in cases {
        let object = json!({"a": [1, 2], "b/c": {"d": "e"}});
        assert_eq!(apply_json(&object, &patch).map_err(|e| e.code), want, "{patch}");
    }
}

#[test]
fn json_patch_problems_are_worded_as_upstream_does() {
    let message = |patch: Tree| apply_json(&json!({}), &patch).expect_err("bad").message;
    assert_eq!(
        message(json!([{"op": "remove", "path": "/a"}])),
        "the server rejected our request due to an error in our request"
    );
    assert_eq!(message(json!({})), "json: cannot unmarshal object into Go value of type jsonpatch.Patch");
    assert_eq!(
        message(json!([1])),
        "json: cannot unmarshal number into Go value of type jsonpatch.Operation"
    );
    assert_eq!(
        message(Tree::Array(vec![json!({}); 10_001])),
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
}

#[test]
fn copies_cannot_grow_an_object_without_limit() {
    let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let patch = Tree::Array(vec![double; 60]);
    assert_eq!(apply_json(&json!({"a": [1]}), &patch).map_err(|e| e.code), Err(422));
}

#[test]
fn strategic_patches_are_applied() {
    let live = || {
        json!({
            "containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}, {"name": "c"}],
            "tags": ["t1", "t2"], "args": ["1", "2"], "labels": {"k": "v"}, "strategy": {"type": "x", "more": "y"},
            "volume": {"name": "v", "emptyDir": "e"}, "nested": {"name": "n", "args": ["1"]},
        })
    };
    let cases = [
        ("nothing", json!({}), "tags", json!(["t1", "t2"])),
        ("null deletes", json!({"labels": {"k": null, "none": null}}), "labels", json!({})),
        ("maps merge", json!({"labels": {"l": "w"}}), "labels", json!({"k": "v", "l": "w"})),
        ("a map replaced", json!({"labels": {"$patch": "replace", "l": "w"}}), "labels", json!({"l": "w"})),
        ("a map deleted", json!({"labels": {"$patch": "delete"}}), "labels", json!({})),
        ("strategy replace", json!({"strategy": {"type": "z"}}), "strategy", json!({"type": "z"})),
        ("a plain list is replaced", json!({"args": ["3"]}), "args", json!(["3"])),
        ("scalars merge", json!({"tags": ["t3", "t1"]}), "tags", json!(["t3", "t1", "t2"])),
        ("scalars go", json!({"$deleteFromPrimitiveList/tags": ["t1", "t9"]}), "tags", json!(["t2"])),
        (
            "retain keys",
            json!({"volume": {"$retainKeys": ["name", "hostPath"], "hostPath": "h"}}),
            "volume",
            json!({"name": "v", "hostPath": "h"}),
        ),
        (
            "items merge by key, in the patch's order",
            json!({"containers": [{"name": "d", "image": null}, {"name": "a", "image": "2"}]}),
            "containers",
            json!([{"name": "d"}, {"name": "a", "image": "2", "args": ["x"]}, {"name": "b"}, {"name": "c"}]),
        ),
        (
            "an item is deleted",
            json!({"containers": [{"name": "b", "$patch": "delete"}]}),
            "containers",
            json!([{"name": "a", "image": "1", "args": ["x"]}, {"name": "c"}]),
        ),
        (
            "an item is replaced",
            json!({"containers": [{"name": "a", "$patch": "replace"}, {"name": "z"}]}),
            "containers",
            json!([{"name": "z"}]),
        ),
        (
            "the order is set",
            json!({"containers": [{"name": "d"}], "$setElementOrder/containers": [{"name": "d"}, {"name": "a"}]}),
            "containers",
            json!([{"name": "d"}, {"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}, {"name": "c"}]),
        ),
        (
            "the order of scalars is set",
            json!({"$setElementOrder/tags": ["t2", "t1"]}),
            "tags",
            json!(["t2", "t1"]),
        ),
        (
            "a new list has no directives",
            json!({"nested": {"ports": [{"port": 1}, {"port": 2, "$patch": "delete"}]}}),
            "nested",
            json!({"name": "n", "args": ["1"], "ports": [{"port": 1}]}),
        ),
        ("types differ", json!({"labels": ["x"]}), "labels", json!(["x"])),
    ];
    for (name, patch, field, want) in cases {
        let got = strategic(live(), patch).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(got[field], want, "{name}");
    }
}

#[test]
fn bad_strategic_patches_are_refused_in_upstreams_words() {
    let cases = [
        (
            json!({"containers": [{"image": "x"}]}),
            500,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (json!({"labels": {"$patch": "merge"}}), 500, "unknown patch type: merge in map: map[$patch:merge]"),
        (
            json!({"containers": [{"name": "a", "$patch": "merge"}]}),
            500,
            "merging lists cannot yet be specified in the patch",
        ),
        (
            json!({"tags": [["x"]], "$setElementOrder/tags": []}),
            500,
            "list element types are not identical: [[t] [[x]]]",
        ),
        (json!({"tags": [1]}), 500, "list element types are not identical: [[t] [1]]"),
        (json!({"$retainKeys": "x"}), 400, "invalid patch format of retainKeys"),
        (json!({"$retainKeys": [], "labels": {}}), 400, "invalid patch format of retainKeys"),
        (json!({"$deleteFromPrimitiveList": ["x"]}), 400, "invalid patch format of primitive list"),
        (json!({"$setElementOrder": ["x"]}), 400, "invalid patch format of setElementOrder list"),
        (
            json!({"$setElementOrder/tags": {}}),
            500,
            "expected a []interface {}, but received a map[string]interface {}",
        ),
        (
            json!({"tags": ["b", "a"], "$setElementOrder/tags": ["a", "b"]}),
            500,
            "The order in patch list:\n[b a]\n doesn't match $setElementOrder list:\n[a b]\n",
        ),
        (json!({"unknown": {"a": 1}}), 500, "unable to find api field \"unknown\""),
        (json!([]), 400, "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (json!({"keyless": [{"a": 1}]}), 500, "cannot merge lists without merge key for struct"),
    ];
    for (patch, code, message) in cases {
        let live = json!({
            "tags": ["t"], "labels": {}, "unknown": {}, "containers": [{"name": "a"}], "keyless": [{"a": 1}],
        });
        let problem = strategic(live, patch.clone()).expect_err(&patch.to_string());
        assert_eq!((problem.code, problem.message.as_str()), (code, message), "{patch}");
    }
}

fn scalar() -> impl Strategy<Value = Tree> {
    prop_oneof![Just(json!("x")), Just(json!("y")), Just(json!("z"))]
}

fn container(nulls: bool) -> impl Strategy<Value = Tree> {
    let image = prop::option::of(if nulls {
        prop_oneof![scalar().boxed(), Just(Tree::Null).boxed()].boxed()
    } else {
        scalar().boxed()
    });
    let args = prop::option::of(prop::collection::vec(scalar(), 0..3));
    ("[a-d]", image, args).prop_map(|(name, image, args)| {
        let mut item = json!({"name": name});
        for (key, value) in [("image", image), ("args", args.map(Tree::Array))] {
            if let Some(value) = value {
                item[key] = value;
            }
        }
        item
    })
}

fn containers(nulls: bool) -> impl Strategy<Value = Tree> {
    prop::collection::vec(container(nulls), 0..5).prop_map(|items| {
        let by_name: BTreeMap<String, Tree> =
            items.iter().map(|item| (item["name"].to_string(), item.clone())).collect();
        let mut names: Vec<String> = Vec::new();
        for item in &items {
            let name = item["name"].to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.iter().map(|name| by_name[name].clone()).collect()
    })
}

fn object(nulls: bool) -> impl Strategy<Value = Tree> {
    let tags = prop::sample::subsequence(vec!["1", "2", "3", "4"], 0..4).prop_shuffle();
    (containers(nulls), tags, prop::option::of(container(nulls)), any::<[bool; 3]>()).prop_map(
        |(containers, tags, nested, given)| {
            let mut object = json!({});
            if given[0] {
                object["containers"] = containers;
            }
            if given[1] {
                object["tags"] = json!(tags);
            }
            if let (true, Some(nested)) = (given[2], nested) {
                object["nested"] = nested;
            }
            object
        },
    )
}

/// The slow model: lists as maps by key. Order is left out and checked apart.
fn by_key(list: Option<&Tree>) -> BTreeMap<String, Tree> {
    let items = list.and_then(Tree::as_array).into_iter().flatten();
    items.map(|item| (item.get("name").unwrap_or(item).to_string(), item.clone())).collect()
}

fn model(live: &Tree, patch: &Tree) -> (BTreeMap<String, Tree>, BTreeMap<String, Tree>, Tree) {
    let mut containers = by_key(live.get("containers"));
    for (name, change) in by_key(patch.get("containers")) {
        merge(containers.entry(name).or_insert(json!({})), &change);
    }
    let mut tags = by_key(live.get("tags"));
    tags.extend(by_key(patch.get("tags")));
    let mut nested = live.get("nested").cloned().unwrap_or_default();
    if let Some(change) = patch.get("nested") {
        merge(&mut nested, change);
    }
    (containers, tags, nested)
}

/// Whether the items of `part` that are in `whole` come in the same order there, by name.
fn keeps_order(whole: &Tree, part: &Tree, except: &Tree) -> bool {
    let names = |list: &Tree| -> Vec<Tree> {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item.get("name").unwrap_or(item).clone()).collect()
    };
    let (whole, part, except) = (names(whole), names(part), names(except));
    let wanted: Vec<&Tree> = part.iter().filter(|name| !except.contains(name)).collect();
    let got: Vec<&Tree> = whole.iter().filter(|name| wanted.contains(name)).collect();
    wanted == got
}

fn any_json() -> impl Strategy<Value = Tree> {
    let key = prop_oneof![
        Just("$patch".to_owned()),
        Just("$retainKeys".to_owned()),
        Just("$setElementOrder/tags".to_owned()),
        Just("$setElementOrder/containers".to_owned()),
        Just("$deleteFromPrimitiveList/tags".to_owned()),
        Just("containers".to_owned()),
        Just("tags".to_owned()),
        Just("nested".to_owned()),
        Just("name".to_owned()),
        Just("op".to_owned()),
        Just("path".to_owned()),
        Just("value".to_owned()),
        "[a-c$/]{0,3}",
    ];
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i8>().prop_map(Tree::from),
        prop::sample::select(vec!["replace", "delete", "merge", "add", "/a", "/tags/0", "x", ""])
            .prop_map(Tree::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::Array),
            prop::collection::btree_map(key.clone(), inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn strategic_merge_agrees_with_the_model(live in object(false), patch in object(true)) {
        let got = strategic(live.clone(), patch.clone()).expect("valid");
        let (containers, tags, nested) = model(&live, &patch);
        prop_assert_eq!(by_key(got.get("containers")), containers);
        prop_assert_eq!(by_key(got.get("tags")), tags);
        prop_assert_eq!(got.get("nested").cloned().unwrap_or_default(), nested);
        for list in ["containers", "tags"] {
            let of = |tree: &Tree| tree.get(list).cloned().unwrap_or_default();
            prop_assert!(keeps_order(&of(&got), &of(&patch), &json!([])), "patch order of {}", list);
            prop_assert!(keeps_order(&of(&got), &of(&live), &of(&patch)), "server order of {}", list);
        }
        let again = strategic(got.clone(), patch).expect("valid");
        prop_assert_eq!(by_key(again.get("containers")), by_key(got.get("containers")));
    }

    #[test]
    fn no_patch_panics(object in any_json(), patch in any_json()) {
        let _ = apply_json(&object, &patch);
        let _ = apply_merge(&object, &patch);
        let _ = apply_strategic(&object, &patch, &schema());
        let _ = apply_strategic(&object, &patch, &Schema::Untyped);
    }
}
