//! What happens to an object, given what became of its owners. Pure.

use kube::api::{ObjectMeta, PropagationPolicy};

use super::graph::{FOREGROUND, ORPHAN, Uid};

/// What became of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is there and not waiting for its dependents.
    Solid,
    /// It does not exist.
    Absent,
    /// It is being deleted and waits for its dependents to go.
    Waiting,
}

/// What to do with the object.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    Keep,
    /// Somebody still owns it: only the references to these owners go.
    Forget(Vec<Uid>),
    Delete(PropagationPolicy),
    /// As `Delete` in the foreground, but it must not block its owners, because a dependent of it waits too: there is a
    /// circle.
    UnblockAndDelete,
}

/// Decides. `has_dependents` and `dependent_waits` tell of the object's own dependents.
pub(super) fn plan(
    owners: &[(Uid, Owner)],
    meta: &ObjectMeta,
    has_dependents: bool,
    dependent_waits: bool,
) -> Plan {
    let is = |wanted: Owner| move |(_, owner): &&(Uid, Owner)| *owner == wanted;
    if owners.is_empty() {
        return Plan::Keep;
    }
    if owners.iter().any(|owner| is(Owner::Solid)(&owner)) {
        let lost: Vec<Uid> =
            owners.iter().filter(|owner| !is(Owner::Solid)(owner)).map(|(uid, _)| uid.clone()).collect();
        return if lost.is_empty() { Plan::Keep } else { Plan::Forget(lost) };
    }
    if has_dependents && owners.iter().any(|owner| is(Owner::Waiting)(&owner)) {
        return if dependent_waits {
            Plan::UnblockAndDelete
        } else {
            Plan::Delete(PropagationPolicy::Foreground)
        };
    }
    let holds = |finalizer: &str| meta.finalizers.iter().flatten().any(|held| held == finalizer);
    Plan::Delete(if holds(ORPHAN) {
        PropagationPolicy::Orphan
    } else if holds(FOREGROUND) {
        PropagationPolicy::Foreground
    } else {
        PropagationPolicy::Background
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_decide() {
        use Owner::{Absent, Solid, Waiting};
        let (free, held) = (
            ObjectMeta::default(),
            ObjectMeta { finalizers: Some(vec![ORPHAN.to_owned()]), ..ObjectMeta::default() },
        );
        let forget = |uids: &[&str]| Plan::Forget(uids.iter().map(|uid| (*uid).to_owned()).collect());
        let cases: [(&[(&str, Owner)], &ObjectMeta, bool, bool, Plan); 9] = [
            (&[], &free, false, false, Plan::Keep),
            (&[("a", Solid)], &free, true, false, Plan::Keep),
            (&[("a", Solid), ("b", Absent), ("c", Waiting)], &free, true, false, forget(&["b", "c"])),
            (&[("a", Absent)], &free, true, false, Plan::Delete(PropagationPolicy::Background)),
            (&[("a", Absent)], &held, true, false, Plan::Delete(PropagationPolicy::Orphan)),
            (&[("a", Waiting)], &free, false, false, Plan::Delete(PropagationPolicy::Background)),
            (&[("a", Waiting)], &free, true, false, Plan::Delete(PropagationPolicy::Foreground)),
            (
                &[("a", Waiting), ("b", Absent)],
                &free,
                true,
                false,
                Plan::Delete(PropagationPolicy::Foreground),
            ),
            (&[("a", Waiting)], &free, true, true, Plan::UnblockAndDelete),
        ];
        for (owners, meta, has_dependents, dependent_waits, expected) in cases {
            let owners: Vec<_> = owners.iter().map(|(uid, owner)| ((*uid).to_owned(), *owner)).collect();
            assert_eq!(plan(&owners, meta, has_dependents, dependent_waits), expected, "{owners:?}");
        }
    }
}
