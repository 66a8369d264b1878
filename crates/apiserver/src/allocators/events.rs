//! Events about objects that the server itself looks after.

use http::Method;
use jiff::Timestamp;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::time;

use crate::request::User;
use crate::server::ApiServer;

/// Something to be told, always a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `ClusterIPNotAllocated`, ….
    pub reason: String,
    /// What was being done.
    pub action: &'static str,
    /// The whole sentence.
    pub note: String,
}

/// Tells what a component of the server found about `object`. A failure is only logged: what is told about is done all
/// the same.
pub async fn tell(server: &ApiServer, user: &User, component: &str, object: &Tree, notice: &Notice) {
    let Notice { reason, action, note } = notice;
    tracing::warn!(component, reason, "{note}");
    let (name, now) = (object.name(), Timestamp::now());
    let namespace = Some(object.namespace()).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": format!("{name}.{:x}", now.as_nanosecond()), "namespace": namespace},
        "eventTime": time::format_micro(now),
        "reportingController": component, "reportingInstance": component,
        "action": action, "reason": reason, "type": "Warning", "note": note,
        "regarding": {
            "apiVersion": object.api_version(), "kind": object.kind(), "name": name,
            "namespace": object.namespace(), "uid": object.uid(), "resourceVersion": object.resource_version(),
        },
    });
    let uri = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
    if let Err(error) = server.ask(user, Method::POST, &uri, Some(event)).await {
        tracing::warn!(component, reason, %error, "an event could not be written");
    }
}
