//! Over real connections: TLS, both versions of HTTP, and tunnels to a kubelet that only says what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use super::Harness;
use crate::request::User;
use crate::wire::body::{self, Body};

pub struct Certified {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Certified {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        Self { certificate: made.cert.der().clone(), key }
    }

    pub fn server(&self) -> rustls::ServerConfig {
        rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .expect("a config")
    }

    pub fn client(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

async fn tls(
    certified: &Certified,
    address: SocketAddr,
    alpn: &str,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut config = certified.client();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let tcp = TcpStream::connect(address).await.expect("connects");
    let name = "127.0.0.1".try_into().expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake")
}

/// Answers with the path it was asked for; echoes bytes once the protocol is changed.
async fn kubelet(listener: TcpListener, certified: Certified) {
    let acceptor = TlsAcceptor::from(Arc::new(certified.server()));
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let stream = acceptor.accept(tcp).await.expect("a handshake");
        connections.spawn(async move {
            let service = service_fn(async |mut request: Request<hyper::body::Incoming>| {
                if request.headers().contains_key("upgrade") {
                    let upgraded = hyper::upgrade::on(&mut request);
                    tokio::spawn(async move {
                        let mut io = TokioIo::new(upgraded.await.expect("upgrades"));
                        let mut buffer = [0; 4];
                        io.read_exact(&mut buffer).await.expect("reads");
                        io.write_all(&buffer).await.expect("writes");
                    });
                    let switching = http::Response::builder().status(101).header("connection", "Upgrade");
                    return switching.header("upgrade", "websocket").body(body::empty());
                }
                Ok(http::Response::new(body::whole(request.uri().to_string())))
            });
            let http = hyper::server::conn::http1::Builder::new();
            drop(http.serve_connection(TokioIo::new(stream), service).with_upgrades().await);
        });
    }
}

/// A server over TLS whose requests are all `admin`'s, with a node whose kubelet is [`kubelet`].
struct Serving {
    address: SocketAddr,
    certified: Certified,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Serving {
    async fn start() -> Self {
        let (certified, kubelet_certified) = (Certified::new(), Certified::new());
        let h = Harness::with_kubelets(Arc::new(kubelet_certified.client()), true).await;
        let node = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = node.local_addr().expect("an address").port();
        let object = json!({"metadata": {"name": "n1"}});
        h.post("/api/v1/nodes", &object).await.ok();
        let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
        h.patch("/api/v1/nodes/n1/status", "application/merge-patch+json", &status).await.ok();
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}});
        h.post("/api/v1/namespaces/default/pods", &pod).await.ok();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(kubelet(node, kubelet_certified));
        let (server, config, token) = (h.server.clone(), certified.server(), stop.clone());
        tasks.spawn(async move { server.serve(listener, config, token).await.expect("serves") });
        Self { address, certified, stop, tasks }
    }

    async fn http1(&self) -> hyper::client::conn::http1::SendRequest<Body> {
        let stream = tls(&self.certified, self.address, "http/1.1").await;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection.with_upgrades());
        sender
    }
}

fn request(method: &str, uri: &str) -> http::request::Builder {
    Request::builder().method(method).uri(uri).header("host", "127.0.0.1")
}

#[tokio::test]
async fn both_versions_of_http_are_served_until_the_stop() {
    let mut serving = Serving::start().await;
    let mut sender = serving.http1().await;
    // Whoever comes over the network cannot say that they are somebody.
    let spoofed =
        request("GET", "/api/v1/nodes").extension(User { name: "nobody".to_owned(), ..User::default() });
    let answer =
        sender.send_request(spoofed.body(body::empty()).expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let stream = tls(&serving.certified, serving.address, "h2").await;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("a handshake");
    let connection = tokio::spawn(connection);
    let watch =
        Request::get("https://127.0.0.1/api/v1/nodes?watch=1").body(body::empty()).expect("a request");
    let mut answer = sender.send_request(watch).await.expect("an answer").into_body();
    assert!(answer.frame().await.is_some_and(|frame| frame.is_ok()));
    serving.stop.cancel();
    while answer.frame().await.is_some_and(|frame| frame.is_ok()) {}
    drop(sender);
    drop(connection.await);
    // The first to end is the server; the kubelet goes with the set.
    serving.tasks.join_next().await.expect("a task").expect("no panic");
}

#[tokio::test]
async fn logs_and_tunnels_reach_the_kubelet() {
    let serving = Serving::start().await;
    let pod = "/api/v1/namespaces/default/pods/p";
    let mut sender = serving.http1().await;
    let log = request("GET", &format!("{pod}/log?tailLines=3")).body(body::empty()).expect("a request");
    let answer = sender.send_request(log).await.expect("an answer");
    let text = answer.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(&text[..], b"/containerLogs/default/p/c?tailLines=3");

    let node = request("GET", "/api/v1/nodes/n1/proxy/healthz?x=1").body(body::empty()).expect("a request");
    let answer = serving.http1().await.send_request(node).await.expect("an answer");
    assert_eq!(&answer.into_body().collect().await.expect("a body").to_bytes()[..], b"/healthz?x=1");

    let exec = request("GET", &format!("{pod}/exec?command=ls&stdout=1"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .body(body::empty())
        .expect("a request");
    let answer = serving.http1().await.send_request(exec).await.expect("an answer");
    assert_eq!(answer.status(), 101);
    let mut io = TokioIo::new(hyper::upgrade::on(answer).await.expect("upgrades"));
    io.write_all(b"ping").await.expect("writes");
    let mut buffer = [0; 4];
    io.read_exact(&mut buffer).await.expect("reads");
    assert_eq!(&buffer, b"ping");
}
