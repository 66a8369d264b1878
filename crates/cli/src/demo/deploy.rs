//! Brings the demo into a cluster.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use serde_json::Value;

use super::manifests::{NAME, NAMESPACE, manifests};

/// Who owns the fields that are applied.
const FIELD_MANAGER: &str = "steersman";

/// How far the demo is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Replicas of the newest version that answer.
    pub available: i32,
    /// Replicas that are to be there.
    pub wanted: i32,
    /// Whether every replica is of the newest version and answers, and no older one is left.
    pub complete: bool,
}

/// Why the demo is not there.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The API server refused an object, or did not answer.
    #[error("could not apply the {kind} {NAME}")]
    Apply {
        /// Kind of the object.
        kind: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The Deployment was deleted while it was waited for.
    #[error("the Deployment {NAME} was deleted")]
    Deleted,
    /// It takes too long.
    #[error(
        "{} of {} replicas of the demo are available after {} s; `kubectl describe pods -l app.kubernetes.io/name={NAME}` \
         says why", progress.available, progress.wanted, patience.as_secs()
    )]
    Timeout {
        /// How far it came.
        progress: Progress,
        /// How long it was waited.
        patience: Duration,
    },
}

/// Applies the demo's objects (server-side apply) and waits until every replica answers; `report` hears of each
/// change on the way.
pub async fn deploy(
    client: Client,
    image: &str,
    patience: Duration,
    mut report: impl FnMut(Progress),
) -> Result<(), DeployError> {
    for manifest in manifests(image) {
        apply(&client, &manifest).await?;
    }
    let mut last = Progress::default();
    let waiting = wait(Api::namespaced(client, NAMESPACE), |progress| {
        if progress != last {
            last = progress;
            report(progress);
        }
    });
    match tokio::time::timeout(patience, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(DeployError::Timeout { progress: last, patience }),
    }
}

async fn apply(client: &Client, manifest: &Value) -> Result<(), DeployError> {
    let text = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch(NAME, &params, &Patch::Apply(manifest)).await {
        Ok(_) => Ok(()),
        Err(source) => Err(DeployError::Apply { kind, source: Box::new(source) }),
    }
}

async fn wait(api: Api<Deployment>, mut report: impl FnMut(Progress)) -> Result<(), DeployError> {
    let changes = watch_object(api, NAME).default_backoff();
    pin_mut!(changes);
    let mut seen = false;
    while let Some(change) = changes.next().await {
        match change {
            Ok(Some(deployment)) => {
                seen = true;
                let progress = progress(&deployment);
                report(progress);
                if progress.complete {
                    return Ok(());
                }
            }
            Ok(None) if seen => return Err(DeployError::Deleted),
            Ok(None) => {}
            // The stream goes on by itself, with back-off.
            Err(error) => tracing::debug!(%error, "the watch of the Deployment was interrupted"),
        }
    }
    Err(DeployError::Deleted)
}

/// As `kubectl rollout status` sees it.
fn progress(deployment: &Deployment) -> Progress {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let Some(status) = &deployment.status else {
        return Progress { wanted, ..Progress::default() };
    };
    let count = |number: Option<i32>| number.unwrap_or(0);
    let observed = status.observed_generation >= deployment.metadata.generation;
    let available = count(status.available_replicas);
    let updated = count(status.updated_replicas);
    let complete = observed && updated >= wanted && available >= updated && count(status.replicas) <= updated;
    Progress { available: available.min(updated), wanted, complete }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn complete_means_all_new_and_none_old() {
        let cases = [
            ("nothing yet", json!({}), 0, false),
            (
                "old news",
                json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}),
                3,
                false,
            ),
            (
                "some",
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}),
                2,
                false,
            ),
            (
                "old ones left",
                json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 4}),
                3,
                false,
            ),
            (
                "all",
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}),
                3,
                true,
            ),
        ];
        for (name, status, available, complete) in cases {
            let deployment = serde_json::from_value(json!({
                "metadata": {"generation": 2}, "spec": {"replicas": 3, "selector": {}, "template": {}}, "status": status,
            }));
            let deployment = deployment.expect("a Deployment");
            assert_eq!(progress(&deployment), Progress { available, wanted: 3, complete }, "{name}");
        }
    }
}
