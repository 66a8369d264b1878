//! Persistent volume claims.

mod datasource;
mod validation;

use serde_json::{Value, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use super::claimspec;
use super::volumes::{OLD_CLASS_ANNOTATION, access_modes, class_of, phase};
use crate::print;
use crate::resource::{Resource, Verb};
use crate::rules::keep_apart;
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    subresources: &[table::part("status", "", "PersistentVolumeClaim", Verb::READ_WRITE)],
    definition: "io.k8s.api.core.v1.PersistentVolumeClaim",
    storage: "persistentvolumeclaims",
    strategy: &PersistentVolumeClaim,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Status", 0, "Phase of the claim.", |claim, _| phase(claim).into()),
    print::text("Volume", 0, "Volume that it has.", |claim, _| claim.text("spec.volumeName").into()),
    print::text("Capacity", 0, "How much the volume holds.", |claim, _| {
        once_bound(claim, |claim| print::quantity(claim.at("status.capacity").get("storage")))
    }),
    print::text("Access Modes", 0, "How the volume can be mounted.", |claim, _| {
        once_bound(claim, |claim| access_modes(&claim.texts("status.accessModes")))
    }),
    print::text("StorageClass", 0, "Class of the claim.", |claim, _| class_of(claim).into()),
    print::text("VolumeAttributesClass", 0, "Class of the volume's attributes.", |claim, _| {
        print::text_or_unset(claim, "spec.volumeAttributesClassName")
    }),
    print::AGE,
    print::text("VolumeMode", 1, "Whether it is a file system or a device.", |claim, _| {
        print::text_or_unset(claim, "spec.volumeMode")
    }),
];

fn once_bound(claim: &Tree, cell: fn(&Tree) -> String) -> Value {
    match claim.text("spec.volumeName") {
        "" => "".into(),
        _ => cell(claim).into(),
    }
}

struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(status) = tree.object_mut("status") {
            status.default_text("phase", "Pending");
        }
        if let Some(spec) = tree.object_mut("spec") {
            claimspec::defaults(spec);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({"phase": "Pending"}));
        if let Some(spec) = tree.part_mut("spec") {
            datasource::settle(spec, &Tree::Null);
        }
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if !keep_apart(new, old, context)
            && let Some(spec) = new.part_mut("spec")
        {
            datasource::settle(spec, old.at("spec"));
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => validation::status(new),
            _ => validation::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, context: &Context) -> Vec<String> {
        match context.subresource {
            None => warnings(new),
            Some(_) => Vec::new(),
        }
    }
}

fn warnings(claim: &Tree) -> Vec<String> {
    let mut warnings = claimspec::warnings(claim.at("spec"), &Path::new("spec"));
    if claim.at("metadata.annotations").get(OLD_CLASS_ANNOTATION).is_some() {
        let path = Path::new("metadata").child("annotations").key(OLD_CLASS_ANNOTATION);
        let why = "deprecated since v1.8; use \"storageClassName\" attribute instead";
        warnings.insert(0, format!("{path}: {why}"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn old_annotations_are_warned_of() {
        let claim = json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}}});
        let want = "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead";
        assert_eq!(PersistentVolumeClaim.warnings(&claim, None, &Context::default()), [want]);
    }

    #[test]
    fn claims_print_as_upstream() {
        let mut claim = json!({
            "metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"storageClassName": "fast"},
            "status": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
        });
        let now = "2026-01-01T00:00:10Z";
        PersistentVolumeClaim.apply_defaults(&mut claim);
        assert_eq!(row(COLUMNS, &claim, now), "c|Pending||||fast|<unset>|10s|Filesystem");
        claim["spec"]["volumeName"] = json!("v");
        claim["status"]["phase"] = json!("Bound");
        assert_eq!(row(COLUMNS, &claim, now), "c|Bound|v|1Gi|RWO|fast|<unset>|10s|Filesystem");
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(row(COLUMNS, &claim, now), "c|Terminating|v|1Gi|RWO|fast|<unset>|10s|Filesystem");
    }
}
