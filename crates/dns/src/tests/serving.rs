//! Real sockets on loopback: a server of the fixed cluster, clients, and a resolver that it forwards to.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use steersman_controller_runtime::SharedInformers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{NAMESPACES, objects};
use crate::{Dns, DnsConfig};

/// A running server and what it stands on.
struct Fixture {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), crate::DnsError>>,
    asked: Arc<AtomicUsize>,
    resolv_conf: tempfile::NamedTempFile,
}

impl Fixture {
    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let resolver = resolver(asked.clone(), stop.clone()).await;
        let mut resolv_conf = tempfile::NamedTempFile::new().expect("a file");
        writeln!(resolv_conf, "nameserver [127.0.0.1]:{}", resolver.port()).expect("written");
        let informers = SharedInformers::new(api(), stop.clone());
        let config = DnsConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            domain: "cluster.local".to_owned(),
            resolv_conf: resolv_conf.path().to_owned(),
        };
        let dns = Arc::new(Dns::new(config, &informers).expect("a valid domain"));
        let (running, token) = (dns.clone(), stop.clone());
        let serving = tokio::spawn(async move { running.run(token).await });
        let address = dns.wait_ready().await;
        Self { address, stop, serving, asked, resolv_conf }
    }

    async fn ask(&self, query: &Message) -> Message {
        ask_udp(self.address, &query.to_vec().expect("encodes")).await
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.expect("no panic").expect("no error");
    }
}

async fn ask_udp(server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
    socket.connect(server).await.expect("connected");
    socket.send(bytes).await.expect("sent");
    let mut buffer = vec![0; 65536];
    let length = socket.recv(&mut buffer).await.expect("received");
    Message::from_vec(&buffer[..length]).expect("a message")
}

async fn ask_tcp(server: SocketAddr, queries: &[Message]) -> Vec<Message> {
    let mut stream = TcpStream::connect(server).await.expect("connected");
    let mut answers = Vec::new();
    for query in queries {
        let bytes = query.to_vec().expect("encodes");
        let length = u16::try_from(bytes.len()).expect("short");
        stream.write_all(&[&length.to_be_bytes(), &bytes[..]].concat()).await.expect("sent");
        let mut buffer = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut buffer).await.expect("an answer");
        answers.push(Message::from_vec(&buffer).expect("a message"));
    }
    answers
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

/// An API that lists the fixed cluster and whose watches stay silent.
fn api() -> kube::Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        if request.uri().query().unwrap_or("").contains("watch=true") {
            std::future::pending::<()>().await;
        }
        let body = serde_json::to_vec(&list(request.uri().path())).expect("encodes");
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(body)))
    });
    kube::Client::new(service, "default")
}

fn list(path: &str) -> Value {
    let (version, kind, items) = match path.rsplit('/').next() {
        Some("services") => {
            ("v1", "ServiceList", objects().into_iter().map(|(service, _)| service).collect())
        }
        Some("endpointslices") => {
            let mut slices: Vec<Value> = objects().into_iter().flat_map(|(_, slices)| slices).collect();
            slices.push(crowd());
            ("discovery.k8s.io/v1", "EndpointSliceList", slices)
        }
        _ => (
            "v1",
            "NamespaceList",
            NAMESPACES.iter().map(|name| json!({"metadata": {"name": name}})).collect(),
        ),
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"resourceVersion": "1"}, "items": items})
}

/// So many endpoints for `empty` that their addresses do not fit into one UDP message.
fn crowd() -> Value {
    let endpoints: Vec<Value> =
        (0..200).map(|number| json!({"addresses": [format!("10.1.0.{number}")]})).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "crowd", "namespace": "db", "labels": {"kubernetes.io/service-name": "empty"}},
        "endpoints": endpoints})
}

/// A resolver: it does not answer the first query if that is for `lost.example.`, has no luck with `broken.example.`, cuts
/// `long.example.` off over UDP, takes a moment for `slow.example.`, and `none.example.` does not exist.
async fn resolver(asked: Arc<AtomicUsize>, stop: CancellationToken) -> SocketAddr {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
    let address = tcp.local_addr().expect("an address");
    let udp = UdpSocket::bind(address).await.expect("bound");
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                received = udp.recv_from(&mut buffer) => {
                    let (length, client) = received.expect("received");
                    let before = asked.fetch_add(1, Ordering::SeqCst);
                    if before == 0 && buffer[..length].windows(4).any(|part| part == b"lost") {
                        continue;
                    }
                    let answer = resolve(&buffer[..length], false);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    udp.send_to(&answer, client).await.expect("sent");
                }
                accepted = tcp.accept() => {
                    let (mut stream, _) = accepted.expect("accepted");
                    let mut query = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
                    stream.read_exact(&mut query).await.expect("a query");
                    let answer = resolve(&query, true);
                    stream.write_u16(u16::try_from(answer.len()).expect("short")).await.expect("sent");
                    stream.write_all(&answer).await.expect("sent");
                }
            }
        }
    });
    address
}

fn resolve(bytes: &[u8], whole: bool) -> Vec<u8> {
    let query = Message::from_vec(bytes).expect("a query");
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    answer.queries = query.queries.clone();
    let name = query.queries[0].name().clone();
    match name.to_ascii().as_str() {
        "broken.example." => answer.metadata.response_code = ResponseCode::ServFail,
        "none.example." => answer.metadata.response_code = ResponseCode::NXDomain,
        "long.example." if !whole => answer.metadata.truncation = true,
        _ => {
            answer.add_answer(Record::from_rdata(name, 300, RData::A(A::new(192, 0, 2, 1))));
        }
    }
    answer.to_vec().expect("encodes")
}

#[tokio::test]
async fn cluster_names_over_both_transports() {
    let fixture = Fixture::start().await;
    let web = query("Web.default.svc.cluster.local.", RecordType::A);
    let answer = fixture.ask(&web).await;
    assert_eq!(answer.queries, web.queries);
    assert_eq!(answer.queries[0].name().to_ascii(), "Web.default.svc.cluster.local.");
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (web.metadata.id, ResponseCode::NoError));
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
    assert_eq!(answer.answers[0].data, RData::A(A::new(10, 96, 0, 20)));
    assert!(answer.edns.is_none(), "the client did not use it");

    let absent = fixture.ask(&query("absent.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(absent.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(absent.authorities[0].record_type(), RecordType::SOA);

    let crowd = query("empty.db.svc.cluster.local.", RecordType::A);
    let answers = ask_tcp(fixture.address, &[web.clone(), crowd.clone()]).await;
    assert_eq!(answers[0].answers.len(), 1);
    assert_eq!(answers[1].answers.len(), 200);

    let cut = fixture.ask(&crowd).await;
    assert!(cut.metadata.truncation);
    assert!((28..=29).contains(&cut.answers.len()), "{} of 16 bytes each in 512", cut.answers.len());
    let mut roomy = crowd.clone();
    roomy.set_edns(Edns::new().set_max_payload(4096).clone());
    let cut = fixture.ask(&roomy).await;
    assert!(cut.metadata.truncation && cut.answers.len() > 70 && cut.edns.is_some());
    fixture.end().await;
}

#[tokio::test]
async fn what_is_not_a_query_is_refused() {
    let fixture = Fixture::start().await;
    let code = |message: Message| message.metadata.response_code;
    let mut update = query("web.default.svc.cluster.local.", RecordType::A);
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(code(fixture.ask(&update).await), ResponseCode::NotImp);
    let mut two = query("a.", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(code(fixture.ask(&two).await), ResponseCode::FormErr);
    let mut newer = query("web.default.svc.cluster.local.", RecordType::A);
    newer.set_edns(Edns::new().set_version(1).clone());
    assert_eq!(u16::from(code(fixture.ask(&newer).await)), u16::from(ResponseCode::BADVERS));
    let transfer = query("cluster.local.", RecordType::AXFR);
    assert_eq!(code(fixture.ask(&transfer).await), ResponseCode::Refused);
    let mut cut = query("web.default.svc.cluster.local.", RecordType::A).to_vec().expect("encodes");
    cut.truncate(20);
    assert_eq!(code(ask_udp(fixture.address, &cut).await), ResponseCode::FormErr);
    fixture.end().await;
}

#[tokio::test]
async fn other_names_are_asked_once_and_remembered() {
    let fixture = Fixture::start().await;
    let queries: Vec<Message> = (0..5).map(|_| query("Slow.example.", RecordType::A)).collect();
    let answers = futures::future::join_all(queries.iter().map(|query| fixture.ask(query))).await;
    for (answer, query) in answers.iter().zip(&queries) {
        assert_eq!(answer.metadata.id, query.metadata.id);
        assert_eq!(answer.answers[0].data, RData::A(A::new(192, 0, 2, 1)));
        assert_eq!(answer.answers[0].ttl, 30);
        assert!(!answer.metadata.authoritative);
    }
    assert_eq!(fixture.asked.load(Ordering::SeqCst), 1, "equal questions at one time are one");
    fixture.ask(&queries[0]).await;
    assert_eq!(fixture.asked.load(Ordering::SeqCst), 1, "the answer is remembered");

    let long = fixture.ask(&query("long.example.", RecordType::A)).await;
    assert_eq!((long.answers.len(), long.metadata.truncation), (1, false), "asked again over TCP");
    let none = fixture.ask(&query("none.example.", RecordType::A)).await;
    assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);

    let shop = fixture.ask(&query("shop.default.svc.cluster.local.", RecordType::A)).await;
    let kinds: Vec<RecordType> = shop.answers.iter().map(Record::record_type).collect();
    assert_eq!(kinds, [RecordType::CNAME, RecordType::A], "the alias and what it leads to");
    fixture.end().await;
}

#[tokio::test]
async fn a_lost_query_is_asked_again() {
    let fixture = Fixture::start().await;
    let answer = fixture.ask(&query("lost.example.", RecordType::A)).await;
    assert_eq!((answer.answers.len(), fixture.asked.load(Ordering::SeqCst)), (1, 2));
    fixture.end().await;
}

#[tokio::test]
async fn a_failure_is_passed_on_and_remembered() {
    let fixture = Fixture::start().await;
    for _ in 0..3 {
        let answer = fixture.ask(&query("broken.example.", RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }
    assert_eq!(fixture.asked.load(Ordering::SeqCst), 1);
    fixture.end().await;
}

#[tokio::test]
async fn a_loop_through_the_resolvers_ends() {
    let fixture = Fixture::start().await;
    let ourselves = format!("nameserver [127.0.0.1]:{}\n", fixture.address.port());
    std::fs::write(fixture.resolv_conf.path(), ourselves).expect("written");
    let answer = fixture.ask(&query("example.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    fixture.end().await;
}

#[tokio::test]
async fn without_resolvers_the_server_says_so() {
    let fixture = Fixture::start().await;
    std::fs::write(fixture.resolv_conf.path(), "search example\n").expect("written");
    let answer = fixture.ask(&query("example.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    fixture.end().await;
}
