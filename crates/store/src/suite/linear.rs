//! Linearizability: is there an order of concurrent operations on a key, in keeping with when each began and ended,
//! in which one register would have given the same answers? (Wing and Gong's search, with visited states remembered.)

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use futures::future::join_all;

use super::*;

/// What the register holds: the revision that wrote it, `None` if absent.
type Register = Option<u64>;

/// One operation, with when it began and ended.
#[derive(Clone, Copy, Debug)]
struct Operation {
    began: Instant,
    ended: Instant,
    effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The register was `from` and became `to`.
    Write { from: Register, to: Register },
    /// The register was seen to be this.
    Read(Register),
}

fn apply(register: Register, effect: Effect) -> Option<Register> {
    match effect {
        Effect::Write { from, to } => (from == register).then_some(to),
        Effect::Read(seen) => (seen == register).then_some(register),
    }
}

fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= 128, "the search keeps what is done in 128 bits");
    let all = u128::MAX >> (128 - operations.len());
    let mut visited = HashSet::new();
    let mut open: Vec<(u128, Register)> = vec![(0, None)];
    while let Some((done, register)) = open.pop() {
        if done == all {
            return true;
        }
        if !visited.insert((done, register)) {
            continue;
        }
        let waiting = || operations.iter().enumerate().filter(|(n, _)| done & (1 << n) == 0);
        let first_end = waiting().map(|(_, op)| op.ended).min().expect("some are not done");
        for (n, op) in waiting().filter(|(_, op)| op.began <= first_end) {
            open.extend(apply(register, op.effect).map(|next| (done | (1 << n), next)));
        }
    }
    false
}

/// Tasks read, write and remove a few keys at once; the history of each key must be linearizable.
pub async fn histories_are_linearizable(make: Make) {
    for _ in 0..5 {
        let store = make().await;
        let tasks = (0..6_usize).map(|task| tokio::spawn(act(store.share(), task)));
        let mut histories: HashMap<usize, Vec<Operation>> = HashMap::new();
        for outcome in join_all(tasks).await {
            for (key, operation) in outcome.expect("the task ends") {
                histories.entry(key).or_default().push(operation);
            }
        }
        for (key, history) in histories {
            assert!(is_linearizable(&history), "key {key}: {history:#?}");
        }
    }
}

async fn act(store: Arc<dyn Store>, task: usize) -> Vec<(usize, Operation)> {
    let mut done = Vec::new();
    let mut seen: [Register; 3] = [None; 3];
    for step in 0..40 {
        let slot = (task * 7 + step * 5) % 3;
        let key = Key::new(format!("/r/register/{slot}"));
        let began = Instant::now();
        let effect = if step % 4 == task % 4 {
            Effect::Read(store.get(&key).await.expect("the store is up").map(|there| there.mod_revision.0))
        } else {
            write(&*store, &key, seen[slot], step % 5 == 0).await
        };
        done.push((slot, Operation { began, ended: Instant::now(), effect }));
        seen[slot] = match effect {
            Effect::Write { to, .. } => to,
            Effect::Read(there) => there,
        };
    }
    done
}

async fn write(store: &dyn Store, key: &Key, from: Register, remove: bool) -> Effect {
    let expect = from.map_or(Expect::Absent, |revision| Expect::ModRevision(Revision(revision)));
    let remove = remove && from.is_some();
    let change = if remove { Change::Delete } else { put("v") };
    match store.commit(key, expect, change).await {
        Ok(_) if remove => Effect::Write { from, to: None },
        Ok(version) => Effect::Write { from, to: Some(version.mod_revision.0) },
        Err(StoreError::Conflict(there)) => Effect::Read(there.map(|version| version.mod_revision.0)),
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Operations with begin and end in milliseconds.
    fn history(operations: &[(u64, u64, Effect)]) -> Vec<Operation> {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let made = operations.iter().map(|&(began, ended, effect)| Operation {
            began: at(began),
            ended: at(ended),
            effect,
        });
        made.collect()
    }

    #[test]
    fn the_check_tells_good_histories_from_bad_ones() {
        let create = Effect::Write { from: None, to: Some(2) };
        let change = Effect::Write { from: Some(2), to: Some(3) };
        type Case<'a> = (&'a str, bool, &'a [(u64, u64, Effect)]);
        let cases: [Case<'_>; 6] = [
            ("in a row", true, &[(0, 1, create), (2, 3, Effect::Read(Some(2))), (4, 5, change)]),
            ("seen while it is written", true, &[(0, 9, create), (1, 2, Effect::Read(Some(2)))]),
            ("not yet seen while it is written", true, &[(0, 9, create), (1, 2, Effect::Read(None))]),
            ("stale after the end", false, &[(0, 1, create), (2, 3, Effect::Read(None))]),
            (
                "back in time between two reads",
                false,
                &[
                    (0, 1, create),
                    (2, 9, change),
                    (3, 4, Effect::Read(Some(3))),
                    (5, 6, Effect::Read(Some(2))),
                ],
            ),
            ("two winners", false, &[(0, 9, create), (0, 9, Effect::Write { from: None, to: Some(3) })]),
        ];
        for (name, wanted, operations) in cases {
            assert_eq!(is_linearizable(&history(operations)), wanted, "{name}");
        }
    }
}
