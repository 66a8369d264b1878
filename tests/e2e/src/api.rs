//! The API without kubectl between: for what kubectl would not send, and for codes it does not show.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{command, kubectl::Kubectl, wait};

/// The administrator's connection.
pub struct Api {
    server: String,
    directory: PathBuf,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP code.
    pub code: u16,
    /// The body; null if it is no JSON.
    pub body: Value,
    /// The headers, one a line.
    pub headers: String,
}

impl Answer {
    /// Code, reason and message of a `Status`.
    pub fn status(&self) -> (u16, &str, &str) {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        (self.code, text("reason"), text("message"))
    }
}

impl Api {
    /// With the credentials of a kubeconfig, which are unpacked into `directory`.
    pub fn new(kubeconfig: &Path, directory: &Path) -> Result<Self> {
        let kubectl = Kubectl::new(Kubectl::newest()?, kubeconfig, directory)?;
        let view = kubectl.ok(&["config", "view", "--raw", "--output=json"])?;
        let view: Value = serde_json::from_str(&view)?;
        let (cluster, user) = (&view["clusters"][0]["cluster"], &view["users"][0]["user"]);
        let files = [
            ("ca.crt", &cluster["certificate-authority-data"]),
            ("admin.crt", &user["client-certificate-data"]),
            ("admin.key", &user["client-key-data"]),
        ];
        for (name, data) in files {
            let data = data.as_str().with_context(|| format!("the kubeconfig has no {name}"))?;
            std::fs::write(directory.join(name), STANDARD.decode(data)?)?;
        }
        let server = cluster["server"].as_str().context("the kubeconfig has no server")?.to_owned();
        Ok(Self { server, directory: directory.to_owned() })
    }

    /// Sends a request as the administrator.
    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Result<Answer> {
        let credentials = ["--cert", "admin.crt", "--key", "admin.key"];
        self.curl(&credentials, method, path, content_type, body)
    }

    /// Sends a request with other credentials, as `curl` takes them, or with none.
    pub fn send_as(&self, credentials: &[&str], path: &str) -> Result<Answer> {
        self.curl(credentials, "GET", path, "application/json", b"")
    }

    fn curl(
        &self,
        more: &[&str],
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.server);
        let mut curl = Command::new("curl");
        curl.current_dir(&self.directory).args(["--silent", "--show-error", "--include", "--noproxy", "*"]);
        curl.args(["--cacert", "ca.crt", "--request", method, "--header", "Expect:"]).args(more);
        curl.args(["--max-time", "60", "--header", &format!("Content-Type: {content_type}")]);
        if !body.is_empty() {
            curl.args(["--data-binary", "@-"]);
        }
        curl.arg(&url);
        let printed = command::run(&mut curl, body, wait::SOON * 2)?.success()?;
        let (headers, body) = printed.split_once("\r\n\r\n").context("the answer has no headers")?;
        let code = headers.split(' ').nth(1).and_then(|code| code.parse().ok());
        ensure!(code.is_some(), "not an HTTP answer: {headers}");
        Ok(Answer {
            code: code.unwrap_or_default(),
            body: serde_json::from_str(body).unwrap_or_default(),
            headers: headers.to_owned(),
        })
    }
}
