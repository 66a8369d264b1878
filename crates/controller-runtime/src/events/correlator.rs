//! Decides what becomes of a happening: a new event, a count on an old one, or nothing. Pure but for the time, which
//! comes with the happening. Numbers as client-go's `EventCorrelator` has them.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{EventSource, EventType, Happening, ObjectRef};

/// How many keys each table remembers; beyond that the one that was not used for longest goes.
const REMEMBERED: usize = 4096;
/// An object may have this many events at once from one source…
const BURST: f64 = 25.0;
/// …and then one in five minutes.
const REFILL_PER_SECOND: f64 = 1.0 / 300.0;
/// More than this many different messages of one reason within the window are told as one.
const SIMILAR: usize = 10;
const SIMILAR_WINDOW_SECONDS: i64 = 600;

/// What to do with a happening.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: the object has had too many.
    Drop,
    /// Write a new event.
    Create { message: String },
    /// Count it on the event of this name.
    Repeat { name: String, count: i32, message: String },
}

#[derive(Default)]
pub(super) struct Correlator {
    buckets: Recent<(EventSource, ObjectRef), Bucket>,
    similar: Recent<GroupKey, Group>,
    written: Recent<(GroupKey, String), Written>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct GroupKey {
    source: EventSource,
    about: ObjectRef,
    kind: EventType,
    reason: String,
}

struct Bucket {
    tokens: f64,
    at: Timestamp,
}

struct Group {
    messages: HashSet<String>,
    last: Timestamp,
}

struct Written {
    name: String,
    count: i32,
}

impl Correlator {
    pub(super) fn judge(&mut self, source: &EventSource, happening: &Happening) -> Verdict {
        let about = same_object(&happening.about);
        let bucket = self.buckets.get_or_insert_with((source.clone(), about), happening.at, || Bucket {
            tokens: BURST,
            at: happening.at,
        });
        if !bucket.take(happening.at) {
            return Verdict::Drop;
        }
        let group = group_key(source, happening);
        let message = self.message(&group, happening);
        match self.written.get_mut(&(group, message.clone()), happening.at) {
            Some(written) => {
                written.count += 1;
                Verdict::Repeat { name: written.name.clone(), count: written.count, message }
            }
            None => Verdict::Create { message },
        }
    }

    /// The event was created under `name`; repeats are counted on it.
    pub(super) fn created(
        &mut self,
        source: &EventSource,
        happening: &Happening,
        message: &str,
        name: String,
    ) {
        let key = (group_key(source, happening), message.to_owned());
        self.written.insert(key, happening.at, Written { name, count: 1 });
    }

    /// The message to write: its own, or a common one when there are too many alike.
    fn message(&mut self, key: &GroupKey, happening: &Happening) -> String {
        let fresh = || Group { messages: HashSet::new(), last: happening.at };
        let group = self.similar.get_or_insert_with(key.clone(), happening.at, fresh);
        if happening.at.as_second() - group.last.as_second() > SIMILAR_WINDOW_SECONDS {
            *group = fresh();
        }
        group.last = happening.at;
        if group.messages.len() < SIMILAR {
            group.messages.insert(happening.message.clone());
        }
        if group.messages.len() < SIMILAR || group.messages.contains(&happening.message) {
            return happening.message.clone();
        }
        format!("(combined from similar events): {}", happening.message)
    }
}

fn group_key(source: &EventSource, happening: &Happening) -> GroupKey {
    GroupKey {
        source: source.clone(),
        about: same_object(&happening.about),
        kind: happening.kind,
        reason: happening.reason.clone(),
    }
}

/// The same object at any resource version.
fn same_object(about: &ObjectRef) -> ObjectRef {
    ObjectRef { resource_version: String::new(), ..about.clone() }
}

impl Bucket {
    fn take(&mut self, now: Timestamp) -> bool {
        let passed = (now.as_millisecond() - self.at.as_millisecond()).max(0) as f64 / 1000.0;
        self.tokens = (self.tokens + passed * REFILL_PER_SECOND).min(BURST);
        self.at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// A map that forgets what was not used for longest.
struct Recent<K, V> {
    entries: HashMap<K, (Timestamp, V)>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<K: Clone + Eq + std::hash::Hash, V> Recent<K, V> {
    fn get_mut(&mut self, key: &K, now: Timestamp) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(key)?;
        *used = now;
        Some(value)
    }

    fn insert(&mut self, key: K, now: Timestamp, value: V) {
        self.make_room();
        self.entries.insert(key, (now, value));
    }

    fn get_or_insert_with(&mut self, key: K, now: Timestamp, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            self.make_room();
        }
        let entry = self.entries.entry(key).or_insert_with(|| (now, make()));
        entry.0 = now;
        &mut entry.1
    }

    /// Drops the older half when full, so that the search for the oldest is paid rarely.
    fn make_room(&mut self) {
        if self.entries.len() < REMEMBERED {
            return;
        }
        let mut times: Vec<Timestamp> = self.entries.values().map(|(used, _)| *used).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        self.entries.retain(|_, (used, _)| *used > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(message: &str, second: i64) -> Happening {
        Happening {
            about: ObjectRef { name: "web".to_owned(), ..ObjectRef::default() },
            kind: EventType::Warning,
            reason: "BackOff".to_owned(),
            message: message.to_owned(),
            at: Timestamp::from_second(second).expect("a valid time"),
        }
    }

    #[test]
    fn repeats_are_counted_on_the_first() {
        let (mut correlator, source) = (Correlator::default(), EventSource::default());
        let first = happening("back-off", 1);
        assert_eq!(correlator.judge(&source, &first), Verdict::Create { message: "back-off".to_owned() });
        correlator.created(&source, &first, "back-off", "web.1".to_owned());
        for count in 2..4 {
            let repeat = Verdict::Repeat { name: "web.1".to_owned(), count, message: "back-off".to_owned() };
            assert_eq!(correlator.judge(&source, &happening("back-off", 2)), repeat);
        }
    }

    #[test]
    fn an_object_has_a_burst_and_then_a_trickle() {
        let (mut correlator, source) = (Correlator::default(), EventSource::default());
        let allowed = |correlator: &mut Correlator, second| {
            (0..100).filter(|_| correlator.judge(&source, &happening("m", second)) != Verdict::Drop).count()
        };
        assert_eq!(allowed(&mut correlator, 1), 25);
        assert_eq!(allowed(&mut correlator, 301), 1);
    }

    #[test]
    fn many_different_messages_are_combined() {
        let (mut correlator, source) = (Correlator::default(), EventSource::default());
        let judge =
            |correlator: &mut Correlator, i| correlator.judge(&source, &happening(&format!("m{i}"), 1));
        for i in 0..10 {
            assert_eq!(judge(&mut correlator, i), Verdict::Create { message: format!("m{i}") });
        }
        let combined = "(combined from similar events): m10".to_owned();
        assert_eq!(judge(&mut correlator, 10), Verdict::Create { message: combined });
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        for i in 0..20_000_i64 {
            recent.insert(i, Timestamp::from_second(i).expect("a valid time"), ());
        }
        assert!(recent.entries.len() <= REMEMBERED);
        assert!(recent.entries.contains_key(&19_999));
    }
}
