//! `steersman kubeconfig` and `steersman certificate`: what users and nodes need to get into the cluster, signed by its
//! authority. Both run where the server's data is, whether or not the server runs.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use steersman_pki::{ClusterPki, Kubeconfig, Profile};

use crate::components::apiserver::CLUSTER;
use crate::data_dir::DataDir;
use crate::settings::DataDirArgument;

#[derive(clap::Args)]
pub struct KubeconfigArguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// The user; system:node:NAME for a node.
    #[arg(long, value_name = "NAME")]
    client_name: String,
    /// The user's group; system:nodes for a node.
    #[arg(long, value_name = "GROUP")]
    org: Option<String>,
    /// Where the API server is reached.
    #[arg(long, default_value = "https://127.0.0.1:6443", value_name = "URL")]
    server: String,
}

#[derive(clap::Args)]
pub struct CertificateArguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Name of the node.
    #[arg(long, value_name = "NAME")]
    node_name: String,
    /// Addresses of the node.
    #[arg(long, required = true, value_delimiter = ',', value_name = "ADDRESS")]
    node_ip: Vec<IpAddr>,
    /// Where to write the certificate.
    #[arg(long, value_name = "FILE")]
    tls_cert_file: PathBuf,
    /// Where to write its private key.
    #[arg(long, value_name = "FILE")]
    tls_private_key_file: PathBuf,
}

/// Prints a kubeconfig. It holds for a year and cannot be taken back: whoever has it is who it says.
pub fn kubeconfig(arguments: &KubeconfigArguments) -> Result<()> {
    let pki = cluster_pki(&arguments.data_dir)?;
    let profile = Profile::client(&arguments.client_name, arguments.org.as_deref());
    let kubeconfig = Kubeconfig {
        cluster: CLUSTER,
        server: &arguments.server,
        authority_pem: pki.ca().certificate_pem(),
        user: &arguments.client_name,
        identity: &pki.ca().issue(&profile, Timestamp::now())?,
    };
    print!("{}", kubeconfig.to_yaml());
    Ok(())
}

/// Writes the certificate with which a node's kubelet serves, and its key.
pub fn certificate(arguments: &CertificateArguments) -> Result<()> {
    let pki = cluster_pki(&arguments.data_dir)?;
    let profile = Profile::kubelet_server(&arguments.node_name, arguments.node_ip.clone());
    let identity = pki.ca().issue(&profile, Timestamp::now())?;
    write(&arguments.tls_private_key_file, identity.key_pem(), 0o600, "--tls-private-key-file")?;
    write(&arguments.tls_cert_file, identity.certificate_pem(), 0o644, "--tls-cert-file")
}

fn cluster_pki(data_dir: &DataDirArgument) -> Result<ClusterPki> {
    let dir = DataDir::new(&data_dir.data_dir)?.pki();
    if !dir.join("ca.key").is_file() {
        bail!(
            "there is no authority in {}; run this where the server runs, with its --data-dir",
            dir.display()
        );
    }
    ClusterPki::load_or_create(&dir, Timestamp::now()).context("could not read the cluster's keys")
}

fn write(path: &Path, text: &str, mode: u32, flag: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{flag} {} cannot be written", path.display()))
}
