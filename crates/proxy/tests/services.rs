//! Real packets through real rules, in network namespaces of the test's own. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use steersman_controller_runtime::ObjectKey;
use steersman_network::{
    PodNetwork, PodNetworkConfig, create_netns, delete_netns, forget_udp, inside, links, nft,
};
use steersman_proxy::{Change, Endpoint, Endpoints, Program, ServicePort, Shape};

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 9);
/// The host's address on the bridge.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 89, 1, 1);
/// The host's address towards the outside.
const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// A client's address out there.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A host with three pods, and somebody outside; each pod answers on port 8080 with its number and, over TCP, the
/// address that it sees.
struct Host {
    dir: tempfile::TempDir,
    program: Program,
    pods: Vec<Ipv4Addr>,
    stop: Arc<AtomicBool>,
    servers: Vec<std::thread::JoinHandle<()>>,
}

impl Host {
    fn new() -> Self {
        let mut host = Self {
            dir: tempfile::tempdir().expect("a directory"),
            program: program(),
            pods: Vec::new(),
            stop: Arc::default(),
            servers: Vec::new(),
        };
        let (state_dir, paths) = (host.dir.path().join("addresses"), [0, 1, 2].map(|i| host.pod(i)));
        for path in paths.iter().chain([&host.netns(), &host.outside()]) {
            create_netns(path).expect("root may make namespaces");
        }
        let outside = host.outside();
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
            connect_outside(&outside);
            let connect =
                |(i, path): (usize, &PathBuf)| network.add(&format!("pod{i}"), path, &[]).expect("connected");
            paths.iter().enumerate().map(connect).collect()
        })
        .expect("the namespace is there");
        for i in 0..3 {
            host.servers.push(serve(&host.pod(i), i, host.stop.clone()));
            host.servers.push(serve_udp(&host.pod(i), i, host.stop.clone()));
        }
        let table = host.program.replace();
        host.apply(table);
        host
    }

    fn netns(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn pod(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("pod{i}"))
    }

    fn endpoints(&self, pods: &[usize]) -> Vec<Endpoint> {
        pods.iter().map(|i| Endpoint { address: self.pods[*i], port: 8080, local: true }).collect()
    }

    fn apply(&self, batch: nft::Batch) {
        inside(&self.netns(), move || nft::apply(&batch))
            .expect("the namespace is there")
            .expect("the kernel takes it");
    }

    /// A service now has these ports.
    fn set(&mut self, service: &str, ports: Vec<ServicePort>) {
        let Change { batch, udp } = self.program.set(&key(service), ports, Instant::now());
        self.apply(batch);
        inside(&self.netns(), move || forget_udp(|flow| udp.is_stale(flow)))
            .expect("the namespace is there")
            .expect("the kernel lists its flows");
    }

    /// Asks from the host.
    fn ask(&self, address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
        inside(&self.netns(), move || ask(address, port)).expect("the namespace is there")
    }

    /// Asks from a pod.
    fn ask_from(&self, pod: usize, address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
        inside(&self.pod(pod), move || ask(address, port)).expect("the namespace is there")
    }

    fn ask_from_outside(&self, address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
        inside(&self.outside(), move || ask(address, port)).expect("the namespace is there")
    }

    fn answers(&self, address: Ipv4Addr, port: u16, times: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..times {
            let answer = self.ask(address, port).expect("an answer");
            *counts.entry(answer.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts
    }

    /// A socket of the first pod: one flow for each address that it asks.
    fn udp_client(&self) -> UdpSocket {
        let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let client = inside(&self.pod(0), bind).expect("the namespace is there");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        client
    }

    fn ask_udp(&self, client: &UdpSocket, address: Ipv4Addr, port: u16) -> Option<String> {
        client.send_to(b"x", (address, port)).expect("sent");
        let mut buffer = [0; 16];
        let (length, _) = client.recv_from(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}

/// How long silence takes to be believed.
const PATIENCE: Duration = Duration::from_millis(700);

/// A link from the host to the namespace at `outside`.
fn connect_outside(outside: &Path) {
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status().expect("iproute2 is there");
        assert!(status.success(), "ip {arguments}");
    };
    let enter = format!("--net={}", outside.display());
    let there = move |arguments: &str| {
        let command = Command::new("nsenter").arg(&enter).arg("ip").args(arguments.split(' ')).status();
        assert!(command.expect("util-linux is there").success(), "ip {arguments}");
    };
    ip("link add up0 type veth peer name up1");
    ip(&format!("link set up1 netns {}", outside.display()));
    ip(&format!("addr add {NODE}/24 dev up0"));
    ip("link set up0 up");
    ip(&format!("route add default via {OUTSIDE}"));
    there(&format!("addr add {OUTSIDE}/24 dev up1"));
    there("link set up1 up");
    there(&format!("route add default via {NODE}"));
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for i in 0..3 {
            // Wakes the server up, so that it sees that it is to stop.
            drop(inside(&self.pod(i), || ask(Ipv4Addr::LOCALHOST, 8080)));
        }
        self.servers.drain(..).for_each(|server| server.join().expect("the server ends"));
        for path in [self.pod(0), self.pod(1), self.pod(2), self.outside(), self.netns()] {
            delete_netns(&path).expect("unpinned");
        }
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

fn serve_udp(netns: &Path, number: usize, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 8080)).expect("the port is free");
    let socket = inside(netns, bind).expect("the namespace is there");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        while !stop.load(Ordering::Relaxed) {
            if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                socket.send_to(number.to_string().as_bytes(), peer).expect("sent");
            }
        }
    })
}

fn ask(address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
    let target = SocketAddr::from((address, port));
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).map_err(|error| error.kind())?;
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
        node_port: Some(30080),
        endpoints: all(endpoints),
        ..ServicePort::default()
    }
}

/// Endpoints for every policy.
fn all(endpoints: Vec<Endpoint>) -> Endpoints {
    Endpoints {
        exist: !endpoints.is_empty(),
        cluster: endpoints.clone(),
        local: endpoints.clone(),
        answering: endpoints,
        ..Endpoints::default()
    }
}

fn program() -> Program {
    Program::new(Shape {
        table: "proxy-test".to_owned(),
        node_address: NODE,
        cluster_range: "10.89.0.0/16".parse().expect("a range"),
        service_range: "10.97.0.0/16".parse().expect("a range"),
    })
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

#[test]
fn a_service_spreads_over_its_endpoints_and_follows_them() {
    let mut host = Host::new();
    host.set("web", vec![web(host.endpoints(&[0, 1, 2]))]);
    let counts = host.answers(SERVICE, 80, 60);
    assert_eq!(counts.len(), 3, "all three answer: {counts:?}");
    host.set("web", vec![web(host.endpoints(&[1]))]);
    assert_eq!(host.answers(SERVICE, 80, 10).keys().collect::<Vec<_>>(), ["1"]);
    let again = host.program.set(&key("web"), vec![web(host.endpoints(&[1]))], Instant::now());
    assert!(again.batch.is_empty() && again.udp.is_empty(), "nothing changes");
    let replacement = host.program.replace();
    host.apply(replacement);
    assert_eq!(host.answers(SERVICE, 80, 3).len(), 1, "a replaced table is the same");

    assert_eq!(host.ask_from(0, SERVICE, 80), Ok(format!("1 {}", host.pods[0])), "a pod keeps its address");
    assert_eq!(host.ask_from(1, SERVICE, 80), Ok(format!("1 {GATEWAY}")), "a pod reaches itself");
    assert_eq!(host.ask_from(0, NODE, 30080), Ok(format!("1 {GATEWAY}")), "a node port hides the source");
    assert_eq!(
        host.ask_from(0, GATEWAY, 30080),
        Err(ErrorKind::ConnectionRefused),
        "node ports are open at the node's own address only"
    );
}

#[test]
fn what_leads_nowhere_is_refused_at_once() {
    let mut host = Host::new();
    let external = Ipv4Addr::new(198, 51, 100, 7);
    let without = |exist| {
        let endpoints = Endpoints { exist, ..Endpoints::default() };
        ServicePort { endpoints, external_ips: vec![external], ..web(Vec::new()) }
    };
    host.set("web", vec![without(false)]);
    assert_eq!(host.ask(SERVICE, 80), Err(ErrorKind::ConnectionRefused), "no endpoint");
    assert_eq!(host.ask(SERVICE, 81), Err(ErrorKind::ConnectionRefused), "no such port");
    assert_eq!(host.ask(NODE, 30080), Err(ErrorKind::ConnectionRefused));
    for (address, port) in [(SERVICE, 80), (SERVICE, 81), (NODE, 30080), (external, 80)] {
        let outcome = host.ask_from(0, address, port);
        assert_eq!(outcome, Err(ErrorKind::ConnectionRefused), "{address}:{port} from a pod");
    }
    let unallocated = Ipv4Addr::new(10, 97, 0, 77);
    assert_eq!(host.ask_from(0, unallocated, 80), Err(ErrorKind::TimedOut), "nobody has this address");
    host.set("web", vec![without(true)]);
    assert_eq!(host.ask_from(0, SERVICE, 80), Err(ErrorKind::TimedOut), "endpoints, but not for this node");

    host.set("web", vec![web(host.endpoints(&[0]))]);
    assert!(host.ask(SERVICE, 80).is_ok(), "an endpoint came");
    host.set("web", Vec::new());
    // Chains rest a moment before they go, with the next change.
    let later = Instant::now() + Duration::from_secs(2);
    let change = host.program.set(&key("other"), vec![web(Vec::new())], later);
    host.apply(change.batch);
    let chains = inside(&host.netns(), || nft::list_chains("proxy-test").expect("listed")).expect("runs");
    assert_eq!(chains.iter().filter(|chain| chain.contains("web")).count(), 0, "{chains:?}");
}

#[test]
fn clients_stay_with_their_endpoint_while_it_lives() {
    let mut host = Host::new();
    let sticky = |host: &Host, pods: &[usize]| ServicePort {
        affinity_seconds: Some(100),
        ..web(host.endpoints(pods))
    };
    host.set("web", vec![sticky(&host, &[0, 1, 2])]);
    let asked_at = |host: &Host, from: usize, address, port| -> BTreeSet<String> {
        let first = |answer: String| answer.split(' ').next().unwrap_or_default().to_owned();
        (0..8).map(|_| first(host.ask_from(from, address, port).expect("an answer"))).collect()
    };
    let chosen_by = |host: &Host, from: usize| asked_at(host, from, SERVICE, 80);
    let chosen = chosen_by(&host, 0);
    assert_eq!(chosen.len(), 1, "one client, one endpoint: {chosen:?}");
    assert_eq!(asked_at(&host, 0, NODE, 30080), chosen, "at whatever address");

    let dead: usize = chosen.first().and_then(|name| name.parse().ok()).expect("a number");
    let others: Vec<usize> = (0..3).filter(|i| *i != dead).collect();
    let before: Vec<_> = others.iter().map(|from| chosen_by(&host, *from)).collect();
    host.set("web", vec![sticky(&host, &others)]);
    let next = chosen_by(&host, 0);
    assert!(next.len() == 1 && next != chosen, "another one, and that for good: {next:?}");
    for (from, before) in others.iter().zip(before) {
        if before != chosen {
            assert_eq!(chosen_by(&host, *from), before, "the death of another endpoint is no reason to move");
        }
    }
    host.set("web", vec![sticky(&host, &[0, 1, 2])]);
    assert_eq!(chosen_by(&host, 0), next, "nor is a new endpoint");
}

#[test]
fn local_policies_keep_to_this_node_but_not_for_pods_and_the_node() {
    let mut host = Host::new();
    let port = |internal_local, external_local, local: &[usize]| {
        let endpoints = Endpoints { local: host.endpoints(local), ..all(host.endpoints(&[0, 1])) };
        ServicePort { internal_local, external_local, endpoints, ..web(Vec::new()) }
    };
    let (internal, external, nobody) =
        (port(true, false, &[1]), port(false, true, &[1]), port(false, true, &[]));
    host.set("web", vec![internal]);
    assert_eq!(host.answers(SERVICE, 80, 12).len(), 1, "the local one only");
    assert_eq!(host.answers(NODE, 30080, 30).len(), 2, "outside traffic goes anywhere");

    host.set("web", vec![external]);
    assert_eq!(host.answers(SERVICE, 80, 30).len(), 2);
    assert_eq!(host.answers(NODE, 30080, 30).len(), 2, "the node itself");
    let from_outside: BTreeSet<_> = (0..8).map(|_| host.ask_from_outside(NODE, 30080)).collect();
    assert_eq!(
        from_outside,
        BTreeSet::from([Ok(format!("1 {OUTSIDE}"))]),
        "one endpoint, and the client's address"
    );

    host.set("web", vec![nobody]);
    assert_eq!(host.ask_from_outside(NODE, 30080), Err(ErrorKind::TimedOut), "another node may have one");
    assert!(host.ask_from(2, NODE, 30080).is_ok(), "pods reach all");
}

#[test]
fn outside_addresses_lead_to_services_for_those_who_may() {
    let mut host = Host::new();
    let [external, balancer] = [7, 8].map(|n| Ipv4Addr::new(198, 51, 100, n));
    let port = ServicePort {
        external_ips: vec![external],
        balancer_ips: vec![balancer],
        balancer_sources: vec!["192.0.2.128/25".parse().expect("a range")],
        ..web(host.endpoints(&[0]))
    };
    host.set("web", vec![port.clone()]);
    assert_eq!(host.ask_from_outside(external, 80), Ok(format!("0 {GATEWAY}")));
    assert_eq!(host.ask_from_outside(balancer, 80), Err(ErrorKind::TimedOut), "not of the range");
    assert!(host.ask_from_outside(NODE, 30080).is_ok(), "node ports ask nobody");
    let open = ServicePort { balancer_sources: vec!["192.0.2.0/25".parse().expect("a range")], ..port };
    host.set("web", vec![open]);
    assert_eq!(host.ask_from_outside(balancer, 80), Ok(format!("0 {GATEWAY}")));
}

#[test]
fn two_services_may_want_one_address() {
    let mut host = Host::new();
    let external = Ipv4Addr::new(198, 51, 100, 7);
    let port = |cluster_ip, pods: &[usize]| ServicePort {
        external_ips: vec![external],
        cluster_ips: vec![Ipv4Addr::new(10, 97, 0, cluster_ip)],
        node_port: None,
        ..web(host.endpoints(pods))
    };
    let (first, second) = (port(9, &[0]), port(10, &[1]));
    host.set("first", vec![first]);
    host.set("second", vec![second.clone()]);
    assert_eq!(host.answers(external, 80, 3).keys().collect::<Vec<_>>(), ["0"], "who came first has it");
    let replacement = host.program.replace();
    host.apply(replacement);
    host.set("first", Vec::new());
    assert_eq!(host.answers(external, 80, 3).keys().collect::<Vec<_>>(), ["1"], "and leaves it to the next");
    host.set("second", vec![second]);
    assert_eq!(host.ask_from(1, external, 80), Ok(format!("1 {GATEWAY}")));
}

#[test]
fn one_port_may_have_two_protocols() {
    let mut host = Host::new();
    let udp = |host: &Host| ServicePort {
        protocol: 17,
        name: "ns/web:dns".to_owned(),
        node_port: None,
        ..web(host.endpoints(&[1]))
    };
    host.set("web", vec![web(host.endpoints(&[0])), udp(&host)]);
    assert_eq!(host.answers(SERVICE, 80, 3).keys().collect::<Vec<_>>(), ["0"]);
    assert_eq!(host.ask_udp(&host.udp_client(), SERVICE, 80), Some("1".to_owned()));
    host.set("web", vec![udp(&host)]);
    assert_eq!(host.ask(SERVICE, 80), Err(ErrorKind::ConnectionRefused));
    assert_eq!(host.ask_udp(&host.udp_client(), SERVICE, 80), Some("1".to_owned()));
}

#[test]
fn udp_clients_follow_the_endpoints() {
    let mut host = Host::new();
    let dns = |host: &Host, pods: &[usize]| ServicePort { protocol: 17, ..web(host.endpoints(pods)) };
    let client = host.udp_client();
    assert_eq!(host.ask_udp(&client, NODE, 30080), None, "nobody yet, but the kernel notes the flow");
    host.set("web", vec![dns(&host, &[0])]);
    assert_eq!(host.ask_udp(&client, NODE, 30080), Some("0".to_owned()), "the first endpoint");
    assert_eq!(host.ask_udp(&client, SERVICE, 80), Some("0".to_owned()));
    host.set("web", vec![dns(&host, &[0, 1, 2])]);
    let answers: Vec<_> = (0..5).map(|_| host.ask_udp(&client, SERVICE, 80)).collect();
    assert_eq!(answers, vec![Some("0".to_owned()); 5], "a living endpoint keeps its clients");
    host.set("web", vec![dns(&host, &[2])]);
    assert_eq!(host.ask_udp(&client, SERVICE, 80), Some("2".to_owned()), "a dead one loses them");
    assert_eq!(host.ask_udp(&client, NODE, 30080), Some("2".to_owned()));
    host.set("web", vec![dns(&host, &[1])]);
    assert_eq!(host.ask_udp(&client, NODE, 30080), Some("1".to_owned()), "at the node port too");
}
