//! Nobody grants what they do not have: roles and bindings are checked against what their author may do.
//!
//! Upstream does this in the storage of the RBAC kinds; here it is the first validating admission step.

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::quote::quote;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::rbac::Rbac;
use super::rules::{PolicyRule, missing, quoted};
use crate::authentication::MASTERS;
use crate::request::{Admission, AdmissionRequest, Attributes, Authorizer, Decision, Operation};
use crate::view::text;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Refuses roles and bindings that would give away more than their author has, unless the author may `escalate` the
/// role or `bind` to it.
pub struct RoleEscalation {
    rbac: Arc<Rbac>,
    authorizer: Arc<dyn Authorizer>,
}

impl RoleEscalation {
    /// Judges by `rbac`; whether an exception is allowed says `authorizer`.
    pub fn new(rbac: Arc<Rbac>, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { rbac, authorizer }
    }

    fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), ApiError> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let free = request.user.groups.iter().any(|group| group == MASTERS);
        let Some(object) = request.object.as_deref().filter(|_| writes && !free) else { return Ok(()) };
        match request.resource {
            "roles" | "clusterroles" => self.check_role(request, object),
            "rolebindings" | "clusterrolebindings" => self.check_binding(request, object),
            _ => Ok(()),
        }
    }

    fn check_role(&self, request: &AdmissionRequest<'_>, role: &Tree) -> Result<(), ApiError> {
        let unchanged = |field: &str| request.old.is_some_and(|old| old.get(field) == role.get(field));
        if unchanged("rules") && unchanged("aggregationRule") {
            return Ok(());
        }
        if self.may(request, "escalate", request.resource, request.name, request.namespace) {
            return Ok(());
        }
        let rules = PolicyRule::of_role(role);
        self.confirm(request, &rules)?;
        let aggregates = role.get("aggregationRule").is_some_and(|rule| !rule.is_null());
        if aggregates && !self.lacking(request, &everything()).is_empty() {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            return Err(refusal(request, why));
        }
        Ok(())
    }

    fn check_binding(&self, request: &AdmissionRequest<'_>, binding: &Tree) -> Result<(), ApiError> {
        let unchanged = |field: &str| request.old.is_some_and(|old| old.get(field) == binding.get(field));
        if unchanged("roleRef") && unchanged("subjects") {
            return Ok(());
        }
        let (kind, name) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
        let (resource, singular) = match kind {
            "Role" => ("roles", "role"),
            "ClusterRole" => ("clusterroles", "clusterrole"),
            _ => return Ok(()), // validation says what is wrong with it
        };
        if self.may(request, "bind", resource, name, request.namespace) {
            return Ok(());
        }
        match self.rbac.rules_of_role(kind, name, request.namespace) {
            Some(rules) => self.confirm(request, &rules),
            None => Err(ApiError::not_found(GROUP, singular, name)),
        }
    }

    fn may(
        &self,
        request: &AdmissionRequest<'_>,
        verb: &str,
        resource: &str,
        name: &str,
        namespace: &str,
    ) -> bool {
        let asked = Attributes {
            user: Arc::new(request.user.clone()),
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        matches!(self.authorizer.authorize(&asked), Decision::Allow { .. })
    }

    fn lacking(&self, request: &AdmissionRequest<'_>, rules: &[PolicyRule]) -> Vec<String> {
        missing(&self.rbac.rules_of(request.user, request.namespace).rules, rules)
    }

    fn confirm(&self, request: &AdmissionRequest<'_>, rules: &[PolicyRule]) -> Result<(), ApiError> {
        let lacking = self.lacking(request, rules);
        if lacking.is_empty() {
            return Ok(());
        }
        let why = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&request.user.name),
            quoted(&request.user.groups),
            lacking.join("\n")
        );
        Err(refusal(request, &why))
    }
}

fn refusal(request: &AdmissionRequest<'_>, why: &str) -> ApiError {
    let own = request.object.as_deref().map(|object| text(object, "/metadata/name")).unwrap_or_default();
    let name = if request.name.is_empty() { own } else { request.name };
    ApiError::forbidden(GROUP, request.resource, name, why)
}

fn everything() -> [PolicyRule; 2] {
    let all = || vec!["*".to_owned()];
    [
        PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() },
        PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() },
    ]
}

impl Admission for RoleEscalation {
    fn name(&self) -> &'static str {
        "RoleEscalation"
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        if request.group != GROUP || self.check(request).is_ok() {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(async {
            // The author may have been given the rights a moment ago.
            self.authorizer.catch_up().await;
            self.check(request)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::follow::{Change, Index};
    use super::super::{Authorization, NodeGraph};
    use super::*;
    use crate::request::User;

    fn escalation() -> RoleEscalation {
        let rbac = Arc::new(Rbac::default());
        let put = |resource: &str, object: Tree| rbac.apply(resource, Change::Put(Arc::new(object)));
        let role = |name: &str, rules: Tree| json!({"metadata": {"name": name}, "rules": rules});
        let bind = |name: &str, user: &str| {
            json!({"metadata": {"name": format!("{name}-{user}")}, "roleRef": {"kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "User", "name": user}]})
        };
        put(
            "clusterroles",
            role("reader", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}])),
        );
        put("clusterroles", role("admin", json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}])));
        put(
            "clusterroles",
            role(
                "granter",
                json!([
            {"verbs": ["escalate", "bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["admin", "new"]}]),
            ),
        );
        put("clusterrolebindings", bind("reader", "ann"));
        put("clusterrolebindings", bind("granter", "gus"));
        let graph = Arc::new(NodeGraph::default());
        RoleEscalation::new(rbac.clone(), Arc::new(Authorization::new(graph, rbac)))
    }

    async fn write(user: &str, resource: &str, mut object: Tree, old: Option<&Tree>) -> Result<(), String> {
        let name = text(&object, "/metadata/name").to_owned();
        let user = User { name: user.to_owned(), groups: vec!["dev".to_owned()], ..User::default() };
        let request = AdmissionRequest {
            operation: if old.is_some() { Operation::Update } else { Operation::Create },
            group: GROUP,
            version: "v1",
            kind: "",
            resource,
            subresource: "",
            namespace: "",
            name: &name,
            object: Some(&mut object),
            old,
            user: &user,
            dry_run: false,
        };
        escalation().validate(&request).await.map_err(|error| error.message)
    }

    #[tokio::test]
    async fn rights_are_given_by_those_who_have_them() {
        let role = |verb: &str| json!({"metadata": {"name": "new"}, "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]});
        let binding =
            |name: &str| json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": name}});
        let refused = "clusterroles.rbac.authorization.k8s.io \"new\" is forbidden: user \"ann\" (groups=[\"dev\"]) is \
             attempting to grant RBAC permissions not currently held:\n\
             {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}";
        assert_eq!(write("ann", "clusterroles", role("get"), None).await, Ok(()));
        assert_eq!(write("ann", "clusterroles", role("delete"), None).await, Err(refused.to_owned()));
        assert_eq!(write("ann", "clusterroles", role("delete"), Some(&role("delete"))).await, Ok(()));
        assert_eq!(write("gus", "clusterroles", role("delete"), None).await, Ok(()), "may escalate");
        assert_eq!(write("ann", "clusterrolebindings", binding("reader"), None).await, Ok(()));
        assert!(write("ann", "clusterrolebindings", binding("admin"), None).await.is_err());
        assert_eq!(write("gus", "clusterrolebindings", binding("admin"), None).await, Ok(()), "may bind");
        assert_eq!(
            write("ann", "clusterrolebindings", binding("none"), None).await,
            Err("clusterrole.rbac.authorization.k8s.io \"none\" not found".to_owned())
        );
        let aggregated =
            json!({"metadata": {"name": "sum"}, "aggregationRule": {"clusterRoleSelectors": []}});
        assert_eq!(
            write("ann", "clusterroles", aggregated, None).await,
            Err("clusterroles.rbac.authorization.k8s.io \"sum\" is forbidden: must have cluster-admin privileges to use the aggregationRule".to_owned())
        );
    }
}
