//! What a namespace's conditions say about its deletion, and how long the deletion waits. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;

use crate::discovery::ServedResource;

/// How long finalizers are given before the next look.
const FINALIZER_ESTIMATE: i64 = 15;

/// What one pass over the namespace found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Group versions that could not be discovered.
    pub undiscovered: Vec<String>,
    /// What could not be deleted, and why.
    pub failures: Vec<String>,
    remaining: BTreeMap<(String, String), usize>,
    finalizers: BTreeMap<String, usize>,
    /// Seconds.
    estimate: i64,
}

impl Findings {
    /// Nothing yet but the group versions that could not be discovered.
    pub(super) fn after_discovery(undiscovered: Vec<String>) -> Self {
        Self { undiscovered, ..Self::default() }
    }

    /// Takes in what is left of `resource` after it was deleted.
    pub(super) fn add(&mut self, resource: &ServedResource, left: &[ObjectMeta], now: Timestamp) {
        if left.is_empty() {
            return;
        }
        self.remaining.insert((resource.plural.clone(), resource.group.clone()), left.len());
        let mut estimate = left.iter().filter_map(|meta| grace_left(meta, now)).max().unwrap_or(0);
        for finalizer in left.iter().flat_map(|meta| meta.finalizers.iter().flatten()) {
            *self.finalizers.entry(finalizer.clone()).or_default() += 1;
            estimate = estimate.max(FINALIZER_ESTIMATE);
        }
        if estimate == 0 {
            let (group, version, plural) = (&resource.group, &resource.version, &resource.plural);
            self.failures.push(format!(
                "unexpected items still remain in namespace for gvr: {group}/{version}, Resource={plural}"
            ));
        }
        self.estimate = self.estimate.max(estimate);
    }

    /// Whether pods are among what is left.
    pub(super) fn pods_remain(&self) -> bool {
        self.remaining.contains_key(&("pods".to_owned(), String::new()))
    }

    /// When to look again, if something that is left goes by itself: half of the longest estimate, as upstream.
    pub(super) fn wait(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.estimate).ok().filter(|seconds| *seconds > 0)?;
        Some(Duration::from_secs(seconds / 2 + 1))
    }

    /// All that went wrong, on one line.
    pub(super) fn all_failures(&self) -> String {
        [self.undiscovered.as_slice(), self.failures.as_slice()].concat().join(", ")
    }
}

/// Seconds until a gracefully deleted object is due; at least one while it is there.
fn grace_left(meta: &ObjectMeta, now: Timestamp) -> Option<i64> {
    let due = meta.deletion_timestamp.as_ref()?.0;
    meta.deletion_grace_period_seconds.filter(|grace| *grace > 0)?;
    Some(due.duration_since(now).as_secs().max(1))
}

/// The five conditions after `findings`, in upstream's words. A condition that says the same keeps its time.
pub(super) fn conditions_of(
    old: &[NamespaceCondition],
    findings: &Findings,
    now: &Time,
) -> Vec<NamespaceCondition> {
    let mut conditions = old.to_vec();
    for (kind, reason, message, status) in claims(findings) {
        let current = conditions.iter_mut().find(|condition| condition.type_ == kind);
        let changed = current.as_ref().is_none_or(|condition| condition.status != status);
        let since = if changed {
            Some(now.clone())
        } else {
            current.as_ref().and_then(|c| c.last_transition_time.clone())
        };
        let new = NamespaceCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: since,
        };
        match current {
            Some(condition) => *condition = new,
            None => conditions.push(new),
        }
    }
    conditions
}

type Claim = (&'static str, &'static str, String, &'static str);

/// Type, reason, message and status of each condition.
fn claims(findings: &Findings) -> [Claim; 5] {
    let (undiscovered, failures) = (&findings.undiscovered, &findings.failures);
    let remaining: Vec<String> = findings
        .remaining
        .iter()
        .map(|((plural, group), count)| format!("{plural}.{group} has {count} resource instances"))
        .collect();
    let finalizers: Vec<String> = findings
        .finalizers
        .iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    [
        claim(
            "NamespaceDeletionDiscoveryFailure",
            ("ResourcesDiscovered", "All resources successfully discovered"),
            "DiscoveryFailed",
            problem(undiscovered, |all| {
                format!("Discovery failed for some groups, {} failing: {all}", undiscovered.len())
            }),
        ),
        claim(
            "NamespaceDeletionGroupVersionParsingFailure",
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
            "GroupVersionParsingFailed",
            None,
        ),
        claim(
            "NamespaceDeletionContentFailure",
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
            "ContentDeletionFailed",
            problem(failures, |all| {
                format!("Failed to delete all resource types, {} remaining: {all}", failures.len())
            }),
        ),
        claim(
            "NamespaceContentRemaining",
            ("ContentRemoved", "All content successfully removed"),
            "SomeResourcesRemain",
            problem(&remaining, |all| format!("Some resources are remaining: {all}")),
        ),
        claim(
            "NamespaceFinalizersRemaining",
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
            "SomeFinalizersRemain",
            problem(&finalizers, |all| {
                format!("Some content in the namespace has finalizers remaining: {all}")
            }),
        ),
    ]
}

fn problem(parts: &[String], say: impl Fn(&str) -> String) -> Option<String> {
    (!parts.is_empty()).then(|| say(&parts.join(", ")))
}

fn claim(
    kind: &'static str,
    (good_reason, good): (&'static str, &'static str),
    bad_reason: &'static str,
    problem: Option<String>,
) -> Claim {
    match problem {
        Some(message) => (kind, bad_reason, message, "True"),
        None => (kind, good_reason, good.to_owned(), "False"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::{after_seconds, now};

    fn resource(plural: &str) -> ServedResource {
        ServedResource {
            group: String::new(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            kind: String::new(),
            namespaced: true,
            verbs: Vec::new(),
        }
    }

    fn message(conditions: &[NamespaceCondition], kind: &str) -> String {
        let found =
            conditions.iter().find(|condition| condition.type_ == kind).expect("the condition is there");
        format!("{} {}", found.status, found.message.as_deref().unwrap_or_default())
    }

    #[test]
    fn what_is_left_decides_wait_and_words() {
        let time = now();
        let pod = ObjectMeta {
            deletion_timestamp: Some(Time(after_seconds(time.0, 30))),
            deletion_grace_period_seconds: Some(30),
            ..ObjectMeta::default()
        };
        let held = ObjectMeta { finalizers: Some(vec!["x/y".to_owned()]), ..ObjectMeta::default() };
        let mut findings = Findings::default();
        assert_eq!(findings.wait(), None);
        findings.add(&resource("configmaps"), &[held.clone(), held], time.0);
        assert_eq!(findings.wait(), Some(Duration::from_secs(8)));
        assert!(!findings.pods_remain());
        findings.add(&resource("pods"), &[pod], time.0);
        assert!(findings.pods_remain());
        assert_eq!(findings.wait(), Some(Duration::from_secs(16)));
        let conditions = conditions_of(&[], &findings, &time);
        assert_eq!(
            message(&conditions, "NamespaceContentRemaining"),
            "True Some resources are remaining: configmaps. has 2 resource instances, pods. has 1 resource instances"
        );
        assert_eq!(
            message(&conditions, "NamespaceFinalizersRemaining"),
            "True Some content in the namespace has finalizers remaining: x/y in 2 resource instances"
        );
        let later = Time(after_seconds(time.0, 9));
        assert_eq!(conditions_of(&conditions, &findings, &later), conditions, "nothing new keeps its time");
        let done = conditions_of(&conditions, &Findings::default(), &later);
        assert_eq!(message(&done, "NamespaceContentRemaining"), "False All content successfully removed");
        assert_eq!(done[3].last_transition_time, Some(later));
    }

    #[test]
    fn what_stays_for_no_reason_is_a_failure() {
        let mut findings = Findings::default();
        findings.add(&resource("secrets"), &[ObjectMeta::default()], now().0);
        assert_eq!(findings.wait(), None);
        assert_eq!(findings.failures.len(), 1);
    }
}
