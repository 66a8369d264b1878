//! Persistent volumes.

mod defaults;
mod iscsi;
mod sources;
mod validation;
mod warnings;

pub(crate) use validation::inline_spec;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::time;

use super::volumes::{access_modes, class_of, phase};
use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{differs, keep_apart};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    short_names: &["pv"],
    scope: Scope::Cluster,
    subresources: &[table::part("status", "", "PersistentVolume", Verb::READ_WRITE)],
    definition: "io.k8s.api.core.v1.PersistentVolume",
    storage: "persistentvolumes",
    strategy: &PersistentVolume,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Capacity", 0, "How much it holds.", |volume, _| {
        print::quantity(volume.at("spec.capacity").get("storage")).into()
    }),
    print::text("Access Modes", 0, "How it can be mounted.", |volume, _| {
        access_modes(&volume.texts("spec.accessModes")).into()
    }),
    print::text("Reclaim Policy", 0, "What becomes of it when it is released.", |volume, _| {
        volume.text("spec.persistentVolumeReclaimPolicy").into()
    }),
    print::text("Status", 0, "Phase of the volume.", |volume, _| phase(volume).into()),
    print::text("Claim", 0, "Claim that has it.", |volume, _| match volume.at("spec.claimRef") {
        Tree::Null => "".into(),
        claim => format!("{}/{}", claim.text("namespace"), claim.text("name")).into(),
    }),
    print::text("StorageClass", 0, "Class of the volume.", |volume, _| class_of(volume).into()),
    print::text("VolumeAttributesClass", 0, "Class of the volume's attributes.", |volume, _| {
        print::text_or_unset(volume, "spec.volumeAttributesClassName")
    }),
    print::text("Reason", 0, "Why it is in its phase.", |volume, _| volume.text("status.reason").into()),
    print::AGE,
    print::text("VolumeMode", 1, "Whether it is a file system or a device.", |volume, _| {
        print::text_or_unset(volume, "spec.volumeMode")
    }),
];

struct PersistentVolume;

impl Strategy for PersistentVolume {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::volume(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, context: &Context) {
        let now = time::format(context.now);
        tree.set("status", json!({"phase": "Pending", "lastPhaseTransitionTime": now}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if keep_apart(new, old, context) {
            note_transition(new, old, context);
        }
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

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, context: &Context) -> Vec<String> {
        match context.subresource {
            None => warnings::volume(new),
            Some(_) => Vec::new(),
        }
    }
}

/// When the phase changed last: the writer may say it; if it does not, the time is now.
fn note_transition(new: &mut Tree, old: &Tree, context: &Context) {
    const FIELD: &str = "lastPhaseTransitionTime";
    let changed = differs(new, old, "status.phase");
    let said = differs(new, old, "status.lastPhaseTransitionTime");
    let Some(status) = new.object_mut("status") else { return };
    match (changed, status.has(FIELD)) {
        (false, false) => status.copy(old.at("status"), FIELD),
        (true, given) if !given || !said => status.set(FIELD, time::format(context.now)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn volumes_print_as_upstream() {
        let mut volume = json!({
            "metadata": {"name": "v", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce", "ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "fast", "volumeMode": "Block",
                "claimRef": {"namespace": "ns", "name": "c"},
            },
            "status": {"phase": "Bound", "reason": "R"},
        });
        let now = "2026-01-01T00:00:10Z";
        assert_eq!(row(COLUMNS, &volume, now), "v|1Gi|RWO,RWX|Retain|Bound|ns/c|fast|<unset>|R|10s|Block");
        volume["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": "old"});
        volume["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        volume["spec"] = json!({"volumeAttributesClassName": "gold"});
        assert_eq!(row(COLUMNS, &volume, now), "v|0|||Terminating||old|gold|R|10s|<unset>");
    }

    #[test]
    fn the_time_of_a_new_phase_is_noted() {
        let context = |subresource| Context {
            subresource,
            now: "2026-01-02T00:00:00Z".parse().expect("a time"),
            ..Context::default()
        };
        let mut old = json!({"spec": {}, "status": {"phase": "Bound"}});
        PersistentVolume.prepare_for_create(&mut old, &context(None));
        let noted = json!({"phase": "Pending", "lastPhaseTransitionTime": "2026-01-02T00:00:00Z"});
        assert_eq!(old["status"], noted);
        old["status"]["lastPhaseTransitionTime"] = json!("2026-01-01T00:00:00Z");
        let (before, now) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let cases: [(Value, &str); 5] = [
            (json!({"phase": "Pending"}), before),
            (json!({"phase": "Bound"}), now),
            (json!({"phase": "Bound", "lastPhaseTransitionTime": before}), now),
            (
                json!({"phase": "Bound", "lastPhaseTransitionTime": "2025-01-01T00:00:00Z"}),
                "2025-01-01T00:00:00Z",
            ),
            (
                json!({"phase": "Pending", "lastPhaseTransitionTime": "2025-01-01T00:00:00Z"}),
                "2025-01-01T00:00:00Z",
            ),
        ];
        for (status, want) in cases {
            let mut new = json!({"spec": {"x": 1}, "status": status});
            PersistentVolume.prepare_for_update(&mut new, &old, &context(Some("status")));
            assert_eq!(new["status"]["lastPhaseTransitionTime"], want, "{status}");
            assert_eq!(new["spec"], old["spec"]);
        }
    }
}
