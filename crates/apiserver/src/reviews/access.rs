//! `SubjectAccessReview`, `LocalSubjectAccessReview`, `SelfSubjectAccessReview`: may somebody do something?

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::AUTHORIZATION;
use crate::request::{Attributes, Authorizer, CreateRequest, Creator, Decision, User, decide};
use crate::view::{items, strings, text};

/// Whose access a review asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The user it names (`SubjectAccessReview`).
    Named,
    /// The user it names, in the review's namespace (`LocalSubjectAccessReview`).
    NamedHere,
    /// Whoever asks (`SelfSubjectAccessReview`).
    Own,
}

/// Answers access reviews of one kind.
pub struct AccessReviews {
    whose: Whose,
    authorizer: Arc<dyn Authorizer>,
}

impl AccessReviews {
    /// Answers what `authorizer` says.
    pub fn new(whose: Whose, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { whose, authorizer }
    }

    async fn answer(&self, request: CreateRequest<'_>) -> Result<Tree, ApiError> {
        let mut review = request.object;
        if self.whose == Whose::NamedHere && text(&review, "/metadata/namespace") != request.namespace {
            return Err(ApiError::bad_request(format!(
                "spec.resourceAttributes.namespace must match namespace: {}",
                request.namespace
            )));
        }
        let problems = self.problems(&review);
        if !problems.is_empty() {
            return Err(ApiError::invalid(AUTHORIZATION, text(&review, "/kind"), "", &problems));
        }
        let user = match self.whose {
            Whose::Own => request.user.clone(),
            Whose::Named | Whose::NamedHere => named_user(&review),
        };
        review["status"] = status(decide(&*self.authorizer, &attributes(&review, user)).await);
        Ok(review)
    }

    fn problems(&self, review: &Tree) -> ErrorList {
        let spec = Path::new("spec");
        let given = |field: &str| review["spec"].get(field).filter(|value| !value.is_null());
        let (resource, other) = (given("resourceAttributes"), given("nonResourceAttributes"));
        let mut problems = ErrorList::new();
        match (resource, other) {
            (Some(_), Some(other)) => problems.push(Error::invalid(
                spec.child("nonResourceAttributes"),
                other.clone(),
                "cannot be specified in combination with resourceAttributes",
            )),
            (None, None) => problems.push(Error::invalid(
                spec.child("resourceAttributes"),
                Tree::Null,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )),
            _ => {}
        }
        let nobody = text(review, "/spec/user").is_empty() && items(review, "/spec/groups").is_empty();
        if self.whose != Whose::Own && nobody {
            problems.push(Error::invalid(
                spec.child("user"),
                "",
                "at least one of user or group must be specified",
            ));
        }
        if self.whose == Whose::NamedHere {
            problems.extend(elsewhere(review, resource, other));
        }
        problems
    }
}

/// A local review asks about its own namespace only.
fn elsewhere(review: &Tree, resource: Option<&Tree>, other: Option<&Tree>) -> Option<Error> {
    let spec = Path::new("spec");
    if let Some(other) = other {
        let path = spec.child("nonResourceAttributes");
        return Some(Error::invalid(path, other.clone(), "disallowed on this kind of request"));
    }
    let namespace = text(resource?, "/namespace");
    (namespace != text(review, "/metadata/namespace")).then(|| {
        let path = spec.child("resourceAttributes").child("namespace");
        Error::invalid(path, namespace, "must match metadata.namespace")
    })
}

fn named_user(review: &Tree) -> User {
    let extra = review.pointer("/spec/extra").and_then(Tree::as_object);
    let extra: BTreeMap<String, Vec<String>> =
        extra.into_iter().flatten().map(|(key, values)| (key.to_lowercase(), strings(values, ""))).collect();
    User {
        name: text(review, "/spec/user").to_owned(),
        uid: text(review, "/spec/uid").to_owned(),
        groups: strings(review, "/spec/groups"),
        extra,
    }
}

fn attributes(review: &Tree, user: User) -> Attributes {
    let user = Arc::new(user);
    let Some(asked) = review.pointer("/spec/resourceAttributes").filter(|asked| !asked.is_null()) else {
        return Attributes {
            user,
            verb: text(review, "/spec/nonResourceAttributes/verb").to_owned(),
            path: text(review, "/spec/nonResourceAttributes/path").to_owned(),
            ..Attributes::default()
        };
    };
    let field = |name: &str| text(asked, name).to_owned();
    let version = field("/version");
    Attributes {
        user,
        verb: field("/verb"),
        group: field("/group"),
        version: if version.is_empty() { "*".to_owned() } else { version },
        resource: field("/resource"),
        subresource: field("/subresource"),
        namespace: field("/namespace"),
        name: field("/name"),
        path: String::new(),
        field_selector: field_selector(asked),
    }
}

/// A selector is given as text or as requirements; only those that name one value narrow what is asked.
fn field_selector(asked: &Tree) -> String {
    let raw = text(asked, "/fieldSelector/rawSelector");
    if !raw.is_empty() {
        return raw.to_owned();
    }
    let terms = items(asked, "/fieldSelector/requirements").iter().filter_map(|requirement| {
        let values = strings(requirement, "/values");
        let [value] = values.as_slice() else { return None };
        let operator = match text(requirement, "/operator") {
            "In" => "=",
            "NotIn" => "!=",
            _ => return None,
        };
        Some(format!("{}{operator}{value}", text(requirement, "/key")))
    });
    terms.collect::<Vec<_>>().join(",")
}

fn status(decision: Decision) -> Tree {
    let (allowed, denied, reason) = match decision {
        Decision::Allow { reason } => (true, false, reason),
        Decision::Deny { reason } => (false, true, reason),
        Decision::NoOpinion { reason } => (false, false, reason),
    };
    let mut status = json!({ "allowed": allowed });
    if denied {
        status["denied"] = true.into();
    }
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    status
}

impl Creator for AccessReviews {
    fn create<'a>(&'a self, request: CreateRequest<'a>) -> BoxFuture<'a, Result<Tree, ApiError>> {
        Box::pin(self.answer(request))
    }
}
