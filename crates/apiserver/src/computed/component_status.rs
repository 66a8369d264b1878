//! `componentstatuses`: the store under upstream's name for it, and the components that the server was told of.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_store::BoxFuture;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Computed;
use crate::config::Place;
use crate::server::Inner;

const STORE: &str = "etcd-0";
const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_ANSWER: usize = 10 * 1024;
const HOST: &str = "127.0.0.1";

/// See the module.
pub struct ComponentStatuses;

/// What a component's check came to: what it said, or why it is not well.
enum Finding {
    Healthy(String),
    Unhealthy(String),
    Failed(String),
}

impl Computed for ComponentStatuses {
    fn names(&self, server: &Inner) -> Vec<String> {
        let components = server.components.iter().map(|component| component.name.to_owned());
        let mut names: Vec<String> = components.chain([STORE.to_owned()]).collect();
        names.sort_unstable();
        names
    }

    fn object<'a>(&'a self, server: &'a Inner, name: &'a str) -> BoxFuture<'a, Tree> {
        Box::pin(async move {
            let component = server.components.iter().find(|component| component.name == name);
            let finding = match component.map(|component| component.place) {
                None => store(server).await,
                Some(Place::SameProcess) => Finding::Healthy("ok".to_owned()),
                Some(Place::Port(port)) => ask(server.kubelets.unchecked(), port).await,
            };
            status(name, finding)
        })
    }
}

fn status(name: &str, finding: Finding) -> Tree {
    let condition = match finding {
        Finding::Healthy(message) => json!({"type": "Healthy", "status": "True", "message": message}),
        Finding::Unhealthy(message) => json!({"type": "Healthy", "status": "False", "message": message}),
        Finding::Failed(error) => json!({"type": "Healthy", "status": "False", "error": error}),
    };
    json!({
        "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition],
    })
}

async fn store(server: &Inner) -> Finding {
    match server.storage.revision().await {
        Ok(_) => Finding::Healthy("ok".to_owned()),
        Err(error) => Finding::Failed(error.message),
    }
}

/// Asks a component at its port. Its certificate is its own affair, as upstream has it.
async fn ask(tls: &TlsConnector, port: u16) -> Finding {
    let asked = tokio::time::timeout(TIMEOUT, exchange(tls, port)).await;
    let why = match asked {
        Ok(Ok((code, text))) if code.is_success() || code.is_redirection() => {
            return Finding::Healthy(text);
        }
        Ok(Ok((code, _))) => {
            return Finding::Unhealthy(format!("HTTP probe failed with statuscode: {}", code.as_u16()));
        }
        Ok(Err(why)) => why,
        Err(_) => "context deadline exceeded".to_owned(),
    };
    Finding::Unhealthy(format!("Get \"https://{HOST}:{port}/healthz\": {why}"))
}

async fn exchange(tls: &TlsConnector, port: u16) -> Result<(StatusCode, String), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let tcp = TcpStream::connect((HOST, port)).await;
    let tcp = tcp.map_err(|error| format!("dial tcp {HOST}:{port}: {}", dialling(&error)))?;
    let name = ServerName::try_from(HOST).map_err(|error| text(&error))?;
    let stream = tls.connect(name, tcp).await.map_err(|error| text(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    let request = Request::get("/healthz").header("host", format!("{HOST}:{port}"));
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| text(&error))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| text(&error))?;
        let code = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| text(&error))?.to_bytes();
        Ok((code, String::from_utf8_lossy(&body).trim_end().to_owned()))
    };
    let carried = async {
        // An end of the connection shows in the answer.
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        never = carried => never,
    }
}

/// As Go words a connection that does not come about.
fn dialling(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        _ => format!("connect: {error}"),
    }
}
