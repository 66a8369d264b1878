//! A node of the tests' own, in network namespaces. Needs root.

// Each test program uses its part.
#![allow(dead_code)]

use std::collections::BTreeMap;
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

pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 9);
/// The host's address on the bridge.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 89, 1, 1);
/// The host's address towards the outside.
pub const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// A client's address out there.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A host with three pods, and somebody outside; each pod answers on port 8080 with its number and, over TCP, the
/// address that it sees.
pub struct Host {
    pub dir: tempfile::TempDir,
    pub program: Program,
    pub pods: Vec<Ipv4Addr>,
    pub stop: Arc<AtomicBool>,
    pub servers: Vec<std::thread::JoinHandle<()>>,
}

impl Host {
    pub fn new() -> Self {
        let mut host = Self {
            dir: tempfile::tempdir().expect("a directory"),
            program: Program::new(shape()),
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

    pub fn netns(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    pub fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    pub fn pod(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("pod{i}"))
    }

    pub fn endpoints(&self, pods: &[usize]) -> Vec<Endpoint> {
        pods.iter().map(|i| Endpoint { address: self.pods[*i], port: 8080, local: true }).collect()
    }

    pub fn apply(&self, batch: nft::Batch) {
        inside(&self.netns(), move || nft::apply(&batch))
            .expect("the namespace is there")
            .expect("the kernel takes it");
    }

    /// A service now has these ports.
    pub fn set(&mut self, service: &str, ports: Vec<ServicePort>) {
        let Change { batch, udp } = self.program.set(&key(service), ports, Instant::now());
        self.apply(batch);
        inside(&self.netns(), move || forget_udp(|flow| udp.is_stale(flow)))
            .expect("the namespace is there")
            .expect("the kernel lists its flows");
    }

    /// Asks from the host.
    pub fn ask(&self, address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
        inside(&self.netns(), move || ask(address, port)).expect("the namespace is there")
    }

    /// Asks from a pod.
    pub fn ask_from(&self, pod: usize, address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
        inside(&self.pod(pod), move || ask(address, port)).expect("the namespace is there")
    }

    /// The first line of an answer over HTTP, asked from the host; `None` if nobody listens.
    pub fn ask_http(&self, address: Ipv4Addr, port: u16) -> Option<String> {
        let get = move || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&(address, port).into(), PATIENCE)?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = inside(&self.netns(), get).expect("the namespace is there").ok()?;
        answer.lines().next().map(str::to_owned)
    }

    pub fn ask_from_outside(&self, address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
        inside(&self.outside(), move || ask(address, port)).expect("the namespace is there")
    }

    pub fn answers(&self, address: Ipv4Addr, port: u16, times: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..times {
            let answer = self.ask(address, port).expect("an answer");
            *counts.entry(answer.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts
    }

    /// A socket of the first pod: one flow for each address that it asks.
    pub fn udp_client(&self) -> UdpSocket {
        let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let client = inside(&self.pod(0), bind).expect("the namespace is there");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        client
    }

    pub fn ask_udp(&self, client: &UdpSocket, address: Ipv4Addr, port: u16) -> Option<String> {
        client.send_to(b"x", (address, port)).expect("sent");
        let mut buffer = [0; 16];
        let (length, _) = client.recv_from(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}

/// How long silence takes to be believed.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// A link from the host to the namespace at `outside`.
pub fn connect_outside(outside: &Path) {
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

pub fn serve(netns: &Path, number: usize, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
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

pub fn serve_udp(netns: &Path, number: usize, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
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

pub fn ask(address: Ipv4Addr, port: u16) -> Result<String, ErrorKind> {
    let target = SocketAddr::from((address, port));
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).map_err(|error| error.kind())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.kind())?;
    Ok(answer)
}

pub fn web(endpoints: Vec<Endpoint>) -> ServicePort {
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
pub fn all(endpoints: Vec<Endpoint>) -> Endpoints {
    Endpoints {
        exist: !endpoints.is_empty(),
        cluster: endpoints.clone(),
        local: endpoints.clone(),
        answering: endpoints,
        ..Endpoints::default()
    }
}

pub fn shape() -> Shape {
    Shape {
        table: "proxy-test".to_owned(),
        node_address: NODE,
        cluster_range: "10.89.0.0/16".parse().expect("a range"),
        service_range: "10.97.0.0/16".parse().expect("a range"),
    }
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}
