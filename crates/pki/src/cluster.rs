//! A cluster's whole key material in one directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::identity::load;
use crate::{Authority, Identity, PkiError, Profile, RotatingIdentity, SigningKey, files};

/// The authorities and the token key of a cluster, and the directory they live in.
#[derive(Debug)]
pub struct ClusterPki {
    dir: PathBuf,
    ca: Authority,
    front_proxy_ca: Authority,
    service_account_key: Arc<SigningKey>,
}

impl ClusterPki {
    /// Takes what `dir` has and makes what it lacks. The caller holds the only process on the directory.
    pub fn load_or_create(dir: &Path, now: Timestamp) -> Result<Self, PkiError> {
        files::create_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            ca: Authority::load_or_create(dir, "ca", "kubernetes", now)?,
            front_proxy_ca: Authority::load_or_create(dir, "front-proxy-ca", "front-proxy-ca", now)?,
            service_account_key: Arc::new(SigningKey::load_or_create(dir, "sa")?),
        })
    }

    /// Signs the certificates of servers and clients.
    pub fn ca(&self) -> &Authority {
        &self.ca
    }

    /// Signs the certificate with which the API server speaks for users to extension API servers.
    pub fn front_proxy_ca(&self) -> &Authority {
        &self.front_proxy_ca
    }

    /// Signs service account tokens.
    pub fn service_account_key(&self) -> &Arc<SigningKey> {
        &self.service_account_key
    }

    /// The certificate of `stem.crt` and `stem.key`, signed by the cluster's authority; made anew if it is absent,
    /// due, signed by another authority, parted from its key, or says something else than `profile`.
    pub fn identity(&self, stem: &str, profile: &Profile, now: Timestamp) -> Result<Identity, PkiError> {
        self.identity_of(&self.ca, stem, profile, now)
    }

    /// Brings `current`, which began as [`Self::identity`] of the same stem and profile, up to date if it is due;
    /// whether it was. To be called at [`RotatingIdentity::renewal_time`] and, after a failure, again.
    pub fn renew_if_due(
        &self,
        current: &RotatingIdentity,
        stem: &str,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<bool, PkiError> {
        if !current.validity().is_due(now) {
            return Ok(false);
        }
        current.replace(&self.identity(stem, profile, now)?)?;
        Ok(true)
    }

    /// Like [`Self::identity`], signed by the front proxy's authority.
    pub fn front_proxy_identity(
        &self,
        stem: &str,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Identity, PkiError> {
        self.identity_of(&self.front_proxy_ca, stem, profile, now)
    }

    fn identity_of(
        &self,
        authority: &Authority,
        stem: &str,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Identity, PkiError> {
        let certificate_path = self.dir.join(format!("{stem}.crt"));
        let key_path = self.dir.join(format!("{stem}.key"));
        let usable = |identity: &Identity| {
            !identity.is_due(now)
                && identity.matches(profile, authority.certificate())
                && identity.fits_together()
        };
        if let Some(identity) = load(&certificate_path, &key_path)?.filter(usable) {
            return Ok(identity);
        }
        let identity = authority.issue(profile, now)?;
        files::write(&key_path, identity.key_pem(), files::SECRET)?;
        files::write(&certificate_path, identity.certificate_pem(), files::PUBLIC)?;
        Ok(identity)
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
