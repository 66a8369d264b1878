//! Brings services and what is allocated for them back together: at the start, whenever one of them changes, and every
//! three minutes, as upstream.
//!
//! A service is stored after its address and goes before it, so that at one revision every service has its address; what
//! contradicts that is looked at once more by itself, as it is then, before anything is done.

mod ports;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_store::{Event, RangeOptions, StoreError, Versioned, Watch, WatchError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::addresses::{self, Refused, service_of};
use super::events::{Notice, tell};
use super::ports::NodePorts;
use super::ranges::Ranges;
use super::services::addresses_of;
use crate::object::form::Form;
use crate::request::User;
use crate::routes::Entry;
use crate::server::ApiServer;
use crate::storage::{Storage, failure};
use ports::{Leaks, rebuild};
use verdict::{OfAddress, OfService, of_address, of_service};

const ADDRESSES: &str = "ipallocator-repair-controller";
const PORTS: &str = "portallocator-repair-controller";
/// How often everything is looked at.
const INTERVAL: Duration = Duration::from_mins(3);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// How often the ports are written again when others write in between.
const TRIES: usize = 5;
/// After so many looks, about an hour, what is still wrong is told again.
const LOOKS_PER_TELLING: usize = 20;

/// Repairs what is allocated.
pub struct Repair {
    ports: Arc<NodePorts>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    leaks: Leaks,
    looks: usize,
    /// What was told about and cannot be mended here: the object's UID and the note.
    told: BTreeSet<(String, String)>,
}

/// The server as repair sees it.
#[derive(Clone, Copy)]
struct World<'a> {
    server: &'a ApiServer,
    user: &'a User,
}

impl World<'_> {
    fn storage(&self) -> &Storage {
        &self.server.0.storage
    }

    fn services(&self) -> Result<Arc<Entry>, ApiError> {
        self.storage().routes().find("", "v1", "services").ok_or_else(ApiError::resource_not_served)
    }

    async fn service(&self, (namespace, name): (&str, &str)) -> Result<Option<Arc<Tree>>, ApiError> {
        let entry = self.services()?;
        Ok(read(self.storage(), &entry, namespace, name).await?.map(|(_, tree)| tree))
    }
}

async fn read(
    storage: &Storage,
    entry: &Entry,
    namespace: &str,
    name: &str,
) -> Result<Option<(Versioned, Arc<Tree>)>, ApiError> {
    let Some(record) = storage.get(entry, namespace, name).await? else { return Ok(None) };
    let tree = Form::of(&record, entry)?.tree();
    Ok(Some((record, tree)))
}

/// Addresses that must be looked at again, and when.
type Due = BTreeMap<String, Instant>;

impl Repair {
    /// Repairs services with these ports.
    pub fn new(ports: Arc<NodePorts>) -> Self {
        Self { ports, state: Mutex::default() }
    }

    /// Looks at everything once, before others do: the objects of an older server have no addresses stored.
    pub async fn begin(&self, server: &ApiServer, user: &User) -> Result<(), ApiError> {
        let world = World { server, user };
        self.look_at_addresses(world, &mut Due::new()).await?;
        self.look_at_ports(world).await?;
        let own = ("default", "kubernetes");
        if world.service(own).await?.is_none() {
            // A start that was broken off left it: nobody else may have a service of that name.
            let entry = addresses::entry(world.storage())?;
            for address in world.storage().trees(&entry, "").await?.0 {
                if service_of(&address) == Some(own)
                    && let Ok(address) = address.name().parse()
                {
                    addresses::release(world.storage(), address, own).await;
                }
            }
        }
        Ok(())
    }

    /// Repairs until the server stops.
    pub async fn run(&self, server: &ApiServer, user: &User) {
        let world = World { server, user };
        let stop = server.0.stop.clone();
        let mut next_ports = Instant::now() + INTERVAL;
        let repairing = async {
            loop {
                if let Err(error) = self.until_gap(world, &mut next_ports).await {
                    tracing::warn!(%error, "services are not repaired for now");
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = repairing => {}
        }
    }

    async fn until_gap(&self, world: World<'_>, next_look: &mut Instant) -> Result<(), ApiError> {
        let entries = [world.services()?, addresses::entry(world.storage())?];
        let store = world.storage().store();
        let after = store.revision().await.map_err(failure::of_store)?;
        let watch = |entry: &Entry| {
            let prefix = entry.prefix("");
            async move { store.watch(&prefix, after).await.map_err(failure::of_store) }
        };
        let (mut services, mut addresses) = (watch(&entries[0]).await?, watch(&entries[1]).await?);
        let mut due = Due::new();
        self.look_at_addresses(world, &mut due).await?;
        loop {
            let wake = due.values().min().copied().unwrap_or(*next_look).min(*next_look);
            // All are cancel-safe: an event stays queued, a time stays to come.
            tokio::select! {
                event = next(&mut services) => self.on_service(world, &entries[0], &event?).await?,
                event = next(&mut addresses) => self.on_address(world, &entries[1], &event?, &mut due).await?,
                () = tokio::time::sleep_until(wake) => self.on_time(world, next_look, &mut due).await?,
            }
        }
    }

    async fn on_service(&self, world: World<'_>, entry: &Entry, event: &Event) -> Result<(), ApiError> {
        if let Event::Put { record, .. } = event {
            let service = Form::of(record, entry)?.tree();
            self.check_service(world, (service.namespace(), service.name())).await?;
        }
        Ok(())
    }

    async fn on_address(
        &self,
        world: World<'_>,
        entry: &Entry,
        event: &Event,
        due: &mut Due,
    ) -> Result<(), ApiError> {
        match event {
            Event::Put { record, .. } => {
                let address = Form::of(record, entry)?.tree();
                self.check_address(world, address.name(), due).await
            }
            // If the service is still there, somebody took its address away.
            Event::Delete { previous, .. } => {
                let address = Form::of(previous, entry)?.tree();
                due.remove(address.name());
                match service_of(&address) {
                    Some(service) => self.check_service(world, service).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn on_time(
        &self,
        world: World<'_>,
        next_look: &mut Instant,
        due: &mut Due,
    ) -> Result<(), ApiError> {
        let now = Instant::now();
        let late: Vec<String> =
            due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
        for name in late {
            due.remove(&name);
            self.check_address(world, &name, due).await?;
        }
        if *next_look <= now {
            *next_look = now + INTERVAL;
            self.forget_told().await;
            self.look_at_addresses(world, due).await?;
            self.look_at_ports(world).await?;
        }
        Ok(())
    }

    async fn forget_told(&self) {
        let mut state = self.state.lock().await;
        state.looks += 1;
        if state.looks.is_multiple_of(LOOKS_PER_TELLING) {
            state.told.clear();
        }
    }

    /// Compares all services with all addresses at one revision, and checks what does not fit.
    async fn look_at_addresses(&self, world: World<'_>, due: &mut Due) -> Result<(), ApiError> {
        let storage = world.storage();
        let (services, at) = storage.trees(&*world.services()?, "").await?;
        let entry = addresses::entry(storage)?;
        let options = RangeOptions { at: Some(at), ..RangeOptions::default() };
        let page = storage.range(&entry, "", options).await.map_err(failure::of_store)?;
        let ranges = Ranges::read(storage).await?;
        let mut stored = HashMap::new();
        for record in &page.records {
            let address = Form::of(record, &entry)?.tree();
            stored.insert(address.name().to_owned(), address);
        }
        for service in services {
            let mut fits = true;
            for address in addresses_of(&service) {
                let found = stored.remove(&address.to_string());
                let verdict = of_service(&service, address, ranges.has(address), found.as_deref(), None);
                fits &= verdict == OfService::Fine;
            }
            if !fits {
                self.check_service(world, (service.namespace(), service.name())).await?;
            }
        }
        for name in stored.into_keys() {
            self.check_address(world, &name, due).await?;
        }
        Ok(())
    }

    /// Sees to it that every address of a service is stored as its own.
    async fn check_service(&self, world: World<'_>, service: (&str, &str)) -> Result<(), ApiError> {
        let Some(found) = world.service(service).await? else { return Ok(()) };
        for address in addresses_of(&found) {
            self.check_address_of(world, &found, address).await?;
        }
        Ok(())
    }

    async fn check_address_of(
        &self,
        world: World<'_>,
        service: &Arc<Tree>,
        address: IpAddr,
    ) -> Result<(), ApiError> {
        let storage = world.storage();
        let entry = addresses::entry(storage)?;
        let stored = read(storage, &entry, "", &address.to_string()).await?;
        let identity = (service.namespace(), service.name());
        let other = match stored.as_ref().and_then(|(_, tree)| service_of(tree)) {
            Some(named) if named != identity => world.service(named).await?,
            _ => None,
        };
        let in_range = Ranges::read(storage).await?.has(address);
        let tree = stored.as_ref().map(|(_, tree)| &**tree);
        let notice = match of_service(service, address, in_range, tree, other.as_deref()) {
            OfService::Fine => return Ok(()),
            OfService::Tell(notice) => return self.tell_once(world, ADDRESSES, service, &notice).await,
            OfService::Make(notice) => notice,
        };
        // The service may have gone with its address since it was read.
        if world.service(identity).await?.is_none_or(|now| now.uid() != service.uid()) {
            return Ok(());
        }
        if let Some((record, tree)) = &stored
            && !addresses::remove(storage, &entry, record, tree).await?
        {
            return Ok(()); // Somebody else wrote: that is an event of its own.
        }
        match addresses::claim(storage, address, identity).await {
            Err(Refused::Store(error)) => return Err(error),
            // Another server repairs as well.
            Err(Refused::Allocated) => return Ok(()),
            Ok(_) => {}
        }
        if let Some(notice) = notice {
            tell(world.server, world.user, ADDRESSES, service, &notice).await;
        }
        Ok(())
    }

    /// Sees to it that an address is some service's, or goes.
    async fn check_address(&self, world: World<'_>, name: &str, due: &mut Due) -> Result<(), ApiError> {
        let storage = world.storage();
        let entry = addresses::entry(storage)?;
        let Some((record, address)) = read(storage, &entry, "", name).await? else { return Ok(()) };
        let service = match service_of(&address) {
            Some(service) => world.service(service).await?,
            None => None,
        };
        match of_address(&address, service.as_deref(), Timestamp::now()) {
            OfAddress::Fine => {
                due.remove(name);
            }
            OfAddress::Later(wait) => {
                due.insert(name.to_owned(), Instant::now() + wait);
            }
            OfAddress::Remove(notice) => {
                if addresses::remove(storage, &entry, &record, &address).await? {
                    tell(world.server, world.user, ADDRESSES, &address, &notice).await;
                }
            }
        }
        Ok(())
    }

    /// Brings the stored ports back to those that services have.
    async fn look_at_ports(&self, world: World<'_>) -> Result<(), ApiError> {
        let storage = world.storage();
        for _ in 0..TRIES {
            // The ports before the services: a port is taken before its service is stored.
            let seen = self.ports.read(storage).await?;
            let (services, _) = storage.trees(&*world.services()?, "").await?;
            let rebuilt = {
                let state = self.state.lock().await;
                rebuild(self.ports.range(), &seen.map, &services, &state.leaks)
            };
            let settled = rebuilt.map == seen.map;
            if settled || self.ports.write(storage, &seen, &rebuilt.map).await? {
                self.state.lock().await.leaks = rebuilt.leaks;
                for (service, notice) in &rebuilt.notices {
                    self.tell_once(world, PORTS, service, notice).await?;
                }
                return Ok(());
            }
        }
        Ok(()) // Others are writing: the next look is not far.
    }

    async fn tell_once(
        &self,
        world: World<'_>,
        component: &str,
        object: &Tree,
        notice: &Notice,
    ) -> Result<(), ApiError> {
        let told = (object.uid().to_owned(), notice.note.clone());
        if self.state.lock().await.told.insert(told) {
            tell(world.server, world.user, component, object, notice).await;
        }
        Ok(())
    }
}

async fn next(watch: &mut Watch) -> Result<Event, ApiError> {
    watch
        .next()
        .await
        .map_err(|error: WatchError| failure::of_store(StoreError::Unavailable(error.to_string())))
}
