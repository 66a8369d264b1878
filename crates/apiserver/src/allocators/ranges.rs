//! The service ranges as the stored `ServiceCIDR`s say them, read anew for each allocation: a new one counts at once,
//! and one that is being deleted no longer.

use std::net::IpAddr;
use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use super::network::Network;
use crate::storage::Storage;

/// One network of a stored range.
struct Range {
    network: Network,
    /// Whether addresses are handed out from it.
    ready: bool,
}

/// All service ranges at one moment.
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// The ranges that are stored.
    pub async fn read(storage: &Storage) -> Result<Self, ApiError> {
        let entry = storage.routes().find("networking.k8s.io", "v1", "servicecidrs");
        let entry = entry.ok_or_else(ApiError::resource_not_served)?;
        let (trees, _) = storage.trees(&entry, "").await?;
        Ok(Self::of(&trees))
    }

    fn of(objects: &[Arc<Tree>]) -> Self {
        let networks = |object: &Arc<Tree>| {
            let ready = is_ready(object);
            let cidrs = object.items_at("spec.cidrs").iter().filter_map(Tree::as_str);
            let networks = cidrs.filter_map(|cidr| cidr.parse().ok());
            networks.map(|network| Range { network, ready }).collect::<Vec<_>>()
        };
        Self(objects.iter().flat_map(networks).collect())
    }

    /// The networks of a family from which addresses are handed out.
    pub fn ready(&self, family: &str) -> impl Iterator<Item = Network> {
        let fits = move |range: &&Range| range.ready && range.network.family() == family;
        self.0.iter().filter(fits).map(|range| range.network)
    }

    /// Whether `address` may be handed out.
    pub fn gives(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.ready && range.network.has(address))
    }

    /// Whether `address` is in any range, ready or not.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.network.has(address))
    }
}

/// Ready unless something says no: the default range is used before anybody has looked at it.
fn is_ready(object: &Tree) -> bool {
    let condition = object.items_at("status.conditions").iter().find(|c| c.str_at("type") == "Ready");
    !object.is_deleting() && condition.is_none_or(|condition| condition.str_at("status") == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_ranges_give_addresses() {
        let cidr = |network: &str, status: Tree, deleting: bool| {
            let deleted = deleting.then_some("2026-01-01T00:00:00Z");
            Arc::new(
                json!({"metadata": {"name": "c", "deletionTimestamp": deleted}, "spec": {"cidrs": [network]},
                "status": status}),
            )
        };
        let with = |status: &str| json!({"conditions": [{"type": "Ready", "status": status}]});
        let ranges = Ranges::of(&[
            cidr("10.0.0.0/24", json!({}), false),
            cidr("10.0.1.0/24", with("True"), false),
            cidr("10.0.2.0/24", with("False"), false),
            cidr("10.0.3.0/24", with("True"), true),
            // The same network twice, once ready: it is ready.
            cidr("10.0.3.0/28", with("True"), false),
            cidr("fd00::/112", with("True"), false),
        ]);
        let cases = [
            ("10.0.0.9", true),
            ("10.0.1.9", true),
            ("10.0.2.9", false),
            ("10.0.3.9", true),
            ("10.0.3.99", false),
        ];
        for (address, want) in cases {
            let address = address.parse().unwrap();
            assert_eq!((ranges.gives(address), ranges.has(address)), (want, true), "{address}");
        }
        assert!(!ranges.has("10.0.4.9".parse().unwrap()));
        assert_eq!((ranges.ready("IPv4").count(), ranges.ready("IPv6").count()), (3, 1));
    }
}
