use proptest::prelude::*;
use serde_json::json;

use super::*;

fn tree(yaml: &str) -> Tree {
    parse(yaml.as_bytes()).expect(yaml).tree
}

#[test]
fn scalars_of_yaml_1_1() {
    let cases = [
        ("yes", json!(true)),
        ("No", json!(false)),
        ("on", json!(true)),
        ("OFF", json!(false)),
        ("y", json!(true)),
        ("yEs", json!("yEs")),
        ("012", json!(10)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("-0x10", json!(-16)),
        ("09", json!(9)),
        ("1_000", json!(1000)),
        ("+5", json!(5)),
        ("1e3", json!(1000)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("1.", json!(1)),
        ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("~", json!(null)),
        ("", json!(null)),
        ("null", json!(null)),
        ("'null'", json!("null")),
        ("\"012\"", json!("012")),
        ("1:30", json!("1:30")),
        ("2026-01-02", json!("2026-01-02")),
        ("2026-01-02T03:04:05Z", json!("2026-01-02T03:04:05Z")),
        ("1.2.3", json!("1.2.3")),
        ("1Gi", json!("1Gi")),
        ("100m", json!("100m")),
        ("!!str 012", json!("012")),
        ("!!int \"12\"", json!(12)),
        ("!!float 3", json!(3)),
        ("!!binary aGk=", json!("hi")),
        ("! 12", json!("12")),
        ("{yes: 1, 5: 2, 1.5: 3, 012: 4}", json!({"true": 1, "5": 2, "1.5": 3, "10": 4})),
    ];
    for (yaml, want) in cases {
        assert_eq!(tree(&format!("a: {yaml}"))["a"], want, "{yaml}");
    }
}

#[test]
fn what_json_cannot_hold_is_refused() {
    let cases = [
        ("a: .inf", "yaml: line 1: json: unsupported value: .inf"),
        ("a: .nan", "yaml: line 1: json: unsupported value: .nan"),
        ("~: 1", "yaml: line 1: unsupported map key of type: <nil>"),
        ("? [a]\n: 1", "yaml: line 1: unsupported map key: a list or a map"),
        ("a: !!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("a: &x [*x]", "yaml: anchor value contains itself"),
    ];
    for (yaml, want) in cases {
        assert_eq!(parse(yaml.as_bytes()).expect_err(yaml).to_string(), want, "{yaml}");
    }
    assert!(matches!(parse(b"a: [1\nb: 2"), Err(YamlError::Syntax { .. })));
    assert_eq!(parse(b"a: \xff"), Err(YamlError::Encoding));
    for deep in ["[".repeat(500), "- ".repeat(500)] {
        assert_eq!(parse(deep.as_bytes()), Err(YamlError::TooDeep));
    }
}

#[test]
fn anchors_and_merges() {
    let yaml = "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\none: {<<: *base, b: 5}\n\
                two: {<<: [*base, *other]}\nlist: [&x hi, *x]\n";
    let tree = tree(yaml);
    assert_eq!(tree["one"], json!({"a": 1, "b": 5}));
    assert_eq!(tree["two"], json!({"a": 1, "b": 2, "c": 4}));
    assert_eq!(tree["list"], json!(["hi", "hi"]));
}

#[test]
fn expansion_is_limited() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        let inner = vec![format!("*a{}", i - 1); 10].join(", ");
        yaml.push_str(&format!("a{i}: &a{i} [{inner}]\n"));
    }
    assert_eq!(parse(yaml.as_bytes()), Err(YamlError::TooManyAliases));
}

#[test]
fn duplicate_keys_are_reported() {
    let found = parse(b"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n").unwrap();
    assert_eq!(found.tree, json!({"a": 3, "b": {"c": 2}}));
    assert_eq!(
        found.problems[0].to_string(),
        "yaml: unmarshal errors:\n  line 4: key \"c\" already set in map\n  line 5: key \"a\" already set in map"
    );
}

#[test]
fn several_documents() {
    let all = parse_all(b"---\na: 1\n---\n# nothing\n---\nb: 2\n...\n").unwrap();
    let trees: Vec<_> = all.into_iter().map(|d| d.tree).collect();
    assert_eq!(trees, [json!({"a": 1}), json!(null), json!({"b": 2})]);
    assert_eq!(parse(b"a: 1\n---\nb: 2\n").unwrap().tree, json!({"a": 1}));
    assert_eq!(parse(b"").unwrap().tree, json!(null));
}

#[test]
fn strings_are_written_so_that_they_read_back() {
    let cases = [
        ("plain", "plain"),
        ("a b", "a b"),
        ("", "\"\""),
        ("yes", "\"yes\""),
        ("on", "\"on\""),
        ("n", "\"n\""),
        ("null", "\"null\""),
        ("~", "\"~\""),
        ("012", "\"012\""),
        ("1e3", "\"1e3\""),
        ("1_0", "\"1_0\""),
        ("2026-01-02", "\"2026-01-02\""),
        ("1:30", "\"1:30\""),
        ("<<", "\"<<\""),
        ("1Gi", "1Gi"),
        ("1.2.3", "1.2.3"),
        ("a: b", "'a: b'"),
        ("a:", "'a:'"),
        ("a:b", "a:b"),
        ("#a", "'#a'"),
        ("a #b", "'a #b'"),
        ("- a", "'- a'"),
        ("-a", "-a"),
        ("*", "'*'"),
        ("{a}", "'{a}'"),
        ("it's", "it's"),
        ("'a'", "'''a'''"),
        (" a", "' a'"),
        ("a\tb", "\"a\\tb\""),
        ("é", "é"),
        ("\u{1f574}", "\"\\U0001F574\""),
        ("\u{7f}", "\"\\x7F\""),
        ("---", "'---'"),
    ];
    for (text, want) in cases {
        assert_eq!(to_yaml(&json!({"k": text})), format!("k: {want}\n"), "{text:?}");
        assert_eq!(tree(&to_yaml(&json!({"k": text})))["k"], text, "{text:?}");
    }
}

#[test]
fn layout_is_upstreams() {
    let object = json!({
        "kind": "Pod", "apiVersion": "v1", "empty": {}, "none": [], "zero": null,
        "metadata": {"labels": {"a10": "x", "a9": "y"}, "name": "web"},
        "spec": {"containers": [{"name": "a", "args": ["-c", "echo\nhi\n"]}, {"name": "b", "ratio": 0.5}],
                 "nested": [[1, 2], []]},
        "text": "one\ntwo", "script": "a\n\n  b\n", "kept": "a\n\n", "lead": " a\nb\n", "yes": 1e21,
        "long": "x".repeat(70) + " and more words that go on beyond it",
    });
    let want = "\
apiVersion: v1
empty: {}
kept: |+
  a

kind: Pod
lead: |2
   a
  b
long: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx and more
  words that go on beyond it
metadata:
  labels:
    a9: \"y\"
    a10: x
  name: web
none: []
script: |
  a

    b
spec:
  containers:
  - args:
    - -c
    - |
      echo
      hi
    name: a
  - name: b
    ratio: 0.5
  nested:
  - - 1
    - 2
  - []
text: |-
  one
  two
\"yes\": 1e+21
zero: null
";
    assert_eq!(to_yaml(&object), want);
    let mut back = object;
    back["yes"] = json!(1e21);
    assert_eq!(tree(want), back);
}

#[test]
fn a_text_at_the_root_that_begins_with_blanks_reads_back() {
    for text in ["\na", " a\nb", "\n", "\n\n a\n"] {
        let yaml = to_yaml(&json!(text));
        assert_eq!(parse(yaml.as_bytes()).map(|d| d.tree), Ok(json!(text)), "{yaml}");
    }
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let text = prop_oneof![
        "[a-z0-9:#' \\-\\n\"]{0,12}",
        any::<String>().prop_filter("a byte order mark is no text", |s| !s.contains('\u{feff}')),
        "[0-9eE.+\\-_:xob]{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        text.clone().prop_map(Tree::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::from),
            prop::collection::btree_map(text.clone(), inner, 0..4)
                .prop_map(|map| Tree::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(object in any_tree()) {
        let yaml = to_yaml(&object);
        prop_assert_eq!(parse(yaml.as_bytes()).map(|d| d.tree), Ok(object), "{}", yaml);
    }

    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\-a:&*x!|>'\"{}\\[\\], \\n]{0,80}") {
        let _ = parse(&bytes);
        let _ = parse_all(text.as_bytes());
    }
}
