//! The secure port of a component that runs alone: health, readiness and metrics.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use steersman_client::Connection;
use steersman_pki::{
    Authority, ClientAuth, ClientVerifier, Identity, Profile, RotatingIdentity, server_config,
};
use steersman_secure_serving::delegation::{Delegation, Memory};
use steersman_secure_serving::{Check, Collector, Component, server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection;
use crate::parts::Parts;
use crate::settings::{KUBERNETES, host_name};

/// A self-signed certificate holds as long as any process may run.
const SELF_SIGNED_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// How often the files of a certificate are looked at, as upstream.
const RELOAD_EVERY: Duration = Duration::from_secs(60);

#[derive(clap::Args, Clone, Debug)]
pub struct ServingArguments {
    /// Where the secure port listens.
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDRESS")]
    bind_address: IpAddr,
    #[command(flatten)]
    tls: TlsArguments,
    /// Kubeconfig of the API server that says whose a token is; --kubeconfig's if not given.
    #[arg(long, value_name = "FILE")]
    authentication_kubeconfig: Option<PathBuf>,
    /// Kubeconfig of the API server that says what a caller may; --kubeconfig's if not given.
    #[arg(long, value_name = "FILE")]
    authorization_kubeconfig: Option<PathBuf>,
    /// Paths that everybody may read; one that ends in * stands for all that begin so.
    #[arg(long, value_delimiter = ',', default_value = "/healthz,/readyz,/livez", value_name = "PATH")]
    authorization_always_allow_paths: Vec<String>,
}

/// The certificate of a server, and whose clients' certificates it believes.
#[derive(clap::Args, Clone, Debug)]
pub struct TlsArguments {
    /// Certificate (PEM, with its chain) to serve with; self-signed if not given.
    #[arg(long, requires = "tls_private_key_file", value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert-file.
    #[arg(long, requires = "tls_cert_file", value_name = "FILE")]
    tls_private_key_file: Option<PathBuf>,
    /// Authorities (PEM) whose client certificates are believed; a kubelet believes its kubeconfig's if not given.
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
}

/// What a component shows on its secure port.
pub struct Shown {
    pub checks: Vec<Check>,
    pub collectors: Vec<Collector>,
}

impl ServingArguments {
    /// Serves on `port` as a part of the process; not at all if it is 0, as upstream.
    pub async fn start(
        &self,
        port: u16,
        connection: &Connection,
        shown: Shown,
        parts: &mut Parts,
    ) -> Result<()> {
        if port == 0 {
            return Ok(());
        }
        let address = SocketAddr::new(self.bind_address, port);
        let verifier = self.tls.verifier()?;
        let auth = verifier.clone().map_or(ClientAuth::None, ClientAuth::Deferred);
        let identity = self.tls.identity(&[self.bind_address], parts)?;
        let tls = server_config(identity, &auth)?;
        let component = Component {
            git_version: KUBERNETES.to_owned(),
            checks: shown.checks.into_iter().chain([not_stopping(&parts.stop)]).collect(),
            collectors: shown.collectors,
            always_allow: self.authorization_always_allow_paths.clone(),
            verifier,
            delegation: self.delegation(connection).await?,
        };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("could not listen on {address}; choose another with --bind-address and --secure-port")
        })?;
        let stop = parts.stop.clone();
        parts.spawn("secure port", async move {
            server::serve(listener, Arc::new(tls), Arc::new(component), stop).await;
            Ok(())
        });
        tracing::info!(%address, "serving health and metrics");
        Ok(())
    }

    async fn delegation(&self, own: &Connection) -> Result<Delegation> {
        let authentication = match &self.authentication_kubeconfig {
            Some(path) => connection::open(path, "--authentication-kubeconfig").await?.client()?,
            None => own.client()?,
        };
        let authorization = match &self.authorization_kubeconfig {
            Some(path) => connection::open(path, "--authorization-kubeconfig").await?.client()?,
            None => own.client()?,
        };
        Ok(Delegation::new(authentication, authorization, Memory::COMPONENT))
    }
}

impl TlsArguments {
    /// Verifies client certificates, if an authority for them is given.
    pub fn verifier(&self) -> Result<Option<Arc<ClientVerifier>>> {
        let Some(path) = &self.client_ca_file else { return Ok(None) };
        let context = || format!("--client-ca-file {} cannot be used", path.display());
        let authorities: Vec<CertificateDer<'static>> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect).with_context(context)?;
        if authorities.is_empty() {
            bail!("--client-ca-file {} has no PEM certificate", path.display());
        }
        Ok(Some(ClientVerifier::new(&authorities).with_context(context)?))
    }

    /// What the server shows: the files' certificate, read again when they change, or a self-signed one for this host
    /// and `addresses`.
    pub fn identity(&self, addresses: &[IpAddr], parts: &mut Parts) -> Result<Arc<RotatingIdentity>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert_file, &self.tls_private_key_file) else {
            return Ok(RotatingIdentity::new(&self_signed(addresses)?)?);
        };
        let files = Files { certificate: certificate.clone(), key: key.clone() };
        let identity = RotatingIdentity::new(&files.read()?)?;
        let (current, stop) = (identity.clone(), parts.stop.clone());
        parts.spawn("certificate reload", async move {
            files.follow(current, stop).await;
            Ok(())
        });
        Ok(identity)
    }
}

/// The files of a certificate and its key.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<Identity> {
        let text = |path: &Path, flag: &str| {
            std::fs::read_to_string(path).with_context(|| format!("{flag} {} cannot be read", path.display()))
        };
        let certificate = text(&self.certificate, "--tls-cert-file")?;
        let key = text(&self.key, "--tls-private-key-file")?;
        let identity = Identity::from_pem(certificate, key).map_err(anyhow::Error::msg);
        let identity = identity
            .with_context(|| format!("--tls-cert-file {} cannot be used", self.certificate.display()))?;
        if !identity.fits_together() {
            bail!("--tls-private-key-file {} is not the key of --tls-cert-file", self.key.display());
        }
        Ok(identity)
    }

    fn changed(&self) -> Option<(SystemTime, SystemTime)> {
        let of = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        Some((of(&self.certificate)?, of(&self.key)?))
    }

    /// Shows the files' certificate anew whenever they have changed, until `stop`.
    async fn follow(self, current: Arc<RotatingIdentity>, stop: CancellationToken) {
        let mut seen = self.changed();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RELOAD_EVERY) => {}
            }
            let changed = self.changed();
            if changed.is_none() || changed == seen {
                continue;
            }
            match self.read().and_then(|identity| Ok(current.replace(&identity)?)) {
                Ok(()) => seen = changed,
                // Most likely one of the two files has still to be written.
                Err(error) => tracing::warn!("the changed certificate is not taken yet: {error:#}"),
            }
        }
    }
}

/// A certificate that nobody has reason to trust, for this host.
fn self_signed(addresses: &[IpAddr]) -> Result<Identity> {
    let (host, now) = (host_name().context("could not read the host's name")?, Timestamp::now());
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let named = addresses.iter().copied().filter(|address| !address.is_unspecified() && *address != loopback);
    let addresses = named.chain([loopback]).collect();
    let authority = Authority::create(&format!("{host}-ca"), now)?;
    let mut profile = Profile::server(&host, vec![host.clone(), "localhost".to_owned()], addresses);
    profile.lifetime = SELF_SIGNED_LIFETIME;
    Ok(authority.issue(&profile, now)?)
}

fn not_stopping(stop: &CancellationToken) -> Check {
    let stop = stop.clone();
    let check = move || match stop.is_cancelled() {
        true => Err("process is shutting down".to_owned()),
        false => Ok(()),
    };
    Check { name: "shutdown", liveness: false, check: Box::new(check) }
}
