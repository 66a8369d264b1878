//! Cron jobs.

mod defaults;
mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use super::job::warnings::job_spec;
use crate::core::podspec::warnings::{name_for_pods, of_changed};
use crate::print::{self, since};
use crate::resource::{Resource, Verb};
use crate::rules::{keep_parts_apart, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, ColumnKind, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "batch",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    subresources: &[table::part("status", "batch", "CronJob", Verb::READ_WRITE)],
    definition: "io.k8s.api.batch.v1.CronJob",
    storage: "cronjobs",
    strategy: &CronJob,
    columns: COLUMNS,
    ..table::BASE
};

const TEMPLATE: &str = "spec.jobTemplate.spec.template";

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Schedule", 0, "When jobs are made.", |object, _| object.text("spec.schedule").into()),
    print::text("Timezone", 0, "Whose clock the schedule follows.", |object, _| {
        object.at("spec.timeZone").as_str().unwrap_or("<none>").into()
    }),
    Column {
        name: "Suspend",
        kind: ColumnKind::Boolean,
        priority: 0,
        description: "Whether no jobs are made.",
        cell: |object, _| match object.at("spec.suspend").as_bool() {
            Some(true) => "True".into(),
            Some(false) => "False".into(),
            None => "<unset>".into(),
        },
    },
    print::integer("Active", 0, "Jobs that run.", |object, _| {
        print::integer_cell(object.items("status.active").len())
    }),
    print::text("Last Schedule", 0, "Time since a job was made.", |object, now| {
        match object.text("status.lastScheduleTime") {
            "" => "<none>".into(),
            time => since(time, now).into(),
        }
    }),
    print::AGE,
    print::text("Containers", 1, "Names of the template's containers.", |object, _| {
        print::containers_of(object, TEMPLATE, "name")
    }),
    print::text("Images", 1, "Images of the template's containers.", |object, _| {
        print::containers_of(object, TEMPLATE, "image")
    }),
    print::text("Selector", 1, "Which pods its jobs own.", |object, _| {
        print::selector_cell(object, "spec.jobTemplate.spec.selector")
    }),
];

struct CronJob;

impl Strategy for CronJob {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::cron_job(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        drop_disabled(tree, None);
        tree.set("status", json!({}));
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        drop_disabled(new, Some(old));
        keep_parts_apart(new, old, context);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => ErrorList::new(),
            _ => validation::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        let mut found = of_changed(new, old, context, |new| {
            let mut found = name_for_pods(new, old);
            let path = Path::new("spec").child("jobTemplate").child("spec");
            found.extend(job_spec(new.at("spec.jobTemplate.spec"), &path));
            found
        });
        if old.is_some() && context.subresource.is_none() && new.text("spec.schedule").contains("TZ") {
            // Upstream names the field so.
            found.push(
                "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                    .to_owned(),
            );
        }
        found
    }
}

/// `scheduling` is alpha and off.
fn drop_disabled(cron_job: &mut Tree, old: Option<&Tree>) {
    if old.is_some_and(|old| old.has("spec.jobTemplate.spec.scheduling")) {
        return;
    }
    let job = cron_job.part_mut("spec").and_then(|spec| spec.part_mut("jobTemplate"));
    if let Some(spec) = job.and_then(|job| job.part_mut("spec")) {
        spec.remove("scheduling");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn cron_jobs_print_as_upstream() {
        let mut object = json!({
            "metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"schedule": "@hourly", "suspend": false, "jobTemplate": {"spec": {"template": {"spec": {
                "containers": [{"name": "a", "image": "x"}]}}}}},
        });
        let now = "2026-01-01T01:00:10Z";
        assert_eq!(row(COLUMNS, &object, now), "c|@hourly|<none>|False|0|<none>|60m|a|x|<none>");
        object["spec"]["timeZone"] = json!("Asia/Tokyo");
        object["spec"]["suspend"] = json!(null);
        object["status"] = json!({"active": [{}], "lastScheduleTime": "2026-01-01T01:00:00Z"});
        assert_eq!(row(COLUMNS, &object, now), "c|@hourly|Asia/Tokyo|<unset>|1|10s|60m|a|x|<none>");
    }

    #[test]
    fn zones_in_schedules_are_warned_of() {
        let object = json!({"metadata": {"name": "c"}, "spec": {"schedule": "TZ=UTC @hourly"}});
        assert!(CronJob.warnings(&object, None, &Context::default()).is_empty());
        let got = CronJob.warnings(&object, Some(&object), &Context::default());
        assert!(got[0].starts_with("cannot use TZ or CRON_TZ in spec.spec.schedule"), "{got:?}");
    }
}
