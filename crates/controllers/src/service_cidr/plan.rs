//! What to do about one service range. Pure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};

use crate::conditions::time_until;

pub(super) const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
pub(super) const READY: &str = "Ready";

/// How long a range that is going stays, so that every API server has seen it and gives no more addresses from it.
const GRACE_SECONDS: i64 = 10;

/// The condition that a range must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub status: &'static str,
    pub reason: &'static str,
    pub message: &'static str,
}

const IS_READY: Ready = Ready { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };
const IS_BLOCKED: Ready = Ready {
    status: "False",
    reason: "Terminating",
    message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

/// What to do; a condition is `None` when it is as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The range is in use.
    Keep { add_finalizer: bool, ready: Option<Ready> },
    /// It should go, but services have addresses of it.
    Blocked(Option<Ready>),
    /// It goes after this time.
    Wait(Duration),
    /// It goes.
    Release,
    /// Nothing is left to do.
    Settled,
}

pub(super) fn is_deleting(range: &ServiceCIDR) -> bool {
    range.metadata.deletion_timestamp.is_some()
}

/// Decides about `range` among all ranges and addresses.
pub(super) fn plan(
    range: &ServiceCIDR,
    ranges: &[Arc<ServiceCIDR>],
    addresses: &[Arc<IPAddress>],
    now: Timestamp,
) -> Plan {
    let held = range.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let Some(deleted) = &range.metadata.deletion_timestamp else {
        return Plan::Keep { add_finalizer: !held, ready: unless_set(range, IS_READY) };
    };
    if !can_go(range, ranges, addresses) {
        return Plan::Blocked(unless_set(range, IS_BLOCKED));
    }
    let left = time_until(crate::conditions::after_seconds(deleted.0, GRACE_SECONDS), now);
    match (left.is_zero(), held) {
        (false, _) => Plan::Wait(left),
        (true, true) => Plan::Release,
        (true, false) => Plan::Settled,
    }
}

fn unless_set(range: &ServiceCIDR, ready: Ready) -> Option<Ready> {
    let conditions = range.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let mut found = conditions.filter(|condition| condition.type_ == READY);
    let same = found.next().is_some_and(|condition| {
        condition.status == ready.status
            && condition.reason == ready.reason
            && condition.message == ready.message
    });
    (!same).then_some(ready)
}

/// Whether no address would be left without a range.
fn can_go(range: &ServiceCIDR, ranges: &[Arc<ServiceCIDR>], addresses: &[Arc<IPAddress>]) -> bool {
    let others: Vec<Block> = ranges
        .iter()
        .filter(|other| other.metadata.name != range.metadata.name)
        .flat_map(|r| blocks(r))
        .collect();
    let own = blocks(range);
    if own.iter().all(|block| others.iter().any(|other| other.covers(block))) {
        return true;
    }
    let in_only = |address: &IpAddr| {
        own.iter().any(|block| block.has(*address)) && !others.iter().any(|block| block.has(*address))
    };
    !addresses.iter().filter(|address| is_managed(address)).any(|address| {
        let name = address.metadata.name.as_deref().and_then(|name| name.parse().ok());
        name.as_ref().is_some_and(in_only)
    })
}

/// Whether the API server's allocator made the address.
fn is_managed(address: &IPAddress) -> bool {
    let labels = address.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get("ipaddress.kubernetes.io/managed-by"))
        .is_some_and(|manager| manager == "ipallocator.k8s.io")
}

/// The numbers of one network.
#[derive(Clone, Copy, Debug)]
struct Block {
    is_v4: bool,
    first: u128,
    last: u128,
}

fn blocks(range: &ServiceCIDR) -> Vec<Block> {
    let cidrs = range.spec.iter().filter_map(|spec| spec.cidrs.as_ref()).flatten();
    cidrs.filter_map(|cidr| Block::parse(cidr)).collect()
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (is_v4, number) = number_of(address.parse().ok()?);
        let width: u32 = if is_v4 { 32 } else { 128 };
        let host = width.checked_sub(bits.parse().ok()?)?;
        let mask = u128::MAX.checked_shl(host).unwrap_or(0);
        let first = number & mask;
        Some(Self { is_v4, first, last: first | !mask })
    }

    fn covers(&self, other: &Self) -> bool {
        self.is_v4 == other.is_v4 && self.first <= other.first && other.last <= self.last
    }

    /// The network's own address is no service's, nor is IPv4's broadcast address.
    fn has(&self, address: IpAddr) -> bool {
        let (is_v4, number) = number_of(address);
        is_v4 == self.is_v4 && self.first < number && (number < self.last || !is_v4 && number == self.last)
    }
}

fn number_of(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (true, u32::from(address).into()),
        IpAddr::V6(address) => (false, address.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-01-01T00:01:00Z";

    fn range(name: &str, cidrs: &[&str], deleted: Option<&str>) -> Arc<ServiceCIDR> {
        let finalizers: &[&str] = if deleted.is_some() { &[FINALIZER] } else { &[] };
        let object = json!({"metadata": {"name": name, "deletionTimestamp": deleted, "finalizers": finalizers},
            "spec": {"cidrs": cidrs}});
        Arc::new(serde_json::from_value(object).expect("a range"))
    }

    fn address(name: &str, managed: bool) -> Arc<IPAddress> {
        let manager = if managed { "ipallocator.k8s.io" } else { "somebody.example" };
        let object = json!({"metadata": {"name": name, "labels": {"ipaddress.kubernetes.io/managed-by": manager}},
            "spec": {"parentRef": {"resource": "services", "name": "s"}}});
        Arc::new(serde_json::from_value(object).expect("an address"))
    }

    #[test]
    fn a_range_goes_when_nothing_needs_it() {
        let long_ago = Some("2026-01-01T00:00:00Z");
        let going = range("a", &["10.0.0.0/24"], long_ago);
        let blocked = Plan::Blocked(Some(IS_BLOCKED));
        let cases = [
            ("nothing is left", vec![], vec![], Plan::Release),
            ("a service is left", vec![], vec![address("10.0.0.9", true)], Plan::Blocked(Some(IS_BLOCKED))),
            ("an address of somebody else", vec![], vec![address("10.0.0.9", false)], Plan::Release),
            ("an address of another range", vec![], vec![address("10.0.1.9", true)], Plan::Release),
            (
                "a wider range",
                vec![range("b", &["10.0.0.0/16"], None)],
                vec![address("10.0.0.9", true)],
                Plan::Release,
            ),
            (
                "the same range",
                vec![range("b", &["10.0.0.0/24"], None)],
                vec![address("10.0.0.9", true)],
                Plan::Release,
            ),
            (
                "a part that has it",
                vec![range("b", &["10.0.0.0/28"], None)],
                vec![address("10.0.0.9", true)],
                Plan::Release,
            ),
            (
                "a part that has it at its end",
                vec![range("b", &["10.0.0.0/28"], None)],
                vec![address("10.0.0.15", true)],
                blocked,
            ),
        ];
        for (what, mut ranges, addresses, want) in cases {
            ranges.push(going.clone());
            assert_eq!(plan(&going, &ranges, &addresses, NOW.parse().unwrap()), want, "{what}");
        }
        let just_now = range("a", &["10.0.0.0/24"], Some("2026-01-01T00:00:57Z"));
        let waits = plan(&just_now, &[], &[], NOW.parse().unwrap());
        assert_eq!(waits, Plan::Wait(Duration::from_secs(7)), "every server must have seen it");
    }

    #[test]
    fn each_family_needs_another_range() {
        let going = range("a", &["10.0.0.0/24", "fd00::/112"], Some("2026-01-01T00:00:00Z"));
        let ranges = [going.clone(), range("b", &["10.0.0.0/16"], None)];
        let now = NOW.parse().unwrap();
        assert_eq!(plan(&going, &ranges, &[address("10.0.0.9", true)], now), Plan::Release);
        assert_eq!(
            plan(&going, &ranges, &[address("fd00::ffff", true)], now),
            Plan::Blocked(Some(IS_BLOCKED))
        );
    }

    #[test]
    fn a_range_in_use_has_a_finalizer_and_is_ready() {
        let mut kept = (*range("a", &["10.0.0.0/24"], None)).clone();
        let now = NOW.parse().unwrap();
        assert_eq!(plan(&kept, &[], &[], now), Plan::Keep { add_finalizer: true, ready: Some(IS_READY) });
        kept.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        let status = json!({"conditions": [{"type": READY, "status": "True", "reason": "", "lastTransitionTime": NOW,
            "message": "Kubernetes Service CIDR is ready"}]});
        kept.status = Some(serde_json::from_value(status).expect("a status"));
        assert_eq!(plan(&kept, &[], &[], now), Plan::Keep { add_finalizer: false, ready: None });
    }
}
