//! Several servers on one store, and what older or broken-off ones left in it.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use proptest::prelude::*;
use steersman_store::{Change, Expect, Key};

use super::*;

#[tokio::test]
async fn servers_on_one_store_agree() {
    let store = memory();
    let (one, two) = (server(&store).await, server(&store).await);
    let asked = service(
        "a",
        json!({"type": "NodePort", "clusterIP": "10.0.0.9", "ports": [{"port": 1, "nodePort": 30001}]}),
    );
    one.post(SERVICES, &asked).await.ok();
    let mut same = asked.clone();
    same["metadata"]["name"] = "b".into();
    assert!(two.post(SERVICES, &same).await.failure().2.ends_with("provided IP is already allocated"));
    same["spec"]["clusterIP"] = "10.0.0.8".into();
    assert!(two.post(SERVICES, &same).await.failure().2.ends_with("provided port is already allocated"));
    two.delete(&format!("{SERVICES}/a")).await.ok();
    one.post(SERVICES, &same).await.ok();
}

/// Removes what is stored at `key`.
async fn forget(store: &Arc<dyn Store>, key: &str) {
    let key = Key::new(key);
    let record = store.get(&key).await.expect("reads").expect("is there");
    store.commit(&key, Expect::ModRevision(record.mod_revision), Change::Delete).await.expect("goes");
}

#[tokio::test]
async fn the_services_of_an_older_server_get_their_addresses_and_ports() {
    let store = memory();
    let old = server(&store).await;
    let made = old.post(SERVICES, &service("web", json!({"type": "NodePort"}))).await.ok();
    old.server.shutdown().await;
    forget(&store, &format!("/registry/ipaddresses/{}", ip(&made))).await;
    forget(&store, "/registry/ipaddresses/10.0.0.1").await;
    forget(&store, "/registry/servicecidrs/kubernetes").await;
    forget(&store, "/registry/ranges/servicenodeports").await;

    let new = server(&store).await;
    assert_eq!(names(&new, ADDRESSES).await, ["10.0.0.1".to_owned(), ip(&made)].into());
    let told = format!("Cluster IP [IPv4]: {} is not allocated; repairing", ip(&made));
    assert!(notes(&new, "ClusterIPNotAllocated").await.contains(&told));
    let port = &made["spec"]["ports"][0]["nodePort"];
    assert_eq!(notes(&new, "PortNotAllocated").await, [format!("Port {port} is not allocated; repairing")]);
    let same = service("same", json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": port}]}));
    assert!(new.post(SERVICES, &same).await.failure().2.ends_with("provided port is already allocated"));
}

#[tokio::test]
async fn an_address_that_is_taken_away_comes_back() {
    let h = server(&memory()).await;
    let made = h.post(SERVICES, &service("web", json!({}))).await.ok();
    let all = names(&h, ADDRESSES).await;
    h.delete(&format!("{ADDRESSES}/{}", ip(&made))).await.ok();
    until_names(&h, ADDRESSES, &all).await;
}

#[tokio::test]
async fn an_address_without_service_goes_after_its_time() {
    let store = memory();
    let h = server(&store).await;
    let leaked = |created: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": "10.0.0.9", "uid": "u",
            "creationTimestamp": created, "labels": {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            "ipaddress.kubernetes.io/ip-family": "IPv4"}},
            "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "gone"}}})
    };
    let key = Key::new("/registry/ipaddresses/10.0.0.9");
    let put = |created: &str| Change::Put(leaked(created).to_string().into());
    let now = steersman_apimachinery::time::format(jiff::Timestamp::now());
    let young = store.commit(&key, Expect::Absent, put(&now)).await.expect("is written");
    // Something that happens after it shows that it was looked at and left.
    let made = h.post(SERVICES, &service("web", json!({}))).await.ok();
    h.delete(&format!("{ADDRESSES}/{}", ip(&made))).await.ok();
    until_names(&h, ADDRESSES, &["10.0.0.1".to_owned(), "10.0.0.9".to_owned(), ip(&made)].into()).await;

    let old = Expect::ModRevision(young.mod_revision);
    store.commit(&key, old, put("2026-01-01T00:00:00Z")).await.expect("is written");
    until_names(&h, ADDRESSES, &["10.0.0.1".to_owned(), ip(&made)].into()).await;
    let told = async {
        while notes(&h, "IPAddressNotAllocated").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told");
}

#[tokio::test]
async fn a_start_that_was_broken_off_is_no_obstacle() {
    let store = memory();
    server(&store).await.server.shutdown().await;
    forget(&store, "/registry/services/specs/default/kubernetes").await;
    let h = server(&store).await;
    assert_eq!(ip(&h.get(&format!("{SERVICES}/kubernetes")).await.ok()), "10.0.0.1");
}

#[derive(Clone, Debug)]
enum Step {
    Create { server: bool, name: u8, node_port: bool },
    Delete { server: bool, name: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let create = (any::<bool>(), 0..10u8, any::<bool>()).prop_map(|(server, name, node_port)| Step::Create {
        server,
        name,
        node_port,
    });
    let delete = (any::<bool>(), 0..10u8).prop_map(|(server, name)| Step::Delete { server, name });
    prop::collection::vec(prop_oneof![3 => create, 2 => delete], 1..60)
}

async fn play(servers: &[Harness; 2], step: Step, made: &AtomicUsize) {
    match step {
        Step::Create { server, name, node_port } => {
            let kind = if node_port { "NodePort" } else { "ClusterIP" };
            let object = service(&format!("s{name}"), json!({"type": kind}));
            let answer = servers[usize::from(server)].post(SERVICES, &object).await;
            assert!(matches!(answer.code.as_u16(), 201 | 409 | 500), "{}", answer.json());
            made.fetch_add(usize::from(answer.code == 201), Ordering::Relaxed);
        }
        Step::Delete { server, name } => {
            let answer = servers[usize::from(server)].delete(&format!("{SERVICES}/s{name}")).await;
            assert!(matches!(answer.code.as_u16(), 200 | 404), "{}", answer.json());
        }
    }
}

/// Plays the steps ten at a time; after each ten, no two services share an address or port, and each address that is
/// stored is a service's.
async fn agree(steps: Vec<Step>) {
    let store = memory();
    let servers = [server(&store).await, server(&store).await];
    let made = AtomicUsize::new(0);
    for round in steps.chunks(10) {
        join_all(round.iter().map(|step| play(&servers, step.clone(), &made))).await;
        let services = servers[0].get(SERVICES).await.ok()["items"].take();
        let services = services.as_array().expect("items");
        let addresses: BTreeSet<String> = services.iter().map(ip).collect();
        assert_eq!(addresses.len(), services.len(), "an address was given twice");
        let ports: Vec<i64> =
            services.iter().filter_map(|s| s["spec"]["ports"][0]["nodePort"].as_i64()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "a port was given twice");
        until_names(&servers[1], ADDRESSES, &addresses).await;
    }
    for server in &servers {
        server.server.shutdown().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn concurrent_creates_and_deletes_never_share_and_never_leak(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(agree(steps));
    }
}
