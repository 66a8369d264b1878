//! The cluster's certificate authorities, certificates, service account key and kubeconfigs.
//!
//! Everything lives in one directory, laid out as kubeadm lays out `/etc/kubernetes/pki` (`ca.crt`, `ca.key`,
//! `sa.key`, `apiserver.crt`, …), so that a cluster's existing keys can be put there. What is missing is made; what
//! is about to expire is made anew. A running process takes a renewed certificate into use through a
//! [`RotatingIdentity`], without a restart. Private keys never appear in `Debug` output or in errors.

mod authority;
mod cluster;
mod error;
mod files;
mod identity;
mod kubeconfig;
mod profile;
mod renewal;
mod rotation;
mod signing_key;
mod tls;

pub use authority::Authority;
pub use cluster::ClusterPki;
pub use error::PkiError;
pub use identity::{Identity, certificates_pem};
pub use kubeconfig::Kubeconfig;
pub use profile::Profile;
pub use renewal::{Renewable, Validity, keep_renewed};
pub use rotation::RotatingIdentity;
pub use signing_key::{SigningKey, VerificationKey};
pub use tls::{ClientAuth, ClientVerifier, client_config, server_config};
