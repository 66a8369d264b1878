//! The kubelet's server over real TLS: who may, logs, and streams handed through to the runtime.

mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::ServerName;
use serde_json::json;
use steersman_kubelet::server::ServerTls;
use steersman_pki::{Authority, ClientAuth, ClientVerifier, Profile, RotatingIdentity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use world::{World, is_running};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Keys(Authority);

impl Keys {
    fn server(&self) -> ServerTls {
        let identity = self.0.issue(&Profile::kubelet_server("n1", vec![LOCAL]), Timestamp::now()).unwrap();
        let clients = ClientAuth::Verified(ClientVerifier::new([self.0.certificate()]).unwrap());
        let config =
            steersman_pki::server_config(RotatingIdentity::new(&identity).unwrap(), &clients).unwrap();
        ServerTls { config: Arc::new(config) }
    }

    async fn connect(&self, address: SocketAddr, user: Option<&str>) -> TlsStream<TcpStream> {
        let identity = user.map(|user| {
            let identity = self.0.issue(&Profile::client(user, None), Timestamp::now()).unwrap();
            RotatingIdentity::new(&identity).unwrap()
        });
        let config = steersman_pki::client_config([self.0.certificate()], identity).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::IpAddress(LOCAL.into());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// The whole answer to a request that closes its connection.
    async fn get(&self, address: SocketAddr, user: Option<&str>, path: &str) -> String {
        let mut stream = self.connect(address, user).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: n1\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

/// A streaming server that upgrades and then says everything back in capitals.
async fn shouting_server() -> SocketAddr {
    let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        let head = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
        assert!(head.starts_with("post /exec/token http/1.1\r\n"), "{head}");
        assert!(head.contains("upgrade: spdy/3.1\r\n") && !head.contains("authorization"), "{head}");
        let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n";
        stream.write_all(upgrade.as_bytes()).await.unwrap();
        let read = stream.read(&mut buffer).await.unwrap();
        stream.write_all(buffer[..read].to_ascii_uppercase().as_slice()).await.unwrap();
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_known_and_allowed_or_turned_away() {
    let keys = Keys(Authority::create("test", Timestamp::now()).unwrap());
    let mut world = World::serving(Some(keys.server())).await;
    let address = world.address.unwrap();
    let status = |answer: String| answer.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(status(keys.get(address, None, "/healthz").await), "401");
    assert_eq!(status(keys.get(address, Some("mallory"), "/pods").await), "403");
    assert!(keys.get(address, Some("alice"), "/healthz").await.ends_with("\r\n\r\nok"));
    assert_eq!(status(keys.get(address, Some("alice"), "/nowhere").await), "404");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_served_and_streams_handed_through() {
    let keys = Keys(Authority::create("test", Timestamp::now()).unwrap());
    let mut world = World::serving(Some(keys.server())).await;
    let address = world.address.unwrap();
    world.create_pod(json!({ "containers": [{ "name": "a", "image": "web" }] }));
    world.until("running", is_running).await;
    let log = world.dir.path().join("logs/ns_p_u1/a/0.log");
    std::fs::write(&log, "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr F two\n").unwrap();
    let answer = keys.get(address, Some("alice"), "/containerLogs/ns/p/a?tailLines=1&timestamps=true").await;
    assert!(answer.contains("2026-01-01T00:00:02Z two\n") && !answer.contains("one"), "{answer}");
    let answer = keys.get(address, Some("alice"), "/containerLogs/ns/p/b").await;
    assert!(answer.contains("container \"b\" not found in pod \"p\""), "{answer}");

    let shouting = shouting_server().await;
    world.runtime.state.lock().unwrap().exec_url = format!("http://{shouting}/exec/token");
    let mut stream = keys.connect(address, Some("alice")).await;
    let request = "POST /exec/ns/p/a?command=sh&input=1&output=1 HTTP/1.1\r\nhost: n1\r\nconnection: Upgrade\r\n\
        upgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let mut seen = String::new();
    while !seen.contains("\r\n\r\n") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    assert!(seen.starts_with("HTTP/1.1 101 "), "{seen}");
    stream.write_all(b"hello").await.unwrap();
    let read = stream.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..read], b"HELLO");
    world.stop().await;
}
