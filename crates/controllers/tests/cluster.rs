//! The controllers against the real API server over a store in memory, with a kubelet that only says "ready".

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::runtime::conditions;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};
use steersman_apiserver::request::{Attributes, Authenticator, Authorizer, Decision, User};
use steersman_apiserver::{AddressRange, ApiServer, Config, HookTable, ServiceAllocations, Storage, Version};
use steersman_controller_runtime::{Delta, Informer, InformerKind, ObjectKey, SharedInformers};
use steersman_controllers::{CONTROLLERS, ControllersConfig, run};
use steersman_store::{BoxFuture, MemoryStore};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// No step may take longer.
const PATIENCE: Duration = Duration::from_secs(30);
const NS: &str = "test";

struct NoCredentials;

impl Authenticator for NoCredentials {
    fn authenticate<'a>(
        &'a self,
        _: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<User>, String>> {
        Box::pin(async { Ok(None) })
    }
}

struct Everything;

impl Authorizer for Everything {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision::Allow { reason: String::new() }
    }
}

async fn server() -> ApiServer {
    let range = AddressRange::new([10, 96, 0, 0].into(), 16).expect("a range");
    let mut hooks = HookTable::new();
    hooks.set("", "services", Arc::new(ServiceAllocations::new(range, 30000..=32767)));
    let store = Arc::new(MemoryStore::default());
    ApiServer::new(Config {
        storage: Arc::new(Storage::new(store, steersman_registry::resources(), &hooks)),
        authenticator: Arc::new(NoCredentials),
        authorizer: Arc::new(Everything),
        audit: None,
        flow_control: None,
        admission: Vec::new(),
        creators: Vec::new(),
        version: Version::default(),
        kubelet_tls: None,
        advertise: ([192, 0, 2, 1], 6443).into(),
        service_address: range.first().into(),
        issuer: None,
        health: Vec::new(),
        components: Vec::new(),
    })
    .await
    .expect("the server starts")
}

/// A control plane.
struct Cluster {
    server: ApiServer,
    client: Client,
    informers: SharedInformers,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    changed: Arc<Notify>,
    deployments: Arc<Informer<Deployment>>,
    sets: Arc<Informer<ReplicaSet>>,
    pods: Arc<Informer<Pod>>,
    namespaces: Arc<Informer<Namespace>>,
    accounts: Arc<Informer<ServiceAccount>>,
    maps: Arc<Informer<ConfigMap>>,
    slices: Arc<Informer<EndpointSlice>>,
    endpoints: Arc<Informer<Endpoints>>,
}

impl Cluster {
    async fn start() -> Self {
        let server = server().await;
        let user = User { name: "admin".to_owned(), ..User::default() };
        let client = steersman_client::in_process(server.handler(), user);
        let (stop, changed) = (CancellationToken::new(), Arc::new(Notify::new()));
        let informers = SharedInformers::new(client.clone(), stop.clone());
        let mut tasks = JoinSet::new();
        let (custom, token) = (server.clone(), stop.clone());
        tasks.spawn(async move { custom.run_custom_resources(token).await });
        let config = ControllersConfig { root_ca: "PEM".to_owned(), ..ControllersConfig::default() };
        let handler = server.handler();
        let client_for = move |account: &str| {
            steersman_client::in_process(handler.clone(), User::service_account("kube-system", account))
        };
        tasks.spawn(run(CONTROLLERS, client_for, informers.clone(), config, stop.clone()));
        tasks.spawn(kubelet(client.clone(), informers.clone(), stop.clone()));
        let cluster = Self {
            deployments: watched(&informers, &changed),
            sets: watched(&informers, &changed),
            pods: watched(&informers, &changed),
            namespaces: watched(&informers, &changed),
            accounts: watched(&informers, &changed),
            maps: watched(&informers, &changed),
            slices: watched(&informers, &changed),
            endpoints: watched(&informers, &changed),
            informers,
            server,
            client,
            stop,
            tasks,
            changed,
        };
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": NS}})).expect("a namespace");
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.expect("it is created");
        cluster
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no part panics");
        }
        self.server.shutdown().await;
    }

    /// Waits until `holds`, looking again whenever something changes.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("never: {what}\n{}", self.picture());
        }
    }

    fn picture(&self) -> String {
        let deployments = self.deployments.cache().list();
        let sets = self.sets.cache().list();
        let text = |object: &dyn Fn() -> Value| object().to_string();
        let mut lines = Vec::new();
        for deployment in deployments {
            lines.push(text(&|| json!([deployment.metadata.name, deployment.status])));
        }
        for set in sets {
            lines.push(text(&|| json!([set.metadata.name, set.spec.replicas, set.status])));
        }
        for pod in self.pods.cache().list() {
            lines.push(text(&|| {
                json!([pod.metadata.name, pod.metadata.deletion_timestamp, pod.metadata.owner_references])
            }));
        }
        for namespace in self.namespaces.cache().list() {
            lines.push(text(&|| json!([namespace.metadata.name, namespace.status])));
        }
        lines.join("\n")
    }
}

fn watched<K: InformerKind>(informers: &SharedInformers, changed: &Arc<Notify>) -> Arc<Informer<K>> {
    let informer = informers.informer::<K>();
    let changed = changed.clone();
    informer.add_handler(move |_| changed.notify_waiters());
    informer
}

/// Gives every new pod an address and says that it is ready.
async fn kubelet(client: Client, informers: SharedInformers, stop: CancellationToken) {
    let (sender, mut pods) = tokio::sync::mpsc::unbounded_channel();
    informers.informer::<Pod>().add_handler(move |delta| {
        if let Delta::Added(pod) = delta {
            let _ = sender.send(pod.clone());
        }
    });
    let mut number = 0;
    loop {
        let pod = tokio::select! {
            () = stop.cancelled() => return,
            Some(pod) = pods.recv() => pod,
        };
        number += 1;
        let ip = format!("10.0.{}.{}", number / 200, number % 200 + 1);
        let since = pod.metadata.creation_timestamp.clone();
        let patch = json!({"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}],
        }});
        let api: Api<Pod> =
            Api::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        // The pod may be gone already.
        let _ = api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    }
}

fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": NS},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    })
}

impl Cluster {
    fn namespaced<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NS)
    }

    async fn patch(&self, name: &str, patch: Value) {
        let api = self.namespaced::<Deployment>();
        let patched = api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        patched.expect("it is patched");
    }

    async fn set_image(&self, name: &str, image: &str) {
        let containers = json!([{"name": "main", "image": image}]);
        self.patch(name, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
    }

    /// The deployment is rolled out: all replicas are new and available, and its status is up to date.
    fn is_rolled_out(&self, name: &str, replicas: i32) -> bool {
        let key = ObjectKey::new(NS, name);
        let Some(deployment) = self.deployments.cache().get(&key) else { return false };
        let status = deployment.status.clone().unwrap_or_default();
        let counts =
            [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
        let reason = status.conditions.iter().flatten().find(|c| c.type_.as_deref() == Some("Progressing"));
        counts == [Some(replicas); 4]
            && status.observed_generation == deployment.metadata.generation
            && reason.and_then(|c| c.reason.as_deref()) == Some("NewReplicaSetAvailable")
    }

    fn annotation(&self, set: &ReplicaSet, name: &str) -> Option<String> {
        let name = format!("deployment.kubernetes.io/{name}");
        set.metadata.annotations.as_ref()?.get(&name).cloned()
    }

    /// Revision, history, wanted replicas and image of the sets of a deployment, by revision.
    fn revisions(&self, name: &str) -> Vec<(String, Option<String>, i32, String)> {
        let owned = self
            .sets
            .cache()
            .list_namespace(NS)
            .into_iter()
            .filter(|set| set.metadata.owner_references.iter().flatten().any(|owner| owner.name == name));
        let mut rows: Vec<_> = owned
            .map(|set| {
                let template =
                    set.spec.template.clone().and_then(|template| template.spec).unwrap_or_default();
                let image = template.containers[0].image.clone().unwrap_or_default();
                let revision = self.annotation(&set, "revision").unwrap_or_default();
                let history = self.annotation(&set, "revision-history");
                (revision, history, set.spec.replicas.unwrap_or(1), image)
            })
            .collect();
        rows.sort();
        rows
    }
}

fn row(
    revision: &str,
    history: Option<&str>,
    replicas: i32,
    image: &str,
) -> (String, Option<String>, i32, String) {
    (revision.to_owned(), history.map(str::to_owned), replicas, image.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_rolls_back_and_scales_and_its_service_follows() {
    let cluster = Cluster::start().await;
    let service = json!({
        "metadata": {"name": "web", "namespace": NS},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let service: Service = serde_json::from_value(service).expect("a service");
    cluster.namespaced().create(&PostParams::default(), &service).await.expect("it is created");
    let object: Deployment = serde_json::from_value(deployment("web", 3, "a:1")).expect("a deployment");
    cluster.namespaced().create(&PostParams::default(), &object).await.expect("it is created");
    cluster.until("the first rollout", |c| c.is_rolled_out("web", 3)).await;
    assert_eq!(cluster.revisions("web"), [row("1", None, 3, "a:1")]);

    cluster.set_image("web", "a:2").await;
    cluster.until("the second rollout", |c| c.revisions("web").len() == 2 && c.is_rolled_out("web", 3)).await;
    assert_eq!(cluster.revisions("web"), [row("1", None, 0, "a:1"), row("2", None, 3, "a:2")]);

    cluster.set_image("web", "a:1").await;
    let back = [row("2", None, 0, "a:2"), row("3", Some("1"), 3, "a:1")];
    cluster.until("the way back", |c| c.revisions("web") == back && c.is_rolled_out("web", 3)).await;
    let key = ObjectKey::new(NS, "web");
    let told = cluster.deployments.cache().get(&key).and_then(|d| d.metadata.annotations.clone());
    assert_eq!(told.expect("annotations")["deployment.kubernetes.io/revision"], "3");

    for replicas in [5, 1] {
        cluster.patch("web", json!({"spec": {"replicas": replicas}})).await;
        let size = usize::try_from(replicas).expect("a size");
        cluster.until("the new size", |c| c.is_rolled_out("web", replicas)).await;
        cluster.until("the slices follow", |c| c.ready_endpoints("web") == size).await;
        cluster.until("the endpoints follow", |c| c.addresses("web") == size).await;
        cluster.until("the pods follow", |c| c.pods.cache().list_namespace(NS).len() == size).await;
    }
    cluster.stop().await;
}

impl Cluster {
    fn ready_endpoints(&self, service: &str) -> usize {
        let slices = self.slices.cache().list_namespace(NS).into_iter().filter(|slice| {
            let labels = slice.metadata.labels.as_ref();
            labels
                .and_then(|labels| labels.get("kubernetes.io/service-name"))
                .is_some_and(|name| name == service)
        });
        let ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
        };
        slices.map(|slice| slice.endpoints.iter().flatten().filter(ready).count()).sum()
    }

    fn addresses(&self, service: &str) -> usize {
        let key = ObjectKey::new(NS, service);
        let endpoints = self.endpoints.cache().get(&key);
        let subsets = endpoints.iter().flat_map(|endpoints| endpoints.subsets.iter().flatten());
        subsets.map(|subset| subset.addresses.iter().flatten().count()).sum()
    }

    fn has_map(&self, name: &str) -> bool {
        let maps = self.maps.cache().list_namespace(NS);
        maps.iter().any(|map| map.metadata.name.as_deref() == Some(name))
    }

    fn nothing_is_left(&self) -> bool {
        self.deployments.cache().list_namespace(NS).is_empty()
            && self.sets.cache().list_namespace(NS).is_empty()
            && self.pods.cache().list_namespace(NS).is_empty()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_an_owner_cascades_as_asked() {
    let cluster = Cluster::start().await;
    let api = cluster.namespaced::<Deployment>();
    for params in [DeleteParams::background(), DeleteParams::foreground()] {
        let object: Deployment = serde_json::from_value(deployment("web", 2, "a:1")).expect("a deployment");
        api.create(&PostParams::default(), &object).await.expect("it is created");
        cluster.until("the rollout", |c| c.is_rolled_out("web", 2)).await;
        api.delete("web", &params).await.expect("it is deleted");
        cluster.until("all of it is gone", Cluster::nothing_is_left).await;
    }
    let object: Deployment = serde_json::from_value(deployment("web", 2, "a:1")).expect("a deployment");
    api.create(&PostParams::default(), &object).await.expect("it is created");
    cluster.until("the rollout", |c| c.is_rolled_out("web", 2)).await;
    api.delete("web", &DeleteParams::orphan()).await.expect("it is deleted");
    cluster.until("the deployment is gone", |c| c.deployments.cache().is_empty()).await;
    let orphan = |c: &Cluster| {
        let sets = c.sets.cache().list_namespace(NS);
        sets.len() == 1 && sets[0].metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
    };
    cluster.until("the replica set is its own", orphan).await;
    assert_eq!(cluster.pods.cache().list_namespace(NS).len(), 2, "and keeps its pods");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_get_their_defaults_and_go_with_all_they_hold() {
    let cluster = Cluster::start().await;
    cluster
        .until("the defaults", |c| {
            c.accounts.cache().list_namespace(NS).len() == 1
                && c.maps.cache().list_namespace(NS).iter().any(|map| {
                    map.metadata.name.as_deref() == Some("kube-root-ca.crt")
                        && map.data.as_ref().is_some_and(|data| data["ca.crt"] == "PEM")
                })
        })
        .await;
    let object: Deployment = serde_json::from_value(deployment("web", 2, "a:1")).expect("a deployment");
    cluster.namespaced().create(&PostParams::default(), &object).await.expect("it is created");
    cluster.until("the rollout", |c| c.is_rolled_out("web", 2)).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.delete(NS, &DeleteParams::default()).await.expect("it is deleted");
    let gone = |c: &Cluster| {
        let key = ObjectKey::cluster(NS);
        c.namespaces.cache().get(&key).is_none() && c.nothing_is_left()
    };
    cluster.until("the namespace is gone", gone).await;
    cluster.until("all it held is gone", |c| c.maps.cache().list_namespace(NS).is_empty()).await;
    cluster.stop().await;
}

fn definition() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": open}}],
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_objects_are_owners_and_go_with_their_namespace() {
    let cluster = Cluster::start().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let object = serde_json::from_value(definition()).expect("a definition");
    definitions.create(&PostParams::default(), &object).await.expect("it is created");
    let established = conditions::is_crd_established();
    await_condition(definitions, "things.example.com", established).await.expect("it is established");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Thing"));
    let things: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), NS, &kind);
    let thing = |name: &str| DynamicObject::new(name, &kind);
    let owner = things.create(&PostParams::default(), &thing("owner")).await.expect("it is created");
    let maps = cluster.namespaced::<ConfigMap>();
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [{
        "apiVersion": "example.com/v1", "kind": "Thing", "name": "owner", "uid": owner.metadata.uid}]}});
    let owned = serde_json::from_value(owned).expect("a config map");
    maps.create(&PostParams::default(), &owned).await.expect("it is created");
    cluster.until("the map is seen", |c| c.has_map("owned")).await;
    things.delete("owner", &DeleteParams::default()).await.expect("it is deleted");
    cluster.until("what it owned is gone", |c| !c.has_map("owned")).await;

    things.create(&PostParams::default(), &thing("left")).await.expect("it is created");
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    namespaces.delete(NS, &DeleteParams::default()).await.expect("it is deleted");
    let gone = |c: &Cluster| c.namespaces.cache().get(&ObjectKey::cluster(NS)).is_none();
    cluster.until("the namespace is gone", gone).await;
    let all: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &kind);
    assert!(all.list(&ListParams::default()).await.expect("a list").items.is_empty());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_range_stays_while_services_have_addresses_of_it() {
    let cluster = Cluster::start().await;
    let known = watched::<ServiceCIDR>(&cluster.informers, &cluster.changed);
    let ranges: Api<ServiceCIDR> = Api::all(cluster.client.clone());
    let object = json!({"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.0.0/24"]}});
    let object: ServiceCIDR = serde_json::from_value(object).expect("a range");
    ranges.create(&PostParams::default(), &object).await.expect("it is created");
    let state = || {
        let range = known.cache().get(&ObjectKey::cluster("more"))?;
        let conditions = range.status.clone()?.conditions?;
        Some((range.metadata.finalizers.clone()?, conditions[0].status.clone(), conditions[0].reason.clone()))
    };
    let finalizers = vec!["networking.k8s.io/service-cidr-finalizer".to_owned()];
    let ready = Some((finalizers.clone(), "True".to_owned(), String::new()));
    cluster.until("the range is ready", |_| state() == ready).await;

    let service = json!({"metadata": {"name": "web", "namespace": NS},
        "spec": {"clusterIP": "10.97.0.9", "ports": [{"port": 80}]}});
    let service: Service = serde_json::from_value(service).expect("a service");
    cluster.namespaced().create(&PostParams::default(), &service).await.expect("it is created");
    ranges.delete("more", &DeleteParams::default()).await.expect("it is marked");
    let blocked = Some((finalizers, "False".to_owned(), "Terminating".to_owned()));
    cluster.until("the range says why it stays", |_| state() == blocked).await;
    cluster.stop().await;
}
