//! Commands of kubectl that write.

use anyhow::{Result, ensure};
use serde_json::json;
use steersman_e2e::suite::{Suite, Test};
use steersman_e2e::wait;

use crate::manifests::{deployment, shell};

pub const TESTS: &[Test] = &[
    ("create_makes_every_kind", create_makes_every_kind),
    ("apply_merges_what_others_changed", apply_merges_what_others_changed),
    ("server_side_apply_guards_owned_fields", server_side_apply_guards_owned_fields),
    ("diff_shows_what_apply_would_change", diff_shows_what_apply_would_change),
    ("edit_sends_a_patch", edit_sends_a_patch),
    ("patches_of_three_kinds", patches_of_three_kinds),
    ("label_and_annotate", label_and_annotate),
    ("dry_runs_store_nothing", dry_runs_store_nothing),
    ("delete_takes_grace_force_and_cascade", delete_takes_grace_force_and_cascade),
    ("a_namespace_goes_with_its_objects", a_namespace_goes_with_its_objects),
];

fn create_makes_every_kind(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let commands: &[&[&str]] = &[
        &["configmap", "made", "--from-literal=a=1", "--from-literal=b=2"],
        &["secret", "generic", "made", "--from-literal=password=x"],
        &["secret", "docker-registry", "pull", "--docker-username=u", "--docker-password=p"],
        &["serviceaccount", "made"],
        &["role", "made", "--verb=get,list", "--resource=pods,deployments.apps"],
        &["rolebinding", "made", "--role=made", "--user=somebody"],
        &["deployment", "made", "--image", &image, "--replicas=2", "--", "sleep", "1000"],
        &["service", "clusterip", "made", "--tcp=80:8080"],
        &["service", "nodeport", "made-outside", "--tcp=80"],
    ];
    for command in commands {
        let printed = kubectl.ok(&[&["create"], *command].concat())?;
        ensure!(printed.ends_with(" created\n"), "{command:?}: {printed}");
    }
    kubectl.until_field("deployment/made", ".status.readyReplicas", "2")?;
    let port: u16 = kubectl.field("service/made-outside", ".spec.ports[0].nodePort")?.parse()?;
    ensure!((30000..32768).contains(&port), "node port {port}");
    let error = kubectl.fails(&["create", "serviceaccount", "made"])?;
    ensure!(
        error == "Error from server (AlreadyExists): serviceaccounts \"made\" already exists\n"
            || error == "error: failed to create serviceaccount: serviceaccounts \"made\" already exists\n",
        "{error}"
    );
    Ok(())
}

fn apply_merges_what_others_changed(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let manifest = |data: serde_json::Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data})
            .to_string()
    };
    ensure!(kubectl.apply(&manifest(json!({"a": "1", "b": "2"})))? == "configmap/applied created\n");
    ensure!(kubectl.apply(&manifest(json!({"a": "1", "b": "2"})))? == "configmap/applied unchanged\n");
    kubectl.ok(&["patch", "configmap", "applied", "-p", r#"{"data":{"other":"kept"}}"#])?;
    ensure!(kubectl.apply(&manifest(json!({"a": "3"})))? == "configmap/applied configured\n");
    let got = kubectl.get(&["configmap", "applied"])?;
    ensure!(got["data"] == json!({"a": "3", "other": "kept"}), "{got}");
    Ok(())
}

fn server_side_apply_guards_owned_fields(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let manifest = |value: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned"}, "data": {"a": value}})
            .to_string()
    };
    let apply = |manager: &str, value: &str, more: &[&str]| {
        let manager = format!("--field-manager={manager}");
        let arguments = ["apply", "--server-side", &manager, "-f", "-"];
        kubectl.feed(&[&arguments, more].concat(), &manifest(value))
    };
    let first = apply("first", "1", &[])?.success()?;
    ensure!(first == "configmap/owned serverside-applied\n", "{first}");
    let conflict = apply("second", "2", &[])?.failure()?;
    ensure!(conflict.contains("conflict with \"first\": .data.a"), "{conflict}");
    apply("second", "1", &[])?.success()?; // the same value is shared
    apply("second", "2", &["--force-conflicts"])?.success()?;
    ensure!(kubectl.field("configmap/owned", ".data.a")? == "2");
    let owners = kubectl.ok(&["get", "configmap", "owned", "--show-managed-fields", "-o", "json"])?;
    ensure!(
        owners.contains("\"manager\": \"second\"") && owners.contains("\"operation\": \"Apply\""),
        "{owners}"
    );
    Ok(())
}

fn diff_shows_what_apply_would_change(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let manifest = |value: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "compared"}, "data": {"a": value}})
            .to_string()
    };
    kubectl.apply(&manifest("old"))?;
    let same = kubectl.feed(&["diff", "-f", "-"], &manifest("old"))?;
    ensure!(same.status.success() && same.stdout.is_empty(), "{same:?}");
    let different = kubectl.feed(&["diff", "-f", "-"], &manifest("new"))?;
    ensure!(different.status.code() == Some(1), "{different:?}");
    ensure!(
        different.stdout.contains("-  a: old") && different.stdout.contains("+  a: new"),
        "{different:?}"
    );
    ensure!(kubectl.field("configmap/compared", ".data.a")? == "old");
    Ok(())
}

fn edit_sends_a_patch(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    kubectl.ok(&["create", "configmap", "edited", "--from-literal=a=before"])?;
    let editor = kubectl.with_env("KUBE_EDITOR", "sed -i s/before/after/");
    ensure!(editor.ok(&["edit", "configmap", "edited"])? == "configmap/edited edited\n");
    ensure!(kubectl.field("configmap/edited", ".data.a")? == "after");
    let idle = kubectl.with_env("KUBE_EDITOR", "true").run(&["edit", "configmap", "edited"])?;
    ensure!(idle.stderr.contains("Edit cancelled, no changes made"), "{idle:?}");
    Ok(())
}

fn patches_of_three_kinds(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let pod = shell("patched", &suite.image("busybox:1")?, "sleep 1000");
    kubectl.apply(&deployment("patched", 0, &pod).to_string())?;
    let containers = ".spec.template.spec.containers";
    let patches = [
        // Lists merge by name, so a container is added.
        (
            "strategic",
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"more","image":"x"}]}}}}"#,
            "more main",
        ),
        // Lists are replaced.
        ("merge", r#"{"spec":{"template":{"spec":{"containers":[{"name":"only","image":"x"}]}}}}"#, "only"),
        (
            "json",
            r#"[{"op":"test","path":"/spec/replicas","value":0},
                {"op":"replace","path":"/spec/template/spec/containers/0/name","value":"renamed"}]"#,
            "renamed",
        ),
    ];
    for (kind, patch, wanted) in patches {
        kubectl.ok(&["patch", "deployment", "patched", "--type", kind, "-p", patch])?;
        let names = kubectl.field("deployment/patched", &format!("{containers}[*].name"))?;
        ensure!(names == wanted, "{kind}: {names}");
    }
    let test = r#"[{"op":"test","path":"/spec/replicas","value":7}]"#;
    kubectl.fails(&["patch", "deployment", "patched", "--type=json", "-p", test])?;
    kubectl.ok(&[
        "patch",
        "deployment",
        "patched",
        "--subresource=scale",
        "--type=merge",
        "-p",
        r#"{"spec":{"replicas":0}}"#,
    ])?;
    Ok(())
}

fn label_and_annotate(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    kubectl.ok(&["create", "configmap", "marked"])?;
    for (verb, map) in [("label", "labels"), ("annotate", "annotations")] {
        kubectl.ok(&[verb, "configmap", "marked", "colour=red"])?;
        let error = kubectl.fails(&[verb, "configmap", "marked", "colour=blue"])?;
        ensure!(error.contains("--overwrite"), "{error}");
        kubectl.ok(&[verb, "configmap", "marked", "colour=blue", "--overwrite"])?;
        ensure!(kubectl.field("configmap/marked", &format!(".metadata.{map}.colour"))? == "blue");
        kubectl.ok(&[verb, "configmap", "marked", "colour-"])?;
        ensure!(kubectl.field("configmap/marked", &format!(".metadata.{map}.colour"))?.is_empty());
    }
    Ok(())
}

fn dry_runs_store_nothing(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let created = kubectl.ok(&[
        "create",
        "configmap",
        "dry",
        "--from-literal=a=1",
        "--dry-run=server",
        "-o",
        "yaml",
    ])?;
    ensure!(created.contains("uid:"), "the server completed it: {created}");
    let error = kubectl.fails(&["get", "configmap", "dry"])?;
    ensure!(error == "Error from server (NotFound): configmaps \"dry\" not found\n", "{error}");
    kubectl.ok(&["create", "configmap", "dry", "--from-literal=a=1"])?;
    for command in [
        "delete configmap dry --dry-run=server",
        "label configmap dry a=b --dry-run=server",
        "patch configmap dry --dry-run=server -p {\"data\":{\"a\":\"2\"}}",
    ] {
        kubectl.ok(&command.split(' ').collect::<Vec<_>>())?;
        let kept = kubectl.get(&["configmap", "dry"])?;
        ensure!(
            kept["data"] == json!({"a": "1"}) && kept["metadata"]["labels"].is_null(),
            "{command}: {kept}"
        );
    }
    let invalid =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dry"}, "spec": {"containers": []}});
    let error = kubectl.feed(&["create", "--dry-run=server", "-f", "-"], &invalid.to_string())?.failure()?;
    ensure!(error.contains("spec.containers: Required value"), "{error}");
    Ok(())
}

fn delete_takes_grace_force_and_cascade(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let image = suite.image("busybox:1")?;
    let mut stubborn = shell("stubborn", &image, "trap '' TERM; while true; do sleep 1; done");
    stubborn["spec"]["terminationGracePeriodSeconds"] = json!(600);
    for arguments in [&["--grace-period=1"][..], &["--force", "--grace-period=0"], &["--now"]] {
        kubectl.apply(&stubborn.to_string())?;
        kubectl.until_ready("stubborn")?;
        kubectl.ok(&[&["delete", "pod", "stubborn"], arguments].concat())?;
        kubectl.fails(&["get", "pod", "stubborn"])?;
    }
    let pod = shell("cascading", &image, "sleep 1000");
    let counts = |sets: &str, pods: &str| {
        wait::until_equal("what is left", &(sets.to_owned(), pods.to_owned()), || {
            let count = |kind| {
                Ok::<_, anyhow::Error>(kubectl.ok(&["get", kind, "-o", "name"])?.lines().count().to_string())
            };
            Ok((count("replicasets")?, count("pods")?))
        })
    };
    kubectl.apply(&deployment("cascading", 1, &pod).to_string())?;
    counts("1", "1")?;
    kubectl.ok(&["delete", "deployment", "cascading", "--cascade=orphan"])?;
    let owner = kubectl.ok(&["get", "replicasets", "-o", "jsonpath={.items[*].metadata.ownerReferences}"])?;
    ensure!(owner.is_empty(), "an orphan has no owner: {owner}");
    counts("1", "1")?;
    kubectl.apply(&deployment("cascading", 1, &pod).to_string())?; // adopts them
    kubectl.until_field("deployment/cascading", ".status.readyReplicas", "1")?;
    counts("1", "1")?;
    kubectl.ok(&["delete", "deployment", "cascading", "--cascade=foreground"])?;
    counts("0", "0")?;
    kubectl.apply(&deployment("cascading", 1, &pod).to_string())?;
    counts("1", "1")?;
    kubectl.ok(&["delete", "deployment", "cascading"])?;
    counts("0", "0")
}

fn a_namespace_goes_with_its_objects(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let name = format!("{}-inner", kubectl.namespace());
    kubectl.ok(&["create", "namespace", &name])?;
    let inner = kubectl.in_namespace(&name);
    inner.apply(&shell("inner", &suite.image("busybox:1")?, "sleep 1000").to_string())?;
    inner.ok(&["create", "configmap", "inner"])?;
    inner.until_ready("inner")?;
    kubectl.ok(&["delete", "namespace", &name])?;
    let error = kubectl.fails(&["get", "namespace", &name])?;
    ensure!(error.contains("(NotFound)"), "{error}");
    let error = inner.fails(&["create", "configmap", "late"])?;
    ensure!(error.contains("not found"), "{error}");
    Ok(())
}
