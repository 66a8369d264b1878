//! Pods.

pub(crate) mod binding;
mod columns;
mod defaults;
mod prepare;
mod qos;
mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::core::podspec::warnings;
use crate::resource::{Resource, SelectableField, Subresource, Verb};
use crate::tree::Read;
use crate::{Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    subresources: SUBRESOURCES,
    definition: "io.k8s.api.core.v1.Pod",
    storage: "pods",
    strategy: &Pod,
    columns: columns::COLUMNS,
    selectable_fields: SELECTABLE_FIELDS,
    ..table::BASE
};

const SUBRESOURCES: &[Subresource] = &[
    table::part("attach", "", "PodAttachOptions", &[]),
    table::part("binding", "", "Binding", Verb::CREATE),
    table::part("ephemeralcontainers", "", "Pod", Verb::READ_WRITE),
    table::part("eviction", "policy", "Eviction", Verb::CREATE),
    table::part("exec", "", "PodExecOptions", &[]),
    table::part("log", "", "Pod", &[Verb::Get]),
    table::part("portforward", "", "PodPortForwardOptions", &[]),
    table::part("proxy", "", "PodProxyOptions", &[]),
    table::part("resize", "", "Pod", Verb::READ_WRITE),
    table::part("status", "", "Pod", Verb::READ_WRITE),
];

const SELECTABLE_FIELDS: &[SelectableField] = &[
    ("spec.nodeName", |pod| pod.text("spec.nodeName").to_owned()),
    ("spec.restartPolicy", |pod| pod.text("spec.restartPolicy").to_owned()),
    ("spec.schedulerName", |pod| pod.text("spec.schedulerName").to_owned()),
    ("spec.serviceAccountName", |pod| pod.text("spec.serviceAccountName").to_owned()),
    ("spec.hostNetwork", |pod| pod.flag("spec.hostNetwork").to_string()),
    ("status.phase", |pod| pod.text("status.phase").to_owned()),
    ("status.podIP", |pod| pod.text("status.podIP").to_owned()),
    ("status.podIPs", |pod| {
        pod.items("status.podIPs").iter().map(|ip| ip.text("ip")).collect::<Vec<_>>().join(",")
    }),
    ("status.nominatedNodeName", |pod| pod.text("status.nominatedNodeName").to_owned()),
];

struct Pod;

impl Strategy for Pod {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::pod(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        prepare::create(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        prepare::update(new, old, context.subresource);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        validation::update(new, old, context.subresource)
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, context: &Context) -> Vec<String> {
        match context.subresource {
            None => warnings::pod_spec(new.at("spec"), &Path::new("spec")),
            Some(_) => Vec::new(),
        }
    }

    fn grace_period_seconds(&self, object: &Tree, asked: Option<i64>) -> Option<i64> {
        Some(prepare::grace_period_seconds(object, asked))
    }
}
