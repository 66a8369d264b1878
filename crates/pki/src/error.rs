//! What can go wrong with keys and certificates.

use std::path::{Path, PathBuf};

/// A failure to make, read or write a key, a certificate or a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The file system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is there but cannot be used. Restore it from a backup, or remove it to have a new one made.
    #[error("{} is not usable: {problem}; restore it, or remove it to have a new one made", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        problem: String,
    },
    /// A certificate authority's certificate is there without its key, so nothing can be signed.
    #[error("{} is missing, but {} exists: put the key back, or remove the certificate to start a new authority (every certificate it signed becomes invalid)", key.display(), certificate.display())]
    KeyMissing {
        /// The absent key file.
        key: PathBuf,
        /// The certificate that needs it.
        certificate: PathBuf,
    },
    /// A cryptographic operation failed.
    #[error("could not {action}: {problem}")]
    Crypto {
        /// What was tried.
        action: &'static str,
        /// The library's words; never key material.
        problem: String,
    },
}

impl PkiError {
    pub(crate) fn corrupt(path: &Path, problem: impl ToString) -> Self {
        Self::Corrupt { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn crypto(action: &'static str) -> impl FnOnce(String) -> Self {
        move |problem| Self::Crypto { action, problem }
    }
}
