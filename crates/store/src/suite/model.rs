//! Random operations, against a model that is obviously right: the whole content at every revision.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;

const PREFIXES: [&str; 6] = ["/r/", "/r/a/", "/r/b/", "/r/ab/", "/r/a/0", "/r/none/"];
const KEYS: [&str; 8] = ["/r/a/0", "/r/a/1", "/r/a/2", "/r/ab/0", "/r/ab/1", "/r/b/0", "/r/b/1", "/r/b/00"];

#[derive(Clone, Debug)]
enum Op {
    Commit { key: usize, expect: Guess, value: Option<u16> },
    Range { prefix: usize, back: u64, limit: Option<usize>, after: Option<usize> },
    Watch { prefix: usize, back: u64 },
    Compact { back: u64 },
}

/// What a commit expects, relative to what is there.
#[derive(Clone, Copy, Debug)]
enum Guess {
    Right,
    Absent,
    Older,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let guess = prop_oneof![8 => Just(Guess::Right), 1 => Just(Guess::Absent), 1 => Just(Guess::Older)];
    let limit = proptest::option::of(0..5_usize);
    let after = proptest::option::of(0..KEYS.len());
    let op = prop_oneof![
        8 => (0..KEYS.len(), guess, proptest::option::weighted(0.7, any::<u16>()))
            .prop_map(|(key, expect, value)| Op::Commit { key, expect, value }),
        4 => (0..PREFIXES.len(), 0..12_u64, limit, after)
            .prop_map(|(prefix, back, limit, after)| Op::Range { prefix, back, limit, after }),
        2 => (0..PREFIXES.len(), 0..12_u64).prop_map(|(prefix, back)| Op::Watch { prefix, back }),
        1 => (0..8_u64).prop_map(|back| Op::Compact { back }),
    ];
    proptest::collection::vec(op, 1..60)
}

#[derive(Clone, Debug, PartialEq)]
struct Version {
    value: String,
    created: u64,
    modified: u64,
}

type Content = BTreeMap<&'static str, Version>;

struct Model {
    /// The revision of the empty store.
    base: u64,
    /// The content at `base`, `base + 1`, and so on.
    contents: Vec<Content>,
    oldest: u64,
}

impl Model {
    fn newest(&self) -> u64 {
        self.base + self.contents.len() as u64 - 1
    }

    fn at(&self, revision: u64) -> &Content {
        &self.contents[usize::try_from(revision - self.base).expect("few revisions")]
    }

    fn now(&self) -> &Content {
        self.at(self.newest())
    }

    /// A revision some steps back, though not before the beginning.
    fn back(&self, steps: u64) -> Revision {
        Revision(self.newest().saturating_sub(steps).max(self.base))
    }
}

/// Runs random operations against the store and the model and compares every answer.
pub async fn store_agrees_with_the_model(make: Make) {
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
        TestRunner::new(config).run(&ops(), |ops| runtime.block_on(agree(make, ops)))
    };
    let outcome = tokio::task::spawn_blocking(run).await.expect("the run ends");
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

async fn agree(make: Make, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let store = make().await;
    let base = newest(&*store).await.0;
    let mut model = Model { base, contents: vec![Content::new()], oldest: base };
    let mut watches = Vec::new();
    for op in ops {
        match op {
            Op::Commit { key, expect, value } => {
                commit(&*store, &mut model, KEYS[key], expect, value).await?
            }
            Op::Range { prefix, back, limit, after } => {
                let after = after.map(|after| KEYS[after]);
                range(&*store, &model, PREFIXES[prefix], back, limit, after).await?;
            }
            Op::Watch { prefix, back } => {
                let after = model.back(back);
                match store.watch(&Prefix::new(PREFIXES[prefix]), after).await {
                    Ok(watch) if after.0 >= model.oldest => watches.push((PREFIXES[prefix], after, watch)),
                    Err(StoreError::Compacted { .. }) if after.0 < model.oldest => {}
                    other => prop_assert!(false, "watch after {after}: {other:?}"),
                }
            }
            Op::Compact { back } => {
                let through = model.back(back);
                prop_assert!(store.compact(through).await.is_ok());
                model.oldest = model.oldest.max(through.0);
            }
        }
    }
    for (prefix, after, mut watch) in watches {
        for wanted in changes(&model, prefix, after) {
            prop_assert_eq!(told(&next(&mut watch).await), wanted);
        }
        prop_assert!(watch.try_next().is_none());
    }
    Ok(())
}

async fn commit(
    store: &dyn Store,
    model: &mut Model,
    key: &'static str,
    guess: Guess,
    value: Option<u16>,
) -> Result<(), TestCaseError> {
    let there = model.now().get(key).cloned();
    let expect = match (guess, &there) {
        (Guess::Right, Some(version)) => Expect::ModRevision(Revision(version.modified)),
        (Guess::Right, None) | (Guess::Absent, _) => Expect::Absent,
        (Guess::Older, _) => Expect::ModRevision(Revision(model.base)),
    };
    let holds = match expect {
        Expect::Absent => there.is_none() && value.is_some(),
        Expect::ModRevision(revision) => there.as_ref().is_some_and(|v| v.modified == revision.0),
    };
    let change = value.map_or(Change::Delete, |value| put(value.to_string()));
    match store.commit(&Key::new(key), expect, change).await {
        Ok(result) => {
            prop_assert!(holds, "{key}: {expect:?} does not hold");
            let revision = model.newest() + 1;
            prop_assert_eq!(result.mod_revision.0, revision);
            let mut content = model.now().clone();
            content.remove(key);
            if let Some(value) = value {
                let created = there.map_or(revision, |version| version.created);
                prop_assert_eq!(result.create_revision.0, created);
                content.insert(key, Version { value: value.to_string(), created, modified: revision });
            }
            model.contents.push(content);
        }
        Err(StoreError::Conflict(found)) => {
            prop_assert!(!holds, "{key}: {expect:?} holds");
            prop_assert_eq!(found.map(|record| record.mod_revision.0), there.map(|version| version.modified));
        }
        Err(error) => prop_assert!(false, "{error}"),
    }
    Ok(())
}

async fn range(
    store: &dyn Store,
    model: &Model,
    prefix: &str,
    back: u64,
    limit: Option<usize>,
    after: Option<&str>,
) -> Result<(), TestCaseError> {
    let at = model.back(back);
    let options = RangeOptions { at: Some(at), limit, after: after.map(Key::new) };
    let page = match page(store, prefix, options).await {
        Ok(page) if at.0 >= model.oldest => page,
        Err(StoreError::Compacted { .. }) if at.0 < model.oldest => return Ok(()),
        other => return Err(TestCaseError::fail(format!("range at {at}: {other:?}"))),
    };
    let content = model.at(at.0).iter().filter(|(key, _)| {
        Prefix::new(prefix).contains(&Key::new(**key)) && after.is_none_or(|after| **key > after)
    });
    let all: Vec<(String, Version)> = content.map(|(key, v)| ((*key).to_owned(), v.clone())).collect();
    let shown = all.len().min(limit.unwrap_or(usize::MAX));
    let got: Vec<(String, Version)> = page.records.iter().map(version).collect();
    prop_assert_eq!(page.remaining, all.len() - shown);
    prop_assert_eq!(&got[..], &all[..shown]);
    Ok(())
}

fn version(record: &Versioned) -> (String, Version) {
    let version =
        Version { value: text(record), created: record.create_revision.0, modified: record.mod_revision.0 };
    (record.key.to_string(), version)
}

/// What changed below `prefix` after a revision, from one content to the next.
fn changes(
    model: &Model,
    prefix: &str,
    after: Revision,
) -> Vec<(u64, String, Option<String>, Option<String>)> {
    let mut changes = Vec::new();
    for revision in after.0 + 1..=model.newest() {
        let (before, now) = (model.at(revision - 1), model.at(revision));
        let changed = KEYS.into_iter().filter(|key| before.get(key) != now.get(key));
        for key in changed.filter(|key| Prefix::new(prefix).contains(&Key::new(*key))) {
            let value = |content: &Content| content.get(key).map(|version| version.value.clone());
            changes.push((revision, key.to_owned(), value(now), value(before)));
        }
    }
    changes
}
