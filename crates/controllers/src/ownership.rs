//! Owner references: who controls an object, and how control is taken and given up. Always by UID, never by name.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use steersman_apimachinery::labels::Selector;
use steersman_controller_runtime::ObjectKey;

use crate::ReconcileError;
use crate::error::During;
use crate::selectors::selects;

/// The index of [`controller_values`].
pub(crate) const BY_CONTROLLER: &str = "controller";

/// The owner that controls the object.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Index values: the UID of the controlling owner, or [`orphans_of`] the namespace.
pub(crate) fn controller_values<K: Resource>(object: &K) -> Vec<String> {
    let meta = object.meta();
    match controller_of(meta) {
        Some(owner) => vec![owner.uid.clone()],
        None => vec![orphans_of(meta.namespace.as_deref().unwrap_or_default())],
    }
}

/// The index value of the objects of a namespace that nobody controls.
pub(crate) fn orphans_of(namespace: &str) -> String {
    format!("orphan/{namespace}")
}

/// The controller reference that `owner` puts into what it makes.
pub(crate) fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    let meta = owner.meta();
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The key of the controlling owner, if it is of this kind and group.
pub(crate) fn controller_key<Owner: Resource<DynamicType = ()>>(meta: &ObjectMeta) -> Option<ObjectKey> {
    let owner = controller_of(meta)?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let ours = owner.kind == Owner::kind(&()) && group == Owner::group(&());
    ours.then(|| ObjectKey::new(meta.namespace.clone().unwrap_or_default(), owner.name.clone()))
}

/// What an owner does about an object that it controls or could control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the owner's.
    Keep,
    /// Nobody controls it and the selector chooses it.
    Adopt,
    /// The owner controls it, but the selector does not choose it any more.
    Release,
    /// It is somebody else's business.
    Leave,
}

/// Judges one object. An owner that is being deleted neither adopts nor releases.
pub(crate) fn claim(object: &ObjectMeta, owner: &ObjectMeta, selector: &Selector) -> Claim {
    let chosen = selects(selector, object.labels.as_ref());
    let owner_deleting = owner.deletion_timestamp.is_some();
    match controller_of(object) {
        Some(controller) if Some(&controller.uid) != owner.uid.as_ref() => Claim::Leave,
        Some(_) if chosen => Claim::Keep,
        Some(_) if owner_deleting => Claim::Leave,
        Some(_) => Claim::Release,
        None if !chosen || owner_deleting || object.deletion_timestamp.is_some() => Claim::Leave,
        None => Claim::Adopt,
    }
}

/// Makes `owner` the controller of `object`.
pub(crate) async fn adopt<K>(
    api: &Api<K>,
    object: &ObjectMeta,
    owner: OwnerReference,
) -> Result<(), ReconcileError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let patch = json!({"metadata": {"uid": object.uid, "ownerReferences": [owner]}});
    patch_owner(api, object, patch, "adopting").await
}

/// Ends the control of the owner with this UID. That the object is gone, or is another by now, is as good.
pub(crate) async fn release<K>(
    api: &Api<K>,
    object: &ObjectMeta,
    owner_uid: &str,
) -> Result<(), ReconcileError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let reference = json!({"$patch": "delete", "uid": owner_uid});
    let patch = json!({"metadata": {"uid": object.uid, "ownerReferences": [reference]}});
    patch_owner(api, object, patch, "releasing").await
}

async fn patch_owner<K>(
    api: &Api<K>,
    object: &ObjectMeta,
    patch: serde_json::Value,
    action: &str,
) -> Result<(), ReconcileError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let name = object.name.as_deref().unwrap_or_default();
    let patched = api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    patched.unless_gone(format!("{action} {name}")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::now;

    fn meta(labels: &str, controller: Option<&str>) -> ObjectMeta {
        let owner = |uid: &str| OwnerReference {
            uid: uid.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        ObjectMeta {
            labels: Some([("app".to_owned(), labels.to_owned())].into()),
            owner_references: controller.map(|uid| vec![owner(uid)]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn control_follows_uid_and_selector() {
        let selector = Selector::parse("app=web").expect("valid");
        let owner = ObjectMeta { uid: Some("u1".to_owned()), ..ObjectMeta::default() };
        let deleting = ObjectMeta { deletion_timestamp: Some(now()), ..owner.clone() };
        let cases = [
            (meta("web", Some("u1")), &owner, Claim::Keep),
            (meta("db", Some("u1")), &owner, Claim::Release),
            (meta("db", Some("u1")), &deleting, Claim::Leave),
            (meta("web", Some("u2")), &owner, Claim::Leave),
            (meta("web", None), &owner, Claim::Adopt),
            (meta("web", None), &deleting, Claim::Leave),
            (meta("db", None), &owner, Claim::Leave),
            (ObjectMeta { deletion_timestamp: Some(now()), ..meta("web", None) }, &owner, Claim::Leave),
        ];
        for (object, owner, expected) in cases {
            assert_eq!(claim(&object, owner, &selector), expected, "{object:?}");
        }
    }
}
