//! The state of a cluster at a glance: its version, its nodes, its pods, and what is not well and why.

mod health;
mod report;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client};

pub use report::report;

/// Why the state could not be seen.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The API server did not answer, or refused.
    #[error("could not read {what} from the API server")]
    Read {
        /// What was asked for.
        what: &'static str,
        /// What happened.
        source: Box<kube::Error>,
    },
}

/// What was seen of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    /// The API server's version, such as `v1.37.0`.
    pub version: String,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All pods.
    pub pods: Vec<Pod>,
    /// All Deployments.
    pub deployments: Vec<Deployment>,
}

/// Reads the state of the cluster; [`report`] puts it into words.
pub async fn observe(client: &Client) -> Result<ClusterState, StatusError> {
    let failed = |what| move |source| StatusError::Read { what, source: Box::new(source) };
    let everything = ListParams::default();
    let (nodes, pods, deployments) =
        (Api::all(client.clone()), Api::all(client.clone()), Api::all(client.clone()));
    let version = client.apiserver_version().await.map_err(failed("the version"))?;
    Ok(ClusterState {
        version: version.git_version,
        nodes: nodes.list(&everything).await.map_err(failed("the nodes"))?.items,
        pods: pods.list(&everything).await.map_err(failed("the pods"))?.items,
        deployments: deployments.list(&everything).await.map_err(failed("the deployments"))?.items,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn reports_match_the_golden_files() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/status");
        for name in ["healthy", "troubled", "empty"] {
            let input = std::fs::read_to_string(format!("{dir}/{name}.json")).expect("an input");
            let input: Value = serde_json::from_str(&input).expect("JSON");
            let list = |field: &str| input[field].clone();
            let state = ClusterState {
                version: "v1.37.0".to_owned(),
                nodes: serde_json::from_value(list("nodes")).expect("nodes"),
                pods: serde_json::from_value(list("pods")).expect("pods"),
                deployments: serde_json::from_value(list("deployments")).expect("deployments"),
            };
            let golden = format!("{dir}/{name}.txt");
            let got = report(&state);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&golden, &got).expect("written");
            }
            assert_eq!(got, std::fs::read_to_string(&golden).expect("a golden file"), "{name}");
        }
    }
}
