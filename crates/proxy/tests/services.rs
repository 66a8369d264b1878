//! Real packets through real rules, in network namespaces of the test's own. Needs root.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steersman_controller_runtime::ObjectKey;
use steersman_network::{PodNetwork, PodNetworkConfig, create_netns, delete_netns, inside, links, nft};
use steersman_proxy::{Endpoint, Program, ServicePort};

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 9);

/// A host with three pods; each answers on port 8080 with its number and the address that it sees.
struct Host {
    dir: tempfile::TempDir,
    pods: Vec<Ipv4Addr>,
    stop: Arc<AtomicBool>,
    servers: Vec<std::thread::JoinHandle<()>>,
}

impl Host {
    fn new() -> Self {
        let mut host = Self {
            dir: tempfile::tempdir().expect("a directory"),
            pods: Vec::new(),
            stop: Arc::default(),
            servers: Vec::new(),
        };
        create_netns(&host.netns()).expect("root may make namespaces");
        let (state_dir, paths) = (host.dir.path().join("addresses"), [0, 1, 2].map(|i| host.pod(i)));
        paths.iter().for_each(|path| create_netns(path).expect("root may make namespaces"));
        host.pods = inside(&host.netns(), move || {
            // Refusals of the host's own connections come back over the loopback.
            links::with_handle(|handle| async move { links::bring_up(&handle, "lo").await }).expect("up");
            let config = PodNetworkConfig {
                bridge: "br-test".to_owned(),
                table: "pods-test".to_owned(),
                pod_range: "10.89.1.0/24".parse().expect("a range"),
                cluster_range: "10.89.0.0/16".parse().expect("a range"),
                service_range: "10.97.0.0/16".parse().expect("a range"),
                state_dir,
                mtu: None,
            };
            let network = PodNetwork::open(config).expect("opens");
            network.set_up().expect("set up");
            let connect =
                |(i, path): (usize, &PathBuf)| network.add(&format!("pod{i}"), path, &[]).expect("connected");
            paths.iter().enumerate().map(connect).collect()
        })
        .expect("the namespace is there");
        host.servers = (0..3).map(|i| serve(&host.pod(i), i, host.stop.clone())).collect();
        host
    }

    fn netns(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    fn pod(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("pod{i}"))
    }

    fn endpoints(&self, pods: &[usize]) -> Vec<Endpoint> {
        pods.iter().map(|i| Endpoint { address: self.pods[*i], port: 8080 }).collect()
    }

    fn apply(&self, batch: nft::Batch) {
        inside(&self.netns(), move || nft::apply(&batch))
            .expect("the namespace is there")
            .expect("the kernel takes it");
    }

    /// Asks from the host.
    fn ask(&self, address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
        inside(&self.netns(), move || ask(address, port)).expect("the namespace is there")
    }

    fn answers(&self, address: Ipv4Addr, port: u16, times: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..times {
            let answer = self.ask(address, port).expect("an answer");
            *counts.entry(answer.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for (i, server) in self.servers.drain(..).enumerate() {
            let pod = self.dir.path().join(format!("pod{i}"));
            // Wakes the server up, so that it sees that it is to stop.
            drop(inside(&pod, || ask(Ipv4Addr::LOCALHOST, 8080)));
            server.join().expect("the server ends");
            delete_netns(&pod).expect("unpinned");
        }
        delete_netns(&self.netns()).expect("unpinned");
    }
}

fn serve(netns: &Path, number: usize, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let listener =
        inside(netns, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).expect("the port is free"))
            .expect("the namespace is there");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let mut stream = stream.expect("a connection");
            let peer = stream.peer_addr().expect("a peer").ip();
            // A client that is gone already is not the server's problem.
            drop(stream.write_all(format!("{number} {peer}").as_bytes()));
        }
    })
}

fn ask(address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
    let target = SocketAddr::from((address, port));
    let mut stream =
        TcpStream::connect_timeout(&target, Duration::from_secs(5)).map_err(|error| error.kind())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.kind())?;
    Ok(answer)
}

fn web(endpoints: Vec<Endpoint>) -> ServicePort {
    ServicePort {
        name: "ns/web:http".to_owned(),
        protocol: 6,
        port: 80,
        cluster_ips: vec![SERVICE],
        external_ips: Vec::new(),
        node_port: Some(30080),
        external_endpoints: endpoints.clone(),
        endpoints,
        keeps_source: false,
        affinity_seconds: None,
    }
}

fn program() -> Program {
    Program::new("proxy-test", "10.89.0.0/16".parse().expect("a range"))
}

fn key() -> ObjectKey {
    ObjectKey::new("ns", "web")
}

#[test]
fn a_service_spreads_over_its_endpoints_and_follows_them() {
    let (host, mut program) = (Host::new(), program());
    host.apply(program.replace());
    host.apply(program.set(&key(), vec![web(host.endpoints(&[0, 1, 2]))]));
    let counts = host.answers(SERVICE, 80, 60);
    assert_eq!(counts.len(), 3, "all three answer: {counts:?}");
    host.apply(program.set(&key(), vec![web(host.endpoints(&[1]))]));
    assert_eq!(host.answers(SERVICE, 80, 10).keys().collect::<Vec<_>>(), ["1"]);
    assert!(program.set(&key(), vec![web(host.endpoints(&[1]))]).is_empty(), "nothing changes");
    host.apply(program.replace());
    assert_eq!(host.answers(SERVICE, 80, 3).len(), 1, "a replaced table is the same");

    let gateway = Ipv4Addr::new(10, 89, 1, 1);
    let from_pod = inside(&host.pod(0), move || ask(SERVICE, 80)).expect("runs").expect("an answer");
    assert_eq!(from_pod, format!("1 {}", host.pods[0]), "a pod keeps its address");
    let to_itself = inside(&host.pod(1), move || ask(SERVICE, 80)).expect("runs").expect("an answer");
    assert_eq!(to_itself, format!("1 {gateway}"), "a pod reaches itself");
    let node_port = inside(&host.pod(0), move || ask(gateway, 30080)).expect("runs").expect("an answer");
    assert_eq!(node_port, format!("1 {gateway}"), "a node port hides the source");
}

#[test]
fn what_leads_nowhere_is_refused_at_once() {
    let (host, mut program) = (Host::new(), program());
    host.apply(program.replace());
    host.apply(program.set(&key(), vec![web(Vec::new())]));
    assert_eq!(host.ask(SERVICE, 80), Err(ErrorKind::ConnectionRefused), "no endpoint");
    assert_eq!(host.ask(SERVICE, 81), Err(ErrorKind::ConnectionRefused), "no such port");
    assert_eq!(host.ask(Ipv4Addr::new(10, 89, 1, 1), 30080), Err(ErrorKind::ConnectionRefused));
    host.apply(program.set(&key(), vec![web(host.endpoints(&[0]))]));
    assert!(host.ask(SERVICE, 80).is_ok(), "an endpoint came");
    host.apply(program.set(&key(), Vec::new()));
    let chains = inside(&host.netns(), || nft::list_chains("proxy-test").expect("listed")).expect("runs");
    assert_eq!(
        chains.iter().filter(|chain| chain.contains("web")).count(),
        0,
        "nothing of the service is left"
    );
}

#[test]
fn clients_stay_with_their_endpoint_while_it_lives() {
    let (host, mut program) = (Host::new(), program());
    host.apply(program.replace());
    let sticky = |pods: &[usize]| ServicePort { affinity_seconds: Some(100), ..web(host.endpoints(pods)) };
    host.apply(program.set(&key(), vec![sticky(&[0, 1, 2])]));
    let counts = host.answers(SERVICE, 80, 20);
    assert_eq!(counts.len(), 1, "one client, one endpoint: {counts:?}");
    let chosen: usize = counts.keys().next().and_then(|name| name.parse().ok()).expect("a number");
    let others: Vec<usize> = (0..3).filter(|i| *i != chosen).collect();
    host.apply(program.set(&key(), vec![sticky(&others)]));
    let counts = host.answers(SERVICE, 80, 10);
    assert_eq!(counts.len(), 1);
    assert!(!counts.contains_key(&chosen.to_string()), "the old endpoint is gone");
}
