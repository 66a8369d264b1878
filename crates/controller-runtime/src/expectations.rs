//! Expectations: what a controller has asked for and its cache has not shown yet, so that a stale cache does not
//! make it create or delete twice (`ControllerExpectations` upstream).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::ObjectKey;

/// After this time an expectation that was not met is given up.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// For each owner the creations it still expects to see, and the UIDs whose deletion it expects to see.
#[derive(Default)]
pub struct Expectations {
    owners: Mutex<HashMap<ObjectKey, Expected>>,
}

struct Expected {
    creations: usize,
    deletions: HashSet<String>,
    since: Instant,
}

impl Expectations {
    /// Whether the owner's cache shows all that it asked for (or the wait is over).
    pub fn satisfied(&self, owner: &ObjectKey) -> bool {
        self.owners.lock().get(owner).is_none_or(Expected::met)
    }

    /// `count` objects are about to be created.
    pub fn expect_creations(&self, owner: &ObjectKey, count: usize) {
        self.change(owner, |expected| expected.creations += count);
    }

    /// The objects with these UIDs are about to be deleted.
    pub fn expect_deletions(&self, owner: &ObjectKey, uids: impl IntoIterator<Item = String>) {
        self.change(owner, |expected| expected.deletions.extend(uids));
    }

    /// A creation was seen, or failed.
    pub fn creation_seen(&self, owner: &ObjectKey) {
        self.lower(owner, |expected| expected.creations = expected.creations.saturating_sub(1));
    }

    /// The deletion of this UID was seen, or failed.
    pub fn deletion_seen(&self, owner: &ObjectKey, uid: &str) {
        self.lower(owner, |expected| {
            expected.deletions.remove(uid);
        });
    }

    /// The owner is gone.
    pub fn forget(&self, owner: &ObjectKey) {
        self.owners.lock().remove(owner);
    }

    fn change(&self, owner: &ObjectKey, change: impl FnOnce(&mut Expected)) {
        let mut owners = self.owners.lock();
        let expected = owners.entry(owner.clone()).or_insert_with(Expected::new);
        if expected.met() {
            *expected = Expected::new();
        }
        change(expected);
    }

    fn lower(&self, owner: &ObjectKey, change: impl FnOnce(&mut Expected)) {
        if let Some(expected) = self.owners.lock().get_mut(owner) {
            change(expected);
        }
    }
}

impl Expected {
    fn new() -> Self {
        Self { creations: 0, deletions: HashSet::new(), since: Instant::now() }
    }

    fn met(&self) -> bool {
        (self.creations == 0 && self.deletions.is_empty()) || self.since.elapsed() > TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn they_hold_until_seen_or_too_old() {
        let (expectations, owner) = (Expectations::default(), ObjectKey::new("ns", "rs"));
        assert!(expectations.satisfied(&owner));
        expectations.expect_creations(&owner, 2);
        expectations.expect_deletions(&owner, ["u1".to_owned()]);
        expectations.creation_seen(&owner);
        expectations.creation_seen(&owner);
        assert!(!expectations.satisfied(&owner));
        expectations.deletion_seen(&owner, "u1");
        assert!(expectations.satisfied(&owner));
        expectations.expect_creations(&owner, 1);
        tokio::time::advance(TIMEOUT + Duration::from_secs(1)).await;
        assert!(expectations.satisfied(&owner));
    }
}
