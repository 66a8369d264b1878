//! Owners that are known not to exist. A UID never comes back, so what is absent once is absent for ever.

use std::collections::{HashSet, VecDeque};

use super::graph::{Place, Uid};

/// How many are remembered; the oldest are forgotten first and asked for again.
const CAPACITY: usize = 500;

/// A UID is absent at a place: a reference from another namespace may be wrong about an object that exists.
#[derive(Debug, Default)]
pub(super) struct AbsentOwners {
    known: HashSet<(Uid, Place)>,
    order: VecDeque<(Uid, Place)>,
}

impl AbsentOwners {
    /// Remembers that no object of this UID is there.
    pub(super) fn add(&mut self, uid: &str, place: &Place) {
        let entry = (uid.to_owned(), place.clone());
        if !self.known.insert(entry.clone()) {
            return;
        }
        self.order.push_back(entry);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether it is known to be absent.
    pub(super) fn has(&self, uid: &str, place: &Place) -> bool {
        self.known.contains(&(uid.to_owned(), place.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let place = Place {
            group: String::new(),
            kind: "Pod".to_owned(),
            namespace: String::new(),
            name: "a".to_owned(),
        };
        let mut absent = AbsentOwners::default();
        (0..=CAPACITY).for_each(|number| absent.add(&number.to_string(), &place));
        assert!(!absent.has("0", &place) && absent.has("1", &place) && absent.has("500", &place));
    }
}
