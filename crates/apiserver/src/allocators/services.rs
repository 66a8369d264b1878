//! Addresses and node ports of services.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::addresses::{self, Refused, Taken};
use super::network::Network;
use super::port_map::{Exchange, assign, held};
use super::ports::NodePorts;
use super::ranges::Ranges;
use super::repair::Repair;
use super::{default_range, families};
use crate::hooks::{Hooks, Outcome, Reservation};
use crate::request::User;
use crate::server::ApiServer;
use crate::storage::Storage;

/// The IPv4 addresses that services get while no `ServiceCIDR` adds to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    network: Ipv4Addr,
    prefix_length: u8,
}

impl AddressRange {
    /// The range `network/prefix_length`; `None` if it has no room for services.
    pub fn new(network: Ipv4Addr, prefix_length: u8) -> Option<Self> {
        if !(8..=30).contains(&prefix_length) {
            return None;
        }
        let mask = u32::MAX << (32 - prefix_length);
        Some(Self { network: Ipv4Addr::from(u32::from(network) & mask), prefix_length })
    }

    /// The first address: the `kubernetes` service's.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) + 1)
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_length)
    }
}

/// The family of the configured range.
const CONFIGURED: &str = "IPv4";

/// Hands out the addresses and node ports of services.
pub struct ServiceAllocations {
    range: AddressRange,
    ports: Arc<NodePorts>,
    repair: Repair,
}

/// What was taken for a service.
#[derive(Debug, Default)]
struct Got {
    addresses: Vec<Taken>,
    ports: Exchange,
}

impl ServiceAllocations {
    /// Allocations from these ranges.
    pub fn new(range: AddressRange, ports: RangeInclusive<u16>) -> Self {
        let ports = Arc::new(NodePorts::new(ports));
        Self { range, ports: ports.clone(), repair: Repair::new(ports) }
    }

    async fn reserve_all(
        &self,
        storage: &Storage,
        new: &mut Tree,
        old: Option<&Tree>,
        dry_run: bool,
        got: &mut Got,
    ) -> Result<(), ApiError> {
        let problems = families::problems(new, old, CONFIGURED);
        if !problems.is_empty() {
            return Err(ApiError::invalid("", "Service", new.name(), &problems));
        }
        if needs_address(new) && !old.is_some_and(needs_address) {
            if dry_run {
                show_address(storage, new).await?;
            } else {
                got.addresses.push(reserve_address(storage, new).await?);
            }
        }
        got.ports = self.exchange_ports(storage, new, old, dry_run).await?;
        Ok(())
    }

    async fn exchange_ports(
        &self,
        storage: &Storage,
        new: &mut Tree,
        old: Option<&Tree>,
        dry_run: bool,
    ) -> Result<Exchange, ApiError> {
        let has_none = |service: &Tree| !matches!(service.str_at("spec.type"), "NodePort" | "LoadBalancer");
        if has_none(new) && old.is_none_or(has_none) {
            return Ok(Exchange::default());
        }
        let asked = new.clone();
        let (exchange, assigned) = self
            .ports
            .change(storage, dry_run, |map| {
                let mut assigned = asked.clone();
                Ok((assign(map, &mut assigned, old)?, assigned))
            })
            .await?;
        *new = assigned;
        Ok(exchange)
    }
}

/// Whether a service has, or must get, an address. One without an address of its own (`None`) needs none.
fn needs_address(service: &Tree) -> bool {
    matches!(service.str_at("spec.type"), "ClusterIP" | "NodePort" | "LoadBalancer")
        && service.str_at("spec.clusterIP") != "None"
}

fn identity(service: &Tree) -> (&str, &str) {
    (service.namespace(), service.name())
}

/// The address a service asks for; `None` if any will do, or if it is no address, which validation reports.
fn asked_address(service: &Tree) -> Option<Option<IpAddr>> {
    match service.str_at("spec.clusterIP") {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    }
}

async fn reserve_address(storage: &Storage, service: &mut Tree) -> Result<Taken, ApiError> {
    let ranges = Ranges::read(storage).await?;
    let taken = match asked_address(service) {
        Some(Some(address)) if !ranges.gives(address) => return Err(mismatched(service, address)),
        Some(Some(address)) => {
            addresses::claim(storage, address, identity(service)).await.map_err(|refused| match refused {
                Refused::Allocated => refused_address(service, address, "provided IP is already allocated"),
                Refused::Store(error) => error,
            })?
        }
        Some(None) => take_any(storage, &ranges, service).await?,
        None => return Err(not_an_address(service)),
    };
    if service.str_at("spec.clusterIP").is_empty() {
        set_address(service, taken.address);
    }
    Ok(taken)
}

async fn take_any(storage: &Storage, ranges: &Ranges, service: &Tree) -> Result<Taken, ApiError> {
    for network in ranges.ready(CONFIGURED) {
        if let Some(taken) = addresses::take(storage, &network, identity(service)).await? {
            return Ok(taken);
        }
    }
    Err(full(service))
}

/// A dry run shows the network's own address, which no service can have, and finds only out whether an address asked for
/// is in the range, as upstream.
async fn show_address(storage: &Storage, service: &mut Tree) -> Result<(), ApiError> {
    let ranges = Ranges::read(storage).await?;
    match asked_address(service) {
        Some(None) => {
            let network = ranges.ready(CONFIGURED).next().ok_or_else(|| full(service))?;
            set_address(service, network.own_address());
            Ok(())
        }
        Some(Some(address)) if !ranges.gives(address) => {
            let network =
                ranges.ready(CONFIGURED).next().as_ref().map(Network::to_string).unwrap_or_default();
            let why = format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is {network}"
            );
            Err(refused_address(service, address, &why))
        }
        Some(Some(_)) => Ok(()),
        None => Err(not_an_address(service)),
    }
}

fn set_address(service: &mut Tree, address: IpAddr) {
    service.set("spec.clusterIP", address.to_string());
    service.set("spec.clusterIPs", vec![address.to_string()]);
}

fn full(service: &Tree) -> ApiError {
    let name = service.name();
    ApiError::internal(format!("failed to allocate a serviceIP for Service {name:?}: range is full"))
}

fn mismatched(service: &Tree, address: IpAddr) -> ApiError {
    refused_address(service, address, "the provided network does not match the current range")
}

fn refused_address(service: &Tree, address: IpAddr, why: &str) -> ApiError {
    let path = Path::new("spec").child("clusterIPs");
    let listed = service.at("spec.clusterIPs").cloned().unwrap_or(Value::Null);
    let problem = Error::invalid(path, listed, format!("failed to allocate IP {address}: {why}"));
    ApiError::invalid("", "Service", service.name(), &vec![problem])
}

fn not_an_address(service: &Tree) -> ApiError {
    let text = service.str_at("spec.clusterIP");
    let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    let problem = Error::invalid(Path::new("spec").child("clusterIPs").index(0), text, why);
    ApiError::invalid("", "Service", service.name(), &vec![problem])
}

/// The addresses that a service has.
pub fn addresses_of(service: &Tree) -> Vec<IpAddr> {
    if !needs_address(service) {
        return Vec::new();
    }
    let listed = service.items_at("spec.clusterIPs").iter().filter_map(Value::as_str);
    listed.filter_map(|text| text.parse().ok()).collect()
}

impl Hooks for ServiceAllocations {
    fn reserve<'a>(
        &'a self,
        storage: &'a Arc<Storage>,
        new: &'a mut Tree,
        old: Option<&'a Tree>,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Reservation, ApiError>> {
        Box::pin(async move {
            let mut got = Got::default();
            let reserved = self.reserve_all(storage, new, old, dry_run, &mut got).await;
            if dry_run {
                return reserved.map(|()| Reservation::default());
            }
            let has = addresses_of(new);
            let had = old.map(addresses_of).unwrap_or_default();
            let pledge = Pledge {
                storage: storage.clone(),
                ports: self.ports.clone(),
                service: (new.namespace().to_owned(), new.name().to_owned()),
                got,
                lost: had.into_iter().filter(|address| !has.contains(address)).collect(),
            };
            if let Err(refused) = reserved {
                pledge.settle(Outcome::Abandoned).await;
                return Err(refused);
            }
            Ok(pledge.reservation())
        })
    }

    fn released<'a>(&'a self, storage: &'a Arc<Storage>, old: &'a Tree) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for address in addresses_of(old) {
                addresses::release(storage, address, identity(old)).await;
            }
            let ports: Vec<u16> = held(old).into_iter().collect();
            self.ports.release(storage, &ports).await;
        })
    }

    fn begin<'a>(&'a self, server: &'a ApiServer, user: &'a User) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            default_range::sync(server, user, &self.range.to_string()).await?;
            self.repair.begin(server, user).await
        })
    }

    fn run(self: Arc<Self>, server: ApiServer, user: User) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let range = self.range.to_string();
            tokio::join!(default_range::keep(&server, &user, &range), self.repair.run(&server, &user));
        })
    }

    fn answers_delete_with_object(&self) -> bool {
        true
    }
}

/// What was taken for a service, and what it gives up, until it is known whether it is stored.
struct Pledge {
    storage: Arc<Storage>,
    ports: Arc<NodePorts>,
    service: (String, String),
    got: Got,
    lost: Vec<IpAddr>,
}

impl Pledge {
    fn reservation(self) -> Reservation {
        if self.got.addresses.is_empty() && self.got.ports == Exchange::default() && self.lost.is_empty() {
            return Reservation::default();
        }
        Reservation::new(move |outcome| Box::pin(self.settle(outcome)))
    }

    async fn settle(self, outcome: Outcome) {
        match outcome {
            Outcome::Stored => {
                for address in self.lost {
                    let service = (self.service.0.as_str(), self.service.1.as_str());
                    addresses::release(&self.storage, address, service).await;
                }
                self.ports.release(&self.storage, &self.got.ports.lost).await;
            }
            Outcome::Abandoned => {
                for taken in self.got.addresses {
                    addresses::give_back(&self.storage, taken).await;
                }
                self.ports.release(&self.storage, &self.got.ports.got).await;
            }
            // Repair finds out what is in use.
            Outcome::Unknown => {}
        }
    }
}
