//! Comparisons with upstream's own code, in Go: `cargo test -p steersman-api -- --ignored`. They need a Go toolchain
//! and upstream's modules.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use steersman_apimachinery::Tree;

use crate::catalog::{Gvk, TypeId, catalog};
use crate::decode::{decode, strict_decoding_error};
use crate::generate::{Choices, object, part};
use crate::protobuf;
use crate::yaml::to_yaml;

/// Hands cases to the Go program, and fails with what it prints.
fn compare(cases: impl Iterator<Item = Value>) {
    let mut lines = String::new();
    for case in cases {
        writeln!(lines, "{case}").unwrap();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/go-facts");
    let mut go = Command::new("go")
        .args(["run", "./interop"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a Go toolchain");
    let mut input = go.stdin.take().unwrap();
    // The program prints nothing but at most twenty differences before it has read everything.
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let out = go.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}");
}

/// The kinds that are objects of their own.
fn kinds() -> impl Iterator<Item = (Gvk, TypeId)> {
    catalog().kinds().filter(|(gvk, _)| gvk.kind != "WatchEvent")
}

fn case(name: &str, input: &str, id: TypeId) -> Value {
    match decode(input.as_bytes(), id) {
        Err(error) => json!({"name": name, "input": input, "error": error.to_string()}),
        Ok(found) if !found.problems.is_empty() => {
            json!({"name": name, "input": input, "error": strict_decoding_error(&found.problems)})
        }
        Ok(found) => {
            let body = protobuf::has_message(id).then(|| protobuf::encode(&found.tree, id).unwrap());
            let body = base64::engine::general_purpose::STANDARD.encode(body.unwrap_or_default());
            json!({"name": name, "input": input, "tree": found.tree, "protobuf": body})
        }
    }
}

#[test]
#[ignore = "needs Go and upstream's modules"]
fn objects_are_upstreams() {
    compare(kinds().flat_map(|(gvk, id)| {
        (0..25).map(move |seed| {
            let tree = object(gvk, id, &mut Choices::new(seed));
            case(&format!("{} {seed}", gvk.kind), &tree.to_string(), id)
        })
    }));
}

/// What is deep within objects is seldom generated with them: schemas of custom resources, and the parts of pods.
fn deep_objects() -> impl Iterator<Item = (String, Tree, TypeId)> {
    const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    let kinds = [("", "Pod"), ("apiextensions.k8s.io", "CustomResourceDefinition")];
    let [pod, crd] = kinds.map(|(group, kind)| catalog().kind(group, "v1", kind).unwrap());
    let crds = (0..300).map(move |seed| {
        let schema = part(SCHEMA, &mut Choices::new(seed));
        let tree = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}});
        (format!("schema {seed}"), tree, crd)
    });
    let pods = (0..300).map(move |seed| {
        let mut choices = Choices::new(seed);
        let mut part = |kind: &str| part(&format!("io.k8s.api.core.v1.{kind}"), &mut choices);
        let spec = json!({"containers": [part("Container")], "ephemeralContainers": [part("EphemeralContainer")],
            "volumes": [part("Volume"), part("Volume")], "affinity": part("Affinity")});
        let status = json!({"containerStatuses": [part("ContainerStatus")], "conditions": [part("PodCondition")]});
        (format!("pod {seed}"), json!({"apiVersion": "v1", "kind": "Pod", "spec": spec, "status": status}), pod)
    });
    crds.chain(pods)
}

#[test]
#[ignore = "needs Go and upstream's modules"]
fn deep_parts_are_upstreams() {
    compare(deep_objects().map(|(name, tree, id)| case(&name, &tree.to_string(), id)));
}

#[test]
#[ignore = "needs Go and upstream's modules"]
fn refusals_are_upstreams() {
    let whole = kinds().filter(|(gvk, _)| gvk.group != Gvk::EVERY).flat_map(|(gvk, id)| {
        (0..30).map(move |seed| {
            let tree = object(gvk, id, &mut Choices::new(seed));
            (format!("{} {seed}", gvk.kind), tree, id)
        })
    });
    compare(whole.chain(deep_objects()).zip(0..).map(|((name, tree, id), seed)| {
        let choices = Choices::new(seed);
        let mut damage = Damage { choices, wrong_types: seed % 2 == 0, out: String::new() };
        damage.write(&tree, true);
        case(&name, &damage.out, id)
    }));
}

#[test]
#[ignore = "needs Go and upstream's modules"]
fn yaml_is_upstreams() {
    compare(kinds().flat_map(|(gvk, id)| {
        (0..5).map(move |seed| {
            let tree = object(gvk, id, &mut Choices::new(seed));
            json!({"name": gvk.kind, "input": tree.to_string(), "yaml": to_yaml(&tree)})
        })
    }));
}

/// Writes a tree as JSON with faults: values of wrong types, or unknown and duplicate fields.
struct Damage {
    choices: Choices,
    wrong_types: bool,
    out: String,
}

const WRONG: [&str; 13] = [
    "5",
    "\"x\"",
    "true",
    "{}",
    "[]",
    "1.5",
    "null",
    "{\"a\":1}",
    "[1]",
    "3000000000",
    "-1",
    "\"2026-01-02T03:04:05Z\"",
    "\"1k\"",
];

impl Damage {
    fn write(&mut self, tree: &Tree, is_root: bool) {
        match tree {
            _ if self.wrong_types && !is_root && self.choices.below(15) == 0 => {
                self.out.push_str(WRONG[self.choices.below(WRONG.len() as u64) as usize]);
            }
            Tree::Object(map) => {
                let mut members = Vec::new();
                for (name, value) in map {
                    let type_meta = is_root && matches!(name.as_str(), "apiVersion" | "kind");
                    let twice = !self.wrong_types && !type_meta && self.choices.below(8) == 0;
                    members.extend(std::iter::repeat_n((name.as_str(), Some(value)), 1 + usize::from(twice)));
                    if !self.wrong_types && self.choices.below(8) == 0 {
                        members.push(("bogus", None));
                    }
                }
                self.members(&members, is_root);
            }
            Tree::Array(items) => {
                self.out.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.out.push_str(if at > 0 { "," } else { "" });
                    self.write(item, false);
                }
                self.out.push(']');
            }
            scalar => self.out.push_str(&scalar.to_string()),
        }
    }

    fn members(&mut self, members: &[(&str, Option<&Tree>)], is_root: bool) {
        self.out.push('{');
        for (at, (name, value)) in members.iter().enumerate() {
            self.out.push_str(if at > 0 { "," } else { "" });
            self.out.push_str(&format!("{}:", Tree::from(*name)));
            match value {
                Some(tree) if is_root && matches!(*name, "apiVersion" | "kind") => {
                    self.out.push_str(&tree.to_string());
                }
                Some(tree) => self.write(tree, false),
                None => self.out.push_str("{\"a\":1,\"a\":2}"),
            }
        }
        self.out.push('}');
    }
}
