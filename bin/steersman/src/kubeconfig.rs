//! `steersman kubeconfig`: a way into the cluster for a user or a node, signed by the cluster's authority.

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use steersman_pki::{ClusterPki, Kubeconfig, Profile};

use crate::components::apiserver::CLUSTER;
use crate::data_dir::DataDir;
use crate::settings::DataDirArgument;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// The user, or system:node:NAME for a node.
    #[arg(long, value_name = "NAME")]
    client_name: String,
    /// The user's group; system:nodes for a node.
    #[arg(long, value_name = "GROUP")]
    org: Option<String>,
    /// Where the API server is reached.
    #[arg(long, default_value = "https://127.0.0.1:6443", value_name = "URL")]
    server: String,
}

/// Prints the kubeconfig. It holds for a year and cannot be taken back: whoever has it is who it says.
pub fn main(arguments: &Arguments) -> Result<()> {
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    let (dir, now) = (data_dir.pki(), Timestamp::now());
    if !dir.join("ca.key").is_file() {
        bail!(
            "there is no authority in {}; run this where the server runs, with its --data-dir",
            dir.display()
        );
    }
    let pki = ClusterPki::load_or_create(&dir, now).context("could not read the cluster's keys")?;
    let profile = Profile::client(&arguments.client_name, arguments.org.as_deref());
    let kubeconfig = Kubeconfig {
        cluster: CLUSTER,
        server: &arguments.server,
        authority_pem: pki.ca().certificate_pem(),
        user: &arguments.client_name,
        identity: &pki.ca().issue(&profile, now)?,
    };
    print!("{}", kubeconfig.to_yaml());
    Ok(())
}
