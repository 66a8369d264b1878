//! The whole chain, with real keys and the real resource table, through the in-process handler and over TLS.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_pki::{
    Authority, ClientAuth, Identity, Profile, RotatingIdentity, client_config, server_config,
};
use steersman_store::MemoryStore;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::*;
use crate::authorization::bootstrap;
use crate::request::User;
use crate::{ApiServer, Config, HookTable, Version};

struct Cluster {
    pki: ClusterPki,
    storage: Arc<Storage>,
    server: ApiServer,
    indexes: Arc<Indexes>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = ClusterPki::load_or_create(dir.path(), Timestamp::now()).unwrap();
        let store = Arc::new(MemoryStore::default());
        let storage = Arc::new(Storage::new(store, steersman_registry::resources(), &HookTable::new()));
        let security = Security::new(&storage, &pki, "https://127.0.0.1:6443").unwrap();
        let (indexes, stop) = (security.indexes.clone(), CancellationToken::new());
        let running = {
            let (indexes, storage, stop) = (indexes.clone(), storage.clone(), stop.clone());
            tokio::spawn(async move { indexes.run(&storage, stop).await })
        };
        let config = Config {
            storage: storage.clone(),
            authenticator: security.authenticator,
            authorizer: security.authorizer,
            audit: None,
            flow_control: None,
            admission: security.admission,
            creators: security.creators,
            version: Version::default(),
            kubelet_tls: None,
            advertise: ([192, 0, 2, 1], 6443).into(),
            service_address: [10, 96, 0, 1].into(),
            issuer: Some(security.issuer),
            health: Vec::new(),
            components: Vec::new(),
        };
        let server = ApiServer::new(config).await.unwrap();
        let cluster = Self { pki, storage, server, indexes, stop, running, _dir: dir };
        for namespace in ["default", "kube-system", "kube-public"] {
            // Absent unless the server makes them itself.
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            cluster.as_root("POST", "/api/v1/namespaces", Some(&object)).await;
        }
        bootstrap::apply(&cluster.server.handler(), &*cluster.storage).await.unwrap();
        cluster.indexes.synced().await;
        cluster
    }

    async fn send(&self, request: http::request::Builder, body: Option<&Tree>) -> (StatusCode, Tree) {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.header("content-type", "application/json").body(Full::new(body)).unwrap();
        let answer = self.server.handler().call(request).await.unwrap();
        let code = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn as_root(&self, method: &str, uri: &str, body: Option<&Tree>) -> (StatusCode, Tree) {
        let root =
            User { name: "root".to_owned(), groups: vec!["system:masters".to_owned()], ..User::default() };
        self.send(Request::builder().method(method).uri(uri).extension(root), body).await
    }

    async fn with_token(
        &self,
        token: &str,
        method: &str,
        uri: &str,
        body: Option<&Tree>,
    ) -> (StatusCode, Tree) {
        let bearer = format!("Bearer {token}");
        let request = Request::builder().method(method).uri(uri).header("authorization", bearer);
        self.send(request, body).await
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn an_account_gets_a_token_and_the_rights_it_is_given() {
    let cluster = Cluster::start().await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(cluster.as_root("POST", accounts, Some(&account)).await.0, 201);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let (code, issued) = cluster.as_root("POST", &format!("{accounts}/bot/token"), Some(&request)).await;
    assert_eq!(code, 201, "{issued}");
    let token = issued["status"]["token"].as_str().unwrap();

    let pods = "/api/v1/namespaces/default/pods";
    let (code, refused) = cluster.with_token(token, "GET", pods, None).await;
    assert_eq!(code, 403);
    assert_eq!(
        refused["message"],
        "pods is forbidden: User \"system:serviceaccount:default:bot\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "bot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-view"},
        "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "default"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let (code, bound) = cluster.as_root("POST", bindings, Some(&binding)).await;
    assert_eq!(code, 201, "{bound}");
    assert_eq!(cluster.with_token(token, "GET", pods, None).await.0, 200, "a grant holds at once");
    assert_eq!(cluster.with_token(token, "GET", "/api/v1/namespaces/kube-system/pods", None).await.0, 403);

    let mine = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}});
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let (code, review) = cluster.with_token(token, "POST", reviews, Some(&mine)).await;
    assert_eq!((code.as_u16(), &review["status"]["allowed"]), (201, &json!(true)), "{review}");

    assert_eq!(cluster.as_root("DELETE", &format!("{accounts}/bot"), None).await.0, 200);
    assert_eq!(cluster.with_token(token, "GET", pods, None).await.0, 401, "the account is gone");
    cluster.end().await;
}

#[tokio::test]
async fn strangers_see_health_and_version_only() {
    let cluster = Cluster::start().await;
    let code = |uri: &'static str| {
        let request = Request::builder().uri(uri);
        let cluster = &cluster;
        async move { cluster.send(request, None).await.0.as_u16() }
    };
    assert_eq!((code("/livez").await, code("/version").await), (200, 200));
    assert_eq!(
        (code("/api").await, code("/api/v1/pods").await, code("/openid/v1/jwks").await),
        (401, 401, 401)
    );
    assert_eq!(cluster.with_token("garbage", "GET", "/livez", None).await.0, 401);
    cluster.end().await;
}

#[tokio::test]
async fn the_default_policy_is_written_once() {
    let cluster = Cluster::start().await;
    assert_eq!(bootstrap::plan(&*cluster.storage).await, []);
    let role = |name: &'static str| {
        let uri = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}");
        let cluster = &cluster;
        async move { cluster.as_root("GET", &uri, None).await.1 }
    };
    let parts = role("system:aggregate-to-edit").await;
    assert!(parts["rules"].as_array().unwrap().len() > 10, "{parts}");
    assert_eq!(parts["metadata"]["managedFields"][0]["manager"], "kube-apiserver");
    let sum = role("edit").await;
    assert_eq!(sum.get("rules"), None, "its controller fills it in");
    cluster.end().await;
}

/// What a server says to a TLS client with this certificate.
async fn over_tls(cluster: &Cluster, address: SocketAddr, identity: Option<&Identity>) -> u16 {
    let identity = identity.map(|identity| RotatingIdentity::new(identity).unwrap());
    let config = client_config([cluster.pki.ca().certificate()], identity).unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    let request = Request::builder()
        .uri("/api/v1/nodes")
        .header("host", "localhost")
        .body(Full::<Bytes>::default())
        .unwrap();
    tokio::select! {
        answer = sender.send_request(request) => answer.unwrap().status().as_u16(),
        ended = connection => panic!("the connection ended: {ended:?}"),
    }
}

#[tokio::test]
async fn certificates_are_judged_by_the_server_not_by_tls() {
    let cluster = Cluster::start().await;
    let now = Timestamp::now();
    let profile = Profile::apiserver("n1", "cluster.local", &[], &[]);
    let serving = RotatingIdentity::new(&cluster.pki.identity("apiserver", &profile, now).unwrap()).unwrap();
    let verifier = ClientVerifier::new([cluster.pki.ca().certificate()]).unwrap();
    let tls = server_config(serving, &ClientAuth::Deferred(verifier)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let (server, stop) = (cluster.server.clone(), cluster.stop.clone());
        async move { server.serve(listener, tls, stop).await }
    });

    let issue = |authority: &Authority, profile: Profile| authority.issue(&profile, now).unwrap();
    let foreign = Authority::create("kubernetes", now).unwrap();
    for (identity, code) in [
        (Some(issue(cluster.pki.ca(), Profile::admin())), 200),
        (Some(issue(cluster.pki.ca(), Profile::scheduler())), 200),
        (Some(issue(cluster.pki.ca(), Profile::client("ann", None))), 403),
        (Some(issue(&foreign, Profile::super_admin())), 401),
        (None, 401),
    ] {
        assert_eq!(over_tls(&cluster, address, identity.as_ref()).await, code);
    }
    cluster.stop.cancel();
    serving.await.unwrap().unwrap();
    cluster.end().await;
}
