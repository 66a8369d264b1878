//! Fills in the rules of cluster roles that are made of others (`aggregationRule`).
//!
//! Watches cluster roles; any change of one concerns every aggregating one, whose names are the keys.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use steersman_controller_runtime::{Informer, ObjectKey, Requeue};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, listed};
use crate::error::During;
use plan::aggregated_rules;

struct Aggregation {
    context: Context,
    roles: Arc<Informer<ClusterRole>>,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let roles = context.informer::<ClusterRole>();
    let queue = KeyQueue::default();
    roles.cache().add_index(AGGREGATING, |role| {
        role.aggregation_rule.iter().map(|_| AGGREGATING.to_owned()).collect()
    });
    let (source, target) = (Arc::downgrade(&roles), queue.clone());
    roles.add_handler(move |_| {
        let Some(roles) = source.upgrade() else { return };
        let aggregating = roles.cache().by_index(AGGREGATING, AGGREGATING);
        aggregating.iter().for_each(|role| target.add(ObjectKey::of(&**role)));
    });
    if context.synced([listed(&roles)]).await {
        let controller = Aggregation { context: context.clone(), roles };
        context.drive(Arc::new(controller), queue).await;
    }
}

const AGGREGATING: &str = "aggregating";

impl Reconciler for Aggregation {
    const NAME: &'static str = "clusterrole-aggregation-controller";
    const WORKERS: usize = 1;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(role) = self.roles.cache().get(key) else { return Ok(Requeue::NEVER) };
        let Some(rules) = aggregated_rules(&role, &self.roles.cache().list())? else {
            return Ok(Requeue::NEVER);
        };
        let mut patch = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": key.name},
        });
        if !rules.is_empty() {
            // Without any the field is given up, as upstream does: it vanishes unless somebody else wrote it, too.
            patch["rules"] = json!(rules);
        }
        let params = PatchParams::apply(Self::NAME).force();
        let api = self.context.cluster::<ClusterRole>();
        let applied = api.patch(&key.name, &params, &Patch::Apply(patch)).await;
        applied.unless_gone("writing the aggregated rules").map(|_| Requeue::NEVER)
    }
}
