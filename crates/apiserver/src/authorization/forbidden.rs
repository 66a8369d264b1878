//! The 403 of a request that no authorizer allows.

use steersman_apimachinery::status::ApiError;

use crate::request::{Attributes, Authorizer, Decision, decide};

/// 403 unless it is allowed.
pub async fn require(authorizer: &dyn Authorizer, attributes: &Attributes) -> Result<(), ApiError> {
    allowed(&decide(authorizer, attributes).await, attributes)
}

/// 403 unless the decision allows it.
pub fn allowed(decision: &Decision, attributes: &Attributes) -> Result<(), ApiError> {
    match decision {
        Decision::Allow { .. } => Ok(()),
        Decision::Deny { reason } | Decision::NoOpinion { reason } => Err(forbidden(attributes, reason)),
    }
}

/// The answer in upstream's words. `reason` comes from the authorizers and may be empty.
fn forbidden(attributes: &Attributes, reason: &str) -> ApiError {
    let mut why = sanitized(&sentence(attributes));
    if !reason.is_empty() {
        why = format!("{why}: {reason}");
    }
    ApiError::forbidden(&attributes.group, &attributes.resource, &attributes.name, &why)
}

fn sentence(attributes: &Attributes) -> String {
    let Attributes { user, verb, group, resource, subresource, namespace, path, .. } = attributes;
    let user = &user.name;
    if resource.is_empty() {
        return format!("User {user:?} cannot {verb} path {path:?}");
    }
    let resource =
        if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
    let what = format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?}");
    if namespace.is_empty() {
        format!("{what} at the cluster scope")
    } else {
        format!("{what} in the namespace {namespace:?}")
    }
}

/// Names come from clients; a browser that shows the answer must not take them for HTML.
fn sanitized(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::request::User;

    #[test]
    fn messages_read_as_upstreams() {
        let user = Arc::new(User { name: "<bob>".to_owned(), ..User::default() });
        let pods = Attributes {
            user: user.clone(),
            verb: "list".to_owned(),
            resource: "pods".to_owned(),
            namespace: "ns".to_owned(),
            ..Attributes::default()
        };
        let scale = Attributes {
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            subresource: "scale".to_owned(),
            name: "web".to_owned(),
            namespace: String::new(),
            ..pods.clone()
        };
        let path =
            Attributes { user, verb: "get".to_owned(), path: "/metrics".to_owned(), ..Attributes::default() };
        for (attributes, reason, want) in [
            (
                &pods,
                "",
                "pods is forbidden: User \"&lt;bob&gt;\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns\"",
            ),
            (
                &scale,
                "no",
                "deployments.apps \"web\" is forbidden: User \"&lt;bob&gt;\" cannot list resource \"deployments/scale\" in API group \"apps\" at the cluster scope: no",
            ),
            (&path, "", "forbidden: User \"&lt;bob&gt;\" cannot get path \"/metrics\""),
        ] {
            assert_eq!(forbidden(attributes, reason).message, want);
        }
    }
}
