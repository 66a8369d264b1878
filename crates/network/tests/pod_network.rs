//! Real links, namespaces and rules, in a network namespace of the test's own. Needs root.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steersman_network::{
    HostPort, PodNetwork, PodNetworkConfig, UdpFlow, create_netns, delete_netns, forget_udp, inside, links, nft,
};

/// A host of the test's own with `count` pods' namespaces; all gone when it is dropped.
struct Host {
    dir: tempfile::TempDir,
    pods: usize,
}

impl Host {
    fn new(pods: usize) -> Self {
        let host = Self { dir: tempfile::tempdir().expect("a directory"), pods };
        create_netns(&host.netns()).expect("root may make namespaces");
        (0..pods).for_each(|i| create_netns(&host.pod(i)).expect("root may make namespaces"));
        host
    }

    fn netns(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    fn pod(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("pod{i}"))
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce(&PodNetwork) -> T + Send + 'static) -> T {
        let state_dir = self.dir.path().join("addresses");
        inside(&self.netns(), move || {
            let config = PodNetworkConfig {
                bridge: "br-test".to_owned(),
                table: "steersman-test".to_owned(),
                pod_range: "10.88.1.0/24".parse().expect("a range"),
                cluster_range: "10.88.0.0/16".parse().expect("a range"),
                service_range: "10.99.0.0/16".parse().expect("a range"),
                state_dir,
                mtu: 1500,
            };
            work(&PodNetwork::open(config).expect("opens"))
        })
        .expect("the namespace is there")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        (0..self.pods).for_each(|i| delete_netns(&self.pod(i)).expect("unpinned"));
        delete_netns(&self.netns()).expect("unpinned");
    }
}

/// A server in the namespace that answers one connection with the address it sees.
fn serve_once(netns: &Path, port: u16) -> std::thread::JoinHandle<()> {
    let listener =
        inside(netns, move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free"))
            .expect("the namespace is there");
    std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().expect("a connection");
        stream.write_all(peer.ip().to_string().as_bytes()).expect("sent");
    })
}

fn ask(address: Ipv4Addr, port: u16) -> String {
    let target = SocketAddr::from((address, port));
    let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(5)).expect("connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn pods_reach_each_other_and_the_host_reaches_them() {
    let host = Host::new(2);
    let (first, second) = (host.pod(0), host.pod(1));
    let ports = [HostPort { protocol: 6, host_port: 8080, container_port: 80 }];
    let (a, b, again) = host.run({
        let (first, second) = (first.clone(), second.clone());
        move |network| {
            network.set_up().expect("set up");
            network.set_up().expect("a second time changes nothing");
            let a = network.add("sandbox-a", &first, &ports).expect("connected");
            let b = network.add("sandbox-b", &second, &[]).expect("connected");
            (a, b, network.add("sandbox-a", &first, &ports).expect("connected already"))
        }
    });
    assert_eq!((a.to_string(), b.to_string(), again), ("10.88.1.2".to_owned(), "10.88.1.3".to_owned(), a));

    let server = serve_once(&first, 80);
    assert_eq!(
        inside(&second, move || ask(a, 80)).expect("runs"),
        "10.88.1.3",
        "pod to pod keeps the sender"
    );
    server.join().expect("served");

    let server = serve_once(&first, 80);
    assert_eq!(host.run(move |_| ask(a, 80)), "10.88.1.1", "host to pod");
    server.join().expect("served");

    let server = serve_once(&first, 80);
    let gateway = Ipv4Addr::new(10, 88, 1, 1);
    assert_eq!(
        inside(&second, move || ask(gateway, 8080)).expect("runs"),
        "10.88.1.3",
        "host port from a pod"
    );
    server.join().expect("served");

    let server = serve_once(&first, 80);
    let own = inside(&first, move || ask(gateway, 8080)).expect("runs");
    assert_eq!(own, "10.88.1.1", "a pod that reaches itself sees the gateway");
    server.join().expect("served");
}

#[test]
fn nothing_is_left_behind() {
    let host = Host::new(1);
    let (pod, state_dir) = (host.pod(0), host.dir.path().join("addresses"));
    let state = |_: &PodNetwork| {
        let links = links::with_handle(|handle| async move { links::names(&handle).await }).expect("listed");
        (links, nft::list_tables().expect("listed"))
    };
    let before = host.run(state);
    host.run(move |network| {
        network.set_up().expect("set up");
        network.add("sandbox-a", &pod, &[]).expect("connected");
        assert_eq!(nft::list_tables().expect("listed"), ["steersman-test"]);
        network.remove("sandbox-a", &[]).expect("disconnected");
        network.remove("sandbox-a", &[]).expect("a second time changes nothing");
        let address = network.add("sandbox-b", &pod, &[]).expect("connected");
        assert_eq!(address.to_string(), "10.88.1.3", "an address is not given again at once");
        let tear_down = || PodNetwork::tear_down("br-test", "steersman-test", &state_dir).expect("torn down");
        tear_down();
        tear_down();
    });
    assert_eq!(host.run(state), before);
}

#[test]
fn a_refused_batch_says_what_was_refused_and_changes_nothing() {
    let host = Host::new(0);
    host.run(|_| {
        let mut batch = nft::Batch::default();
        batch.add_table("t");
        batch.delete_chain("t", "missing");
        let error = nft::apply(&batch).expect_err("there is no such chain");
        assert_eq!(error.to_string(), "nftables refused to delete chain t missing");
        assert!(nft::list_tables().expect("listed").is_empty());
    });
}

/// Sends `text` from `client` and gives what comes back.
fn exchange(client: &UdpSocket, to: SocketAddr, text: &str) -> std::io::Result<String> {
    client.send_to(text.as_bytes(), to)?;
    let mut buffer = [0; 64];
    let (length, _) = client.recv_from(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn udp_socket(netns: &Path, port: u16) -> UdpSocket {
    let bind = move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free");
    let socket = inside(netns, bind).expect("the namespace is there");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    socket
}

/// Answers each datagram with `name` until "stop" comes.
fn echo(netns: &Path, port: u16, name: &'static str) -> std::thread::JoinHandle<()> {
    let socket = udp_socket(netns, port);
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            if &buffer[..length] == b"stop" {
                return;
            }
            socket.send_to(name.as_bytes(), peer).expect("sent");
        }
    })
}

#[test]
fn forgotten_flows_are_those_that_were_named() {
    let host = Host::new(2);
    let (first, second) = (host.pod(0), host.pod(1));
    let (a, b) = host.run({
        let (first, second) = (first.clone(), second.clone());
        move |network| {
            network.set_up().expect("set up");
            let a = network.add("sandbox-a", &first, &[]).expect("connected");
            (a, network.add("sandbox-b", &second, &[]).expect("connected"))
        }
    });
    let server = serve_once(&first, 80);
    inside(&second, move || ask(a, 80)).expect("runs");
    server.join().expect("served");
    let (echoing, client) = (echo(&first, 5300, "a"), udp_socket(&second, 4000));
    let at = |port| SocketAddr::from((a, port));
    assert_eq!(exchange(&client, at(5300), "x").expect("answered"), "a");
    client.send_to(b"x", at(5301)).expect("sent");

    let seen = Arc::new(Mutex::new(Vec::new()));
    let flows = seen.clone();
    let forget = move |port: u16| {
        let flows = flows.clone();
        host.run(move |_| {
            let stale = |flow: &UdpFlow| {
                flows.lock().expect("not poisoned").push(*flow);
                flow.destination.port() == port
            };
            forget_udp(stale).expect("the kernel lists its flows")
        })
    };
    assert_eq!(forget(5300), 1);
    let mut ports: Vec<u16> =
        seen.lock().expect("not poisoned").drain(..).map(|flow| flow.destination.port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, [5300, 5301], "flows of TCP are not even listed");
    assert_eq!(forget(5300), 0, "it is gone");
    let left = seen.lock().expect("not poisoned").pop().expect("the other is still there");
    assert_eq!((left.destination, left.responder), (SocketAddrV4::new(a, 5301), SocketAddrV4::new(a, 5301)));
    assert_ne!(a, b);
    client.send_to(b"stop", at(5300)).expect("sent");
    echoing.join().expect("ends");
}
