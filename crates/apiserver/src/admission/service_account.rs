//! Every pod runs as a service account, with the account's pull secrets and, unless told otherwise, a token to talk
//! to the API server with.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::{forbidden, is_pod};
use crate::request::{Admission, AdmissionRequest, ObjectReader, Operation};
use crate::view::{items, text};

const DEFAULT: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// An hour, and a little: the issuer knows tokens of this module by it.
const TOKEN_SECONDS: i64 = 3607;
const MIRROR: &str = "kubernetes.io/config.mirror";
/// A new namespace's default account is made by a controller: how often and how long to wait for it.
const TRIES: usize = 10;
const RETRY: Duration = Duration::from_millis(150);

/// See the module.
pub struct ServiceAccount {
    objects: Arc<dyn ObjectReader>,
}

impl ServiceAccount {
    /// Looks accounts up in `objects`.
    pub fn new(objects: Arc<dyn ObjectReader>) -> Self {
        Self { objects }
    }

    async fn complete(&self, request: &mut AdmissionRequest<'_>) -> Result<(), ApiError> {
        let Some(pod) = request.object.as_deref_mut() else { return Ok(()) };
        if is_mirror(pod) {
            return Ok(());
        }
        if text(pod, "/spec/serviceAccountName").is_empty() {
            pod["spec"]["serviceAccountName"] = DEFAULT.into();
        }
        let name = text(pod, "/spec/serviceAccountName").to_owned();
        // The old name of the field says the same, as upstream's conversion has it.
        pod["spec"]["serviceAccount"] = name.clone().into();
        let Some(account) = self.find(request.namespace, &name).await else {
            let namespace = request.namespace;
            let why = format!(
                "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
            );
            return Err(forbidden(request, &why));
        };
        if let Some(pod) = request.object.as_deref_mut() {
            if automounts(pod, &account) {
                mount_token(pod, &random_volume_name());
            }
            inherit_pull_secrets(pod, &account);
        }
        Ok(())
    }

    async fn find(&self, namespace: &str, name: &str) -> Option<Arc<Tree>> {
        let tries = if name == DEFAULT { TRIES } else { 1 };
        for attempt in 1..=tries {
            let found = self.objects.get("", "serviceaccounts", namespace, name).await;
            if found.is_some() || attempt == tries {
                return found;
            }
            tokio::time::sleep(RETRY).await;
        }
        None
    }
}

fn is_mirror(pod: &Tree) -> bool {
    pod.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(MIRROR).is_some())
}

/// What a mirror pod may not do: the API server would give it what the static pod's author was never granted.
fn mirror_problem(pod: &Tree) -> Option<&'static str> {
    let volume_has = |source: &str| items(pod, "/spec/volumes").iter().any(|v| !v[source].is_null());
    let projects = |source: &str| {
        let sources = items(pod, "/spec/volumes").iter().flat_map(|v| items(v, "/projected/sources"));
        sources.into_iter().any(|s| !s[source].is_null())
    };
    if !text(pod, "/spec/serviceAccountName").is_empty() {
        return Some("a mirror pod may not reference service accounts");
    }
    [
        (volume_has("secret") || projects("secret"), "a mirror pod may not reference secrets"),
        (volume_has("configMap") || projects("configMap"), "a mirror pod may not reference configmaps"),
        (projects("serviceAccountToken"), "a mirror pod may not use ServiceAccountToken volume projections"),
        (volume_has("persistentVolumeClaim"), "a mirror pod may not reference persistentvolumeclaims"),
    ]
    .into_iter()
    .find_map(|(found, problem)| found.then_some(problem))
}

/// The pod's word counts before the account's; without either, yes.
fn automounts(pod: &Tree, account: &Tree) -> bool {
    let said = |tree: &Tree, pointer: &str| tree.pointer(pointer).and_then(Tree::as_bool);
    said(pod, "/spec/automountServiceAccountToken")
        .or_else(|| said(account, "/automountServiceAccountToken"))
        .unwrap_or(true)
}

fn inherit_pull_secrets(pod: &mut Tree, account: &Tree) {
    let secrets = items(account, "/imagePullSecrets");
    if items(pod, "/spec/imagePullSecrets").is_empty() && !secrets.is_empty() {
        pod["spec"]["imagePullSecrets"] = secrets.to_vec().into();
    }
}

/// Mounts a token volume into every container that has nothing at the usual place.
fn mount_token(pod: &mut Tree, new_name: &str) {
    let existing = items(pod, "/spec/volumes")
        .iter()
        .map(|volume| text(volume, "/name"))
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let name = existing.as_deref().unwrap_or(new_name);
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Tree::as_array_mut);
        for container in containers.into_iter().flatten() {
            mounted |= add_mount(container, name);
        }
    }
    if mounted && existing.is_none() {
        push(&mut pod["spec"], "volumes", token_volume(name));
    }
}

fn add_mount(container: &mut Tree, volume: &str) -> bool {
    let taken = items(container, "/volumeMounts").iter().any(|mount| text(mount, "/mountPath") == MOUNT_PATH);
    if !taken {
        let mount = json!({ "name": volume, "readOnly": true, "mountPath": MOUNT_PATH });
        push(container, "volumeMounts", mount);
    }
    !taken
}

fn push(owner: &mut Tree, field: &str, item: Tree) {
    match owner.get_mut(field).and_then(Tree::as_array_mut) {
        Some(list) => list.push(item),
        None => owner[field] = json!([item]),
    }
}

fn token_volume(name: &str) -> Tree {
    json!({
        "name": name,
        "projected": {
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": TOKEN_SECONDS, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }] } },
            ],
            "defaultMode": 0o644,
        },
    })
}

/// Letters and digits that make no words and are not taken for each other, as upstream's generated names have them.
fn random_volume_name() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    let suffix = (0..5).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]));
    VOLUME_PREFIX.chars().chain(suffix).collect()
}

impl Admission for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            if request.operation == Operation::Create && is_pod(request) {
                self.complete(request).await?;
            }
            Ok(())
        })
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        let created =
            request.object.as_deref().filter(|_| request.operation == Operation::Create && is_pod(request));
        let problem = created.filter(|pod| is_mirror(pod)).and_then(mirror_problem);
        let outcome = problem.map_or(Ok(()), |problem| Err(forbidden(request, problem)));
        Box::pin(std::future::ready(outcome))
    }
}
