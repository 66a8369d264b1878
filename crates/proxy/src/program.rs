//! What is in the kernel, and the batch that brings it to what it should be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use steersman_controller_runtime::ObjectKey;
use steersman_network::nft::{Batch, Chain, Element};

use crate::base::base;
use crate::claims::Claims;
use crate::flows::UdpFrontends;
use crate::model::ServicePort;
use crate::render::{Rendered, Shape, render};

/// How long an unused chain stays: up to Linux 6.1 the kernel takes it for used for a moment after the last element
/// that led to it was removed, and refuses to remove it.
const CHAIN_REST: Duration = Duration::from_secs(1);

/// The table as it was last programmed.
pub struct Program {
    shape: Shape,
    services: BTreeMap<ObjectKey, Vec<Numbered>>,
    claims: Claims,
    next_id: u32,
    free_ids: BTreeSet<u32>,
    /// Empty chains that nothing leads to, and since when.
    unused: HashMap<String, Instant>,
}

/// A service port and its id.
type Numbered = (u32, ServicePort);

/// What a service's change asks for.
#[derive(Debug, Default)]
pub struct Change {
    /// For the kernel; empty if nothing changes.
    pub batch: Batch,
    /// Whose UDP flows may lead to endpoints that are gone, once the batch is applied.
    pub udp: UdpFrontends,
}

impl Program {
    /// Nothing yet.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            services: BTreeMap::new(),
            claims: Claims::default(),
            next_id: 1,
            free_ids: BTreeSet::new(),
            unused: HashMap::new(),
        }
    }

    /// Replaces whatever is in the kernel by what is remembered here, in one transaction.
    pub fn replace(&mut self) -> Batch {
        let mut batch = Batch::default();
        let table = &self.shape.table;
        // Adding first makes sure that there is something to delete.
        batch.add_table(table);
        batch.delete_table(table);
        self.unused.clear();
        base(&mut batch, &self.shape);
        let mut elements: Vec<(&'static str, Element)> = self.claims.all().collect();
        for (id, port) in self.services.values().flatten() {
            let Rendered { chains, own, .. } = render(*id, port, &self.shape);
            add_chains(&mut batch, table, chains.iter().map(|(name, rules)| (name.as_str(), rules)));
            elements.extend(own);
        }
        for (set, elements) in by_set(&elements) {
            batch.add_elements(table, set, &elements);
        }
        batch
    }

    /// Where the node's UDP services are.
    pub fn udp_frontends(&self) -> UdpFrontends {
        let ports = self.services.values().flatten().map(|(_, port)| port);
        UdpFrontends::of(ports, self.shape.node_address)
    }

    /// The ports of a service are now these (none: it is gone). The caller applies the batch, and if that fails applies
    /// [`Self::replace`].
    pub fn set(&mut self, service: &ObjectKey, ports: Vec<ServicePort>, now: Instant) -> Change {
        let old = self.services.remove(service).unwrap_or_default();
        let known: Vec<ServicePort> = old.iter().map(|(_, port)| port.clone()).collect();
        let udp = UdpFrontends::changed(&known, &ports, self.shape.node_address);
        let new = self.numbered(&old, ports);
        let batch = self.change(&old, &new, now);
        let kept: HashSet<u32> = new.iter().map(|(id, _)| *id).collect();
        self.free_ids.extend(old.iter().map(|(id, _)| *id).filter(|id| !kept.contains(id)));
        if !new.is_empty() {
            self.services.insert(service.clone(), new);
        }
        Change { batch, udp }
    }

    /// Ports keep their id.
    fn numbered(&mut self, old: &[Numbered], ports: Vec<ServicePort>) -> Vec<Numbered> {
        let mut numbered = Vec::with_capacity(ports.len());
        for port in ports {
            let known =
                old.iter().find(|(_, known)| known.name == port.name && known.protocol == port.protocol);
            let id = known.map_or_else(|| self.take_id(), |(id, _)| *id);
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
    fn change(&mut self, old: &[Numbered], new: &[Numbered], now: Instant) -> Batch {
        let (had, has) = (self.rendered(old), self.rendered(new));
        let (removed, added) = self.elements(&had, &has);
        let (had, has) = (chains(&had), chains(&has));
        let mut batch = Batch::default();
        let table = self.shape.table.clone();
        for (set, elements) in by_set(&removed) {
            batch.delete_elements(&table, set, &elements);
        }
        self.unused.retain(|name, _| !has.contains_key(name.as_str()));
        let changed = has.iter().filter(|(name, rules)| had.get(*name) != Some(*rules));
        add_chains(&mut batch, &table, changed.map(|(name, rules)| (*name, *rules)));
        for (set, elements) in by_set(&added) {
            batch.add_elements(&table, set, &elements);
        }
        for name in had.keys().filter(|name| !has.contains_key(*name)) {
            batch.flush_chain(&table, name);
            self.unused.insert((*name).to_owned(), now);
        }
        // With the next change that is made anyway; until then they do no harm.
        if !batch.is_empty() {
            self.delete_unused(&mut batch, now);
        }
        batch
    }

    fn rendered(&self, ports: &[Numbered]) -> Vec<(u32, Rendered)> {
        ports.iter().map(|(id, port)| (*id, render(*id, port, &self.shape))).collect()
    }

    /// The elements to remove and those to add.
    fn elements(
        &mut self,
        had: &[(u32, Rendered)],
        has: &[(u32, Rendered)],
    ) -> (Vec<(&'static str, Element)>, Vec<(&'static str, Element)>) {
        let of = |list: &[(u32, Rendered)], id: u32| {
            list.iter().find(|(known, _)| *known == id).map(|(_, r)| r.shared.clone()).unwrap_or_default()
        };
        let ids: BTreeSet<u32> = had.iter().chain(has).map(|(id, _)| *id).collect();
        let mut before = BTreeMap::new();
        for id in ids {
            self.claims.change(id, &of(had, id), &of(has, id), &mut before);
        }
        let shared = self.claims.since(before);
        let own = |list: &[(u32, Rendered)]| -> HashSet<(&'static str, Element)> {
            list.iter().flat_map(|(_, rendered)| rendered.own.iter().cloned()).collect()
        };
        let (had, has) = (own(had), own(has));
        let mut removed: Vec<_> = had.difference(&has).cloned().collect();
        let mut added: Vec<_> = has.difference(&had).cloned().collect();
        removed.extend(shared.removed);
        added.extend(shared.added);
        (removed, added)
    }

    fn delete_unused(&mut self, batch: &mut Batch, now: Instant) {
        let table = &self.shape.table;
        self.unused.retain(|name, since| {
            let rests = now.duration_since(*since) < CHAIN_REST;
            if !rests {
                batch.delete_chain(table, name);
            }
            rests
        });
    }
}

type Rules = Vec<Vec<steersman_network::nft::Expr>>;

fn chains(rendered: &[(u32, Rendered)]) -> BTreeMap<&str, &Rules> {
    let chains = rendered.iter().flat_map(|(_, rendered)| &rendered.chains);
    chains.map(|(name, rules)| (name.as_str(), rules)).collect()
}

/// Makes chains with these rules, whatever was in them. All of them first: rules lead from one to another.
fn add_chains<'a>(
    batch: &mut Batch,
    table: &str,
    chains: impl Iterator<Item = (&'a str, &'a Rules)> + Clone,
) {
    for (name, _) in chains.clone() {
        batch.add_chain(table, &Chain { name, hook: None });
    }
    for (name, rules) in chains {
        batch.flush_chain(table, name);
        rules.iter().for_each(|rule| batch.add_rule(table, name, rule));
    }
}

fn by_set(elements: &[(&'static str, Element)]) -> BTreeMap<&'static str, Vec<Element>> {
    let mut sets: BTreeMap<&'static str, Vec<Element>> = BTreeMap::new();
    for (set, element) in elements {
        sets.entry(*set).or_default().push(element.clone());
    }
    sets
}
