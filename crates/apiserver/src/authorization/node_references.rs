//! What makes an object a node's business: what pods refer to, and what volumes need to be mounted.

use std::collections::BTreeSet;

use steersman_apimachinery::Tree;

use crate::view::{items, text};

/// Something that a node may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Volumes, environment, pull secrets; what a volume is mounted with.
    Secret,
    /// Volumes, environment.
    ConfigMap,
    /// Volumes.
    Claim,
    /// Its own account.
    ServiceAccount,
    /// The pod itself.
    Pod,
    /// Devices.
    ResourceClaim,
    /// What a claim is bound to.
    Volume,
    /// A volume's attachment to the node.
    Attachment,
    /// Devices of the node.
    ResourceSlice,
    /// A request for a certificate of a pod on the node.
    CertificateRequest,
}

/// Kind, namespace (empty for the cluster's), name.
pub(super) type Target = (Kind, String, String);

/// The object itself.
pub(super) fn itself(kind: Kind, object: &Tree) -> Target {
    (kind, text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

/// The secret that a volume's source is mounted with: the field of a pod's or a persistent volume's source.
const VOLUME_SECRETS: &[&str] = &[
    "/cephfs/secretRef",
    "/cinder/secretRef",
    "/flexVolume/secretRef",
    "/rbd/secretRef",
    "/scaleIO/secretRef",
    "/iscsi/secretRef",
    "/storageos/secretRef",
    "/csi/nodePublishSecretRef",
    "/csi/nodeStageSecretRef",
    "/csi/nodeExpandSecretRef",
];

/// All that a pod on a node gives to the node, itself included.
pub(super) fn of_pod(pod: &Tree) -> BTreeSet<Target> {
    let is_mirror = pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
    // A kubelet makes mirror pods: by them it must not come by anything else.
    let mut found = if is_mirror { BTreeSet::new() } else { referred_by(pod) };
    found.insert(itself(Kind::Pod, pod));
    found
}

/// All that a pod refers to: kind, namespace, name.
pub fn referred_by(pod: &Tree) -> BTreeSet<Target> {
    let (_, namespace, pod_name) = itself(Kind::Pod, pod);
    let mut found = BTreeSet::new();
    let mut note = |kind: Kind, name: &str| {
        if !name.is_empty() {
            found.insert((kind, namespace.clone(), name.to_owned()));
        }
    };
    note(Kind::ServiceAccount, text(pod, "/spec/serviceAccountName"));
    for secret in items(pod, "/spec/imagePullSecrets") {
        note(Kind::Secret, text(secret, "/name"));
    }
    for list in ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"] {
        items(pod, list).iter().for_each(|container| environment(container, &mut note));
    }
    for volume in items(pod, "/spec/volumes") {
        volume_sources(volume, &pod_name, &mut note);
    }
    resource_claims(pod, &mut note);
    found
}

fn environment(container: &Tree, note: &mut impl FnMut(Kind, &str)) {
    for variable in items(container, "/env") {
        note(Kind::Secret, text(variable, "/valueFrom/secretKeyRef/name"));
        note(Kind::ConfigMap, text(variable, "/valueFrom/configMapKeyRef/name"));
    }
    for source in items(container, "/envFrom") {
        note(Kind::Secret, text(source, "/secretRef/name"));
        note(Kind::ConfigMap, text(source, "/configMapRef/name"));
    }
}

fn volume_sources(volume: &Tree, pod: &str, note: &mut impl FnMut(Kind, &str)) {
    note(Kind::Secret, text(volume, "/secret/secretName"));
    note(Kind::Secret, text(volume, "/azureFile/secretName"));
    for secret in VOLUME_SECRETS {
        note(Kind::Secret, text(volume, &format!("{secret}/name")));
    }
    note(Kind::ConfigMap, text(volume, "/configMap/name"));
    note(Kind::Claim, text(volume, "/persistentVolumeClaim/claimName"));
    if volume.get("ephemeral").is_some_and(|source| !source.is_null()) {
        note(Kind::Claim, &format!("{pod}-{}", text(volume, "/name")));
    }
    for source in items(volume, "/projected/sources") {
        note(Kind::Secret, text(source, "/secret/name"));
        note(Kind::ConfigMap, text(source, "/configMap/name"));
    }
}

/// Claims are named by the pod, or in its status once they were made of a template or for extended resources.
fn resource_claims(pod: &Tree, note: &mut impl FnMut(Kind, &str)) {
    let made = items(pod, "/status/resourceClaimStatuses");
    for claim in items(pod, "/spec/resourceClaims") {
        note(Kind::ResourceClaim, text(claim, "/resourceClaimName"));
        if !text(claim, "/resourceClaimTemplateName").is_empty() {
            let made = made.iter().find(|made| text(made, "/name") == text(claim, "/name"));
            note(Kind::ResourceClaim, made.map(|made| text(made, "/resourceClaimName")).unwrap_or_default());
        }
    }
    note(Kind::ResourceClaim, text(pod, "/status/extendedResourceClaimStatus/resourceClaimName"));
}

/// The claim that a persistent volume is bound to, and the secrets that it is mounted with; `None` while it is unbound.
pub(super) fn of_volume(volume: &Tree) -> Option<(Target, BTreeSet<Target>)> {
    let [namespace, name] =
        ["/spec/claimRef/namespace", "/spec/claimRef/name"].map(|field| text(volume, field));
    if name.is_empty() {
        return None;
    }
    let secret = |own_namespace: &str, name: &str| {
        // Some sources name no namespace: then it is the claim's.
        let namespace = if own_namespace.is_empty() { namespace } else { own_namespace };
        (!name.is_empty()).then(|| (Kind::Secret, namespace.to_owned(), name.to_owned()))
    };
    let field = |field: String| text(volume, &field);
    let references = VOLUME_SECRETS.iter().filter_map(|source| {
        secret(field(format!("/spec{source}/namespace")), field(format!("/spec{source}/name")))
    });
    let azure =
        secret(text(volume, "/spec/azureFile/secretNamespace"), text(volume, "/spec/azureFile/secretName"));
    Some(((Kind::Claim, namespace.to_owned(), name.to_owned()), references.chain(azure).collect()))
}
