//! What exists in every cluster from the start: the default namespaces, the priority classes of the system, and the
//! `kubernetes` service with where it leads. Created through the generic path like everything else.

use std::net::{IpAddr, SocketAddr};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_registry::system_priority_classes;
use tower::Service;

use crate::config::StartError;
use crate::request::User;
use crate::server::ApiServer;
use crate::wire::body;

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

pub async fn ask(
    server: &ApiServer,
    method: Method,
    uri: &str,
    body: Option<Tree>,
) -> Result<Tree, ApiError> {
    let user = User {
        name: "system:apiserver".to_owned(),
        groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
        ..User::default()
    };
    let body = body.map_or_else(body::empty, |tree| body::whole(tree.to_string()));
    let request =
        Request::builder().method(method).uri(uri).extension(user).header("user-agent", "kube-apiserver/");
    let request = request.body(body).map_err(ApiError::internal)?;
    let response = server.handler().call(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(ApiError::internal)?.to_bytes();
    let tree: Tree = serde_json::from_slice(&bytes).map_err(ApiError::internal)?;
    if parts.status.is_success() {
        return Ok(tree);
    }
    Err(failure(parts.status, &tree))
}

fn failure(code: StatusCode, status: &Value) -> ApiError {
    let reason = match status.str_at("reason") {
        "AlreadyExists" => "AlreadyExists",
        _ => "",
    };
    ApiError::new(code.as_u16(), reason, status.str_at("message"))
}
