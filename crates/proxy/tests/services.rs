//! Real packets through real rules, in network namespaces of the test's own. Needs root.

mod world;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use steersman_network::{inside, nft};
use steersman_proxy::{Endpoints, ServicePort};

use world::{GATEWAY, Host, NODE, OUTSIDE, SERVICE, all, key, web};

#[test]
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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
#[ignore = "needs root"]
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
