//! How an API server is reached over HTTPS: where it is, whom to trust, and who we are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};

use crate::ClientError;
use crate::service_account::ServiceAccount;

/// A watch says something at least this often (the server ends it, or sends a bookmark); a connection that is silent
/// for longer is dead.
const SILENCE: Duration = Duration::from_secs(295);

/// Where a connection's description comes from, as errors name it.
const IN_CLUSTER: &str = "the pod's service account";

/// A described connection, of which clients are made.
#[derive(Clone, Debug)]
pub struct Connection {
    config: kube::Config,
    origin: PathBuf,
}

impl Connection {
    /// The cluster and user of the kubeconfig's current context: client certificates, tokens, token files and
    /// credential plugins; data or files. Relative paths count from the kubeconfig's directory.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Kubeconfig { path: path.to_owned(), source: Box::new(source) };
        let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Ok(Self::new(config.map_err(failed)?, path.to_owned()))
    }

    /// The cluster whose pod this process runs in, as its service account.
    pub fn in_cluster() -> Result<Self, ClientError> {
        let config = kube::Config::incluster().map_err(|source| ClientError::InCluster(Box::new(source)))?;
        Ok(Self::new(config, IN_CLUSTER.into()))
    }

    fn new(mut config: kube::Config, origin: PathBuf) -> Self {
        config.read_timeout = Some(SILENCE);
        Self { config, origin }
    }

    /// A client with the connection's own identity.
    pub fn client(&self) -> Result<kube::Client, ClientError> {
        self.client_of(self.config.clone())
    }

    /// Clients that act as service accounts of `namespace`. The connection's own identity makes what they need: it may
    /// get and create service accounts there, and create tokens for them.
    pub fn service_accounts(&self, namespace: &str) -> Result<ServiceAccounts, ClientError> {
        // Without credentials: a client certificate would count more than the token.
        let mut nobody = self.config.clone();
        nobody.auth_info = AuthInfo::default();
        Ok(ServiceAccounts {
            namespace: namespace.to_owned(),
            maker: self.client()?,
            anonymous: self.client_of(nobody)?,
        })
    }

    /// The certificates (DER) of the authorities that may have signed the server's; empty if the system's are trusted.
    pub fn authorities(&self) -> &[Vec<u8>] {
        self.config.root_cert.as_deref().unwrap_or_default()
    }

    fn client_of(&self, config: kube::Config) -> Result<kube::Client, ClientError> {
        kube::Client::try_from(config)
            .map_err(|source| ClientError::Connection { path: self.origin.clone(), source: Box::new(source) })
    }
}

/// See [`Connection::service_accounts`].
#[derive(Clone)]
pub struct ServiceAccounts {
    namespace: String,
    maker: kube::Client,
    anonymous: kube::Client,
}

impl ServiceAccounts {
    /// A client that acts as the account `name`. The account and its tokens are made when they are first needed, and
    /// tokens again before they expire.
    pub fn client(&self, name: &str) -> kube::Client {
        ServiceAccount::new(self.maker.clone(), &self.namespace, name).client(self.anonymous.clone())
    }
}
