//! Kubeconfigs with everything embedded, so that one file is all a client needs.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Identity, PkiError, files};

/// What a kubeconfig says.
#[derive(Clone, Debug)]
pub struct Kubeconfig<'a> {
    /// The cluster's name in the file.
    pub cluster: &'a str,
    /// The API server's URL.
    pub server: &'a str,
    /// The authority that signed the API server's certificate, as PEM.
    pub authority_pem: &'a str,
    /// The user's name in the file.
    pub user: &'a str,
    /// The user's certificate and key.
    pub identity: &'a Identity,
}

impl Kubeconfig<'_> {
    /// The file's text, in the shape that `kubectl config view --raw` prints. Holds a secret.
    pub fn to_yaml(&self) -> String {
        let context = format!("{}@{}", self.user, self.cluster);
        format!(
            "apiVersion: v1\n\
             clusters:\n\
             - cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n  name: {cluster}\n\
             contexts:\n\
             - context:\n    cluster: {cluster}\n    user: {user}\n  name: {context}\n\
             current-context: {context}\n\
             kind: Config\n\
             preferences: {{}}\n\
             users:\n\
             - name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n",
            authority = STANDARD.encode(self.authority_pem),
            server = scalar(self.server),
            cluster = scalar(self.cluster),
            user = scalar(self.user),
            context = scalar(&context),
            certificate = STANDARD.encode(self.identity.certificate_pem()),
            key = STANDARD.encode(self.identity.key_pem()),
        )
    }

    /// Writes the file, for its owner only, unless it says this already.
    pub fn write(&self, path: &Path) -> Result<(), PkiError> {
        let text = self.to_yaml();
        // A damaged or foreign file at this place is replaced: all it could hold is made anew from the directory.
        if files::read(path).ok().flatten().as_deref() == Some(&text) {
            return Ok(());
        }
        files::write(path, &text, files::SECRET)
    }
}

/// A YAML scalar: plain where no reader can take it for anything but this string, else quoted.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@:".contains(c);
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(':')
        && text.len() > "false".len();
    if safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_quoted_where_yaml_would_misread_them() {
        for (text, want) in [
            ("https://127.0.0.1:6443", "https://127.0.0.1:6443"),
            ("system:kube-scheduler", "system:kube-scheduler"),
            ("kubernetes-admin@steersman", "kubernetes-admin@steersman"),
            ("yes", "\"yes\""),
            ("012", "\"012\""),
            ("a: b", "\"a: b\""),
            ("name\nx: y", "\"name\\nx: y\""),
        ] {
            assert_eq!(scalar(text), want);
        }
    }
}
