//! The node's lease in `kube-node-lease`: how the cluster knows that the node lives. A task of its own, so that
//! nothing slow makes the node look dead.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

const NAMESPACE: &str = "kube-node-lease";
const RENEW_EVERY: Duration = Duration::from_secs(10);
const DURATION_SECONDS: i32 = 40;
/// A renewal that takes longer is given up and tried again.
const CALL_LIMIT: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(7);

/// Renews the lease until `stop`.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut retry = RETRY;
    let mut exists = false;
    loop {
        let attempt = tokio::time::timeout(CALL_LIMIT, renew(&shared, exists)).await;
        let delay = match attempt {
            Ok(Ok(())) => {
                (exists, retry) = (true, RETRY);
                RENEW_EVERY
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "node lease not renewed, trying again");
                exists = false;
                retry = (retry * 2).min(RETRY_MOST);
                retry
            }
            Err(_) => {
                tracing::warn!("node lease not renewed in time, trying again");
                RETRY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn renew(shared: &Shared, exists: bool) -> Result<(), kube::Error> {
    let api = Api::<Lease>::namespaced(shared.client.clone(), NAMESPACE);
    let name = &shared.config.node_name;
    if exists || api.get_opt(name).await?.is_some() {
        let spec = LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(DURATION_SECONDS),
            renew_time: Some(MicroTime(jiff::Timestamp::now())),
            ..LeaseSpec::default()
        };
        let patch = Patch::Merge(serde_json::json!({ "spec": spec }));
        return api.patch(name, &PatchParams::default(), &patch).await.map(drop);
    }
    let lease = new_lease(name, owner(shared).await?);
    match api.create(&PostParams::default(), &lease).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        created => created.map(drop),
    }
}

/// The node owns its lease, once it is there.
async fn owner(shared: &Shared) -> Result<Option<OwnerReference>, kube::Error> {
    let node = Api::<Node>::all(shared.client.clone()).get_opt(&shared.config.node_name).await?;
    Ok(node.and_then(|node| {
        Some(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: node.metadata.name?,
            uid: node.metadata.uid?,
            ..OwnerReference::default()
        })
    }))
}

fn new_lease(name: &str, owner: Option<OwnerReference>) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: Some(DURATION_SECONDS),
            renew_time: Some(MicroTime(jiff::Timestamp::now())),
            ..LeaseSpec::default()
        }),
    }
}
