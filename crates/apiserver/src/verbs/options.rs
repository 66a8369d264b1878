//! The options of writes, from the query (and for deletes the body), checked as upstream checks them.

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use crate::wire::query::Query;

/// What becomes of fields that a type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped and the client is warned.
    Warn,
    /// The request fails.
    Strict,
}

/// Options of a create, an update or a patch.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Nothing is stored.
    pub dry_run: bool,
    /// See [`FieldValidation`].
    pub validation: FieldValidation,
    /// Take over fields that other appliers own; `None` if it is not said.
    pub force: Option<bool>,
}

impl WriteOptions {
    /// Reads the options; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`, for the message.
    pub fn parse(query: &Query, kind: &str) -> Result<Self, ApiError> {
        let mut problems = ErrorList::new();
        let dry_run = dry_run(query.all("dryRun"), &mut problems);
        if let Some(manager) = query.get("fieldManager") {
            problems.extend(steersman_apimachinery::meta::validate_field_manager(
                manager,
                &Path::new("fieldManager"),
            ));
        }
        let validation = match query.get("fieldValidation").unwrap_or_default() {
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            other => {
                let known = ["", "Ignore", "Strict", "Warn"];
                problems.push(Error::not_supported(Path::new("fieldValidation"), other, &known));
                FieldValidation::Strict
            }
        };
        checked(kind, problems)?;
        Ok(Self { dry_run, validation, force: query.optional_flag("force") })
    }
}

/// What becomes of the objects that belong to a deleted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They stay and lose their owner.
    Orphan,
    /// They go afterwards.
    Background,
    /// They go first.
    Foreground,
}

/// Options of a delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Nothing is removed.
    pub dry_run: bool,
    /// `gracePeriodSeconds`.
    pub grace_seconds: Option<i64>,
    /// `propagationPolicy`, or what `orphanDependents` means.
    pub propagation: Option<Propagation>,
    /// `orphanDependents` itself, which decides the answer's code.
    pub orphan_dependents: Option<bool>,
    /// `preconditions.uid`.
    pub uid: Option<String>,
    /// `preconditions.resourceVersion`.
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads the options from a body, or from the query if there is no body.
    pub fn parse(body: Option<&Tree>, query: &Query) -> Result<Self, ApiError> {
        let mut problems = ErrorList::new();
        let (dry_run_values, grace, orphan, policy) = match body {
            Some(body) => (
                body.items_at("dryRun").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                body.i64_at("gracePeriodSeconds"),
                body.bool_at("orphanDependents"),
                body.str_at("propagationPolicy").to_owned(),
            ),
            None => (
                query.all("dryRun").to_vec(),
                query.integer("gracePeriodSeconds")?,
                query.optional_flag("orphanDependents"),
                query.get("propagationPolicy").unwrap_or_default().to_owned(),
            ),
        };
        let dry_run = dry_run(&dry_run_values, &mut problems);
        let propagation = propagation(orphan, &policy, &mut problems);
        checked("DeleteOptions", problems)?;
        let precondition = |field: &str| {
            let path = format!("preconditions.{field}");
            body.and_then(|b| b.at(&path)).and_then(Value::as_str).map(str::to_owned)
        };
        Ok(Self {
            dry_run,
            grace_seconds: grace,
            propagation,
            orphan_dependents: orphan,
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
        })
    }
}

fn propagation(orphan: Option<bool>, policy: &str, problems: &mut ErrorList) -> Option<Propagation> {
    if orphan.is_some() && !policy.is_empty() {
        problems.push(Error::invalid(
            Path::new("propagationPolicy"),
            policy,
            "orphanDependents and deletionPropagation cannot be both set",
        ));
        return None;
    }
    match (policy, orphan) {
        ("Orphan", _) | ("", Some(true)) => Some(Propagation::Orphan),
        ("Background", _) | ("", Some(false)) => Some(Propagation::Background),
        ("Foreground", _) => Some(Propagation::Foreground),
        ("", None) => None,
        (other, _) => {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            problems.push(Error::not_supported(Path::new("propagationPolicy"), other, &known));
            None
        }
    }
}

fn dry_run(values: &[String], problems: &mut ErrorList) -> bool {
    for value in values.iter().filter(|value| *value != "All") {
        problems.push(Error::not_supported(Path::new("dryRun"), value.as_str(), &["All"]));
    }
    values.iter().any(|value| value == "All")
}

fn checked(kind: &str, problems: ErrorList) -> Result<(), ApiError> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("meta.k8s.io", kind, "", &problems))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_wins_over_the_query() {
        let query = Query::parse("gracePeriodSeconds=5&propagationPolicy=Orphan");
        let from_query = DeleteOptions::parse(None, &query).expect("valid");
        assert_eq!((from_query.grace_seconds, from_query.propagation), (Some(5), Some(Propagation::Orphan)));
        let body = json!({"propagationPolicy": "Foreground", "preconditions": {"uid": "u"}});
        let from_body = DeleteOptions::parse(Some(&body), &query).expect("valid");
        assert_eq!(from_body.propagation, Some(Propagation::Foreground));
        assert_eq!((from_body.grace_seconds, from_body.uid.as_deref()), (None, Some("u")));
    }

    #[test]
    fn wrong_options_are_refused_in_upstreams_words() {
        let error = WriteOptions::parse(&Query::parse("dryRun=true"), "CreateOptions").unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            (
                422,
                "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"true\": supported values: \"All\""
            )
        );
        let both = Query::parse("orphanDependents=true&propagationPolicy=Orphan");
        assert_eq!(DeleteOptions::parse(None, &both).unwrap_err().code, 422);
    }
}
