//! The policy that every cluster begins with: upstream's default roles and bindings, as tables.
//!
//! At every start each object is compared with what is stored: an absent one is made; of an existing one only what
//! is missing is added, unless its annotation `rbac.authorization.kubernetes.io/autoupdate` says `false`. What
//! administrators added stays. The rules of `admin`, `edit` and `view` are left to the controller that sums them up.
//!
//! The tables have upstream's rules in upstream's order and grouping, with the feature gates that are on by default in
//! 1.37; `testdata/default-policy.txt` shows all of it (`UPDATE_GOLDEN=1 cargo test` writes it anew). Beyond upstream's:
//!
//! - `system:coredns` with its binding: the cluster has its DNS server from the start; kubeadm brings both with its
//!   add-on, under the same names.
//! - `kubeadm:cluster-admins`: the group of the administrators' kubeconfig, as kubeadm binds it.

mod apply;
mod bindings;
mod components;
mod controllers;
mod plan;
mod reconcile;
mod roles;
mod users;

use serde_json::json;
use steersman_apimachinery::Tree;

use super::rules::PolicyRule;

pub use apply::{BootstrapError, apply};
pub use plan::{Planned, plan};
pub use reconcile::Step;
use reconcile::step;

const GROUP: &str = "rbac.authorization.k8s.io";
const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
pub(super) const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// An object that every cluster has, with its plural resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// `clusterroles`, `roles`, `clusterrolebindings` or `rolebindings`.
    pub resource: &'static str,
    /// The object.
    pub object: Tree,
}

/// One rule of a table. Lists are separated by spaces; `core` is the core group.
#[derive(Clone, Copy)]
struct Rule {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
    urls: &'static str,
}

const READ: &str = "get list watch";
const WRITE: &str = "create delete deletecollection patch update";
const READ_WRITE: &str = "create delete deletecollection get list patch update watch";
/// Every component tells what it does.
const EVENTS: Rule = on("create patch update", "core events.k8s.io", "events");

const fn on(verbs: &'static str, groups: &'static str, resources: &'static str) -> Rule {
    Rule { verbs, groups, resources, names: "", urls: "" }
}

const fn named(
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
) -> Rule {
    Rule { verbs, groups, resources, names, urls: "" }
}

const fn at(verbs: &'static str, urls: &'static str) -> Rule {
    Rule { verbs, groups: "", resources: "", names: "", urls }
}

impl Rule {
    fn to_policy(self) -> PolicyRule {
        PolicyRule {
            verbs: words(self.verbs),
            api_groups: words(self.groups),
            resources: words(self.resources),
            resource_names: words(self.names),
            non_resource_urls: words(self.urls),
        }
    }
}

/// Sorted, as upstream writes them.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text
        .split_whitespace()
        .map(|word| if word == "core" { String::new() } else { word.to_owned() })
        .collect();
    words.sort_unstable();
    words
}

fn rules(table: &[Rule]) -> Tree {
    json!(table.iter().map(|rule| rule.to_policy()).collect::<Vec<_>>())
}

/// The rules of `system:node`, which the node authorizer applies itself.
pub(super) fn node_rules() -> Vec<PolicyRule> {
    components::NODE.iter().map(|rule| rule.to_policy()).collect()
}

fn object(kind: &str, namespace: &str, name: &str) -> Tree {
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
            "annotations": { AUTO_UPDATE: "true" },
        },
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

/// All of it, roles before the bindings to them. The namespaces `kube-system` and `kube-public` must exist.
pub fn wanted() -> Vec<Wanted> {
    [
        roles::cluster_roles(),
        controllers::roles(),
        bindings::cluster_bindings(),
        controllers::bindings(),
        roles::roles(),
        bindings::bindings(),
    ]
    .concat()
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
