//! What is in the kernel, and the batch that brings it to what it should be.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use steersman_controller_runtime::ObjectKey;
use steersman_network::Ipv4Range;
use steersman_network::nft::{Batch, Chain, Element};

use crate::model::ServicePort;
use crate::render::{Rendered, base, render};

/// The table as it was last programmed.
pub struct Program {
    table: String,
    cluster: Ipv4Range,
    services: BTreeMap<ObjectKey, Vec<(u32, ServicePort)>>,
    next_id: u32,
    free_ids: BTreeSet<u32>,
}

impl Program {
    /// Nothing yet. Sources outside `cluster` are rewritten when they come to cluster addresses.
    pub fn new(table: impl Into<String>, cluster: Ipv4Range) -> Self {
        let (services, free_ids) = (BTreeMap::new(), BTreeSet::new());
        Self { table: table.into(), cluster, services, next_id: 1, free_ids }
    }

    /// Replaces whatever is in the kernel by what is remembered here, in one transaction.
    pub fn replace(&self) -> Batch {
        let mut batch = Batch::default();
        // Adding first makes sure that there is something to delete.
        batch.add_table(&self.table);
        batch.delete_table(&self.table);
        base(&mut batch, &self.table, self.cluster);
        for ports in self.services.values() {
            self.change(&mut batch, &Rendered::default(), &rendered(ports));
        }
        batch
    }

    /// The ports of a service are now these (none: it is gone); gives the batch that makes it so, empty if nothing
    /// changes. The caller applies it, and if that fails applies [`Self::replace`].
    pub fn set(&mut self, service: &ObjectKey, ports: Vec<ServicePort>) -> Batch {
        let old = self.services.remove(service).unwrap_or_default();
        let new = self.numbered(&old, ports);
        let mut batch = Batch::default();
        self.change(&mut batch, &rendered(&old), &rendered(&new));
        let kept: HashSet<u32> = new.iter().map(|(id, _)| *id).collect();
        self.free_ids.extend(old.iter().map(|(id, _)| *id).filter(|id| !kept.contains(id)));
        if !new.is_empty() {
            self.services.insert(service.clone(), new);
        }
        batch
    }

    /// Ports keep their id. A port whose clients stay with their endpoints gets a new one when an endpoint is gone: the
    /// clients' entries under the old id end of themselves, and none leads to a dead endpoint.
    fn numbered(&mut self, old: &[(u32, ServicePort)], ports: Vec<ServicePort>) -> Vec<(u32, ServicePort)> {
        let mut numbered = Vec::with_capacity(ports.len());
        for port in ports {
            let known =
                old.iter().find(|(_, known)| known.name == port.name && known.protocol == port.protocol);
            let id = match known {
                Some((id, known)) if known.affinity_seconds.is_none() || !lost_endpoint(known, &port) => *id,
                _ => self.take_id(),
            };
            numbered.push((id, port));
        }
        numbered
    }

    fn take_id(&mut self) -> u32 {
        if let Some(id) = self.free_ids.pop_first() {
            return id;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// First what goes, then chains, then what comes: an address may pass from one port to another, and an element may
    /// lead only to a chain that is there.
    fn change(&self, batch: &mut Batch, old: &Rendered, new: &Rendered) {
        let (had, has): (HashSet<_>, HashSet<_>) =
            (old.elements.iter().collect(), new.elements.iter().collect());
        for (set, elements) in by_set(had.difference(&has)) {
            batch.delete_elements(&self.table, set, &elements);
        }
        for (name, rules) in &new.chains {
            if old.chains.iter().any(|(known, same)| known == name && same == rules) {
                continue;
            }
            batch.add_chain(&self.table, &Chain { name, hook: None });
            batch.flush_chain(&self.table, name);
            for rule in rules {
                batch.add_rule(&self.table, name, rule);
            }
        }
        for (set, elements) in by_set(has.difference(&had)) {
            batch.add_elements(&self.table, set, &elements);
        }
        for (name, _) in &old.chains {
            if !new.chains.iter().any(|(kept, _)| kept == name) {
                batch.flush_chain(&self.table, name);
                batch.delete_chain(&self.table, name);
            }
        }
    }
}

fn rendered(ports: &[(u32, ServicePort)]) -> Rendered {
    let mut all = Rendered::default();
    for (id, port) in ports {
        let one = render(*id, port);
        all.chains.extend(one.chains);
        all.elements.extend(one.elements);
    }
    all
}

fn lost_endpoint(old: &ServicePort, new: &ServicePort) -> bool {
    let lost = |old: &[_], new: &[_]| old.iter().any(|endpoint| !new.contains(endpoint));
    lost(&old.endpoints, &new.endpoints) || lost(&old.external_endpoints, &new.external_endpoints)
}

fn by_set<'a>(
    elements: impl Iterator<Item = &'a &'a (&'static str, Element)>,
) -> BTreeMap<&'static str, Vec<Element>> {
    let mut sets: BTreeMap<&'static str, Vec<Element>> = BTreeMap::new();
    for (set, element) in elements {
        sets.entry(*set).or_default().push(element.clone());
    }
    sets
}
