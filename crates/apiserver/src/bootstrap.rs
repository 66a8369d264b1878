//! What exists in every cluster from the start: the default namespaces, the priority classes of the system, and the
//! `kubernetes` service with where it leads. Created through the generic path like everything else.

use std::net::{IpAddr, SocketAddr};

use http::Method;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_registry::system_priority_classes;

use crate::config::StartError;
use crate::request::User;
use crate::server::ApiServer;

const NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

/// What the server does with an object that exists already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    /// Leaves it.
    Keep,
    /// Brings these parts back to what they must be.
    Correct(&'static [&'static str]),
}

/// Creates what is missing and corrects where the `kubernetes` service leads.
pub async fn ensure(server: &ApiServer, advertise: SocketAddr, service: IpAddr) -> Result<(), StartError> {
    for name in NAMESPACES {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        one(server, "/api/v1/namespaces", object, Existing::Keep).await?;
    }
    for class in system_priority_classes() {
        one(server, "/apis/scheduling.k8s.io/v1/priorityclasses", class, Existing::Keep).await?;
    }
    let user = user();
    for hooks in server.hooks() {
        let begun = hooks.begin(server, &user).await;
        begun.map_err(|source| StartError::Bootstrap { what: "what is allocated".to_owned(), source })?;
    }
    let core = "/api/v1/namespaces/default";
    one(server, &format!("{core}/services"), service_object(advertise, service), Existing::Keep).await?;
    let endpoints = Existing::Correct(&["subsets"]);
    one(server, &format!("{core}/endpoints"), endpoints_object(advertise), endpoints).await?;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    one(server, slices, slice_object(advertise), Existing::Correct(&["endpoints", "ports"])).await
}

fn service_object(advertise: SocketAddr, address: IpAddr) -> Tree {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "provider": "kubernetes", "component": "apiserver" },
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "sessionAffinity": "None",
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": advertise.port() }],
        },
    })
}

fn endpoints_object(advertise: SocketAddr) -> Tree {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{
            "addresses": [{ "ip": advertise.ip() }],
            "ports": [{ "name": "https", "port": advertise.port(), "protocol": "TCP" }],
        }],
    })
}

fn slice_object(advertise: SocketAddr) -> Tree {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": if advertise.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{ "addresses": [advertise.ip()], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": advertise.port(), "protocol": "TCP" }],
    })
}

async fn one(
    server: &ApiServer,
    collection: &str,
    object: Tree,
    existing: Existing,
) -> Result<(), StartError> {
    let what = format!("{} {}", object.kind().to_lowercase(), object.name());
    settle(server, collection, object, existing)
        .await
        .map_err(|source| StartError::Bootstrap { what, source })
}

async fn settle(
    server: &ApiServer,
    collection: &str,
    object: Tree,
    existing: Existing,
) -> Result<(), ApiError> {
    let uri = format!("{collection}/{}", object.name());
    match (ask(server, Method::GET, &uri, None).await, existing) {
        (Ok(_), Existing::Keep) => Ok(()),
        (Ok(found), Existing::Correct(parts)) => {
            if !found.differs(&object, parts) {
                return Ok(());
            }
            let mut corrected = found;
            parts.iter().for_each(|part| corrected[*part] = object[*part].clone());
            ask(server, Method::PUT, &uri, Some(corrected)).await.map(drop)
        }
        (Err(error), _) if error.code == 404 => {
            match ask(server, Method::POST, collection, Some(object)).await {
                // Another server of the same cluster was faster.
                Err(error) if error.reason == "AlreadyExists" => Ok(()),
                other => other.map(drop),
            }
        }
        (Err(error), _) => Err(error),
    }
}

/// The server itself, as it asks itself.
pub fn user() -> User {
    User {
        name: "system:apiserver".to_owned(),
        groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
        ..User::default()
    }
}

/// Asks the server as itself.
pub async fn ask(
    server: &ApiServer,
    method: Method,
    uri: &str,
    body: Option<Tree>,
) -> Result<Tree, ApiError> {
    server.ask(&user(), method, uri, body).await
}
