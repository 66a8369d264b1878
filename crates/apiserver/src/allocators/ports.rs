//! Node ports in the store: one `RangeAllocation`, where upstream keeps it and as upstream reads it, that every server
//! changes only as it last saw it.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_store::{Change, Expect, Key, StoreError};
use tokio::sync::Mutex;

use super::port_map::{PortMap, range_text};
use crate::codec;
use crate::object::encode;
use crate::storage::{Storage, failure};

const KEY: &str = "/registry/ranges/servicenodeports";

/// What is stored of the ports.
pub struct Snapshot {
    /// The range that was in force when it was written.
    pub range: String,
    /// The ports, as far as they are in today's range.
    pub map: PortMap,
    expect: Expect,
}

/// The node ports of a range.
pub struct NodePorts {
    range: RangeInclusive<u16>,
    /// Changes of this server wait for each other instead of failing each other.
    turn: Mutex<()>,
}

impl NodePorts {
    /// The node ports of `range`.
    pub fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, turn: Mutex::new(()) }
    }

    /// The range of valid ports.
    pub fn range(&self) -> &RangeInclusive<u16> {
        &self.range
    }

    /// What is stored now.
    pub async fn read(&self, storage: &Storage) -> Result<Snapshot, ApiError> {
        let record = storage.store().get(&Key::new(KEY)).await.map_err(failure::of_store)?;
        let Some(record) = record else {
            let map = PortMap::new(self.range.clone());
            return Ok(Snapshot { range: range_text(&self.range), map, expect: Expect::Absent });
        };
        let tree = read(&record.value).map_err(|why| {
            tracing::error!(key = KEY, why, "a stored record cannot be read");
            ApiError::internal("the stored node ports cannot be read")
        })?;
        let range = tree.str_at("range").to_owned();
        let bytes = STANDARD.decode(tree.str_at("data")).map_err(ApiError::internal)?;
        let stored = parse_range(&range).unwrap_or_else(|| self.range.clone());
        let map = PortMap::of_bytes(stored, &bytes);
        Ok(Snapshot { range, map, expect: Expect::ModRevision(record.mod_revision) })
    }

    /// Writes `map` if nobody has written since `seen`; gives whether it did.
    pub async fn write(&self, storage: &Storage, seen: &Snapshot, map: &PortMap) -> Result<bool, ApiError> {
        let tree = json!({
            "apiVersion": "v1", "kind": "RangeAllocation", "metadata": {},
            "range": range_text(&self.range), "data": STANDARD.encode(map.to_bytes()),
        });
        let put = Change::Put(encode::stored(&tree));
        match storage.store().commit(&Key::new(KEY), seen.expect, put).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict(_)) => Ok(false),
            Err(error) => Err(failure::of_store(error)),
        }
    }

    /// Changes the ports by `change`, again from the newest ones while others write in between. Nothing is written for
    /// a dry run, or where nothing changes.
    pub async fn change<T>(
        &self,
        storage: &Storage,
        dry_run: bool,
        mut change: impl FnMut(&mut PortMap) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let _turn = self.turn.lock().await;
        loop {
            let seen = self.read(storage).await?;
            if seen.range != range_text(&self.range) {
                let why = "the provided port range does not match the current port range";
                return Err(ApiError::internal(why));
            }
            let mut map = seen.map.clone();
            let done = change(&mut map)?;
            if dry_run || map == seen.map || self.write(storage, &seen, &map).await? {
                return Ok(done);
            }
        }
    }

    /// Gives ports back.
    pub async fn release(&self, storage: &Storage, ports: &[u16]) {
        if ports.is_empty() {
            return;
        }
        let released = self.change(storage, false, |map| {
            ports.iter().for_each(|port| map.release(*port));
            Ok(())
        });
        if let Err(error) = released.await {
            tracing::warn!(?ports, %error, "node ports are left to repair");
        }
    }
}

fn read(value: &[u8]) -> Result<Tree, String> {
    codec::decode_stored("io.k8s.api.core.v1.RangeAllocation", value)
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some(from..=to)
}
