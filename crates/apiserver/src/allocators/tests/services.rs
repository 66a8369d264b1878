//! What one server gives, keeps and refuses.

use super::*;

#[tokio::test]
async fn an_address_is_an_object_that_comes_and_goes_with_its_service() {
    let h = server(&memory()).await;
    let made = h.post(SERVICES, &service("web", json!({}))).await.ok();
    let address = h.get(&format!("{ADDRESSES}/{}", ip(&made))).await.ok();
    assert_eq!(
        (&address["metadata"]["labels"], &address["spec"]["parentRef"]),
        (
            &json!({"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io", "ipaddress.kubernetes.io/ip-family": "IPv4"}),
            &json!({"resource": "services", "namespace": "default", "name": "web"})
        )
    );
    assert_eq!(address["metadata"]["managedFields"][0]["manager"], "kube-apiserver");
    assert_eq!(names(&h, ADDRESSES).await, ["10.0.0.1".to_owned(), ip(&made)].into());
    h.delete(&format!("{SERVICES}/web")).await.ok();
    assert_eq!(
        names(&h, ADDRESSES).await,
        ["10.0.0.1".to_owned()].into(),
        "the kubernetes service's is left"
    );
    h.post(SERVICES, &service("none", json!({"clusterIP": "None"}))).await.ok();
    assert_eq!(names(&h, ADDRESSES).await.len(), 1);
}

#[tokio::test]
async fn refusals_are_in_upstreams_words_and_take_nothing() {
    let h = server(&memory()).await;
    let first = "Service \"web\" is invalid: spec.clusterIPs: Invalid value:";
    let cases = [
        (json!({"clusterIP": "10.0.0.1"}), 422, format!("{first} [\"10.0.0.1\"]: failed to allocate IP 10.0.0.1: provided IP is already allocated")),
        (json!({"clusterIP": "10.9.0.1"}), 422, format!("{first} [\"10.9.0.1\"]: failed to allocate IP 10.9.0.1: the provided network does not match the current range")),
        (json!({"clusterIP": "10.0.0.15"}), 422, format!("{first} [\"10.0.0.15\"]: failed to allocate IP 10.0.0.15: the provided network does not match the current range")),
        (json!({"ipFamilyPolicy": "RequireDualStack"}), 422, "Service \"web\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services".into()),
        (json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}), 422, "Service \"web\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-30031".into()),
        // Validation comes after, and gives everything back.
        (json!({"type": "NodePort", "sessionAffinity": "Sticky"}), 422, "Service \"web\" is invalid: spec.sessionAffinity: Unsupported value: \"Sticky\": supported values: \"ClientIP\", \"None\"".into()),
    ];
    for (spec, code, message) in cases {
        let refused = h.post(SERVICES, &service("web", spec)).await.failure();
        assert_eq!((refused.0, refused.2), (code, message));
        assert_eq!(names(&h, ADDRESSES).await.len(), 1);
    }
    // All ports are still free.
    let ports: Vec<Value> = (1..=32).map(|port| json!({"port": port, "name": format!("p{port}")})).collect();
    let made = h.post(SERVICES, &service("all", json!({"type": "NodePort", "ports": ports}))).await.ok();
    let refused = h.post(SERVICES, &service("more", json!({"type": "NodePort"}))).await.failure();
    assert_eq!(
        refused,
        (
            500,
            "InternalError".into(),
            "Internal error occurred: failed to allocate a nodePort: range is full".into()
        )
    );
    assert_eq!(names(&h, ADDRESSES).await, ["10.0.0.1".to_owned(), ip(&made)].into());

    let name = "all";
    let again = h.post(SERVICES, &service(name, json!({}))).await;
    assert_eq!(again.code, 409);
    assert_eq!(names(&h, ADDRESSES).await.len(), 2, "a name that is taken gives the address back");
}

#[tokio::test]
async fn a_dry_run_takes_nothing() {
    let h = server(&memory()).await;
    let uri = format!("{SERVICES}?dryRun=All");
    let shown = h.post(&uri, &service("web", json!({"type": "NodePort"}))).await.ok();
    assert_eq!(shown["spec"]["clusterIP"], "10.0.0.0");
    assert!(shown["spec"]["ports"][0]["nodePort"].as_i64().is_some_and(|port| port >= 30000));
    let asked = service("web", json!({"clusterIP": "10.9.0.1"}));
    let refused = h.post(&uri, &asked).await.failure();
    assert!(refused.2.ends_with("failed to allocate IP 10.9.0.1: the provided IP (10.9.0.1) is not in the valid range. The range of valid IPs is 10.0.0.0/28"), "{refused:?}");
    assert_eq!(names(&h, ADDRESSES).await.len(), 1);
    let ports: Vec<Value> = (1..=32).map(|port| json!({"port": port, "name": format!("p{port}")})).collect();
    h.post(SERVICES, &service("all", json!({"type": "NodePort", "ports": ports}))).await.ok();
}

#[tokio::test]
async fn a_change_of_type_takes_and_gives_up() {
    let h = server(&memory()).await;
    let uri = format!("{SERVICES}/web");
    let outside = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [
        {"port": 53, "protocol": "UDP", "name": "u"}, {"port": 53, "protocol": "TCP", "name": "t"}]});
    let made = h.post(SERVICES, &service("web", outside)).await.ok();
    let (first, second) = (&made["spec"]["ports"][0]["nodePort"], &made["spec"]["ports"][1]["nodePort"]);
    assert_eq!(first, second, "UDP and TCP of one port share the number");
    let health = made["spec"]["healthCheckNodePort"].as_i64().expect("a port for health checks");

    let inside = json!({"spec": {"type": "ClusterIP"}});
    let changed = h.patch(&uri, MERGE, &inside).await.ok();
    assert_eq!((ip(&changed), changed["spec"]["ports"][0].get("nodePort")), (ip(&made), None));
    for port in [first.clone(), health.into()] {
        let other = service(
            &format!("o{port}"),
            json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": port}]}),
        );
        h.post(SERVICES, &other).await.ok();
    }

    let named = json!({"spec": {"type": "ExternalName", "externalName": "example.com"}});
    h.patch(&uri, MERGE, &named).await.ok();
    assert!(!names(&h, ADDRESSES).await.contains(&ip(&made)));
    let back = h.patch(&uri, MERGE, &json!({"spec": {"type": "ClusterIP", "externalName": null}})).await.ok();
    assert!(names(&h, ADDRESSES).await.contains(&ip(&back)));
}

#[tokio::test]
async fn ranges_come_and_go() {
    let h = server(&memory()).await;
    let default = h.get(&format!("{RANGES}/kubernetes")).await.ok();
    assert_eq!(default["spec"]["cidrs"], json!(["10.0.0.0/28"]));
    let condition = &default["status"]["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"], &condition["message"]),
        (&json!("Ready"), &json!("True"), &json!("Kubernetes default Service CIDR is ready"))
    );
    for index in 0..13 {
        h.post(SERVICES, &service(&format!("s{index}"), json!({}))).await.ok();
    }
    let refused = h.post(SERVICES, &service("more", json!({}))).await.failure();
    let full = "Internal error occurred: failed to allocate a serviceIP for Service \"more\": range is full";
    assert_eq!(refused, (500, "InternalError".into(), full.into()));

    let range = |name: &str| {
        json!({"metadata": {"name": name, "finalizers": ["networking.k8s.io/service-cidr-finalizer"]},
        "spec": {"cidrs": ["10.1.0.0/24"]}})
    };
    h.post(RANGES, &range("more")).await.ok();
    let made = h.post(SERVICES, &service("more", json!({}))).await.ok();
    let number: u8 = ip(&made).strip_prefix("10.1.0.").expect("of the new range").parse().expect("a number");
    assert!(number >= 17, "the lower part is left to users: {number}");
    let asked = service("asked", json!({"clusterIP": "10.1.0.3"}));
    h.post(SERVICES, &asked).await.ok();

    h.delete(&format!("{RANGES}/more")).await.ok();
    assert_eq!(h.post(SERVICES, &service("late", json!({}))).await.code, 500, "it is going");
    h.post(RANGES, &range("again")).await.ok();
    h.post(SERVICES, &service("late", json!({}))).await.ok();
}

#[tokio::test]
async fn the_default_range_comes_back_and_differences_are_told() {
    let store = memory();
    let h = server(&store).await;
    h.delete(&format!("{RANGES}/kubernetes")).await.ok();
    until_names(&h, RANGES, &["kubernetes".to_owned()].into()).await;
    let other = sized(&store, 24, 30000..=30031).await;
    let told = async {
        while notes(&other, "KubernetesDefaultServiceCIDRInconsistent").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    let notes = notes(&other, "KubernetesDefaultServiceCIDRInconsistent").await;
    assert_eq!(
        notes,
        [
            "The default ServiceCIDR [10.0.0.0/28] does not match the controller flag configurations [10.0.0.0/24]"
        ]
    );
}
