//! Keeps the `ServiceCIDR` named `kubernetes`: made from the server's own range where there is none, ready where the two
//! agree, and never changed where they do not.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_apimachinery::time;
use steersman_store::{Prefix, StoreError};

use super::events::{Notice, tell};
use crate::request::User;
use crate::server::ApiServer;
use crate::storage::failure;

const COMPONENT: &str = "kubernetes-service-cidr-controller";
const COLLECTION: &str = "/apis/networking.k8s.io/v1/servicecidrs";
const OBJECT: &str = "/apis/networking.k8s.io/v1/servicecidrs/kubernetes";
const KEY: &str = "/registry/servicecidrs/kubernetes";
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// What is to be done about the default range.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Settled,
    /// Its condition is missing.
    SetReady,
    /// Somebody must look at it.
    Tell(Notice),
}

/// Makes or completes the default range. Gives what there is to tell about it with the object.
pub async fn sync(server: &ApiServer, user: &User, range: &str) -> Result<Option<(Tree, Notice)>, ApiError> {
    let found = match server.ask(user, Method::GET, OBJECT, None).await {
        Ok(found) => found,
        Err(error) if error.code == 404 => {
            let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
                "metadata": {"name": "kubernetes"}, "spec": {"cidrs": [range]}});
            match server.ask(user, Method::POST, COLLECTION, Some(object)).await {
                // Another server of the same cluster was faster.
                Err(error) if error.reason == "AlreadyExists" => {
                    server.ask(user, Method::GET, OBJECT, None).await?
                }
                made => made?,
            }
        }
        Err(error) => return Err(error),
    };
    match step(&found, range) {
        Step::Settled => Ok(None),
        Step::Tell(notice) => Ok(Some((found, notice))),
        Step::SetReady => set_ready(server, user).await.map(|()| None),
    }
}

async fn set_ready(server: &ApiServer, user: &User) -> Result<(), ApiError> {
    let condition = json!({"type": "Ready", "status": "True", "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
        "lastTransitionTime": time::format(Timestamp::now())});
    let applied = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"}, "status": {"conditions": [condition]}});
    let uri = format!("{OBJECT}/status?fieldManager={COMPONENT}&force=true");
    server.ask(user, Method::PATCH, &uri, Some(applied)).await.map(drop)
}

/// Only a condition that is missing is set: one that says no was set by somebody who must be asked first.
fn step(found: &Tree, range: &str) -> Step {
    if found.is_deleting() {
        return Step::Settled;
    }
    let cidrs: Vec<&str> = found.items_at("spec.cidrs").iter().filter_map(Tree::as_str).collect();
    if cidrs != [range] {
        let note = format!(
            "The default ServiceCIDR [{}] does not match the controller flag configurations [{range}]",
            cidrs.join(" ")
        );
        return Step::Tell(notice("KubernetesDefaultServiceCIDRInconsistent", note));
    }
    let condition = found.items_at("status.conditions").iter().find(|c| c.str_at("type") == "Ready");
    match condition.map(|condition| (condition.str_at("status"), condition)) {
        Some(("True", _)) => Step::Settled,
        Some(("False", condition)) => {
            let note = format!("Configuration matches, but {}", condition.str_at("message"));
            Step::Tell(notice(condition.str_at("reason"), note))
        }
        _ => Step::SetReady,
    }
}

fn notice(reason: &str, note: String) -> Notice {
    Notice { reason: reason.to_owned(), action: "ServiceCIDR", note }
}

/// Keeps the default range until the server stops: looks again whenever it was written or removed. The same thing is
/// told once.
pub async fn keep(server: &ApiServer, user: &User, range: &str) {
    let stop = server.0.stop.clone();
    let mut told = Vec::new();
    let keeping = async {
        loop {
            if let Err(error) = until_gap(server, user, range, &mut told).await {
                tracing::warn!(%error, "the default ServiceCIDR is not kept for now");
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = keeping => {}
    }
}

async fn until_gap(
    server: &ApiServer,
    user: &User,
    range: &str,
    told: &mut Vec<Notice>,
) -> Result<(), ApiError> {
    let store = server.0.storage.store();
    let after = store.revision().await.map_err(failure::of_store)?;
    let mut changes = store.watch(&Prefix::new(KEY), after).await.map_err(failure::of_store)?;
    loop {
        if let Some((object, notice)) = sync(server, user, range).await?
            && !told.contains(&notice)
        {
            tell(server, user, COMPONENT, &object, &notice).await;
            told.push(notice);
        }
        let gap = |error: steersman_store::WatchError| {
            failure::of_store(StoreError::Unavailable(error.to_string()))
        };
        changes.next().await.map_err(gap)?;
        while changes.try_next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_condition_is_set() {
        let of = |cidrs: &[&str], status: &str| {
            let conditions = match status {
                "" => json!([]),
                status => {
                    json!([{"type": "Ready", "status": status, "reason": "Rain", "message": "it rains"}])
                }
            };
            json!({"spec": {"cidrs": cidrs}, "status": {"conditions": conditions}})
        };
        let range = "10.96.0.0/16";
        assert_eq!(step(&of(&[range], ""), range), Step::SetReady);
        assert_eq!(step(&of(&[range], "Unknown"), range), Step::SetReady);
        assert_eq!(step(&of(&[range], "True"), range), Step::Settled);
        let Step::Tell(not_ready) = step(&of(&[range], "False"), range) else { panic!("tells") };
        assert_eq!((&*not_ready.reason, &*not_ready.note), ("Rain", "Configuration matches, but it rains"));
        let Step::Tell(other) = step(&of(&["10.0.0.0/8", "fd00::/112"], ""), range) else { panic!("tells") };
        assert_eq!(
            other.note,
            "The default ServiceCIDR [10.0.0.0/8 fd00::/112] does not match the controller flag configurations [10.96.0.0/16]"
        );
        let mut deleting = of(&["10.0.0.0/8"], "");
        deleting["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(step(&deleting, range), Step::Settled);
    }
}
