//! What to do about one default object, given what is stored. Pure.

use serde_json::json;
use steersman_apimachinery::Tree;

use super::AUTO_UPDATE;
use crate::authorization::rules::{PolicyRule, uncovered};
use crate::view::{items, text};

/// What to do about one default object.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is as it should be.
    Leave,
    /// It does not exist.
    Create(Tree),
    /// It lacks something; this is the whole new object.
    Update(Tree),
    /// It is bound to another role, which cannot be changed: remove the one with this UID, then create this.
    Recreate {
        /// Of the stored object.
        uid: String,
        /// The new one.
        object: Tree,
    },
}

impl Step {
    /// What is to be written.
    pub fn object(&self) -> Option<&Tree> {
        match self {
            Self::Leave => None,
            Self::Create(object) | Self::Update(object) | Self::Recreate { object, .. } => Some(object),
        }
    }
}

/// Compares `stored` with `wanted`.
pub(super) fn step(stored: Option<&Tree>, wanted: &Tree) -> Step {
    let Some(stored) = stored else { return Step::Create(wanted.clone()) };
    if stored.pointer("/metadata/annotations").and_then(|a| a.get(AUTO_UPDATE)) == Some(&json!("false")) {
        return Step::Leave;
    }
    let mut merged = stored.clone();
    add_missing_metadata(&mut merged, wanted);
    if let Some(role) = wanted.get("roleRef") {
        if stored.get("roleRef") != Some(role) {
            let uid = text(stored, "/metadata/uid").to_owned();
            return Step::Recreate { uid, object: wanted.clone() };
        }
        add_missing_subjects(&mut merged, wanted);
    } else {
        add_missing_rules(&mut merged, wanted);
        add_missing_selectors(&mut merged, wanted);
    }
    if merged == *stored { Step::Leave } else { Step::Update(merged) }
}

/// Labels and annotations that are there keep their values.
fn add_missing_metadata(merged: &mut Tree, wanted: &Tree) {
    for field in ["labels", "annotations"] {
        let Some(entries) = wanted["metadata"][field].as_object() else { continue };
        for (key, value) in entries {
            let have = &mut merged["metadata"][field];
            if have.get(key).is_none() {
                have[key] = value.clone();
            }
        }
    }
}

fn add_missing_subjects(merged: &mut Tree, wanted: &Tree) {
    let have = items(merged, "/subjects").to_vec();
    let same = |a: &Tree, b: &Tree| {
        ["/kind", "/apiGroup", "/name", "/namespace"].iter().all(|field| text(a, field) == text(b, field))
    };
    let lacking = items(wanted, "/subjects").iter().filter(|s| !have.iter().any(|have| same(have, s)));
    let all: Vec<Tree> = have.iter().chain(lacking).cloned().collect();
    if all.len() > have.len() {
        merged["subjects"] = all.into();
    }
}

/// What is not covered is appended one verb and one resource a rule, as upstream does. An aggregated role wants no rules
/// here: its controller makes them.
fn add_missing_rules(merged: &mut Tree, wanted: &Tree) {
    let lacking = uncovered(&PolicyRule::of_role(merged), &PolicyRule::of_role(wanted));
    if !lacking.is_empty() {
        let mut rules = items(merged, "/rules").to_vec();
        rules.extend(lacking.iter().map(|rule| json!(rule)));
        merged["rules"] = rules.into();
    }
}

/// A default role that aggregates nothing must not begin to: whoever may label cluster roles could add rights to it.
fn add_missing_selectors(merged: &mut Tree, wanted: &Tree) {
    let selectors = "/aggregationRule/clusterRoleSelectors";
    if wanted.get("aggregationRule").is_none() {
        if let Some(role) = merged.as_object_mut() {
            role.retain(|field, value| field != "aggregationRule" || value.is_null());
        }
        return;
    }
    let have = items(merged, selectors).to_vec();
    let lacking = items(wanted, selectors).iter().filter(|selector| !have.contains(selector));
    let all: Vec<Tree> = have.iter().chain(lacking).cloned().collect();
    if all.len() > have.len() {
        merged["aggregationRule"]["clusterRoleSelectors"] = all.into();
    }
}
