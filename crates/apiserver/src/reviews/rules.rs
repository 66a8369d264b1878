//! `SelfSubjectRulesReview`: what may I do in a namespace? (`kubectl auth can-i --list`)

use std::sync::Arc;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use crate::authorization::{PolicyRule, Rbac, node_of};
use crate::request::{CreateRequest, Creator};
use crate::view::text;

/// Answers with the rules that RBAC has for whoever asks.
pub struct OwnRules {
    rbac: Arc<Rbac>,
}

impl OwnRules {
    /// Answers from `rbac`.
    pub fn new(rbac: Arc<Rbac>) -> Self {
        Self { rbac }
    }

    fn answer(&self, request: &CreateRequest<'_>) -> Result<Tree, ApiError> {
        let namespace = text(&request.object, "/spec/namespace");
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        let held = self.rbac.rules_of(request.user, namespace);
        let mut problems = held.problems;
        // What a kubelet may do depends on its pods: no list of rules says it.
        let is_node = node_of(request.user).is_some();
        if is_node {
            problems.insert(0, "NodeAuthorizer does not support user rule resolution".to_owned());
        }
        let resource = held.rules.iter().filter(|rule| !rule.resources.is_empty()).map(resource_rule);
        let other = held.rules.iter().filter(|rule| !rule.non_resource_urls.is_empty()).map(url_rule);
        let mut review = json!({
            "kind": "SelfSubjectRulesReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {},
            "status": {
                "resourceRules": resource.collect::<Vec<_>>(),
                "nonResourceRules": other.collect::<Vec<_>>(),
                "incomplete": is_node || !problems.is_empty(),
            },
        });
        if !problems.is_empty() {
            review["status"]["evaluationError"] = problems.join(", ").into();
        }
        Ok(review)
    }
}

fn resource_rule(rule: &PolicyRule) -> Tree {
    let mut shown = json!({ "verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources });
    if !rule.resource_names.is_empty() {
        shown["resourceNames"] = json!(rule.resource_names);
    }
    shown
}

fn url_rule(rule: &PolicyRule) -> Tree {
    json!({ "verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls })
}

impl Creator for OwnRules {
    fn create<'a>(&'a self, request: CreateRequest<'a>) -> BoxFuture<'a, Result<Tree, ApiError>> {
        let answer = self.answer(&request);
        Box::pin(std::future::ready(answer))
    }
}
