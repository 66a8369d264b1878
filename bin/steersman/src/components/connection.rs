//! How a component that runs alone reaches the API server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use steersman_client::Connection;
use steersman_controller_runtime::SharedInformers;

use crate::parts::Parts;

#[derive(clap::Args, Clone, Debug)]
pub struct ConnectionArguments {
    /// Kubeconfig that says where the API server is and who we are; in a pod, its service account if not given.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

impl ConnectionArguments {
    /// The connection that the flags describe.
    pub async fn open(&self) -> Result<Connection> {
        match &self.kubeconfig {
            Some(path) => open(path, "--kubeconfig").await,
            None => Connection::in_cluster().context("pass --kubeconfig with the path of a kubeconfig"),
        }
    }
}

/// The connection of the kubeconfig that `flag` names.
pub async fn open(path: &Path, flag: &str) -> Result<Connection> {
    Connection::from_kubeconfig(path)
        .await
        .with_context(|| format!("{flag} {} cannot be used", path.display()))
}

/// Informers of a component that runs alone.
pub fn informers(connection: &Connection, parts: &Parts) -> Result<SharedInformers> {
    Ok(SharedInformers::new(connection.client()?, parts.stop.child_token()))
}
