//! Service addresses in the store: whoever creates the `IPAddress` of an address's name has it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use rand::Rng;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{self, Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_apimachinery::time;
use steersman_store::{Expect, Key, RangeOptions, Revision, Versioned};

use super::network::{Band, Network, family, number_of};
use crate::object::form::Form;
use crate::routes::Entry;
use crate::storage::{CommitError, Storage, failure};

/// The label that says who made an address.
pub const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// Who that is, for the addresses of services.
pub const ALLOCATOR: &str = "ipallocator.k8s.io";
/// The label that says of which family an address is.
pub const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";

/// How many random addresses are tried before it is found out which are free.
const RANDOM_TRIES: usize = 4;

/// An address that was taken and can be given back.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The address.
    pub address: IpAddr,
    key: Key,
    revision: Revision,
}

/// Why an address cannot be had.
pub enum Refused {
    /// Somebody has it.
    Allocated,
    /// The store refuses.
    Store(ApiError),
}

/// The row of the addresses.
pub fn entry(storage: &Storage) -> Result<Arc<Entry>, ApiError> {
    storage.routes().find("networking.k8s.io", "v1", "ipaddresses").ok_or_else(ApiError::resource_not_served)
}

/// Takes `address` for the service of that namespace and name.
pub async fn claim(
    storage: &Storage,
    address: IpAddr,
    (namespace, name): (&str, &str),
) -> Result<Taken, Refused> {
    let entry = entry(storage).map_err(Refused::Store)?;
    let key = entry.key("", &address.to_string());
    let tree = object(address, namespace, name, Timestamp::now());
    match storage.put(&entry, &tree, &key, Expect::Absent).await {
        Ok((record, _)) => Ok(Taken { address, key, revision: record.mod_revision }),
        Err(CommitError::Conflict(_)) => Err(Refused::Allocated),
        // If it was taken after all, repair finds it unused.
        Err(CommitError::Failed(error) | CommitError::Unknown(error)) => Err(Refused::Store(error)),
    }
}

/// Takes any free address of `network`; `None` if there is none.
pub async fn take(
    storage: &Storage,
    network: &Network,
    service: (&str, &str),
) -> Result<Option<Taken>, ApiError> {
    let [dynamic, _] = network.bands();
    for _ in 0..RANDOM_TRIES {
        let Some(number) = random(&dynamic) else { break };
        if let Some(taken) = attempt(storage, network.address(number), service).await? {
            return Ok(Some(taken));
        }
    }
    let used = used(storage).await?;
    for band in network.bands() {
        let Some(start) = random(&band) else { continue };
        let free = (start..=*band.end()).chain(*band.start()..=start - 1).filter(|n| !used.contains(n));
        for number in free {
            if let Some(taken) = attempt(storage, network.address(number), service).await? {
                return Ok(Some(taken));
            }
        }
    }
    Ok(None)
}

async fn attempt(
    storage: &Storage,
    address: IpAddr,
    service: (&str, &str),
) -> Result<Option<Taken>, ApiError> {
    match claim(storage, address, service).await {
        Ok(taken) => Ok(Some(taken)),
        Err(Refused::Allocated) => Ok(None),
        Err(Refused::Store(error)) => Err(error),
    }
}

fn random(band: &Band) -> Option<u128> {
    (!band.is_empty()).then(|| rand::rng().random_range(band.clone()))
}

/// The numbers of all addresses that are taken. Those of the two families do not meet, as far as services have them.
async fn used(storage: &Storage) -> Result<BTreeSet<u128>, ApiError> {
    let entry = entry(storage)?;
    let page = storage.range(&entry, "", RangeOptions::default()).await.map_err(failure::of_store)?;
    let names = page.records.iter().filter_map(|record| record.key.as_str().rsplit('/').next());
    Ok(names.filter_map(|name| name.parse().ok()).map(number_of).collect())
}

/// Gives back what was taken for a service that is not stored, unless somebody has written to it since.
pub async fn give_back(storage: &Storage, taken: Taken) {
    match storage.remove(&taken.key, taken.revision).await {
        Ok(_) | Err(CommitError::Conflict(_)) => {}
        Err(CommitError::Failed(error) | CommitError::Unknown(error)) => {
            tracing::warn!(address = %taken.address, %error, "an address is left to repair");
        }
    }
}

/// Gives back the address of a service that no longer has it. The address of another service stays.
pub async fn release(storage: &Storage, address: IpAddr, service: (&str, &str)) {
    let released = async {
        let entry = entry(storage)?;
        while let Some(record) = storage.get(&entry, "", &address.to_string()).await? {
            let tree = Form::of(&record, &entry)?.tree();
            if service_of(&tree) != Some(service) || remove(storage, &entry, &record, &tree).await? {
                break;
            }
        }
        Ok::<_, ApiError>(())
    };
    if let Err(error) = released.await {
        tracing::warn!(%address, %error, "an address is left to repair");
    }
}

/// Deletes an address as it was read; false if somebody else wrote first. One with finalizers is only marked.
pub async fn remove(
    storage: &Storage,
    entry: &Entry,
    record: &Versioned,
    tree: &Tree,
) -> Result<bool, ApiError> {
    let done = if tree.finalizers().next().is_none() {
        storage.remove(&record.key, record.mod_revision).await.map(drop)
    } else if tree.is_deleting() {
        Ok(())
    } else {
        let mut marked = tree.clone();
        marked.set("metadata.deletionTimestamp", time::format(Timestamp::now()));
        marked.set("metadata.deletionGracePeriodSeconds", 0);
        let expect = Expect::ModRevision(record.mod_revision);
        storage.put(entry, &marked, &record.key, expect).await.map(drop)
    };
    match done {
        Ok(()) => Ok(true),
        Err(CommitError::Conflict(_)) => Ok(false),
        Err(CommitError::Failed(error) | CommitError::Unknown(error)) => Err(error),
    }
}

/// Namespace and name of the service that an address says has it; `None` if it says something else.
pub fn service_of(address: &Tree) -> Option<(&str, &str)> {
    let parent = address.at("spec.parentRef")?;
    let is_service = parent.str_at("group").is_empty() && parent.str_at("resource") == "services";
    is_service.then(|| (parent.str_at("namespace"), parent.str_at("name")))
}

fn object(address: IpAddr, namespace: &str, name: &str, now: Timestamp) -> Tree {
    let fields = json!({
        "f:metadata": {"f:labels": {
            ".": {}, "f:ipaddress.kubernetes.io/ip-family": {}, "f:ipaddress.kubernetes.io/managed-by": {},
        }},
        "f:spec": {"f:parentRef": {".": {}, "f:name": {}, "f:namespace": {}, "f:resource": {}}},
    });
    let mut tree = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {
            "name": address.to_string(),
            "labels": {FAMILY: family(address), MANAGED_BY: ALLOCATOR},
            "managedFields": [{
                "manager": "kube-apiserver", "operation": "Update", "apiVersion": "networking.k8s.io/v1",
                "time": time::format(now), "fieldsType": "FieldsV1", "fieldsV1": fields,
            }],
        },
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    });
    meta::fill_for_create(&mut tree, &uuid::Uuid::new_v4().to_string(), now);
    tree
}
