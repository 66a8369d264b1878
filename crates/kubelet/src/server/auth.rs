//! Whether a caller may use a part of this node: permissions on the subresources of `nodes`, as upstream's kubelet.

use http::Request;
use kube::Client;
use steersman_secure_serving::delegation::{Action, Caller, Delegation, Memory, User};

use super::route;

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allowed,
    /// Nobody known calls.
    Unknown,
    /// The caller may not.
    Forbidden(String),
    /// It could not be decided.
    Failed(String),
}

/// Decides over callers.
pub struct Auth {
    delegation: Delegation,
    node: String,
}

impl Auth {
    /// Decides with the help of the API behind `client`, for the node of this name.
    pub fn new(client: Client, node: &str) -> Self {
        Self { delegation: Delegation::new(client.clone(), client, Memory::KUBELET), node: node.to_owned() }
    }

    /// Whether the request may go on. `certified` is the user of the client certificate.
    pub async fn decide<B>(&self, request: &Request<B>, certified: Option<User>) -> Decision {
        let user = match self.delegation.authenticate(request, certified).await {
            Ok(Caller::Known(user)) => user,
            Ok(Caller::Anonymous | Caller::Refused) => return Decision::Unknown,
            Err(error) => return Decision::Failed(error.to_string()),
        };
        let (verb, path) = (route::verb(request.method()), request.uri().path());
        for subresource in route::subresources(path) {
            let action = Action::Node { verb, name: self.node.clone(), subresource };
            match self.delegation.allows(&user, &action).await {
                Ok(true) => return Decision::Allowed,
                Ok(false) => {}
                Err(error) => return Decision::Failed(error.to_string()),
            }
        }
        let (name, node) = (&user.name, &self.node);
        let resource = route::subresources(path).join(",");
        Decision::Forbidden(format!(
            "Forbidden (user={name}, verb={verb}, resource=nodes, subresource(s)=[{resource}], node={node})"
        ))
    }
}
