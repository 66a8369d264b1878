//! What is wrong between a service and its addresses. Pure: what to do about it is the caller's.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::time;

use crate::allocators::addresses::{ALLOCATOR, FAMILY, MANAGED_BY, service_of};
use crate::allocators::events::Notice;
use crate::allocators::network::family;

/// An address may be this long without its service: a request takes no longer.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// An address that is younger than its service may belong to a creation that is being undone.
const UNDO_TIME: Duration = Duration::from_secs(5);

/// What becomes of a stored address.
#[derive(Debug, PartialEq, Eq)]
pub enum OfAddress {
    /// It stays.
    Fine,
    /// It is too early to say.
    Later(Duration),
    /// Nobody has it.
    Remove(Notice),
}

/// Judges an address by the service it names; `service` is `None` if that does not exist.
pub fn of_address(address: &Tree, service: Option<&Tree>, now: Timestamp) -> OfAddress {
    if address.label(MANAGED_BY) != Some(ALLOCATOR) || address.is_deleting() {
        return OfAddress::Fine;
    }
    let (name, age) = (address.name(), age(address, now));
    let Some((namespace, parent)) = service_of(address) else {
        let reference = parent_text(address);
        let note = format!(
            "IPAddress {name} appears to have been modified, not referencing a Service {reference}: cleaning up"
        );
        return remove("IPAddressNotAllocated", note);
    };
    let what = format!("IPAddress: {name} for Service {namespace}/{parent}");
    let Some(service) = service else {
        return match REQUEST_TIME.checked_sub(age) {
            Some(left) if !left.is_zero() => OfAddress::Later(left),
            _ => remove("IPAddressNotAllocated", format!("{what} appears to have leaked: cleaning up")),
        };
    };
    if has(service, name) {
        return OfAddress::Fine;
    }
    if service.str_at("spec.type") == "ExternalName" && age < REQUEST_TIME {
        return OfAddress::Later(REQUEST_TIME - age);
    }
    if age < UNDO_TIME && created(address) > created(service) {
        return OfAddress::Later(UNDO_TIME);
    }
    remove("IPAddressWrongReference", format!("{what} has a wrong reference; cleaning up"))
}

fn remove(reason: &str, note: String) -> OfAddress {
    OfAddress::Remove(Notice { reason: reason.to_owned(), action: "IPAddressAllocation", note })
}

/// Whether the service says that it has the address.
pub fn has(service: &Tree, address: &str) -> bool {
    service.items_at("spec.clusterIPs").iter().any(|listed| listed.as_str() == Some(address))
}

fn created(object: &Tree) -> Option<Timestamp> {
    object.creation_timestamp().and_then(|text| time::parse(text).ok())
}

fn age(object: &Tree, now: Timestamp) -> Duration {
    let age = created(object).map_or(SignedDuration::ZERO, |created| now.duration_since(created));
    Duration::try_from(age).unwrap_or_default()
}

/// The reference as Go prints it.
fn parent_text(address: &Tree) -> String {
    let field = |name: &str| address.str_at(&format!("spec.parentRef.{name}")).to_owned();
    let (group, resource, namespace, name) =
        (field("group"), field("resource"), field("namespace"), field("name"));
    format!("&ParentReference{{Group:{group},Resource:{resource},Namespace:{namespace},Name:{name},}}")
}

/// What becomes of an address that a service has.
#[derive(Debug, PartialEq, Eq)]
pub enum OfService {
    /// It is the service's.
    Fine,
    /// Nobody can mend it here.
    Tell(Notice),
    /// The stored address, if there is one, must go, and one of the service come; `None` is not worth telling.
    Make(Option<Notice>),
}

/// Judges one address of a service by what is stored for it. `other` is the service that the stored address names, if
/// that exists and is another one.
pub fn of_service(
    service: &Tree,
    address: IpAddr,
    in_range: bool,
    stored: Option<&Tree>,
    other: Option<&Tree>,
) -> OfService {
    let (namespace, name) = (service.namespace(), service.name());
    let which = family(address);
    let notice = |reason: &str, note: String| Notice {
        reason: reason.to_owned(),
        action: "ClusterIPAllocation",
        note,
    };
    if !in_range {
        let why = "is not within any configured Service CIDR; please recreate service";
        return OfService::Tell(notice(
            "ClusterIPOutOfRange",
            format!("Cluster IP [{which}]: {address} {why}"),
        ));
    }
    let Some(stored) = stored else {
        let note = format!("Cluster IP [{which}]: {address} is not allocated; repairing");
        return OfService::Make(Some(notice("ClusterIPNotAllocated", note)));
    };
    if service_of(stored) != Some((namespace, name)) {
        if other.is_some_and(|other| has(other, &address.to_string())) {
            let why = "was assigned to multiple services; please recreate service";
            let note = format!("Cluster IP [{which}]:{address} {why}");
            return OfService::Tell(notice("ClusterIPAlreadyAllocated", note));
        }
        let note = format!(
            "the ClusterIP [{which}]: {address} for Service {namespace}/{name} has a wrong reference; repairing"
        );
        return OfService::Make(Some(notice("ClusterIPNotAllocated", note)));
    }
    if stored.label(FAMILY) != Some(which) || stored.label(MANAGED_BY) != Some(ALLOCATOR) {
        return OfService::Make(None);
    }
    OfService::Fine
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn address(parent: &str, created: &str) -> Tree {
        json!({"metadata": {"name": "10.0.0.9", "creationTimestamp": created,
            "labels": {MANAGED_BY: ALLOCATOR, FAMILY: "IPv4"}},
            "spec": {"parentRef": {"resource": "services", "namespace": "ns", "name": parent}}})
    }

    fn service(name: &str, kind: &str, addresses: &[&str]) -> Tree {
        json!({"metadata": {"namespace": "ns", "name": name, "creationTimestamp": "2026-01-01T00:00:30Z"},
            "spec": {"type": kind, "clusterIPs": addresses}})
    }

    #[test]
    fn an_address_without_service_goes_after_a_while() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let old = address("a", "2026-01-01T00:00:00Z");
        let young = address("a", "2026-01-01T00:00:57Z");
        let leaked = "IPAddress: 10.0.0.9 for Service ns/a appears to have leaked: cleaning up";
        let wrong = "IPAddress: 10.0.0.9 for Service ns/a has a wrong reference; cleaning up";
        let cases = [
            (&old, None, leaked),
            (&young, None, "57s"),
            (&old, Some(service("a", "ClusterIP", &["10.0.0.9"])), "fine"),
            (&old, Some(service("a", "ClusterIP", &["10.0.0.8"])), wrong),
            (&young, Some(service("a", "ClusterIP", &["10.0.0.8"])), "5s"),
            (&young, Some(service("a", "ExternalName", &[])), "57s"),
            (&old, Some(service("a", "ExternalName", &[])), wrong),
        ];
        for (address, service, want) in cases {
            let got = match of_address(address, service.as_ref(), now) {
                OfAddress::Fine => "fine".to_owned(),
                OfAddress::Later(time) => format!("{time:?}"),
                OfAddress::Remove(notice) => notice.note,
            };
            assert_eq!(got, want);
        }
        let mut foreign = old.clone();
        foreign["metadata"]["labels"] = json!({});
        assert_eq!(of_address(&foreign, None, now), OfAddress::Fine, "it is not ours");
        let mut changed = old;
        changed["spec"]["parentRef"]["resource"] = "pods".into();
        let OfAddress::Remove(notice) = of_address(&changed, None, now) else { panic!("goes") };
        assert!(
            notice.note.contains("&ParentReference{Group:,Resource:pods,Namespace:ns,Name:a,}"),
            "{notice:?}"
        );
    }

    #[test]
    fn a_service_gets_its_address_back() {
        let ip: IpAddr = "10.0.0.9".parse().unwrap();
        let own = service("a", "ClusterIP", &["10.0.0.9"]);
        let other = service("b", "ClusterIP", &["10.0.0.9"]);
        let changed = service("b", "ClusterIP", &["10.0.0.7"]);
        let (right, wrong) = (address("a", ""), address("b", ""));
        let mut unlabelled = right.clone();
        unlabelled["metadata"]["labels"] = json!({});
        let reference = "the ClusterIP [IPv4]: 10.0.0.9 for Service ns/a has a wrong reference; repairing";
        let cases: [(bool, Option<&Tree>, Option<&Tree>, &str); 7] = [
            (true, Some(&right), None, "fine"),
            (true, None, None, "make Cluster IP [IPv4]: 10.0.0.9 is not allocated; repairing"),
            (
                false,
                None,
                None,
                "tell Cluster IP [IPv4]: 10.0.0.9 is not within any configured Service CIDR; please recreate service",
            ),
            (true, Some(&wrong), None, &format!("make {reference}")),
            (true, Some(&wrong), Some(&changed), &format!("make {reference}")),
            (
                true,
                Some(&wrong),
                Some(&other),
                "tell Cluster IP [IPv4]:10.0.0.9 was assigned to multiple services; please recreate service",
            ),
            (true, Some(&unlabelled), None, "make"),
        ];
        for (in_range, stored, other, want) in cases {
            let got = match of_service(&own, ip, in_range, stored, other) {
                OfService::Fine => "fine".to_owned(),
                OfService::Tell(notice) => format!("tell {}", notice.note),
                OfService::Make(Some(notice)) => format!("make {}", notice.note),
                OfService::Make(None) => "make".to_owned(),
            };
            assert_eq!(got, want);
        }
    }
}
