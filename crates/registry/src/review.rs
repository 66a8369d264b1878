//! The reviews: requests in the form of objects that are answered and never stored.

use crate::resource::{Resource, Scope, Verb};
use crate::{print, table};

const REVIEW: Resource = Resource {
    scope: Scope::Cluster,
    verbs: Verb::CREATE,
    columns: &[print::NAME, print::CREATED_AT],
    ..table::BASE
};

const AUTHENTICATION: Resource = Resource { group: "authentication.k8s.io", ..REVIEW };

const AUTHORIZATION: Resource = Resource { group: "authorization.k8s.io", ..REVIEW };

pub(crate) const SELF_SUBJECT_REVIEW: Resource = Resource {
    kind: "SelfSubjectReview",
    plural: "selfsubjectreviews",
    singular: "selfsubjectreview",
    definition: "io.k8s.api.authentication.v1.SelfSubjectReview",
    ..AUTHENTICATION
};

pub(crate) const TOKEN_REVIEW: Resource = Resource {
    kind: "TokenReview",
    plural: "tokenreviews",
    singular: "tokenreview",
    definition: "io.k8s.api.authentication.v1.TokenReview",
    ..AUTHENTICATION
};

pub(crate) const LOCAL_SUBJECT_ACCESS_REVIEW: Resource = Resource {
    kind: "LocalSubjectAccessReview",
    plural: "localsubjectaccessreviews",
    singular: "localsubjectaccessreview",
    definition: "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    scope: Scope::Namespaced,
    ..AUTHORIZATION
};

pub(crate) const SELF_SUBJECT_ACCESS_REVIEW: Resource = Resource {
    kind: "SelfSubjectAccessReview",
    plural: "selfsubjectaccessreviews",
    singular: "selfsubjectaccessreview",
    definition: "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    ..AUTHORIZATION
};

pub(crate) const SELF_SUBJECT_RULES_REVIEW: Resource = Resource {
    kind: "SelfSubjectRulesReview",
    plural: "selfsubjectrulesreviews",
    singular: "selfsubjectrulesreview",
    definition: "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    ..AUTHORIZATION
};

pub(crate) const SUBJECT_ACCESS_REVIEW: Resource = Resource {
    kind: "SubjectAccessReview",
    plural: "subjectaccessreviews",
    singular: "subjectaccessreview",
    definition: "io.k8s.api.authorization.v1.SubjectAccessReview",
    ..AUTHORIZATION
};
