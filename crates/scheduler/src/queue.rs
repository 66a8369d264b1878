//! Pods that wait for a node: ready ones by priority and age, those that back off after a failed try, and those that
//! wait for the cluster to change. Pure: the time comes in.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use steersman_controller_runtime::ObjectKey;
use tokio::time::Instant;

use crate::framework::ClusterEvent;
use crate::pod_info::PodInfo;

/// The wait after the first failed try; doubled each time.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait.
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// After this time a pod is tried again though nothing seems to have changed.
const UNSCHEDULABLE_MOST: Duration = Duration::from_secs(5 * 60);

/// Highest priority first, then the one that has waited longest.
type Rank = (Reverse<i32>, u64);

/// The scheduling queue.
#[derive(Default)]
pub struct Queue {
    pods: HashMap<ObjectKey, Waiting>,
    active: BTreeMap<Rank, ObjectKey>,
    /// Backing-off and unschedulable pods by the time at which they become active.
    later: BTreeSet<(Instant, ObjectKey)>,
    arrivals: u64,
    /// Counts the events, so that a pod that fails can see whether one came while it was being tried.
    events: u64,
}

struct Waiting {
    pod: PodInfo,
    arrival: u64,
    tries: u32,
    place: Place,
}

enum Place {
    Active,
    /// Handed out; `events` at that time.
    Trying(u64),
    BackingOff(Instant),
    /// Until an event helps one of these plugins, or the time comes. `ready` is when its back-off ends.
    Unschedulable {
        until: Instant,
        ready: Instant,
        plugins: BTreeSet<&'static str>,
    },
    /// A gate is closed; only a change of the pod helps.
    Gated,
}

/// How many pods wait, and where; the names are those of upstream's metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// To be tried next, or being tried.
    pub active: usize,
    /// Tried, and tried again soon.
    pub backoff: usize,
    /// Until the cluster changes.
    pub unschedulable: usize,
    /// Not to be tried yet.
    pub gated: usize,
}

impl Queue {
    /// How many pods wait, and where.
    pub fn pending(&self) -> Pending {
        let mut pending = Pending::default();
        for waiting in self.pods.values() {
            let count = match waiting.place {
                Place::Active | Place::Trying(_) => &mut pending.active,
                Place::BackingOff(_) => &mut pending.backoff,
                Place::Unschedulable { .. } => &mut pending.unschedulable,
                Place::Gated => &mut pending.gated,
            };
            *count += 1;
        }
        pending
    }

    /// A pod came or changed. A change of a pod that waits makes it active: the change may be what it needed.
    pub fn add(&mut self, pod: PodInfo, gated: bool) {
        let key = pod.key.clone();
        let (arrival, tries) = match self.pods.get(&key) {
            Some(waiting) if matches!(waiting.place, Place::Trying(_)) => {
                self.events += 1;
                if let Some(waiting) = self.pods.get_mut(&key) {
                    waiting.pod = pod;
                }
                return;
            }
            Some(waiting) => (waiting.arrival, waiting.tries),
            None => {
                self.arrivals += 1;
                (self.arrivals, 0)
            }
        };
        self.remove(&key);
        self.pods.insert(key.clone(), Waiting { pod, arrival, tries, place: Place::Gated });
        if !gated {
            self.activate(&key);
        }
    }

    /// The pod is gone, or has its node.
    pub fn remove(&mut self, key: &ObjectKey) {
        self.leave_place(key);
        self.pods.remove(key);
    }

    /// The state of a pod that waits, as it was last added.
    pub fn get(&self, key: &ObjectKey) -> Option<&PodInfo> {
        self.pods.get(key).map(|waiting| &waiting.pod)
    }

    /// Takes the next pod to try; [`Self::remove`] or [`Self::failed`] must follow.
    pub fn pop(&mut self, now: Instant) -> Option<PodInfo> {
        self.wake(now);
        let (_, key) = self.active.pop_first()?;
        let events = self.events;
        let waiting = self.pods.get_mut(&key)?;
        waiting.place = Place::Trying(events);
        waiting.tries += 1;
        Some(waiting.pod.clone())
    }

    /// When the next waiting pod becomes active of itself.
    pub fn next_wake(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// The try failed: `plugins` turned the pod away (none: an error, tried again after its back-off).
    pub fn failed(&mut self, key: &ObjectKey, plugins: BTreeSet<&'static str>, now: Instant) {
        let events = self.events;
        let Some(waiting) = self.pods.get_mut(key) else { return };
        let Place::Trying(seen) = waiting.place else { return };
        let ready = now + backoff(waiting.tries);
        // An event that came meanwhile may have been the one it needs.
        let until = if plugins.is_empty() || seen != events { ready } else { now + UNSCHEDULABLE_MOST };
        waiting.place = if until == ready {
            Place::BackingOff(ready)
        } else {
            Place::Unschedulable { until, ready, plugins }
        };
        self.later.insert((until, key.clone()));
    }

    /// The cluster changed: pods that `helps` (by the name of the plugin that turned them away) are tried again.
    pub fn on_event(
        &mut self,
        event: ClusterEvent,
        helps: impl Fn(&str, ClusterEvent) -> bool,
        now: Instant,
    ) {
        self.events += 1;
        let helped: Vec<(ObjectKey, Instant)> = self
            .pods
            .iter()
            .filter_map(|(key, waiting)| match &waiting.place {
                Place::Unschedulable { ready, plugins, .. }
                    if plugins.iter().any(|name| helps(name, event)) =>
                {
                    Some((key.clone(), *ready))
                }
                _ => None,
            })
            .collect();
        for (key, ready) in helped {
            if ready <= now {
                self.activate(&key);
                continue;
            }
            self.leave_place(&key);
            if let Some(waiting) = self.pods.get_mut(&key) {
                waiting.place = Place::BackingOff(ready);
            }
            self.later.insert((ready, key));
        }
    }

    /// Makes active what has waited long enough.
    fn wake(&mut self, now: Instant) {
        while let Some((at, key)) = self.later.first().cloned() {
            if at > now {
                return;
            }
            self.activate(&key);
        }
    }

    fn activate(&mut self, key: &ObjectKey) {
        self.leave_place(key);
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.place = Place::Active;
            self.active.insert((Reverse(waiting.pod.priority()), waiting.arrival), key.clone());
        }
    }

    fn leave_place(&mut self, key: &ObjectKey) {
        let Some(waiting) = self.pods.get(key) else { return };
        match &waiting.place {
            Place::Active => drop(self.active.remove(&(Reverse(waiting.pod.priority()), waiting.arrival))),
            Place::BackingOff(at) | Place::Unschedulable { until: at, .. } => {
                self.later.remove(&(*at, key.clone()));
            }
            Place::Trying(_) | Place::Gated => {}
        }
    }
}

fn backoff(tries: u32) -> Duration {
    BACKOFF.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(BACKOFF_MOST)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pod(name: &str, priority: i32) -> PodInfo {
        let json = serde_json::json!({
            "metadata": { "name": name, "namespace": "ns" }, "spec": { "priority": priority, "containers": [] },
        });
        PodInfo::new(Arc::new(serde_json::from_value(json).expect("a pod")))
    }

    fn pop(queue: &mut Queue, now: Instant) -> Option<String> {
        queue.pop(now).map(|pod| pod.key.name)
    }

    fn fit() -> BTreeSet<&'static str> {
        BTreeSet::from(["NodeResourcesFit"])
    }

    #[test]
    fn priority_comes_before_age() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (name, priority) in [("old", 0), ("young", 0), ("urgent", 9)] {
            queue.add(pod(name, priority), false);
        }
        queue.add(pod("gated", 99), true);
        let order: Vec<_> = std::iter::from_fn(|| pop(&mut queue, now)).collect();
        assert_eq!(order, ["urgent", "old", "young"]);
    }

    #[test]
    fn an_unschedulable_pod_waits_for_an_event_that_helps() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(pod("a", 0), false);
        assert!(pop(&mut queue, now).is_some());
        queue.failed(&ObjectKey::new("ns", "a"), fit(), now);
        let later = now + Duration::from_secs(60);
        assert_eq!(pop(&mut queue, later), None);
        queue.on_event(ClusterEvent::PodFreed, |name, _| name == "NodeAffinity", later);
        assert_eq!(pop(&mut queue, later), None);
        queue.on_event(ClusterEvent::PodFreed, |name, _| name == "NodeResourcesFit", later);
        assert_eq!(pop(&mut queue, later).as_deref(), Some("a"));
        queue.failed(&ObjectKey::new("ns", "a"), fit(), later);
        assert_eq!(
            pop(&mut queue, later + UNSCHEDULABLE_MOST).as_deref(),
            Some("a"),
            "tried again in any case"
        );
    }

    #[test]
    fn an_event_during_the_try_counts() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(pod("a", 0), false);
        assert!(pop(&mut queue, now).is_some());
        queue.on_event(ClusterEvent::NodeChanged, |_, _| true, now);
        queue.failed(&ObjectKey::new("ns", "a"), fit(), now);
        assert_eq!(queue.next_wake(), Some(now + BACKOFF));
        assert_eq!(pop(&mut queue, now + BACKOFF).as_deref(), Some("a"));
    }

    #[test]
    fn backoff_doubles_to_its_limit() {
        let seconds: Vec<u64> = (1..7).map(|tries| backoff(tries).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    }
}
