//! The table of all built-in resources, in the order of discovery.

use crate::resource::{Resource, Scope, Subresource, Verb};
use crate::{
    Strategy, admissionregistration, apiextensions, apiregistration, apps, autoscaling, batch, certificates,
    coordination, core, discovery, dra, flowcontrol, networking, node, policy, print, rbac, review,
    scheduling, storage, storagemigration,
};

static RESOURCES: &[Resource] = &[
    core::binding::RESOURCE,
    core::componentstatus::RESOURCE,
    core::configmap::RESOURCE,
    core::endpoints::RESOURCE,
    core::event::RESOURCE,
    core::limitrange::RESOURCE,
    core::namespace::RESOURCE,
    core::node::RESOURCE,
    core::persistentvolumeclaim::RESOURCE,
    core::persistentvolume::RESOURCE,
    core::pod::RESOURCE,
    core::podtemplate::RESOURCE,
    core::replicationcontroller::RESOURCE,
    core::resourcequota::RESOURCE,
    core::secret::RESOURCE,
    core::serviceaccount::RESOURCE,
    core::service::RESOURCE,
    admissionregistration::mutatingadmissionpolicy::RESOURCE,
    admissionregistration::mutatingadmissionpolicybinding::RESOURCE,
    admissionregistration::mutatingwebhookconfiguration::RESOURCE,
    admissionregistration::validatingadmissionpolicy::RESOURCE,
    admissionregistration::validatingadmissionpolicybinding::RESOURCE,
    admissionregistration::validatingwebhookconfiguration::RESOURCE,
    apiextensions::customresourcedefinition::RESOURCE,
    apiregistration::apiservice::RESOURCE,
    apps::controllerrevision::RESOURCE,
    apps::daemonset::RESOURCE,
    apps::deployment::RESOURCE,
    apps::replicaset::RESOURCE,
    apps::statefulset::RESOURCE,
    review::SELF_SUBJECT_REVIEW,
    review::TOKEN_REVIEW,
    review::LOCAL_SUBJECT_ACCESS_REVIEW,
    review::SELF_SUBJECT_ACCESS_REVIEW,
    review::SELF_SUBJECT_RULES_REVIEW,
    review::SUBJECT_ACCESS_REVIEW,
    autoscaling::horizontalpodautoscaler::V2,
    autoscaling::horizontalpodautoscaler::V1,
    batch::cronjob::RESOURCE,
    batch::job::RESOURCE,
    certificates::certificatesigningrequest::RESOURCE,
    certificates::clustertrustbundle::RESOURCE,
    certificates::podcertificaterequest::RESOURCE,
    coordination::lease::RESOURCE,
    discovery::endpointslice::RESOURCE,
    core::event::NEW_RESOURCE,
    flowcontrol::flowschema::RESOURCE,
    flowcontrol::prioritylevelconfiguration::RESOURCE,
    networking::ingressclass::RESOURCE,
    networking::ingress::RESOURCE,
    networking::ipaddress::RESOURCE,
    networking::networkpolicy::RESOURCE,
    networking::servicecidr::RESOURCE,
    node::runtimeclass::RESOURCE,
    policy::poddisruptionbudget::RESOURCE,
    rbac::CLUSTER_ROLE_BINDINGS,
    rbac::CLUSTER_ROLES,
    rbac::ROLE_BINDINGS,
    rbac::ROLES,
    dra::deviceclass::RESOURCE,
    dra::devicetaintrule::RESOURCE,
    dra::resourceclaim::RESOURCE,
    dra::resourceclaimtemplate::RESOURCE,
    dra::resourceslice::RESOURCE,
    scheduling::priorityclass::RESOURCE,
    storage::csidriver::RESOURCE,
    storage::csinode::RESOURCE,
    storage::csistoragecapacity::RESOURCE,
    storage::storageclass::RESOURCE,
    storage::volumeattachment::RESOURCE,
    storage::volumeattributesclass::RESOURCE,
    storagemigration::storageversionmigration::RESOURCE,
];

/// Every resource that the server serves without custom resources.
pub fn resources() -> &'static [Resource] {
    RESOURCES
}

/// Nothing to default or to check.
pub(crate) struct Plain;

impl Strategy for Plain {}

/// A namespaced core resource with all verbs, to be refined by each row.
pub(crate) const BASE: Resource = Resource {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: Verb::ALL,
    subresources: &[],
    definition: "",
    storage: "",
    strategy: &Plain,
    columns: &[print::NAME, print::AGE],
    selectable_fields: &[],
    conversion: None,
    deprecation: None,
};

/// A subresource that takes and gives the resource's own kind, such as `status`.
pub(crate) const fn part(
    name: &'static str,
    group: &'static str,
    kind: &'static str,
    verbs: &'static [Verb],
) -> Subresource {
    Subresource { name, group, version: "v1", kind, verbs }
}

/// The `scale` subresource.
pub(crate) const SCALE: Subresource = part("scale", "autoscaling", "Scale", Verb::READ_WRITE);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rows_are_complete_and_unique() {
        let mut seen = HashSet::new();
        for row in resources() {
            assert!(seen.insert((row.group, row.version, row.plural)), "{} occurs twice", row.plural);
            for field in [row.version, row.kind, row.plural, row.singular, row.definition] {
                assert!(!field.is_empty(), "{} lacks a field", row.plural);
            }
            assert_eq!(row.singular, row.kind.to_lowercase(), "{}", row.plural);
            assert!(
                row.definition.ends_with(&format!(".{}.{}", row.version, row.kind)),
                "{}",
                row.definition
            );
            // What is acted on or found out instead of stored cannot be watched.
            let stored = row.verbs.contains(&Verb::Watch);
            assert_eq!(stored, !row.storage.is_empty(), "{} is stored or not", row.plural);
            for sub in row.subresources {
                assert!(!sub.kind.is_empty() && !sub.version.is_empty(), "{}/{}", row.plural, sub.name);
            }
        }
    }

    #[test]
    fn rows_that_share_storage_convert() {
        let mut storage: HashSet<&str> = HashSet::new();
        for row in resources().iter().filter(|row| !row.storage.is_empty()) {
            assert!(storage.insert(row.storage) || row.conversion.is_some(), "{}", row.plural);
        }
    }

    #[test]
    fn kinds_print_upstreams_columns() {
        let want = include_str!("testdata/columns.txt");
        let got: String = resources()
            .iter()
            .map(|row| {
                let columns: Vec<String> = row
                    .columns
                    .iter()
                    .map(|c| format!("{}{}", c.name, if c.priority > 0 { "*" } else { "" }))
                    .collect();
                let group = if row.group.is_empty() { String::new() } else { format!(".{}", row.group) };
                format!("{}{group}: {}\n", row.plural, columns.join(", "))
            })
            .collect();
        assert_eq!(got, want);
    }
}
