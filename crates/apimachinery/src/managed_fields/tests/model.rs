//! Against a model that is slow and obviously right: an object is a bag of leaves, each with a value and its owners.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Leaves = BTreeMap<String, Tree>;

/// Every leaf of a spec, by printed path; items of lists and keys of maps are leaves of their own.
fn leaves(spec: &Tree) -> Leaves {
    let mut out = Leaves::new();
    for name in ["replicas", "paused"] {
        out.extend(spec.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    for (key, value) in spec.get("free").and_then(Tree::as_object).into_iter().flatten() {
        out.insert(format!("free.{key}"), value.clone());
    }
    for item in spec.items_at("containers") {
        let path = format!("containers[{}]", item["name"]);
        for (field, value) in item.as_object().into_iter().flatten() {
            out.insert(format!("{path}.{field}"), value.clone());
        }
        out.insert(path, Tree::Null);
    }
    out
}

#[derive(Default)]
struct Model {
    values: Leaves,
    owners: BTreeMap<String, BTreeSet<String>>,
}

impl Model {
    fn owns(&self, leaf: &str, manager: &str) -> bool {
        self.owners.get(leaf).is_some_and(|owners| owners.contains(manager))
    }

    /// The leaves that an apply wants to change and others own.
    fn conflicts(&self, manager: &str, config: &Leaves) -> Vec<String> {
        let differs = |leaf: &String, value: &Tree| self.values.get(leaf).is_some_and(|old| old != value);
        let by_others = |leaf: &String| {
            self.owners.get(leaf).is_some_and(|owners| owners.iter().any(|owner| owner != manager))
        };
        let conflicting = config.iter().filter(|(leaf, value)| differs(leaf, value) && by_others(leaf));
        conflicting.map(|(leaf, _)| format!(".spec.{leaf}")).collect()
    }

    fn apply(&mut self, manager: &str, config: &Leaves) {
        for leaf in self.values.keys().cloned().collect::<Vec<_>>() {
            if !config.contains_key(&leaf) && self.owns(&leaf, manager) {
                let owners = self.owners.entry(leaf.clone()).or_default();
                owners.remove(manager);
                if owners.is_empty() {
                    // An item goes with all that is in it, whoever owns that.
                    let below = format!("{leaf}.");
                    self.values.retain(|other, _| *other != leaf && !other.starts_with(&below));
                    self.owners.retain(|other, _| *other != leaf && !other.starts_with(&below));
                }
            }
        }
        for (leaf, value) in config {
            let owners = self.owners.entry(leaf.clone()).or_default();
            if self.values.insert(leaf.clone(), value.clone()).is_some_and(|old| old != *value) {
                owners.clear();
            }
            owners.insert(manager.to_owned());
        }
    }

    /// An update: what it changes it owns alone.
    fn update(&mut self, manager: &str, new: &Leaves) {
        self.owners.retain(|leaf, _| new.contains_key(leaf));
        for (leaf, value) in new {
            if self.values.get(leaf) != Some(value) {
                self.owners.insert(leaf.clone(), BTreeSet::from([manager.to_owned()]));
            }
        }
        self.values = new.clone();
    }

    fn owned(&self, manager: &str) -> Vec<String> {
        self.owners
            .keys()
            .filter(|leaf| self.owns(leaf, manager))
            .map(|leaf| format!(".spec.{leaf}"))
            .collect()
    }
}

fn spec() -> impl Strategy<Value = Tree> {
    let value = || prop::option::of(0..3i64);
    let containers = prop::sample::subsequence(vec!["a", "b", "c"], 0..4).prop_shuffle();
    (value(), value(), prop::array::uniform2(value()), containers, prop::array::uniform3(value())).prop_map(
        |(replicas, paused, free, containers, images)| {
            let mut spec = json!({});
            for (path, value) in
                [("replicas", replicas), ("paused", paused), ("free.x", free[0]), ("free.y", free[1])]
            {
                if let Some(value) = value {
                    spec.set(path, value);
                }
            }
            let item = |(name, image): (&str, Option<i64>)| match image {
                Some(image) => json!({"name": name, "image": image}),
                None => json!({"name": name}),
            };
            let items: Vec<Tree> = containers.into_iter().zip(images).map(item).collect();
            if !items.is_empty() {
                spec["containers"] = items.into();
            }
            spec
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Apply(&'static str, Tree, bool),
    Update(&'static str, Tree),
}

fn step() -> impl Strategy<Value = Step> {
    let manager = || prop::sample::select(vec!["one", "two", "three"]);
    prop_oneof![
        3 => (manager(), spec(), any::<bool>()).prop_map(|(manager, spec, force)| Step::Apply(manager, spec, force)),
        1 => (prop::sample::select(vec!["u1", "u2"]), spec()).prop_map(|(manager, spec)| Step::Update(manager, spec)),
    ]
}

/// Containers are not leaves of the model.
fn without_containers(paths: Vec<String>) -> Vec<String> {
    paths
        .into_iter()
        .filter(|path| ![".spec", ".spec.free", ".spec.containers"].contains(&path.as_str()))
        .collect()
}

/// The model prints keys without their name.
fn printed(paths: Vec<String>) -> Vec<String> {
    let mut paths: Vec<String> = paths.iter().map(|path| path.replace("[name=", "[")).collect();
    paths.sort();
    paths.dedup();
    paths
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn ownership_agrees_with_the_model(steps in prop::collection::vec(step(), 1..8)) {
        let mut server = Server::new();
        let mut model = Model::default();
        // An object that nobody owns anything of is not tracked at all.
        server.update("base", "", |new| new.set_label("tracked", "yes"));
        for step in &steps {
            match step {
                Step::Apply(manager, spec, force) => {
                    let conflicts = model.conflicts(manager, &leaves(spec));
                    match server.apply(manager, spec.clone(), *force) {
                        Ok(()) => {
                            prop_assert!(*force || conflicts.is_empty());
                            model.apply(manager, &leaves(spec));
                        }
                        // Who made a map keeps it when it is emptied: to make it again is a conflict, too.
                        Err(error) => {
                            let causes = error.details.map(|details| details.causes).unwrap_or_default();
                            let got: Vec<String> = causes.into_iter().map(|cause| cause.field).collect();
                            prop_assert!(!*force && !got.is_empty());
                            prop_assert_eq!(printed(without_containers(got)), conflicts);
                        }
                    }
                }
                Step::Update(manager, spec) => {
                    server.update(manager, "", |new| new.set("spec", spec.clone()));
                    model.update(manager, &leaves(spec));
                }
            }
            prop_assert_eq!(leaves(&server.spec()), model.values.clone());
            for manager in ["one", "two", "three", "u1", "u2"] {
                let got = printed(without_containers(server.owned(manager)));
                prop_assert_eq!(got, model.owned(manager), "{}", manager);
            }
        }
    }

    #[test]
    fn applying_again_changes_nothing(steps in prop::collection::vec((spec(), any::<bool>()), 1..4), last in spec()) {
        let mut server = Server::new();
        for (i, (spec, update)) in steps.into_iter().enumerate() {
            if update {
                server.update("u", "", |new| new.set("spec", spec));
            } else {
                server.apply(&format!("m{i}"), spec, true).expect("forced");
            }
        }
        server.apply("last", last.clone(), true).expect("forced");
        let before = server.live.clone();
        server.apply("last", last, false).expect("owned already");
        prop_assert_eq!(&server.live, &before);
    }

    #[test]
    fn no_input_panics(live in any_json(), config in any_json(), entries in any_json()) {
        let mut live = live;
        live.set("metadata.managedFields", entries);
        let server = Server::new();
        let mut config = config;
        for head in [true, false] {
            if head {
                config.set("apiVersion", "apps/v1");
                config.set("kind", "Thing");
            }
            server.with("", |fm| {
                let _ = fm.apply(Some(&live), &config, "kubectl", head);
                let mut new = config.clone();
                fm.update(Some(&live), &mut new, "x");
                keep_times_if_unchanged(&mut new, &live);
            });
        }
    }
}

fn any_json() -> impl Strategy<Value = Tree> {
    let key = prop_oneof![
        prop::sample::select(vec![
            "metadata",
            "spec",
            "status",
            "containers",
            "name",
            "ports",
            "free",
            "finalizers",
            "f:spec",
            "f:free",
            ".",
            "k:{\"name\":\"a\"}",
            "v:1",
            "i:0",
            "operation",
            "apiVersion",
            "fieldsType",
            "fieldsV1",
            "annotations",
        ])
        .prop_map(str::to_owned),
        "[a-z:{}]{0,3}",
    ];
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i8>().prop_map(Tree::from),
        prop::sample::select(vec!["Apply", "Update", "FieldsV1", "apps/v1", "x", ""]).prop_map(Tree::from),
    ];
    leaf.prop_recursive(5, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::Array),
            prop::collection::btree_map(key.clone(), inner, 0..5).prop_map(|m| m.into_iter().collect()),
        ]
    })
}
