//! The whole proxy on a node of the test's own, following an API of the test's own. Needs root.

mod world;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use steersman_controller_runtime::SharedInformers;
use steersman_network::inside;
use steersman_proxy::{Proxy, ProxyConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use world::{Host, NODE, SERVICE, shape};

type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// What the API has at the start, and the changes of slices that come later.
#[derive(Clone)]
struct Api {
    service: Value,
    slice: Value,
    changes: watch::Receiver<Option<Value>>,
}

impl Api {
    fn client(self) -> kube::Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = self.clone();
            async move { Ok::<_, Infallible>(Response::new(api.answer(&request))) }
        });
        kube::Client::new(service, "default")
    }

    fn answer(&self, request: &Request<Body>) -> Answer {
        let resource = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let query = request.uri().query().unwrap_or_default();
        if resource == "nodes" {
            assert!(query.contains("fieldSelector=metadata.name%3Dn1"), "a node sees no other: {query}");
        }
        if query.contains("watch=true") {
            return if resource == "endpointslices" { self.follow() } else { silence() };
        }
        let (version, kind, items) = match resource.as_str() {
            "services" => ("v1", "ServiceList", vec![self.service.clone()]),
            "endpointslices" => ("discovery.k8s.io/v1", "EndpointSliceList", vec![self.slice.clone()]),
            _ => ("v1", "NodeList", vec![]),
        };
        let list = json!({"apiVersion": version, "kind": kind, "metadata": {"resourceVersion": "1"}, "items": items});
        Answer::new(Full::new(Bytes::from(serde_json::to_vec(&list).expect("encodes"))))
    }

    fn follow(&self) -> Answer {
        let changes = stream::unfold(self.changes.clone(), |mut changes| async move {
            changes.changed().await.ok()?;
            let object = changes.borrow_and_update().clone()?;
            let line = format!("{}\n", json!({"type": "MODIFIED", "object": object}));
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), changes))
        });
        Answer::new(StreamBody::new(changes.chain(stream::pending())))
    }
}

fn silence() -> Answer {
    Answer::new(StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()))
}

fn slice(version: u32, pods: &[Ipv4Addr]) -> Value {
    let endpoints: Vec<Value> =
        pods.iter().map(|pod| json!({"addresses": [pod], "nodeName": "n1"})).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "dns-1", "namespace": "ns", "resourceVersion": version.to_string(),
            "labels": {"kubernetes.io/service-name": "dns"}},
        "ports": [{"name": "dns", "protocol": "UDP", "port": 8080}, {"name": "dns-tcp", "port": 8080}],
        "endpoints": endpoints})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "dns", "namespace": "ns", "resourceVersion": "1"},
        "spec": {"type": "LoadBalancer", "clusterIP": SERVICE, "clusterIPs": [SERVICE],
            "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
            "ports": [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]}})
}

/// A proxy that runs in the namespace of `host` until it is stopped.
struct Running {
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    fn start(host: &Host, pods: &[Ipv4Addr], changes: watch::Receiver<Option<Value>>) -> Self {
        let stop = CancellationToken::new();
        let (token, netns) = (stop.clone(), host.netns());
        let api = Api { service: service(), slice: slice(1, pods), changes };
        let (ready, is_ready) = std::sync::mpsc::channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let informers = SharedInformers::new(api.client(), token.clone());
                let config = ProxyConfig { node_name: "n1".to_owned(), shape: shape() };
                let proxy = Proxy::new(config, &informers);
                let waiting: Arc<Proxy> = proxy.clone();
                let told = async { waiting.wait_ready().await };
                let run = proxy.run(token);
                tokio::pin!(run);
                tokio::select! {
                    ended = &mut run => panic!("the proxy ended: {ended:?}"),
                    () = told => ready.send(()).expect("somebody waits"),
                }
                run.await.expect("it stops when told");
            });
        };
        let thread = std::thread::spawn(move || inside(&netns, work).expect("the namespace is there"));
        is_ready.recv().expect("it becomes ready");
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.cancel();
        self.thread.join().expect("no panic");
    }
}

/// Asks until the answer is `want`, for a while.
fn until(want: &str, ask: impl Fn() -> Option<String>) {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let got = ask();
        if got.as_deref() == Some(want) {
            return;
        }
        assert!(Instant::now() < end, "{got:?} instead of {want}");
    }
}

#[test]
#[ignore = "needs root"]
fn the_proxy_follows_the_api_and_takes_over_where_it_left() {
    let host = Host::new();
    let change = watch::Sender::new(None);
    let client = host.udp_client();
    let proxy = Running::start(&host, &host.pods[..1], change.subscribe());
    assert_eq!(host.ask_udp(&client, SERVICE, 53), Some("0".to_owned()));
    assert!(host.ask(SERVICE, 53).expect("answered").starts_with("0 "));
    let health = |port| host.ask_http(NODE, port);
    until("HTTP/1.1 200 OK", || health(32000));

    change.send_replace(Some(slice(2, &host.pods[1..2])));
    until("1", || host.ask_udp(&client, SERVICE, 53));
    change.send_replace(Some(slice(3, &[])));
    until("HTTP/1.1 503 Service Unavailable", || health(32000));
    proxy.stop();
    assert_eq!(health(32000), None);
    assert_eq!(host.ask_udp(&client, SERVICE, 53), None, "what was programmed stays");

    let proxy = Running::start(&host, &host.pods[1..2], change.subscribe());
    assert_eq!(host.ask_udp(&client, SERVICE, 53), Some("1".to_owned()));
    proxy.stop();
    assert_eq!(host.ask_udp(&client, SERVICE, 53), Some("1".to_owned()), "nobody is needed for it");
    let proxy = Running::start(&host, &host.pods[2..], change.subscribe());
    assert_eq!(host.ask_udp(&client, SERVICE, 53), Some("2".to_owned()), "what went meanwhile is forgotten");
    proxy.stop();
}
