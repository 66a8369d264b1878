//! Pods must keep to the security level that their namespace's labels demand (`pod-security.kubernetes.io/enforce`);
//! without the label every pod may be anything.
//!
//! The levels are those of the newest version, also where a label pins an older one. The levels for `audit` and
//! `warn` change nothing here: they are for the audit log and for warnings.

mod checks;

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::{forbidden, writes};
use crate::request::{Admission, AdmissionRequest, ObjectReader, Operation};
use crate::view::{items, text};

const PREFIX: &str = "pod-security.kubernetes.io/";

/// See the module.
pub struct PodSecurity {
    objects: Arc<dyn ObjectReader>,
}

/// How much a pod may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// What a namespace demands: its level, and the version as messages show it.
struct Demand {
    level: Level,
    version: String,
}

impl PodSecurity {
    /// Looks namespaces up in `objects`.
    pub fn new(objects: Arc<dyn ObjectReader>) -> Self {
        Self { objects }
    }

    async fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), ApiError> {
        let Some(object) = request.object.as_deref().filter(|_| writes(request)) else { return Ok(()) };
        match (request.group, request.resource, request.subresource) {
            ("", "namespaces", "") => check_labels(request, object),
            ("", "pods", "" | "ephemeralcontainers" | "resize") => self.check_pod(request, object).await,
            _ => Ok(()),
        }
    }

    async fn check_pod(&self, request: &AdmissionRequest<'_>, pod: &Tree) -> Result<(), ApiError> {
        let same = |old: &Tree| request.operation == Operation::Update && !is_significant(pod, old);
        if request.old.is_some_and(same) {
            return Ok(());
        }
        let Some(namespace) = self.objects.get("", "namespaces", "", request.namespace).await else {
            return Err(ApiError::internal(format!("failed to lookup namespace {:?}", request.namespace)));
        };
        let demand = demand(&namespace);
        let violations = checks::violations(pod, demand.level);
        if violations.is_empty() {
            return Ok(());
        }
        let level = format!("{}:{}", demand.level.name(), demand.version);
        Err(forbidden(request, &format!("violates PodSecurity {level:?}: {}", violations.join(", "))))
    }
}

fn label<'a>(namespace: &'a Tree, name: &str) -> Option<&'a str> {
    namespace.pointer("/metadata/labels")?.get(format!("{PREFIX}{name}"))?.as_str()
}

/// A level that cannot be read counts as the strictest, a version as the newest.
fn demand(namespace: &Tree) -> Demand {
    let level = label(namespace, "enforce")
        .map_or(Level::Privileged, |level| Level::parse(level).unwrap_or(Level::Restricted));
    let version = label(namespace, "enforce-version").filter(|v| version_problem(v).is_none());
    Demand { level, version: version.unwrap_or("latest").to_owned() }
}

fn version_problem(version: &str) -> Option<&'static str> {
    let minor = version.strip_prefix("v1.");
    let canonical = |digits: &str| digits == "0" || !digits.starts_with('0');
    let valid = version == "latest" || minor.is_some_and(|m| canonical(m) && m.parse::<u16>().is_ok());
    (!valid).then_some("must be \"latest\" or \"v1.x\"")
}

/// Labels must be right when they are set; wrong ones that are there already may stay.
fn check_labels(request: &AdmissionRequest<'_>, namespace: &Tree) -> Result<(), ApiError> {
    let problems = label_problems(namespace);
    let known = request.old.map(label_problems).unwrap_or_default();
    if problems.is_empty() || problems == known {
        return Ok(());
    }
    Err(ApiError::invalid("", "Namespace", super::shown_name(request), &problems))
}

fn label_problems(namespace: &Tree) -> ErrorList {
    let labels = Path::new("metadata").child("labels");
    let mut problems = ErrorList::new();
    for mode in ["enforce", "audit", "warn"] {
        let version_label = format!("{mode}-version");
        let level = label(namespace, mode).map(|level| (mode, level, Level::parse(level).err()));
        let version = label(namespace, &version_label)
            .map(|version| (version_label.as_str(), version, version_problem(version)));
        for (name, value, problem) in [level, version].into_iter().flatten() {
            if let Some(problem) = problem {
                problems.push(Error::invalid(labels.key(&format!("{PREFIX}{name}")), value, problem));
            }
        }
    }
    problems
}

/// Whether an update changes what is checked: containers and their images; the rest of a pod is immutable.
fn is_significant(new: &Tree, old: &Tree) -> bool {
    let images = |pod: &Tree, list: &str| -> Vec<(String, String)> {
        let containers = items(pod, &format!("/spec/{list}"));
        containers.iter().map(|c| (text(c, "/name").to_owned(), text(c, "/image").to_owned())).collect()
    };
    ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .any(|list| images(new, list) != images(old, list))
}

impl Admission for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(self.check(request))
    }
}
