//! What a user may do: `system:masters` everything, a kubelet what its pods need, everybody else what roles say.
//!
//! Decisions are made from indexes in memory that follow the store ([`follow`]); no request waits for a read.

pub mod bootstrap;
mod escalation;
mod follow;
mod forbidden;
mod indexes;
mod node;
mod node_graph;
mod node_references;
mod rbac;
mod rules;

use std::sync::Arc;

use crate::authentication::MASTERS;
use crate::request::{Attributes, Authorizer, Decision};

pub use escalation::RoleEscalation;
pub use follow::{Change, Decode, Index, Source, follow};
pub use forbidden::forbidden;
pub use indexes::Indexes;
pub use node::{NodeAuthorizer, node_of};
pub use node_graph::NodeGraph;
pub(crate) use node_references::{Kind, referred_by};
pub use rbac::{Held, Rbac};
pub use rules::PolicyRule;

/// The API server's authorization: node, then RBAC.
pub struct Authorization {
    node: NodeAuthorizer,
    rbac: Arc<Rbac>,
}

impl Authorization {
    /// Decides by what the two indexes hold; both are to be kept by [`follow`].
    pub fn new(graph: Arc<NodeGraph>, rbac: Arc<Rbac>) -> Self {
        Self { node: NodeAuthorizer::new(graph), rbac }
    }
}

impl Authorizer for Authorization {
    fn authorize(&self, asked: &Attributes) -> Decision {
        if asked.user.groups.iter().any(|group| group == MASTERS) {
            return Decision::Allow { reason: String::new() };
        }
        let mut reasons = Vec::new();
        let authorizers: [&dyn Fn() -> Decision; 2] =
            [&|| self.node.authorize(asked), &|| self.rbac.authorize(asked)];
        for authorize in authorizers {
            match authorize() {
                Decision::NoOpinion { reason } => reasons.push(reason),
                decided => return decided,
            }
        }
        reasons.retain(|reason| !reason.is_empty());
        Decision::NoOpinion { reason: reasons.join("\n") }
    }
}
