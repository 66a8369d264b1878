//! Who watches what. Watchers are found by the ancestors of a changed key, so publishing touches only those who care.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::contract::{Event, Prefix, WatchError};

struct Watcher {
    events: mpsc::Sender<Event>,
    end: Arc<OnceLock<WatchError>>,
}

impl Watcher {
    /// Queues the event; `false` if the watcher is gone or has been cut off.
    fn offer(&self, event: &Event) -> bool {
        match self.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                let _already_ended = self.end.set(WatchError::TooSlow);
                false
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Hub {
    watchers: HashMap<Prefix, Vec<Watcher>>,
    /// How many have been added and not been found gone.
    count: usize,
    /// When `count` gets here, all are looked through for watchers that were dropped without a further event.
    sweep_at: usize,
    pub(super) closed: bool,
}

impl Hub {
    pub(super) fn add(
        &mut self,
        prefix: &Prefix,
        events: mpsc::Sender<Event>,
        end: Arc<OnceLock<WatchError>>,
    ) {
        if self.count >= self.sweep_at {
            self.sweep();
        }
        self.watchers.entry(prefix.clone()).or_default().push(Watcher { events, end });
        self.count += 1;
    }

    pub(super) fn send(&mut self, event: &Event) {
        if self.watchers.is_empty() {
            return;
        }
        for ancestor in ancestors(event.key().as_str()) {
            let Some(list) = self.watchers.get_mut(ancestor) else { continue };
            let before = list.len();
            list.retain(|watcher| watcher.offer(event));
            self.count -= before - list.len();
            if list.is_empty() {
                self.watchers.remove(ancestor);
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.count = 0;
        for watcher in self.watchers.drain().flat_map(|(_, list)| list) {
            let _already_ended = watcher.end.set(WatchError::Closed);
        }
    }

    /// Costs as much as there are watchers, and is done once in as many additions.
    fn sweep(&mut self) {
        self.watchers.retain(|_, list| {
            list.retain(|watcher| !watcher.events.is_closed());
            !list.is_empty()
        });
        self.count = self.watchers.values().map(Vec::len).sum();
        self.sweep_at = self.count * 2 + 64;
    }
}

/// Every [`Prefix`] that contains `key`.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    let directories = key.match_indices('/').map(|(at, _)| &key[..=at]);
    let whole = (!key.is_empty() && !key.ends_with('/')).then_some(key);
    std::iter::once("").chain(directories).chain(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Key;

    #[test]
    fn ancestors_are_the_prefixes_that_contain_the_key() {
        let key = "/registry/pods/default/web";
        let found: Vec<&str> = ancestors(key).collect();
        assert_eq!(found, ["", "/", "/registry/", "/registry/pods/", "/registry/pods/default/", key]);
        assert!(found.iter().all(|text| Prefix::new(*text).contains(&Key::new(key))));
    }

    #[test]
    fn dropped_watchers_do_not_pile_up() {
        let mut hub = Hub::default();
        for n in 0..10_000 {
            let (sender, _) = mpsc::channel(1);
            hub.add(&Prefix::new(format!("/quiet/{n}")), sender, Arc::default());
        }
        assert!(hub.watchers.len() <= 130, "{} are kept", hub.watchers.len());
    }
}
