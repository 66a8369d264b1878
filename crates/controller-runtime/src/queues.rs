//! The queues of a process by name, for its metrics.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::{QueueFigures, WorkQueue};

trait Figures: Send + Sync {
    fn figures(&self) -> QueueFigures;
}

impl<T: Clone + Eq + Hash + Send + Sync> Figures for WorkQueue<T> {
    fn figures(&self) -> QueueFigures {
        WorkQueue::figures(self)
    }
}

/// Knows queues by name, as long as they live. Clones share it.
#[derive(Clone, Default)]
pub struct Queues(Arc<Mutex<Vec<(&'static str, Weak<dyn Figures>)>>>);

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.figures()).finish()
    }
}

impl Queues {
    /// From now on `queue` is known as `name`.
    pub fn add<T>(&self, name: &'static str, queue: &Arc<WorkQueue<T>>)
    where
        T: Clone + Eq + Hash + Send + Sync + 'static,
    {
        let queue: Arc<dyn Figures> = queue.clone();
        let mut queues = self.0.lock();
        queues.retain(|(_, queue)| queue.strong_count() > 0);
        queues.push((name, Arc::downgrade(&queue)));
    }

    /// How each queue stands, by name.
    pub fn figures(&self) -> Vec<(&'static str, QueueFigures)> {
        let queues = self.0.lock();
        let mut figures: Vec<_> =
            queues.iter().filter_map(|(name, queue)| Some((*name, queue.upgrade()?.figures()))).collect();
        figures.sort_unstable_by_key(|(name, _)| *name);
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn living_queues_are_counted() {
        let (queues, queue) = (Queues::default(), Arc::new(WorkQueue::<u32>::default()));
        queues.add("b", &queue);
        queues.add("a", &Arc::new(WorkQueue::<u32>::default())); // gone at once
        queue.add(1);
        queue.add(1);
        queue.add(2);
        queue.add_rate_limited(2);
        let figures = QueueFigures { depth: 2, working: 0, added: 2, retried: 1 };
        assert_eq!(queues.figures(), [("b", figures)]);
    }
}
