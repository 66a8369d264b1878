use super::*;

#[test]
fn an_applier_owns_what_it_applies() {
    let mut server = Server::new();
    let spec = json!({"replicas": 1, "containers": [{"name": "c", "args": ["x"], "ports": [{"port": 80}]}]});
    server.apply("one", spec.clone(), false).expect("first");
    assert_eq!(server.spec(), spec);
    let entry = json!([{
        "manager": "one", "operation": "Apply", "apiVersion": "apps/v1", "time": "1970-01-01T00:00:01Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"c\"}": {
            ".": {}, "f:name": {}, "f:args": {},
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
        }}}},
    }]);
    assert_eq!(Tree::from(server.entries().to_vec()), entry);
}

#[test]
fn fields_not_applied_any_more_go_unless_someone_else_owns_them() {
    let mut server = Server::new();
    server.apply("one", json!({"replicas": 1, "paused": true, "selector": {"a": 1}}), false).expect("first");
    server.apply("two", json!({"paused": true}), false).expect("same value");
    server.update("three", "", |new| new.set("spec.free", json!({"x": 1})));
    server.apply("one", json!({"replicas": 1}), false).expect("less");
    assert_eq!(server.spec(), json!({"replicas": 1, "paused": true, "free": {"x": 1}}));
    assert_eq!(server.owned("two"), [".spec.paused"]);
    assert_eq!(server.owned("one"), [".spec.replicas"]);
}

#[test]
fn items_and_keys_go_with_their_applier() {
    let mut server = Server::new();
    let both = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "free": {"x": 1, "y": 2}});
    server.apply("one", both, false).expect("first");
    server
        .apply("two", json!({"containers": [{"name": "a", "ports": [{"port": 1}]}]}), false)
        .expect("beside");
    server.apply("one", json!({"free": {"x": 1}}), false).expect("less");
    let want = json!({"containers": [{"name": "a", "ports": [{"port": 1}]}], "free": {"x": 1}});
    assert_eq!(server.spec(), want);
    server.apply("two", json!({}), false).expect("nothing");
    assert_eq!(server.spec(), json!({"free": {"x": 1}}));
    assert_eq!(server.owned("two"), [".spec"], "an empty map is owned as such");
}

#[test]
fn conflicts_name_manager_and_field() {
    let mut server = Server::new();
    server.update("kubectl", "", |new| new.set("spec", json!({"replicas": 1, "paused": false})));
    let conflict = server.apply("other", json!({"replicas": 2}), false).expect_err("owned");
    let message = "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas";
    assert_eq!((conflict.code, conflict.reason, conflict.message.as_str()), (409, "Conflict", message));
    let causes = conflict.details.expect("details").causes;
    let cause = StatusCause {
        reason: "FieldManagerConflict".into(),
        message: "conflict with \"kubectl\" using apps/v1".into(),
        field: ".spec.replicas".into(),
    };
    assert_eq!(causes, [cause]);

    server.apply("mine", json!({"selector": 1}), false).expect("free field");
    let conflict = server.apply("other", json!({"replicas": 2, "paused": true, "selector": 2}), false);
    let message = "Apply failed with 3 conflicts: conflicts with \"kubectl\" using apps/v1:\n- .spec.paused\n\
        - .spec.replicas\nconflicts with \"mine\":\n- .spec.selector";
    assert_eq!(conflict.expect_err("owned").message, message);

    server.apply("other", json!({"replicas": 2}), true).expect("forced");
    assert_eq!(server.spec()["replicas"], json!(2));
    assert_eq!(server.owned("kubectl"), [".spec.paused"]);
    assert_eq!(server.owned("other"), [".spec.replicas"]);
}

#[test]
fn an_update_takes_what_it_changes() {
    let mut server = Server::new();
    server.apply("one", json!({"replicas": 1, "paused": true}), false).expect("first");
    server.update("scaler", "", |new| new.set("spec.replicas", 5));
    assert_eq!(server.owned("scaler"), [".spec.replicas"]);
    assert_eq!(server.owned("one"), [".spec.paused"]);
    server.update("scaler", "", |new| drop(new.remove("spec.paused")));
    assert_eq!(server.owned("one"), Vec::<String>::new());
    assert_eq!(server.owned("scaler"), [".spec.replicas"]);
    let conflict = server.apply("one", json!({"replicas": 1}), false).expect_err("the scaler's");
    assert!(conflict.message.contains("conflict with \"scaler\" using apps/v1: .spec.replicas"));
    server.apply("one", json!({"replicas": 5}), false).expect("shared when equal");
    assert_eq!(
        (server.owned("one"), server.owned("scaler")),
        (vec![".spec.replicas".into()], vec![".spec.replicas".into()])
    );
}

#[test]
fn a_create_owns_structs_by_what_is_in_them_and_maps_themselves() {
    let mut server = Server::new();
    server.update("kubectl-create", "", |new| {
        new.set("metadata.labels", json!({"app": "x"}));
        new.set("spec", json!({"replicas": 1, "containers": [{"name": "c"}]}));
    });
    let want = [
        ".metadata.labels",
        ".metadata.labels.app",
        ".spec.containers",
        ".spec.containers[name=\"c\"]",
        ".spec.containers[name=\"c\"].name",
        ".spec.replicas",
    ];
    assert_eq!(server.owned("kubectl-create"), want);
    assert_eq!(server.entries()[0]["operation"], json!("Update"));
}

#[test]
fn a_write_that_changes_nothing_keeps_the_times() {
    let mut server = Server::new();
    server.apply("one", json!({"replicas": 1}), false).expect("first");
    server.update("two", "", |new| new.set("spec.paused", true));
    let before = server.live.clone();
    server.update("two", "", |_| {});
    server.update("three", "", |_| {});
    server.apply("one", json!({"replicas": 1}), false).expect("again");
    assert_eq!(server.live, before);
    server.update("two", "", |new| new.set("spec.paused", false));
    let times: Vec<&str> = server.entries().iter().map(|entry| entry.str_at("time")).collect();
    assert_eq!(times, ["1970-01-01T00:00:01Z", "1970-01-01T00:00:06Z"]);
}

#[test]
fn subresources_have_entries_and_fields_of_their_own() {
    let mut server = Server::new();
    server.update("one", "", |new| new.set("spec.replicas", 1));
    server.update("one", "status", |new| new.set("status.ready", 1));
    let got: Vec<(&str, &str)> =
        server.entries().iter().map(|e| (e.str_at("manager"), e.str_at("subresource"))).collect();
    assert_eq!(got, [("one", ""), ("one", "status")]);
    assert_eq!(server.entries()[1]["fieldsV1"], json!({"f:status": {"f:ready": {}}}));
    server.apply_object("two", json!({"status": {"ready": 7}}), false).expect("status is not owned here");
    assert_eq!(server.owned("two"), Vec::<String>::new());
    let conflict = server.with("status", |fm| {
        let config = json!({"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "a"}, "status": {"ready": 3}});
        fm.apply(server.live.as_ref(), &config, "three", false)
    });
    assert_eq!(
        conflict.expect_err("owned").message,
        "Apply failed with 1 conflict: conflict with \"one\" with subresource \"status\" using apps/v1: .status.ready"
    );
}

#[test]
fn only_the_latest_updaters_are_told_apart() {
    let mut server = Server::new();
    for i in 0..14 {
        server.update(&format!("u{i:02}"), "", |new| new.set(&format!("spec.free.k{i:02}"), i));
    }
    let names: Vec<&str> = server.entries().iter().map(|entry| entry.str_at("manager")).collect();
    let want = ["ancient-changes", "u05", "u06", "u07", "u08", "u09", "u10", "u11", "u12", "u13"];
    assert_eq!(names, want);
    assert_eq!(server.entries()[0].str_at("time"), "1970-01-01T00:00:05Z");
    let want: Vec<String> = (0..5).map(|i| format!(".spec.free.k{i:02}")).collect();
    assert_eq!(&server.owned("ancient-changes")[1..], want);
}

#[test]
fn owners_may_be_reset_but_not_lost_by_accident() {
    let tracked = || {
        let mut server = Server::new();
        server.update("one", "", |new| new.set("spec.replicas", 1));
        server
    };
    for kept in
        [json!(null), json!([{"operation": "Merge"}]), json!([{"manager": "x", "operation": "Update"}])]
    {
        let mut server = tracked();
        server.update("two", "", |new| new.set("metadata.managedFields", kept));
        assert_eq!(server.owned("one"), [".spec", ".spec.replicas"][1..]);
    }
    for reset in [json!([]), json!([{}])] {
        let mut server = tracked();
        server.update("two", "", |new| new.set("metadata.managedFields", reset));
        assert_eq!(server.entries(), Vec::<Tree>::new());
        server.update("two", "", |new| new.set("spec.replicas", 2));
        assert_eq!(server.entries(), Vec::<Tree>::new(), "an untracked object stays untracked");
    }
    let mut server = tracked();
    let given = json!([{
        "manager": "new", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }]);
    server.update("two", "", |new| new.set("metadata.managedFields", given.clone()));
    assert_eq!(Tree::from(server.entries().to_vec()), given);
    server.update("two", "status", |new| new.set("metadata.managedFields", json!([{}])));
    assert_eq!(Tree::from(server.entries().to_vec()), given, "not through a subresource");
}

#[test]
fn the_first_apply_finds_an_owner_of_what_is_there() {
    let mut server = Server::new();
    server.live = Some(json!({
        "apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "a", "uid": "u"}, "spec": {"replicas": 1},
    }));
    let conflict = server.apply("one", json!({"replicas": 2}), false).expect_err("owned before");
    assert!(conflict.message.contains("conflict with \"before-first-apply\" using apps/v1: .spec.replicas"));
    server.apply("one", json!({"replicas": 1}), false).expect("same value");
    assert_eq!(server.owned("before-first-apply"), [".spec.replicas"]);
}

#[test]
fn kubectl_moves_over_from_client_side_apply() {
    let last = r#"{"apiVersion":"apps/v1","kind":"Thing","metadata":{"name":"a"},"spec":{"replicas":1,"paused":true}}"#;
    let client_side = || {
        let mut server = Server::new();
        server.update("kubectl-client-side-apply", "", |new| {
            new.set("spec", json!({"replicas": 1, "paused": true}));
            new.set_annotation(LAST_APPLIED, last);
        });
        server
    };
    let mut server = client_side();
    server.apply("kubectl", json!({"replicas": 2, "paused": true}), false).expect("its own field");
    let live = server.live.clone().expect("stored");
    let remembered: Tree = serde_json::from_str(live.annotation(LAST_APPLIED).expect("kept")).expect("JSON");
    assert_eq!(remembered["spec"], json!({"replicas": 2, "paused": true}));

    let mut server = client_side();
    server.apply("somebody", json!({"replicas": 2}), false).expect_err("not for others");
    server.update("scaler", "", |new| new.set("spec.replicas", 9));
    let conflict =
        server.apply("kubectl", json!({"replicas": 2, "paused": false}), false).expect_err("scaled since");
    let want = "Apply failed with 1 conflict: conflict with \"scaler\" using apps/v1: .spec.replicas";
    assert_eq!(conflict.message, want);
}

#[test]
fn bad_configurations_are_refused_in_upstreams_words() {
    let head = "failed to create typed patch object (/a; apps/v1, Kind=Thing): ";
    let cases = [
        (json!({"odd": 1}), ".spec.odd: field not declared in schema"),
        (json!({"containers": {"a": 1}}), ".spec.containers: expected list, got &{map[a:1]}"),
        (
            json!({"containers": ["x"]}),
            ".spec.containers: element 0: associative list with keys may not have non-map elements",
        ),
        (
            json!({"containers": [{"image": "x"}]}),
            ".spec.containers: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have default values for any key fields)",
        ),
        (
            json!({"containers": [{"name": "a"}, {"name": "a"}]}),
            ".spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            json!({"containers": [{"name": "a", "odd": 1}, {"name": "b", "ports": 3}]}),
            "errors:\n  .spec.containers[name=\"a\"].odd: field not declared in schema\n  .spec.containers[name=\"b\"].ports: expected list, got &{3}",
        ),
        (json!("x"), ".spec: expected map, got &{x}"),
    ];
    for (spec, want) in cases {
        let problem = Server::new().apply("one", spec, false).expect_err(want);
        assert_eq!((problem.code, problem.message), (500, format!("{head}{want}")));
    }
    let refuse = |config: Tree| {
        Server::new().with("", |fm| fm.apply(None, &config, "one", false)).expect_err("bad").message
    };
    assert_eq!(refuse(json!({"apiVersion": "v1", "kind": "Pod"})), "invalid object type: /v1, Kind=Pod");
    let owning = json!({"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"managedFields": [{}]}});
    assert_eq!(refuse(owning), "metadata.managedFields must be nil");
}

#[test]
fn merged_lists_keep_the_appliers_order() {
    let names =
        |names: &str| -> Tree { names.chars().map(|name| json!({"name": name.to_string()})).collect() };
    let cases = [
        ("", "ab", "ab"),
        ("ab", "b", "ab"),
        ("abc", "ca", "bca"),
        ("abcd", "xd", "abcxd"),
        ("ab", "ba", "ba"),
        ("axb", "ba", "xba"),
        ("ab", "xayb", "xayb"),
        ("aabb", "cb", "aacb"),
    ];
    let list = list(fields(vec![("name", Schema::Atomic)]), keys(&["name"]));
    let schema = fields(vec![("l", list)]);
    for (live, config, want) in cases {
        let (live, config) = (json!({"l": names(live)}), json!({"l": names(config)}));
        let merged = merge(&live, &config, &schema).expect("valid");
        assert_eq!(merged, json!({"l": names(want)}), "{live} {config}");
    }
}

#[test]
fn a_schema_that_became_atomic_joins_what_was_owned_apart() {
    let mut server = Server::new();
    server.apply("one", json!({"selector": 1, "replicas": 1}), false).expect("first");
    let mut live = server.live.clone().expect("stored");
    live["spec"]["selector"] = json!({"a": 1, "b": 2});
    live["metadata"]["managedFields"][0]["fieldsV1"] =
        json!({"f:spec": {"f:selector": {"f:a": {}}, "f:replicas": {}}});
    server.live = Some(live);
    server.update("two", "", |new| new.set("spec.paused", true));
    assert_eq!(server.owned("one"), [".spec.replicas", ".spec.selector"]);
}

struct OnlyV1;

impl Versions for OnlyV1 {
    fn convert(&self, object: &Tree, api_version: &str) -> Option<(Tree, Schema)> {
        (api_version == "apps/v1").then(|| (object.clone(), schema()))
    }
}

#[test]
fn managers_of_versions_that_are_gone_are_forgotten() {
    let mut server = Server::new();
    server.update("one", "", |new| new.set("spec.replicas", 1));
    let mut live = server.live.clone().expect("stored");
    live["metadata"]["managedFields"][0]["apiVersion"] = json!("apps/v1beta1");
    let mut new = live.clone();
    new.set("spec.paused", true);
    let kind = kind();
    let schema = schema();
    let manager = FieldManager {
        schema: &schema,
        kind: &kind,
        subresource: "",
        reset_fields: &[],
        versions: Some(&OnlyV1),
        now: Timestamp::UNIX_EPOCH,
    };
    manager.update(Some(&live), &mut new, "two");
    let names: Vec<&str> =
        new.items_at("metadata.managedFields").iter().map(|e| e.str_at("manager")).collect();
    assert_eq!(names, ["two"]);
}
