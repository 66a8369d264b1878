//! `pods/eviction`: a deletion that asks the pod's disruption budget first.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use steersman_apimachinery::labels::Selector;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::{ApiError, StatusCause, StatusDetails};
use steersman_apimachinery::{Tree, time};
use steersman_store::Expect;

use crate::call::Call;
use crate::creation::read;
use crate::storage::CommitError;
use crate::verbs::delete::delete_one;
use crate::verbs::options::DeleteOptions;
use crate::wire::body::Response;
use crate::wire::respond;

/// How many pods a budget may have on their way out before it is too far behind to decide.
const MAX_DISRUPTED: usize = 2000;

/// Evicts the pod.
pub async fn create(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    let (eviction, options) = read(call, &body).await?;
    let name = call.info.name.as_str();
    if !eviction.name().is_empty() && eviction.name() != name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut delete = DeleteOptions::parse(eviction.at("deleteOptions"), call.query)?;
    delete.dry_run |= options.dry_run;
    let pod = call.server.storage.require(call.entry, &call.info.namespace, name).await?.1.tree();
    if asks_budget(&pod) {
        ask_budget(call, &pod, delete.dry_run).await?;
    }
    let call = Call { subresource: None, ..*call };
    delete_one(&call, &call.info.namespace, name, &delete).await?;
    respond::success(StatusCode::CREATED, Value::Null, &call.wanted)
}

/// Pods that do not run, or go already, disrupt nothing.
fn asks_budget(pod: &Tree) -> bool {
    !pod.is_deleting() && !matches!(pod.str_at("status.phase"), "Succeeded" | "Failed" | "Pending")
}

async fn ask_budget(call: &Call<'_>, pod: &Tree, dry_run: bool) -> Result<(), ApiError> {
    let storage = &call.server.storage;
    let Some(budgets) = storage.routes().find_any_version("policy", "poddisruptionbudgets") else {
        return Ok(());
    };
    loop {
        let (all, _) = storage.trees(&budgets, pod.namespace()).await?;
        let mut matching = all.iter().filter(|budget| covers(budget, pod));
        let Some(budget) = matching.next() else { return Ok(()) };
        if matching.next().is_some() {
            return Err(ApiError::new(
                500,
                "InternalError",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
        let Some(new) = spend(budget, pod, &time::format(call.now))? else { return Ok(()) };
        if dry_run {
            return Ok(());
        }
        let Some(record) = storage.get(&budgets, budget.namespace(), budget.name()).await? else { continue };
        if record.mod_revision.to_string() != budget.resource_version() {
            continue;
        }
        match storage.put(&budgets, &new, &record.key, Expect::ModRevision(record.mod_revision)).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Failed(error) | CommitError::Unknown(error)) => return Err(error),
            Err(CommitError::Conflict(_)) => {}
        }
    }
}

fn covers(budget: &Tree, pod: &Tree) -> bool {
    Selector::from_label_selector(budget.at("spec.selector"))
        .is_ok_and(|selector| selector.matches_object(pod))
}

/// The budget after it allowed the pod's disruption; `None` if it counts the pod as unhealthy and lets it go freely;
/// 429 if it allows none.
fn spend(budget: &Tree, pod: &Tree, now: &str) -> Result<Option<Tree>, ApiError> {
    let ready = pod
        .items_at("status.conditions")
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let number = |field: &str| budget.i64_at(&format!("status.{field}")).unwrap_or(0);
    let enough = number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0;
    let always = budget.str_at("spec.unhealthyPodEvictionPolicy") == "AlwaysAllow";
    if !ready && (always || enough) {
        return Ok(None);
    }
    if number("observedGeneration") < budget.generation() {
        return Err(refused(budget, "The disruption budget is still being processed by the server.", 10));
    }
    let disrupted = budget.at("status.disruptedPods").and_then(Tree::as_object).map_or(0, |map| map.len());
    if disrupted > MAX_DISRUPTED {
        return Err(ApiError::forbidden(
            "policy",
            "poddisruptionbudget",
            budget.name(),
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if number("disruptionsAllowed") <= 0 {
        let why = format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            budget.name(),
            number("desiredHealthy"),
            number("currentHealthy")
        );
        return Err(refused(budget, &why, 0));
    }
    let mut new = budget.clone();
    new.set("status.disruptionsAllowed", number("disruptionsAllowed") - 1);
    new.set_entry("status.disruptedPods", pod.name(), now);
    Ok(Some(new))
}

fn refused(_budget: &Tree, why: &str, wait: u32) -> ApiError {
    let details = StatusDetails {
        causes: vec![StatusCause {
            reason: "DisruptionBudget".to_owned(),
            message: why.to_owned(),
            field: String::new(),
        }],
        retry_after_seconds: wait,
        ..StatusDetails::default()
    };
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    ApiError { details: Some(Box::new(details)), ..ApiError::new(429, "TooManyRequests", message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_budget_is_spent_and_then_refuses() {
        let pod = json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let budget = |allowed: i64| {
            json!({"metadata": {"name": "b", "generation": 1}, "status": {"observedGeneration": 1,
                "disruptionsAllowed": allowed, "desiredHealthy": 2, "currentHealthy": 2 + allowed}})
        };
        let spent = spend(&budget(1), &pod, "now").expect("is allowed").expect("is spent");
        assert_eq!(spent["status"]["disruptionsAllowed"], 0);
        assert_eq!(spent["status"]["disruptedPods"]["p"], "now");
        let refused = spend(&budget(0), &pod, "now").expect_err("is refused");
        assert_eq!(refused.code, 429);
        let cause = &refused.details.expect("details").causes[0];
        assert_eq!(cause.message, "The disruption budget b needs 2 healthy pods and has 2 currently");
    }
}
