use serde_json::json;

use super::*;

#[test]
fn paths_find_what_client_go_finds() {
    let object = json!({
        "spec": {"a": 1, "b.c": "dotted", "none": null, "on": true, "list": [{"n": 1, "t": "x"}, {"n": 2, "t": "y"}, {"n": 3}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
    });
    let cases = [
        (".spec.a", Some(json!([1]))),
        ("{.spec.a}", Some(json!([1]))),
        ("$.spec.a", Some(json!([1]))),
        (".spec.b\\.c", Some(json!(["dotted"]))),
        (".spec['b.c']", Some(json!(["dotted"]))),
        (".spec[\"b.c\"]", Some(json!(["dotted"]))),
        (".spec.none", Some(json!([null]))),
        (".spec.none.x", Some(json!([]))),
        (".spec.missing.x", Some(json!([]))),
        (".spec.list[0].n", Some(json!([1]))),
        (".spec.list[-1].n", Some(json!([3]))),
        (".spec.list[0:2].n", Some(json!([1, 2]))),
        (".spec.list[::2].n", Some(json!([1, 3]))),
        (".spec.list[0,2].n", Some(json!([1, 3]))),
        (".spec['a','on']", Some(json!([1, true]))),
        (".spec.list[*].n", Some(json!([1, 2, 3]))),
        (".spec.list[7].n", None),
        (".spec.a[0]", None),
        (".status.conditions[?(@.type==\"Ready\")].status", Some(json!(["True"]))),
        (".status.conditions[?(@.type=='Other')].status", Some(json!(["False"]))),
        (".status.conditions[?(@.type!='Other')].status", Some(json!(["True"]))),
        (".spec.list[?(@.n>=2)].n", Some(json!([2, 3]))),
        (".spec.list[?(@.t)].n", Some(json!([1, 2]))),
        (".spec.list[?(@.n=='1')].n", None),
        ("..type", Some(json!(["Ready", "Other"]))),
        (".spec.list.*.n", Some(json!([1, 2, 3]))),
    ];
    for (path, want) in cases {
        let found = JsonPath::parse(path).expect(path).find(&object);
        let found = found.map(|all| Value::Array(all.into_iter().cloned().collect()));
        assert_eq!(found, want, "{path}");
    }
    assert_eq!(JsonPath::parse(".").unwrap().find(&object), Some(vec![&object]));
}

#[test]
fn what_is_no_path_is_refused() {
    for text in ["a", ".a[", ".a[x]", ".a..", ".a[?(@.b=1)]", ".a b", ".a[?(x)]", ".a.", ".a[1:2:3:4]"] {
        assert_eq!(JsonPath::parse(text), Err(InvalidPath(text.to_owned())));
    }
}
