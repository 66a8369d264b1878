//! Every kind of name, against the fixed cluster.

use hickory_proto::rr::{Name, Record, RecordType};
use steersman_controller_runtime::ObjectKey;

use super::world::world;
use crate::answer::{Reply, answer};
use crate::world::World;

/// `NoData`, `NoName`, …, or the records without owner, TTL and class, sorted; `+` starts the additional ones.
fn show(reply: Reply) -> String {
    let list = |records: Vec<Record>| {
        let mut lines: Vec<String> =
            records.iter().map(|record| format!("{} {}", record.record_type(), record.data)).collect();
        lines.sort();
        lines.join(", ")
    };
    match reply {
        Reply::Found { answers, additionals } if additionals.is_empty() => list(answers),
        Reply::Found { answers, additionals } => format!("{} + {}", list(answers), list(additionals)),
        Reply::Chase { chain, target } => format!("{} -> {target}", list(chain)),
        other => format!("{other:?}"),
    }
}

fn ask(world: &World, name: &str, kind: RecordType) -> String {
    show(answer(world, &Name::from_ascii(name).expect("a name"), kind))
}

#[test]
fn names_mean_what_the_specification_says() {
    use RecordType::{A, AAAA, ANY, CNAME, MX, NS, PTR, SOA, SRV, TXT};
    let world = world();
    let web = "web.default.svc.cluster.local.";
    let mysql = "mysql.db.svc.cluster.local.";
    let soa = "SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30";
    let cases: Vec<(&str, RecordType, &str)> = vec![
        // The zone itself.
        ("cluster.local.", SOA, soa),
        ("cluster.local.", NS, "NS kube-dns.kube-system.svc.cluster.local. + A 10.96.0.10"),
        ("cluster.local.", A, "NoData"),
        ("dns-version.cluster.local.", TXT, "TXT 1.1.0"),
        ("dns-version.cluster.local.", A, "NoData"),
        ("ns.dns.cluster.local.", A, "A 10.96.0.10"),
        ("nothing.cluster.local.", A, "NoName"),
        // Names that exist because something is below them.
        ("svc.cluster.local.", A, "NoData"),
        ("pod.cluster.local.", A, "NoData"),
        ("default.svc.cluster.local.", A, "NoData"),
        ("bare.svc.cluster.local.", A, "NoData"),
        ("bare.pod.cluster.local.", A, "NoData"),
        ("absent.svc.cluster.local.", A, "NoName"),
        // A Service with an address.
        (web, A, "A 10.96.0.20"),
        ("WEB.default.SVC.Cluster.local.", A, "A 10.96.0.20"),
        (web, AAAA, "NoData"),
        (web, MX, "NoData"),
        (web, ANY, "A 10.96.0.20"),
        (web, SRV, "SRV 0 100 80 web.default.svc.cluster.local. + A 10.96.0.20"),
        (
            "_http._tcp.web.default.svc.cluster.local.",
            SRV,
            "SRV 0 100 80 web.default.svc.cluster.local. + A 10.96.0.20",
        ),
        ("_tcp.web.default.svc.cluster.local.", SRV, "NoData"),
        ("_udp.web.default.svc.cluster.local.", SRV, "NoName"),
        ("_http._udp.web.default.svc.cluster.local.", SRV, "NoName"),
        ("_https._tcp.web.default.svc.cluster.local.", SRV, "NoName"),
        ("http.tcp.web.default.svc.cluster.local.", SRV, "NoName"),
        ("__._tcp.plain.default.svc.cluster.local.", SRV, "NoName"),
        ("_tcp.plain.default.svc.cluster.local.", SRV, "NoName"),
        ("10-0-0-1.web.default.svc.cluster.local.", A, "A 10.0.0.1"),
        ("10-0-0-2.web.default.svc.cluster.local.", A, "NoName"),
        ("a.b.c.web.default.svc.cluster.local.", A, "NoName"),
        ("web.db.svc.cluster.local.", A, "NoName"),
        ("waiting.default.svc.cluster.local.", A, "NoData"),
        ("dual.default.svc.cluster.local.", A, "A 10.96.0.22"),
        ("dual.default.svc.cluster.local.", AAAA, "AAAA fd00::22"),
        // A Service without one.
        (mysql, A, "A 10.0.0.4, A 10.0.0.5"),
        ("mysql-0.mysql.db.svc.cluster.local.", A, "A 10.0.0.5"),
        ("10-0-0-5.mysql.db.svc.cluster.local.", A, "NoName"),
        ("10-0-0-4.mysql.db.svc.cluster.local.", A, "A 10.0.0.4"),
        ("mysql-2.mysql.db.svc.cluster.local.", A, "NoName"),
        (
            "_http._tcp.mysql.db.svc.cluster.local.",
            SRV,
            "SRV 0 50 80 10-0-0-4.mysql.db.svc.cluster.local., SRV 0 50 80 mysql-0.mysql.db.svc.cluster.local. \
             + A 10.0.0.4, A 10.0.0.5",
        ),
        ("_udp.mysql.db.svc.cluster.local.", A, "NoData"),
        ("portless.db.svc.cluster.local.", A, "A 10.0.0.7"),
        ("portless.db.svc.cluster.local.", SRV, "NoData"),
        ("empty.db.svc.cluster.local.", A, "NoName"),
        // Two families, a protocol of its own, and an endpoint that ends.
        ("both.db.svc.cluster.local.", A, "A 10.0.0.8"),
        ("both.db.svc.cluster.local.", AAAA, "AAAA fd00::8"),
        ("one.both.db.svc.cluster.local.", AAAA, "AAAA fd00::8"),
        (
            "_sip._sctp.both.db.svc.cluster.local.",
            SRV,
            "SRV 0 50 5061 one.both.db.svc.cluster.local. + A 10.0.0.8, AAAA fd00::8",
        ),
        ("_sip._tcp.both.db.svc.cluster.local.", SRV, "NoName"),
        ("9.0.0.10.in-addr.arpa.", PTR, "NotOurs"),
        (
            "8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
            PTR,
            "PTR one.both.db.svc.cluster.local.",
        ),
        // Aliases.
        ("shop.default.svc.cluster.local.", A, "CNAME db.example.org. -> db.example.org."),
        ("shop.default.svc.cluster.local.", CNAME, "CNAME db.example.org."),
        ("x.shop.default.svc.cluster.local.", A, "NoName"),
        ("inner.default.svc.cluster.local.", A, "A 10.96.0.20, CNAME web.default.svc.cluster.local."),
        ("lost.default.svc.cluster.local.", A, "CNAME nobody.default.svc.cluster.local."),
        ("address.default.svc.cluster.local.", A, "NoName"),
        // Pods.
        ("10-0-0-9.default.pod.cluster.local.", A, "A 10.0.0.9"),
        ("10-0-0-9.default.pod.cluster.local.", AAAA, "NoData"),
        ("fd00--9.default.pod.cluster.local.", AAAA, "AAAA fd00::9"),
        ("web.default.pod.cluster.local.", A, "NoName"),
        ("10-0-0-9.absent.pod.cluster.local.", A, "NoName"),
        // Addresses.
        ("20.0.96.10.in-addr.arpa.", PTR, "PTR web.default.svc.cluster.local."),
        ("20.0.96.10.IN-ADDR.arpa.", A, "NoData"),
        ("5.0.0.10.in-addr.arpa.", PTR, "PTR mysql-0.mysql.db.svc.cluster.local."),
        ("4.0.0.10.in-addr.arpa.", PTR, "PTR 10-0-0-4.mysql.db.svc.cluster.local."),
        ("6.0.0.10.in-addr.arpa.", PTR, "NotOurs"),
        ("0.0.10.in-addr.arpa.", PTR, "NotOurs"),
        (
            "2.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
            PTR,
            "PTR dual.default.svc.cluster.local.",
        ),
        // The rest of the world.
        ("example.org.", A, "NotOurs"),
        ("xcluster.local.", A, "NotOurs"),
        (".", NS, "NotOurs"),
    ];
    for (name, kind, want) in cases {
        assert_eq!(ask(&world, name, kind), want, "{name} {kind}");
    }
}

#[test]
fn aliases_in_a_circle_end() {
    let reply = ask(&world(), "loop-a.default.svc.cluster.local.", RecordType::A);
    assert_eq!(reply.matches("CNAME").count(), 8, "{reply}");
}

#[test]
fn a_service_that_goes_takes_its_names_along() {
    let mut world = world();
    world.put(&ObjectKey::new("db", "mysql"), None);
    assert_eq!(ask(&world, "mysql.db.svc.cluster.local.", RecordType::A), "NoName");
    assert_eq!(ask(&world, "5.0.0.10.in-addr.arpa.", RecordType::PTR), "NotOurs");
    assert_eq!(ask(&world, "portless.db.svc.cluster.local.", RecordType::A), "A 10.0.0.7");
    world.remove_namespace("bare");
    assert_eq!(ask(&world, "bare.svc.cluster.local.", RecordType::A), "NoName");
}

#[test]
fn owners_keep_the_spelling_of_the_query() {
    let name = Name::from_ascii("WeB.Default.svc.cluster.local.").expect("a name");
    let Reply::Found { answers, .. } = answer(&world(), &name, RecordType::A) else { panic!("not found") };
    assert_eq!(answers[0].name.to_ascii(), "WeB.Default.svc.cluster.local.");
    assert_eq!(answers[0].ttl, 30);
}
