use serde_json::{Value, json};

use super::*;
use crate::batch::job::{defaults, prepare};
use crate::checks::tests::texts;

fn job(spec: &Value) -> Value {
    let mut tree = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}}});
    for (field, value) in spec.entries("") {
        tree["spec"][field] = value.clone();
    }
    defaults::job(&mut tree);
    prepare::create(&mut tree);
    tree
}

#[test]
fn problems_of_the_spec_read_as_upstream_words_them() {
    let many = "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per \
                index";
    let cases = [
        (json!({}), vec![]),
        (
            json!({"parallelism": -1}),
            vec!["parallelism: Invalid value: -1: must be greater than or equal to 0".to_owned()],
        ),
        (json!({"managedBy": ""}), vec!["managedBy: Required value".to_owned()]),
        (
            json!({"managedBy": "me"}),
            vec![
                "managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned(),
            ],
        ),
        (
            json!({"managedBy": format!("a.io/{}", "x".repeat(60))}),
            vec!["managedBy: Too long: may not be more than 63 bytes".to_owned()],
        ),
        (
            json!({"completionMode": "Odd"}),
            vec![
                "completionMode: Unsupported value: \"Odd\": supported values: \"NonIndexed\", \"Indexed\"".to_owned(),
            ],
        ),
        (
            json!({"completionMode": "Indexed", "parallelism": 100_001}),
            vec![
                "completions: Required value: when completion mode is Indexed".to_owned(),
                "parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is \
                 Indexed"
                    .to_owned(),
            ],
        ),
        (
            json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 1}),
            vec![
                "backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode".to_owned(),
                "maxFailedIndexes: Invalid value: 1: requires indexed completion mode".to_owned(),
            ],
        ),
        (
            json!({"completionMode": "Indexed", "completions": 1, "maxFailedIndexes": 2}),
            vec![
                "backoffLimitPerIndex: Required value: when maxFailedIndexes is specified".to_owned(),
                "maxFailedIndexes: Invalid value: 2: must be less than or equal to completions".to_owned(),
            ],
        ),
        (
            json!({"completionMode": "Indexed", "completions": 100_001, "backoffLimitPerIndex": 1,
                "parallelism": 10_001}),
            vec![
                "maxFailedIndexes: Required value: must be specified when completions is above 100000".to_owned(),
                format!("parallelism: Invalid value: 10001: {many}"),
            ],
        ),
        (
            json!({"completionMode": "Indexed", "completions": 200_000, "backoffLimitPerIndex": 1,
                "maxFailedIndexes": 100_001}),
            vec![
                "maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000".to_owned(),
                format!("maxFailedIndexes: Invalid value: 100001: {many}"),
            ],
        ),
    ];
    for (spec, want) in cases {
        let want: Vec<String> = want.iter().map(|text| format!("spec.{text}")).collect();
        assert_eq!(texts(&create(&job(&spec))), want, "{spec}");
    }
}

#[test]
fn pods_of_a_job_end() {
    let cases = [
        ("Always", json!(null), Some("Required value: valid values: \"OnFailure\", \"Never\"")),
        ("OnFailure", json!(null), None),
        (
            "OnFailure",
            json!({"rules": []}),
            Some(
                "Invalid value: \"OnFailure\": only \"Never\" is supported when podFailurePolicy is specified",
            ),
        ),
        ("Odd", json!(null), Some("Unsupported value: \"Odd\": supported values: \"OnFailure\", \"Never\"")),
    ];
    for (policy, failures, want) in cases {
        let mut tree = job(&json!({}));
        tree["spec"]["template"]["spec"]["restartPolicy"] = json!(policy);
        tree["spec"]["podFailurePolicy"] = failures;
        tree["spec"]["podReplacementPolicy"] = json!("Failed");
        let got = texts(&create(&tree));
        let want = want.map(|want| format!("spec.template.spec.restartPolicy: {want}"));
        assert_eq!(got.last(), want.as_ref(), "{policy}");
    }
}

#[test]
fn the_generated_selector_is_checked() {
    let label = "batch.kubernetes.io/controller-uid";
    let cases = [
        ("/spec/selector", json!(null), vec!["spec.selector: Required value".to_owned()]),
        (
            "/spec/template/metadata/labels/job-name",
            json!("other"),
            vec!["spec.template.metadata.labels[job-name]: Invalid value: {".to_owned()],
        ),
        (
            "/spec/selector/matchLabels",
            json!({label: "other"}),
            vec![
                format!(
                    "spec.selector: Invalid value: {{\"matchLabels\":{{\"{label}\":\"other\"}}}}: `selector` not \
                         auto-generated"
                ),
                "spec.template.metadata.labels: Invalid value: {".to_owned(),
            ],
        ),
        ("/metadata/uid", json!(""), vec!["metadata.uid: Required value".to_owned()]),
        (
            "/spec/template/metadata/labels",
            json!({"controller-uid": "u", "job-name": "j", label: "u"}),
            vec![
                "spec.template.metadata.labels[batch.kubernetes.io/job-name]: Required value: must be 'j'"
                    .to_owned(),
            ],
        ),
    ];
    for (pointer, value, want) in cases {
        let mut tree = job(&json!({}));
        *tree.pointer_mut(pointer).expect("a field") = value;
        let got = texts(&create(&tree));
        for want in want {
            assert!(got.iter().any(|text| text.starts_with(&want)), "{pointer}: {got:?}");
        }
    }
}

#[test]
fn a_manual_selector_must_match() {
    let mut tree = job(&json!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}}));
    let want =
        "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`";
    assert_eq!(texts(&create(&tree)), [want]);
    tree["spec"]["template"]["metadata"]["labels"] = json!({"a": "b"});
    assert!(create(&tree).is_empty());
}

#[test]
fn indexes_fit_into_host_names() {
    let mut tree = job(&json!({"completionMode": "Indexed", "completions": 1000}));
    let name = "j".repeat(60);
    tree["metadata"]["name"] = json!(name);
    for label in NAME_LABELS {
        tree["spec"]["template"]["metadata"]["labels"][label] = json!(name);
    }
    let want = format!(
        "metadata.name: Invalid value: \"{name}\": will not able to create pod with invalid DNS label: {name}-999"
    );
    assert_eq!(texts(&create(&tree)), [want]);
}
