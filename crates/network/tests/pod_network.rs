//! Real links, namespaces and rules, in a network namespace of the test's own. Needs root.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steersman_network::{
    HostPort, PodNetwork, PodNetworkConfig, UdpFlow, create_netns, delete_netns, forget_udp, inside, links,
    nft,
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
                mtu: None,
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
#[ignore = "needs root"]
fn pods_reach_each_other_and_the_host_reaches_them() {
    let host = Host::new(2);
    let (first, second) = (host.pod(0), host.pod(1));
    let ports = [HostPort { protocol: 6, host_ip: None, host_port: 8080, container_port: 80 }];
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
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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

/// The largest packet of a link of the calling thread's namespace.
fn mtu(link: &str) -> u32 {
    // Not of `/sys`, which shows the namespace that it was mounted in.
    let printed = Command::new("ip").args(["-o", "link", "show", link]).output().expect("iproute2 is there");
    let line = String::from_utf8(printed.stdout).expect("text");
    let mut words = line.split_ascii_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1).expect("an MTU").parse().expect("a number")
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("iproute2 is there");
    assert!(status.success(), "ip {arguments}");
}

#[test]
#[ignore = "needs root"]
fn links_take_the_packets_that_the_way_out_takes() {
    let host = Host::new(1);
    let pod = host.pod(0);
    let bridge = host.run(|network| {
        network.set_up().expect("set up");
        assert_eq!(mtu("br-test"), 1500, "without a default route");
        ip("link add out0 mtu 1400 up type veth peer name out1 mtu 1400");
        ip("link add late0 mtu 1300 up type veth peer name late1 mtu 1300");
        ip("link set out1 up");
        ip("link set late1 up");
        ip("route add default dev late0 metric 200");
        ip("route add default dev out0 metric 100");
        network.set_up().expect("a second time");
        mtu("br-test")
    });
    assert_eq!(bridge, 1400);
    let in_pod = pod.clone();
    host.run(move |network| network.add("sandbox-a", &pod, &[]).expect("connected"));
    assert_eq!(inside(&in_pod, || mtu("eth0")).expect("runs"), 1400);
    assert_eq!(host.run(|_| mtu("br-test")), 1400);
}

#[test]
#[ignore = "needs root"]
fn a_host_port_is_one_of_its_address_only() {
    let host = Host::new(2);
    let (first, second) = (host.pod(0), host.pod(1));
    let gateway = Ipv4Addr::new(10, 88, 1, 1);
    let port = |host_ip, container_port| HostPort { protocol: 6, host_ip, host_port: 8080, container_port };
    let (a, b) = host.run({
        let (first, second) = (first.clone(), second.clone());
        move |network| {
            network.set_up().expect("set up");
            ip("link set lo up");
            ip("addr add 192.0.2.1/32 dev br-test");
            let a = network.add("sandbox-a", &first, &[port(Some(gateway), 80)]).expect("connected");
            let b = [port(Some(Ipv4Addr::LOCALHOST), 81), port(Some(Ipv4Addr::new(192, 0, 2, 1)), 81)];
            (a, network.add("sandbox-b", &second, &b).expect("connected"))
        }
    });
    let reaches = |address: Ipv4Addr, pod: &Path, port: u16| {
        let server = serve_once(pod, port);
        let seen = host.run(move |_| ask(address, 8080));
        server.join().expect("served");
        seen
    };
    assert_eq!(reaches(gateway, &first, 80), gateway.to_string());
    reaches(Ipv4Addr::new(192, 0, 2, 1), &second, 81);
    assert_eq!(
        reaches(Ipv4Addr::LOCALHOST, &second, 81),
        gateway.to_string(),
        "a sender that can be answered"
    );
    let (taken, second_path) = (port(Some(gateway), 81), second.clone());
    host.run(move |network| {
        network.remove("sandbox-b", &[port(Some(Ipv4Addr::LOCALHOST), 81)]).expect("disconnected");
        let error = network.add("sandbox-b", &second_path, &[taken]).expect_err("it is the other pod's");
        assert_eq!(error.to_string(), "a host port of 10.88.1.1:8080/TCP is taken by another pod");
        network.remove("sandbox-b", &[taken]).expect("nothing to do");
    });
    assert_eq!(reaches(gateway, &first, 80), gateway.to_string(), "the first pod still has it");
    assert_ne!(a, b);
}

#[test]
#[ignore = "needs root"]
fn pods_do_not_reach_the_hosts_loopback() {
    let host = Host::new(1);
    let pod = host.pod(0);
    let in_pod = pod.clone();
    let socket = host.run(move |network| {
        network.set_up().expect("set up");
        ip("link set lo up");
        network.add("sandbox-a", &pod, &[]).expect("connected");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 9000)).expect("the port is free");
        socket.set_read_timeout(Some(Duration::from_millis(300))).expect("set");
        socket
    });
    let sent = inside(&in_pod, || {
        // What a pod may do that is allowed to set up its network.
        ip("route del local 127.0.0.0/8 dev lo table local");
        ip("route del local 127.0.0.1 dev lo table local");
        ip("route add 127.0.0.0/8 via 10.88.1.1 src 10.88.1.2");
        std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").expect("set");
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        socket.send_to(b"x", (Ipv4Addr::LOCALHOST, 9000))
    });
    assert_eq!(sent.expect("runs").expect("it leaves the pod"), 1);
    let received = socket.recv(&mut [0; 8]).map_err(|error| error.kind());
    assert_eq!(received, Err(std::io::ErrorKind::WouldBlock));
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
#[ignore = "needs root"]
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

#[test]
#[ignore = "needs root"]
fn udp_clients_of_a_host_port_follow_its_pods() {
    let host = Host::new(2);
    let pods = [host.pod(0), host.pod(1)];
    let port = [HostPort { protocol: 17, host_ip: None, host_port: 5353, container_port: 5300 }];
    let servers = [echo(&pods[0], 5300, "first"), echo(&pods[1], 5300, "second")];
    host.run(|network| network.set_up().expect("set up"));
    let client = udp_socket(&host.netns(), 4000);
    let gateway = SocketAddr::from((Ipv4Addr::new(10, 88, 1, 1), 5353));
    // Nobody is there yet: the kernel notes where this leads nevertheless.
    client.send_to(b"x", gateway).expect("sent");
    for (i, name) in ["first", "second"].into_iter().enumerate() {
        let (id, path) = (format!("sandbox-{i}"), pods[i].clone());
        host.run(move |network| {
            if i > 0 {
                network.remove("sandbox-0", &port).expect("disconnected");
            }
            network.add(&id, &path, &port).expect("connected");
        });
        let answer = (0..3).find_map(|_| exchange(&client, gateway, "x").ok());
        assert_eq!(answer.as_deref(), Some(name));
    }
    for (server, path) in servers.into_iter().zip(pods) {
        let stop = udp_socket(&path, 0);
        inside(&path, || links::with_handle(|handle| async move { links::bring_up(&handle, "lo").await }))
            .expect("runs")
            .expect("up");
        stop.send_to(b"stop", (Ipv4Addr::LOCALHOST, 5300)).expect("sent");
        server.join().expect("ends");
    }
}
