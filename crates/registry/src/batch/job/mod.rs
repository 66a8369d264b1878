//! Jobs.

mod columns;
mod defaults;
mod indexes;
mod policies;
mod prepare;
mod status;
mod update;
mod validation;
pub(super) mod warnings;

pub(super) use defaults::pod_failure_policy as pod_failure_policy_defaults;
pub(super) use validation::spec as validate_spec;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::core::podspec::warnings::{name_for_pods, of_changed};
use crate::resource::{Resource, Verb};
use crate::tree::Read;
use crate::{Context, Dependents, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "batch",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    categories: &["all"],
    subresources: &[table::part("status", "batch", "Job", Verb::READ_WRITE)],
    definition: "io.k8s.api.batch.v1.Job",
    storage: "jobs",
    strategy: &Job,
    columns: columns::COLUMNS,
    selectable_fields: &[("status.successful", |object| {
        object.int("status.succeeded").unwrap_or(0).to_string()
    })],
    ..table::BASE
};

struct Job;

impl Strategy for Job {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::job(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        prepare::create(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        prepare::update(new, old, context);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => status::update(new, old),
            _ => update::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        of_changed(new, old, context, |new| {
            let mut found = name_for_pods(new, old);
            found.extend(warnings::job_spec(new.at("spec"), &Path::new("spec")));
            found
        })
    }

    /// As `batch/v1` always had it.
    fn default_dependents(&self) -> Dependents {
        Dependents::Orphan
    }
}

/// Whether the status has a condition of that type that is true.
fn is_true(job: &Tree, condition: &str) -> bool {
    has_condition(job, condition, "True")
}

fn has_condition(job: &Tree, kind: &str, status: &str) -> bool {
    job.items("status.conditions").iter().any(|c| c.text("type") == kind && c.text("status") == status)
}

fn is_finished(job: &Tree) -> bool {
    is_true(job, "Complete") || is_true(job, "Failed")
}

fn is_indexed(spec: &Tree) -> bool {
    spec.text("completionMode") == "Indexed"
}
