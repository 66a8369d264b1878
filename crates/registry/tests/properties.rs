//! What holds for the rules of every kind, whatever the object: defaulting twice changes nothing, and no tree, however
//! damaged, makes a rule panic.

mod samples;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use steersman_registry::{Context, Resource, resources};

/// What is put in the place of a node.
fn replacements() -> [Value; 8] {
    [json!(null), json!(""), json!(0), json!(-1), json!([]), json!({}), json!("none such"), json!(true)]
}

/// Replaces or (`choice` beyond the replacements) removes the `at`th node of a tree, counted in its order.
fn damage(tree: &mut Value, at: usize, choice: usize) {
    fn walk(tree: &mut Value, left: &mut usize, choice: usize) -> bool {
        let hit = |left: &mut usize| {
            let hit = *left == 0;
            *left = left.wrapping_sub(1);
            hit
        };
        match tree {
            Value::Object(map) => {
                let keys: Vec<String> = map.keys().cloned().collect();
                for key in keys {
                    if hit(left) {
                        match replacements().get(choice) {
                            Some(value) => map.insert(key, value.clone()),
                            None => map.remove(&key),
                        };
                        return true;
                    }
                    if walk(&mut map[&key], left, choice) {
                        return true;
                    }
                }
                false
            }
            Value::Array(items) => {
                for item in items {
                    if hit(left) {
                        *item = replacements().get(choice).cloned().unwrap_or_default();
                        return true;
                    }
                    if walk(item, left, choice) {
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }
    let size = count(tree).max(1);
    walk(tree, &mut (at % size), choice);
}

fn count(tree: &Value) -> usize {
    match tree {
        Value::Object(map) => map.values().map(|value| 1 + count(value)).sum(),
        Value::Array(items) => items.iter().map(|value| 1 + count(value)).sum(),
        _ => 0,
    }
}

fn damaged_object() -> impl Strategy<Value = (&'static Resource, Value)> {
    let kinds: Vec<&'static Resource> = resources().iter().collect();
    let damages = prop::collection::vec((any::<prop::sample::Index>(), 0..=replacements().len()), 0..6);
    (prop::sample::select(kinds), damages).prop_map(|(resource, damages)| {
        let mut tree = samples::of(resource.kind, resource.group);
        for (at, choice) in damages {
            let size = count(&tree).max(1);
            damage(&mut tree, at.index(size), choice);
        }
        (resource, tree)
    })
}

fn context(subresource: Option<&'static str>) -> Context {
    Context { subresource, user: "someone".to_owned(), ..Context::default() }
}

proptest! {
    #[test]
    fn defaulting_twice_changes_nothing((resource, mut tree) in damaged_object()) {
        resource.strategy.apply_defaults(&mut tree);
        let once = tree.clone();
        resource.strategy.apply_defaults(&mut tree);
        prop_assert_eq!(tree, once);
    }

    #[test]
    fn no_tree_makes_a_rule_panic((resource, mut tree) in damaged_object(), (other, _) in damaged_object()) {
        let whole = samples::of(resource.kind, resource.group);
        let rules = resource.strategy;
        rules.apply_defaults(&mut tree);
        let mut created = tree.clone();
        rules.prepare_for_create(&mut created, &context(None));
        rules.validate(&created, &context(None));
        rules.warnings(&created, None, &context(None));
        let subresources = resource.subresources.iter().map(|sub| Some(sub.name)).chain([None]);
        for subresource in subresources {
            for (new, old) in [(&tree, &whole), (&whole, &tree)] {
                let mut new = new.clone();
                rules.prepare_for_update(&mut new, old, &context(subresource));
                rules.validate_update(&new, old, &context(subresource));
                rules.warnings(&new, Some(old), &context(subresource));
            }
        }
        rules.grace_period_seconds(&tree, None);
        rules.mark_deleted(&mut tree);
        // A table shows objects of its own kind; a wrong one must not hurt either.
        for column in resource.columns.iter().chain(other.columns) {
            (column.cell)(&tree, Timestamp::UNIX_EPOCH);
        }
        for (_, field) in resource.selectable_fields {
            field(&tree);
        }
    }
}

#[test]
fn samples_are_valid_and_settled() {
    for resource in resources().iter().filter(|resource| !resource.storage.is_empty()) {
        let rules = resource.strategy;
        let mut tree = samples::of(resource.kind, resource.group);
        if let Some(spec) = tree.get_mut("spec").and_then(Value::as_object_mut) {
            // These come by their own subresource only.
            spec.remove("ephemeralContainers");
        }
        rules.apply_defaults(&mut tree);
        rules.prepare_for_create(&mut tree, &context(None));
        let problems: Vec<String> =
            rules.validate(&tree, &context(None)).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", resource.plural);
        let mut again = tree.clone();
        rules.prepare_for_update(&mut again, &tree, &context(None));
        assert_eq!(again, tree, "{}: an update that changes nothing changes something", resource.plural);
        let problems: Vec<String> =
            rules.validate_update(&again, &tree, &context(None)).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", resource.plural);
    }
}
