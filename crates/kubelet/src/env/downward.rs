//! What a container may learn about its pod: `fieldRef` and `resourceFieldRef`, in variables and in files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use crate::pod::PodExt;
use crate::quantity::{self, ResourceList};
use crate::text::go_quote;

/// A reference that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The pod has no such field to give.
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    /// Containers have no such resource to give.
    #[error("unsupported container resource : {0}")]
    Resource(String),
    /// The pod has no such container.
    #[error("container {0} not found")]
    Container(String),
    /// The divisor cannot divide.
    #[error("invalid divisor {0}")]
    Divisor(String),
}

/// What there is to tell.
#[derive(Clone, Copy)]
pub struct Downward<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its addresses.
    pub pod_ips: &'a [String],
    /// Addresses of the node.
    pub host_ips: &'a [String],
    /// What the node gives to pods: the limits of those that set none.
    pub allocatable: &'a ResourceList,
}

impl Downward<'_> {
    /// The value of a field of the pod.
    pub fn field(&self, path: &str) -> Result<String, FieldError> {
        let meta = &self.pod.metadata;
        let spec = self.pod.spec();
        if let Some((map, key)) = subscript(path) {
            let map = match map {
                "metadata.annotations" => meta.annotations.as_ref(),
                "metadata.labels" => meta.labels.as_ref(),
                _ => return Err(FieldError::Field(path.to_owned())),
            };
            return Ok(map.and_then(|map| map.get(key).cloned()).unwrap_or_default());
        }
        Ok(match path {
            "metadata.name" => self.pod.name().to_owned(),
            "metadata.namespace" => self.pod.namespace().to_owned(),
            "metadata.uid" => self.pod.uid().to_owned(),
            "metadata.labels" => format_map(meta.labels.as_ref()),
            "metadata.annotations" => format_map(meta.annotations.as_ref()),
            "spec.nodeName" => spec.node_name.clone().unwrap_or_default(),
            "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
            "status.hostIP" => self.host_ips.first().cloned().unwrap_or_default(),
            "status.hostIPs" => self.host_ips.join(","),
            "status.podIP" => self.pod_ips.first().cloned().unwrap_or_default(),
            "status.podIPs" => self.pod_ips.join(","),
            other => return Err(FieldError::Field(other.to_owned())),
        })
    }

    /// A request or limit of a container, in units of the divisor, rounded up.
    pub fn resource(
        &self,
        selector: &ResourceFieldSelector,
        default: Option<&Container>,
    ) -> Result<String, FieldError> {
        let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
        let container = match (named, default) {
            (None, Some(container)) => container.clone(),
            (name, _) => {
                let name = name.unwrap_or_default();
                let found = self.pod.find_container(name).map(|(_, container)| container);
                found.ok_or_else(|| FieldError::Container(name.to_owned()))?
            }
        };
        let unknown = || FieldError::Resource(selector.resource.clone());
        let (list, name) = selector.resource.split_once('.').ok_or_else(unknown)?;
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !name.starts_with("hugepages-") {
            return Err(unknown());
        }
        let resources = container.resources.as_ref();
        let quantity = match list {
            "requests" => resources.and_then(|r| r.requests.as_ref()?.get(name)),
            "limits" => resources
                .and_then(|r| r.limits.as_ref()?.get(name))
                .filter(|limit| quantity::milli(limit) != 0)
                .or_else(|| self.allocatable.get(name)),
            _ => return Err(unknown()),
        };
        let one = || k8s_openapi::apimachinery::pkg::api::resource::Quantity("1".to_owned());
        let divisor = selector.divisor.clone().filter(|divisor| quantity::milli(divisor) != 0);
        let divisor = divisor.unwrap_or_else(one);
        let (amount, unit) = match name {
            "cpu" => (quantity.map_or(0, quantity::milli), quantity::milli(&divisor)),
            _ => (quantity.map_or(0, quantity::value), quantity::value(&divisor)),
        };
        let unit = if unit > 0 { unit } else { return Err(FieldError::Divisor(divisor.0)) };
        Ok(((amount + unit - 1) / unit).to_string())
    }
}

/// `metadata.labels['key']` as (`metadata.labels`, `key`).
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// One `key="value"` a line, sorted, as files of the downward API have it.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        map.into_iter().flatten().map(|(key, value)| format!("{key}={}", go_quote(value))).collect();
    lines.join("\n")
}
