//! What a user may do: `system:masters` everything, a kubelet what its pods need, everybody else what roles say.
//!
//! Decisions are made from indexes in memory that follow the store ([`follow`]); no request waits for a read. Only who
//! would be refused waits until the indexes know every write that came before: a pod's kubelet asks for its config
//! maps, and a user for what a new binding grants, within a millisecond of the write.

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

use steersman_store::BoxFuture;

use crate::authentication::MASTERS;
use crate::request::{Attributes, Authorizer, Decision};
use crate::storage::Storage;

pub use escalation::RoleEscalation;
pub use follow::{Change, Decode, Index, Position, Source, follow};
pub use forbidden::{allowed, require};
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

/// The same over indexes that follow a storage, and can wait for what it has.
pub struct LiveAuthorization {
    authorization: Authorization,
    indexes: Arc<Indexes>,
    storage: Arc<Storage>,
}

impl LiveAuthorization {
    /// Decides by what `indexes` hold of `storage`; [`Indexes::run`] is to keep them.
    pub fn new(indexes: Arc<Indexes>, storage: Arc<Storage>) -> Self {
        let authorization = Authorization::new(indexes.graph().clone(), indexes.rbac().clone());
        Self { authorization, indexes, storage }
    }
}

impl Authorizer for LiveAuthorization {
    fn authorize(&self, asked: &Attributes) -> Decision {
        self.authorization.authorize(asked)
    }

    fn catch_up(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            match self.storage.revision().await {
                Ok(now) => self.indexes.catch_up(now).await,
                Err(error) => tracing::warn!(message = error.message, "the store does not say how new it is"),
            }
        })
    }
}
