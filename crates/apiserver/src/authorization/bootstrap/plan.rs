//! Everything there is to do at start to have the default policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_registry::aggregated_rules;

use super::{GROUP, Step, step, wanted};
use crate::request::ObjectReader;
use crate::view::text;

/// One object to write, with its plural resource (of `rbac.authorization.k8s.io`).
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// `clusterroles`, `roles`, `clusterrolebindings` or `rolebindings`.
    pub resource: &'static str,
    /// What to do; never [`Step::Leave`].
    pub step: Step,
}

/// Compares what is stored with what every cluster has, aggregated roles included, and says what to write, in order.
pub async fn plan(objects: &dyn ObjectReader) -> Vec<Planned> {
    let mut planned = Vec::new();
    for wanted in wanted() {
        let (namespace, name) =
            (text(&wanted.object, "/metadata/namespace"), text(&wanted.object, "/metadata/name"));
        let stored = objects.get(GROUP, wanted.resource, namespace, name).await;
        planned.push(Planned { resource: wanted.resource, step: step(stored.as_deref(), &wanted.object) });
    }
    aggregate(&objects.list(GROUP, "clusterroles", "").await, &mut planned);
    planned.retain(|planned| planned.step != Step::Leave);
    planned
}

/// Puts the sums into the roles that aggregate others, be they planned or only stored.
fn aggregate(stored: &[Arc<Tree>], planned: &mut Vec<Planned>) {
    let mut roles: BTreeMap<String, Tree> =
        stored.iter().map(|role| (name(role), Tree::clone(role))).collect();
    let written = planned.iter().filter(|planned| planned.resource == "clusterroles");
    roles.extend(written.filter_map(|planned| planned.step.object()).map(|role| (name(role), role.clone())));
    for (name_of, rules) in settled_sums(&mut roles) {
        let same = |planned: &&mut Planned| {
            planned.resource == "clusterroles"
                && planned.step.object().is_some_and(|object| name(object) == name_of)
        };
        match planned.iter_mut().find(same).and_then(|planned| planned.step.object_mut()) {
            Some(object) => object["rules"] = rules,
            None => {
                let step = Step::Update(roles[&name_of].clone());
                planned.push(Planned { resource: "clusterroles", step });
            }
        }
    }
}

/// Sums up until nothing changes, since sums are parts of other sums (`admin` has `edit` has `view`), and gives the
/// rules of those that changed. Roles that sum each other up may never settle: the rounds are limited.
fn settled_sums(roles: &mut BTreeMap<String, Tree>) -> BTreeMap<String, Tree> {
    let mut changed = BTreeMap::new();
    for _ in 0..roles.len() {
        let sums = roles.iter().filter_map(|(name, role)| {
            let rules = Tree::from(aggregated_rules(role, roles.values())?);
            (role.get("rules") != Some(&rules)).then(|| (name.clone(), rules))
        });
        let round: Vec<(String, Tree)> = sums.collect();
        if round.is_empty() {
            break;
        }
        for (name, rules) in round {
            if let Some(role) = roles.get_mut(&name) {
                role["rules"] = rules.clone();
            }
            changed.insert(name, rules);
        }
    }
    changed
}

fn name(object: &Tree) -> String {
    text(object, "/metadata/name").to_owned()
}
