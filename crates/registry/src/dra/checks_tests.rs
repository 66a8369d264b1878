use serde_json::json;

use super::*;
use crate::checks::tests::{assert_problems, texts};

fn named(check: fn(&mut ErrorList, &str, &Path), name: &str) -> Vec<String> {
    let mut found = ErrorList::new();
    check(&mut found, name, &Path::new("n"));
    texts(&found)
}

#[test]
fn names_have_their_forms() {
    let long = "a".repeat(33);
    let far = format!("{}/a", "d".repeat(64));
    let slash =
        "n: Invalid value: \"a\": a fully qualified name must be a domain and a name separated by a slash";
    let cases: [(fn(&mut ErrorList, &str, &Path), &str, &[&str]); 14] = [
        (pool_name, "a/b.c", &[]),
        (pool_name, "", &["n: Required value"]),
        (qualified_name, "model", &[]),
        (qualified_name, "Example.com/model", &[]),
        (qualified_name, "/model", &["n: Invalid value: \"\": the domain must not be empty"]),
        (qualified_name, "a.b/", &["n: Invalid value: \"\": the name must not be empty"]),
        (qualified_name, &long, &["n: Too long: may not be more than 32 bytes"]),
        (fully_qualified_name, "a.b/c", &[]),
        (fully_qualified_name, "a", &[slash]),
        (fully_qualified_name, "/a", &["n: Invalid value: \"\": prefix must not be empty"]),
        (fully_qualified_name, "a.b/", &["n: Invalid value: \"\": name must not be empty"]),
        (fully_qualified_name, &far, &["n: Too long: may not be more than 63 bytes"]),
        (uuid, "0123abcd-0000-1111-2222-333344445555", &[]),
        (
            uuid,
            "0123ABCD",
            &["n: Invalid value: \"0123ABCD\": must be a lowercase UUID in 8-4-4-4-12 format"],
        ),
    ];
    for (check, name, want) in cases {
        assert_eq!(named(check, name), want, "{name}");
    }
    assert_eq!(named(pool_name, &"a/".repeat(127))[0], "n: Too long: may not be more than 253 bytes");
    assert!(
        named(fully_qualified_name, "A/b")[0].starts_with("n: Invalid value: \"A\": prefix: a lowercase RFC")
    );
    assert!(named(qualified_name, "a-b")[0].starts_with("n: Invalid value: \"a-b\": a valid C identifier"));
}

#[test]
fn selectors_and_configurations_are_complete() {
    let check = |tree: &Tree| {
        let mut found = ErrorList::new();
        selectors(&mut found, tree, &Path::new("s"));
        configuration(&mut found, tree, &Path::new("c"), false);
        found
    };
    let good = json!({
        "selectors": [{"cel": {"expression": "true"}}], "opaque": {"driver": "d", "parameters": {"a": 1}},
    });
    let many: Vec<Tree> = (0..33).map(|_| json!({})).collect();
    let cases = [
        ("/selectors/0", json!({}), vec!["s.selectors[0].cel: Required value"]),
        ("/selectors", many.into(), vec!["s.selectors: Too many: 33: must have at most 32 items"]),
        (
            "/selectors/0/cel/expression",
            json!("x".repeat(10 * 1024 + 1)),
            vec!["s.selectors[0].cel.expression: Too long: may not be more than 10240 bytes"],
        ),
        ("/opaque", json!(null), vec!["c.opaque: Required value"]),
        ("/opaque/driver", json!(""), vec!["c.opaque.driver: Required value"]),
        ("/opaque/parameters", json!(null), vec!["c.opaque.parameters: Required value"]),
        (
            "/opaque/parameters",
            json!([]),
            vec!["c.opaque.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object"],
        ),
        (
            "/opaque/parameters/a",
            json!("x".repeat(10 * 1024)),
            vec!["c.opaque.parameters: Too long: may not be more than 10240 bytes"],
        ),
    ];
    assert_problems(&good, check, cases);
}

#[test]
fn taints_and_tolerations_say_what_they_do() {
    let check = |tree: &Tree| {
        let mut found = ErrorList::new();
        taint(&mut found, tree.at("taint"), None, &Path::new("t"));
        toleration(&mut found, tree.at("toleration"), &Path::new("o"));
        found
    };
    let good = json!({"taint": {"key": "a", "value": "b", "effect": "NoExecute"},
        "toleration": {"key": "a", "operator": "Exists"}});
    let effects = "supported values: \"NoExecute\", \"NoSchedule\", \"None\"";
    let (odd, odd_toleration) = (
        format!("t.effect: Unsupported value: \"Odd\": {effects}"),
        format!("o.effect: Unsupported value: \"Odd\": {effects}"),
    );
    let leaked: [&'static str; 2] = [odd.leak(), odd_toleration.leak()];
    let cases = [
        ("/taint/effect", json!(""), vec!["t.effect: Required value"]),
        ("/taint/effect", json!("Odd"), vec![leaked[0]]),
        ("/toleration/effect", json!("Odd"), vec![leaked[1]]),
        (
            "/toleration/value",
            json!("x"),
            vec!["o.value: Invalid value: \"x\": must be empty for operator `Exists`"],
        ),
        ("/toleration/operator", json!(""), vec!["o.operator: Required value"]),
        (
            "/toleration/operator",
            json!("Like"),
            vec!["o.operator: Unsupported value: \"Like\": supported values: \"Equal\", \"Exists\""],
        ),
    ];
    assert_problems(&good, check, cases);
}

#[test]
fn binding_conditions_come_in_two_lists() {
    let check = |tree: &Tree| {
        let mut found = ErrorList::new();
        binding_conditions(&mut found, tree, &Path::new("d"));
        found
    };
    let good = json!({"bindingConditions": ["a"], "bindingFailureConditions": ["b"]});
    let cases = [
        (
            "/bindingConditions",
            json!([]),
            vec![
                "d.bindingConditions: Invalid value: []: bindingConditions are required to use bindingFailureConditions",
            ],
        ),
        (
            "/bindingFailureConditions",
            json!(null),
            vec![
                "d.bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions",
            ],
        ),
        ("/bindingConditions/1", json!("a"), vec!["d.bindingConditions[1]: Duplicate value: \"a\""]),
        (
            "/bindingFailureConditions/1",
            json!("a"),
            vec![
                "d.bindingFailureConditions[1]: Invalid value: \"a\": bindingFailureConditions must not overlap with bindingConditions",
            ],
        ),
        (
            "/bindingConditions",
            json!(["a", "c", "d", "e", "f"]),
            vec!["d.bindingConditions: Too many: 5: must have at most 4 items"],
        ),
    ];
    assert_problems(&good, check, cases);
}
