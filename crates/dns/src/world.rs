//! Everything that DNS knows about the cluster. Each Service's records are replaced as one; queries read.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::Name;
use steersman_controller_runtime::ObjectKey;

use crate::service::{ServiceRecords, Target};
use crate::zone::Zone;

/// The cluster's names.
#[derive(Debug)]
pub(crate) struct World {
    pub zone: Zone,
    /// The zone's serial number: when something last changed, in seconds since 1970.
    pub serial: u32,
    namespaces: HashSet<String>,
    /// By namespace, then name.
    services: HashMap<String, HashMap<String, Arc<ServiceRecords>>>,
    pointers: HashMap<IpAddr, Vec<Pointer>>,
}

/// A name that an address has because of a Service.
#[derive(Debug)]
struct Pointer {
    owner: ObjectKey,
    /// The address is the Service's own, not that of an endpoint.
    own: bool,
    name: Name,
}

impl World {
    /// A cluster without anything in it.
    pub fn new(zone: Zone) -> Self {
        Self {
            zone,
            serial: 0,
            namespaces: HashSet::new(),
            services: HashMap::new(),
            pointers: HashMap::new(),
        }
    }

    /// A namespace exists.
    pub fn add_namespace(&mut self, name: &str) {
        self.namespaces.insert(name.to_owned());
    }

    /// A namespace is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Whether a namespace exists.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name) || self.services.contains_key(name)
    }

    /// The records of a Service.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Arc<ServiceRecords>> {
        self.services.get(namespace)?.get(name)
    }

    /// The names of an address: that of the Service whose own it is, else those of endpoints.
    pub fn names_of(&self, address: IpAddr) -> Vec<&Name> {
        let Some(pointers) = self.pointers.get(&address) else {
            return Vec::new();
        };
        match pointers.iter().find(|pointer| pointer.own) {
            Some(own) => vec![&own.name],
            None => pointers.iter().map(|pointer| &pointer.name).collect(),
        }
    }

    /// Replaces what is known about a Service; `None` if it is gone.
    pub fn put(&mut self, key: &ObjectKey, records: Option<ServiceRecords>) {
        if let Some(old) = self.take(key) {
            for (_, address, _) in pointers_of(&old) {
                self.remove_pointers(address, key);
            }
        }
        let Some(records) = records else {
            return;
        };
        for (own, address, name) in pointers_of(&records) {
            self.add_pointer(address, Pointer { owner: key.clone(), own, name: name.clone() });
        }
        let services = self.services.entry(key.namespace.clone()).or_default();
        services.insert(key.name.clone(), Arc::new(records));
    }

    fn take(&mut self, key: &ObjectKey) -> Option<Arc<ServiceRecords>> {
        let services = self.services.get_mut(&key.namespace)?;
        let old = services.remove(&key.name);
        if services.is_empty() {
            self.services.remove(&key.namespace);
        }
        old
    }

    fn add_pointer(&mut self, address: IpAddr, pointer: Pointer) {
        let pointers = self.pointers.entry(address).or_default();
        if pointers.iter().all(|other| other.name != pointer.name) {
            pointers.push(pointer);
        }
    }

    fn remove_pointers(&mut self, address: IpAddr, owner: &ObjectKey) {
        if let Some(pointers) = self.pointers.get_mut(&address) {
            pointers.retain(|pointer| pointer.owner != *owner);
            if pointers.is_empty() {
                self.pointers.remove(&address);
            }
        }
    }
}

/// The addresses that a Service gives names to; the flag says that the address is its own.
fn pointers_of(records: &ServiceRecords) -> impl Iterator<Item = (bool, IpAddr, &Name)> {
    let own: &[IpAddr] = match &records.target {
        Target::Cluster { addresses, .. } => addresses,
        Target::Headless | Target::External(_) => &[],
    };
    let own = own.iter().map(|address| (true, *address, &records.name));
    own.chain(records.endpoints.iter().map(|endpoint| (false, endpoint.address, &endpoint.name)))
}
