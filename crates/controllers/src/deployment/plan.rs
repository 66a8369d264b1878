//! How large the replica sets of a deployment should be next. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString as WireIntOrString;
use steersman_apimachinery::intstr::{IntOrString, Round};

/// What a deployment allows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub replicas: i32,
    /// Pods above `replicas` during a rolling update; zero for `Recreate`.
    pub surge: i32,
    /// Pods that may be missing during a rolling update; zero for `Recreate`.
    pub unavailable: i32,
    /// `RollingUpdate`, not `Recreate`.
    pub rolling: bool,
}

/// One replica set, as far as its size goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub name: String,
    pub replicas: i32,
    pub available: i32,
    /// The deployment's replicas when the set was last sized.
    pub desired: Option<i32>,
    /// The same with the surge of that time.
    pub max: Option<i32>,
}

/// Names and new sizes.
pub(super) type Sizes = Vec<(String, i32)>;

impl Limits {
    /// Resolves the percentages of the deployment's strategy. If both come out as zero, one pod may be missing, or
    /// nothing could ever move.
    pub(super) fn of(deployment: &Deployment) -> Self {
        let spec = deployment.spec.clone();
        let replicas = spec.replicas.unwrap_or(1);
        let strategy = spec.strategy.unwrap_or_default();
        if strategy.type_.as_deref() == Some("Recreate") {
            return Self { replicas, surge: 0, unavailable: 0, rolling: false };
        }
        let update = strategy.rolling_update.unwrap_or_default();
        let surge = share(update.max_surge.as_ref(), replicas, Round::Up);
        let unavailable = share(update.max_unavailable.as_ref(), replicas, Round::Down);
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        Self { replicas, surge, unavailable: unavailable.min(replicas), rolling: true }
    }

    fn least_available(&self) -> i32 {
        self.replicas - self.unavailable
    }
}

/// The share of `total`; 25 % when the field is missing, nothing when it is unreadable.
fn share(value: Option<&WireIntOrString>, total: i32, round: Round) -> i32 {
    let value = match value {
        None => IntOrString::from("25%"),
        Some(WireIntOrString::Int(number)) => IntOrString::Int(*number),
        Some(WireIntOrString::String(text)) => IntOrString::String(text.clone()),
    };
    let scaled = value.scaled(i64::from(total), round).unwrap_or(0);
    i32::try_from(scaled).unwrap_or(i32::MAX)
}

fn sum(sizes: &[Size], of: impl Fn(&Size) -> i32) -> i32 {
    sizes.iter().map(of).sum()
}

/// The next step of a rollout: the new set grows as far as it may; else the old sets shrink as far as they may.
/// Nothing when the rollout must wait or is over.
pub(super) fn rolling(limits: &Limits, new: Option<&Size>, old: &[Size]) -> Sizes {
    let Some(new) = new else { return Sizes::new() };
    let target = new_set_size(limits, new.replicas, new.replicas + sum(old, |set| set.replicas));
    if target != new.replicas {
        return vec![(new.name.clone(), target)];
    }
    shrunken(limits, new, old)
}

/// The size of the new set when all sets together ask for `total` pods.
pub(super) fn new_set_size(limits: &Limits, current: i32, total: i32) -> i32 {
    if !limits.rolling || current > limits.replicas {
        return limits.replicas;
    }
    let room = limits.replicas + limits.surge - total;
    current + room.clamp(0, limits.replicas - current)
}

/// Old sets give up pods that serve nobody first, then as many as availability allows, oldest set first.
fn shrunken(limits: &Limits, new: &Size, old: &[Size]) -> Sizes {
    let total = new.replicas + sum(old, |set| set.replicas);
    let new_unavailable = new.replicas - new.available;
    let most = total - limits.least_available() - new_unavailable;
    if most <= 0 {
        return Sizes::new();
    }
    let mut sizes = old.to_vec();
    let mut left = most;
    for set in &mut sizes {
        let unhealthy = (set.replicas - set.available).clamp(0, left);
        set.replicas -= unhealthy;
        left -= unhealthy;
    }
    let available = new.available + sum(old, |set| set.available);
    let mut spare = (available - limits.least_available()).max(0);
    for set in &mut sizes {
        let gone = set.replicas.min(spare);
        set.replicas -= gone;
        spare -= gone;
    }
    changes(old, &sizes)
}

fn changes(before: &[Size], after: &[Size]) -> Sizes {
    let changed = before.iter().zip(after).filter(|(before, after)| before.replicas != after.replicas);
    changed.map(|(_, after)| (after.name.clone(), after.replicas)).collect()
}

/// The sizes after the deployment itself was scaled: one active set takes it all; during a rollout the sets share it in
/// proportion, so that the risk stays where it was.
pub(super) fn rescaled(limits: &Limits, status_replicas: i32, new: Option<&Size>, old: &[Size]) -> Sizes {
    let active: Vec<&Size> = old.iter().chain(new).filter(|set| set.replicas > 0).collect();
    let single = match active.as_slice() {
        [] => new.or(old.last()),
        [only] => Some(*only),
        _ => None,
    };
    if let Some(set) = single {
        let settled = set.replicas == limits.replicas;
        return if settled { Sizes::new() } else { vec![(set.name.clone(), limits.replicas)] };
    }
    if new.is_some_and(|new| is_saturated(limits, new)) {
        let surplus = old.iter().filter(|set| set.replicas > 0);
        return surplus.map(|set| (set.name.clone(), 0)).collect();
    }
    if limits.rolling { proportional(limits, status_replicas, active) } else { Sizes::new() }
}

/// The new set does all the work already.
fn is_saturated(limits: &Limits, new: &Size) -> bool {
    [new.desired.unwrap_or(-1), new.replicas, new.available].iter().all(|count| *count == limits.replicas)
}

/// Spreads the difference over all active sets by their size; the largest takes what rounding leaves. `active` is in
/// the order of age.
fn proportional(limits: &Limits, status_replicas: i32, mut active: Vec<&Size>) -> Sizes {
    let allowed = if limits.replicas > 0 { limits.replicas + limits.surge } else { 0 };
    let to_add = allowed - active.iter().map(|set| set.replicas).sum::<i32>();
    if to_add > 0 {
        active.reverse(); // of two equal sets the newer one grows
    }
    active.sort_by_key(|set| std::cmp::Reverse(set.replicas));
    let mut added = 0;
    let mut sizes: Sizes = Vec::new();
    for set in active {
        let part = portion(limits, status_replicas, set, to_add, added);
        added += part;
        sizes.push((set.name.clone(), set.replicas + part));
    }
    if let Some((_, first)) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

fn portion(limits: &Limits, status_replicas: i32, set: &Size, to_add: i32, added: i32) -> i32 {
    if to_add == 0 || to_add == added {
        return 0;
    }
    let fair = fair_share(limits, status_replicas, set);
    if to_add > 0 { fair.min(to_add - added) } else { fair.max(to_add - added) }
}

/// How much the set changes if its part of the whole stays the same.
fn fair_share(limits: &Limits, status_replicas: i32, set: &Size) -> i32 {
    if limits.replicas == 0 {
        return -set.replicas;
    }
    let before = f64::from(set.max.filter(|max| *max != 0).unwrap_or(status_replicas).max(1));
    let after = f64::from(set.replicas) * f64::from(limits.replicas + limits.surge) / before;
    #[allow(clippy::cast_possible_truncation)] // saturates, and a replica count is far below the limit
    let after = after.round() as i32;
    after - set.replicas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(name: &str, replicas: i32, available: i32) -> Size {
        Size { name: name.to_owned(), replicas, available, desired: None, max: None }
    }

    fn limits(replicas: i32, surge: i32, unavailable: i32) -> Limits {
        Limits { replicas, surge, unavailable, rolling: true }
    }

    fn sizes(expected: &[(&str, i32)]) -> Sizes {
        expected.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
    }

    #[test]
    fn limits_resolve_percentages() {
        let cases = [
            (json!({}), 10, limits(10, 3, 2)),
            (json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "10%"}}), 3, limits(3, 0, 1)),
            (json!({"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 9}}), 3, limits(3, 2, 3)),
            (json!({"type": "Recreate"}), 3, Limits { rolling: false, ..limits(3, 0, 0) }),
        ];
        for (strategy, replicas, expected) in cases {
            let spec = json!({"replicas": replicas, "strategy": strategy, "selector": {}, "template": {}});
            let deployment = serde_json::from_value(json!({"metadata": {}, "spec": spec})).expect("valid");
            assert_eq!(Limits::of(&deployment), expected, "{strategy}");
        }
    }

    #[test]
    fn a_rollout_moves_step_by_step() {
        let allowed = limits(10, 3, 2);
        let cases: [(&str, Size, Vec<Size>, &[(&str, i32)]); 7] = [
            ("the new set grows into the surge", set("n", 0, 0), vec![set("o", 10, 10)], &[("n", 3)]),
            ("old pods go while enough serve", set("n", 3, 0), vec![set("o", 10, 10)], &[("o", 8)]),
            ("nothing to give up", set("n", 5, 0), vec![set("o", 8, 8)], &[]),
            ("unhealthy ones go first", set("n", 3, 3), vec![set("a", 5, 0), set("o", 5, 5)], &[("a", 0)]),
            ("the new set took over", set("n", 10, 10), vec![set("o", 3, 3)], &[("o", 0)]),
            ("it was scaled down", set("n", 12, 12), vec![], &[("n", 10)]),
            ("done", set("n", 10, 10), vec![set("o", 0, 0)], &[]),
        ];
        for (what, new, old, expected) in cases {
            assert_eq!(rolling(&allowed, Some(&new), &old), sizes(expected), "{what}");
        }
    }

    #[test]
    fn scaling_in_the_middle_of_a_rollout_is_shared() {
        let sized =
            |name, replicas, max| Size { desired: Some(10), max: Some(max), ..set(name, replicas, replicas) };
        let (new, old) = (sized("n", 3, 13), sized("o", 10, 13));
        let grown = rescaled(&limits(20, 5, 5), 13, Some(&new), std::slice::from_ref(&old));
        assert_eq!(grown, sizes(&[("o", 19), ("n", 6)]));
        let zero = rescaled(&limits(0, 0, 0), 13, Some(&new), std::slice::from_ref(&old));
        assert_eq!(zero, sizes(&[("o", 0), ("n", 0)]));
        let alone = rescaled(&limits(5, 2, 1), 10, Some(&set("n", 10, 10)), &[set("o", 0, 0)]);
        assert_eq!(alone, sizes(&[("n", 5)]));
        let from_zero = rescaled(&limits(2, 1, 0), 0, None, &[set("a", 0, 0), set("b", 0, 0)]);
        assert_eq!(from_zero, sizes(&[("b", 2)]), "the newest one");
    }

    fn apply(state: &mut [Size], changes: &Sizes) {
        for (name, size) in changes {
            let set = state.iter_mut().find(|set| &set.name == name).expect("a known set");
            set.replicas = *size;
            set.available = set.available.min(*size);
        }
    }

    proptest! {
        /// However pods become available, a rollout never asks for more than the surge, never plans below what must
        /// be available, and ends.
        #[test]
        fn rollouts_keep_their_promises(
            replicas in 1..30_i32, surge in 0..10_i32, missing in 0..10_i32, old in 0..30_i32, seed in 0..1000_i32,
        ) {
            let missing = if surge == 0 { missing.max(1) } else { missing }.min(replicas);
            let allowed = limits(replicas, surge, missing);
            let old = old.min(replicas);
            let mut state = vec![set("o", old, old), set("n", 0, 0)];
            for step in 0..500 {
                let (first, rest) = state.split_at(1);
                let plan = rolling(&allowed, rest.first(), first);
                let available = sum(&state, |set| set.available);
                apply(&mut state, &plan);
                prop_assert!(sum(&state, |set| set.replicas) <= (replicas + surge).max(old));
                prop_assert!(sum(&state, |set| set.available) >= available.min(allowed.least_available()));
                let ready = (seed + step) % 3;
                let new = &mut state[1];
                new.available = (new.available + ready).min(new.replicas);
            }
            prop_assert_eq!(state.iter().map(|set| set.replicas).collect::<Vec<_>>(), [0, replicas]);
        }
    }
}
