use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parsed(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn texts_are_read_and_printed() {
    let cases = [
        ("", ""),
        (" ", ""),
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("z==c , a!=b", "a!=b,z==c"),
        ("x in (b,a,b)", "x in (a,b)"),
        ("x notin ()", "x notin ()"),
        ("x in (,)", "x in ()"),
        ("x in (a,,b)", "x in (,a,b)"),
        ("x in (a,)", "x in (,a)"),
        ("!x,y", "!x,y"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("x=", "x="),
        ("x=,y", "x=,y"),
        ("x>1,y<2", "x>1,y<2"),
        ("example.com/a=b", "example.com/a=b"),
        ("a\0b", "a"),
    ];
    for (text, want) in cases {
        let got = Selector::parse(text).map(|s| s.to_string());
        assert_eq!(got.as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn bad_texts_are_refused_in_upstreams_words() {
    let cases = [
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("x,", "found '', expected: identifier after ','"),
        ("x=a b", "found 'b', expected: ',' or 'end of string'"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("x in", "unable to parse requirement: found '' expected: '('"),
        ("x in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x in (a,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("x=(", "unable to parse requirement: found '(', expected: identifier"),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ];
    for (text, want) in cases {
        let problem = Selector::parse(text).expect_err(text);
        assert_eq!(problem.to_string(), want, "{text}");
    }
    let key = Selector::parse("a/b/c=d").expect_err("three parts").to_string();
    assert!(
        key.starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must"
        )
    );
    let value = Selector::parse("a=-").expect_err("dash").to_string();
    assert!(
        value.starts_with(
            "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must"
        )
    );
}

#[test]
fn selectors_match() {
    let object = json!({"metadata": {"labels": {"app": "web", "n": "5", "empty": ""}}});
    let cases = [
        ("", true),
        ("app=web", true),
        ("app!=web", false),
        ("other!=web", true),
        ("app in (a,web)", true),
        ("other notin (a)", true),
        ("app", true),
        ("!app", false),
        ("!other", true),
        ("n>4,n<6", true),
        ("n>5", false),
        ("app>5", false),
        ("empty=", true),
        ("other=", false),
        ("app=web,n=6", false),
    ];
    for (text, want) in cases {
        assert_eq!(parsed(text).matches_object(&object), want, "{text}");
    }
    assert!(!Selector::Nothing.matches_object(&object));
    assert_eq!(parsed("app in (web)").required_value("app"), Some("web"));
    assert_eq!(parsed("app in (web,a)").required_value("app"), None);
}

#[test]
fn label_selectors_are_read() {
    let cases = [
        (json!(null), None),
        (json!({}), Some("")),
        (
            json!({"matchLabels": {"b": "c"}, "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "z", "operator": "DoesNotExist"}]}),
            Some("a in (x,y),b=c,!z"),
        ),
    ];
    for (tree, want) in cases {
        let got = Selector::from_label_selector(Some(&tree)).expect("valid");
        let want = want.map_or(Selector::Nothing, parsed);
        assert_eq!(got.to_string(), want.to_string(), "{tree}");
        assert_eq!(got.is_everything(), want.is_everything(), "{tree}");
    }
    assert_eq!(Selector::from_label_selector(None), Ok(Selector::Nothing));
    let odd = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
    let problem = Selector::from_label_selector(Some(&odd)).expect_err("operator");
    assert_eq!(problem.to_string(), "\"Near\" is not a valid label selector operator");
}

#[test]
fn label_selectors_are_validated() {
    let selector = json!({"matchExpressions": [
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "a", "operator": "Near"},
        {"key": "a", "operator": "In", "values": ["x", "-"]},
    ]});
    let got: Vec<String> =
        validate_label_selector(&selector, &Path::new("s")).iter().map(ToString::to_string).collect();
    let want = [
        "s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        "s.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        "s.matchExpressions[2].operator: Invalid value: \"Near\": not a valid selector operator",
        "s.matchExpressions[3].values[1]: Invalid value: \"-\": a valid label must be",
    ];
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!(got.starts_with(want), "{got}");
    }
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let operator = prop::sample::select(vec![
        Operator::Equals,
        Operator::DoubleEquals,
        Operator::NotEquals,
        Operator::In,
        Operator::NotIn,
        Operator::Exists,
        Operator::DoesNotExist,
        Operator::GreaterThan,
        Operator::LessThan,
    ]);
    ("[a-z]{1,3}(/[a-z]{1,2})?", operator, prop::collection::vec("[a-z0-9]{0,2}", 1..4), 0..100u8).prop_map(
        |(key, operator, values, number)| {
            let values = match operator {
                Operator::Exists | Operator::DoesNotExist => Vec::new(),
                Operator::In | Operator::NotIn => values,
                Operator::GreaterThan | Operator::LessThan => vec![number.to_string()],
                _ => values.into_iter().take(1).collect(),
            };
            Requirement::new(key, operator, values).expect("made to be valid")
        },
    )
}

proptest! {
    #[test]
    fn printed_selectors_read_back(requirements in prop::collection::vec(requirement(), 0..5)) {
        let printed = Selector::new(requirements).to_string();
        let read = Selector::parse(&printed).expect("what is printed can be read");
        prop_assert_eq!(Selector::parse(&read.to_string()), Ok(read));
    }

    #[test]
    fn no_text_panics(text in "[a-c!=<>(), \0in]{0,20}|.{0,20}") {
        let _ = Selector::parse(&text);
    }
}
