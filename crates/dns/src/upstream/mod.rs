//! Names outside the cluster: asked of the host's resolvers, each question once at a time, and remembered.
//!
//! Should the resolvers lead back to us, the question that comes back joins the one under way and waits for itself
//! until that times out: a loop costs one query, not a storm.

mod cache;
mod exchange;
mod resolvers;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::message::our_edns;
use cache::ResponseCache;
use resolvers::Resolvers;

/// How long each resolver has for its answer, the first time and the second. Together less than the five seconds after
/// which clients ask again.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// What is asked; two equal questions have one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// In lower case.
    pub name: Name,
    pub kind: RecordType,
    pub dnssec_ok: bool,
    pub checking_disabled: bool,
}

/// An answer from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub message: Arc<Message>,
    /// How long ago it came; its records live that much shorter.
    pub age_seconds: u32,
}

/// `None` if no resolver answered.
type Lookup = Shared<BoxFuture<'static, Option<Arc<Message>>>>;

/// Answers for all names that are not ours.
pub(crate) struct Upstream {
    resolvers: Resolvers,
    cache: Mutex<ResponseCache>,
    under_way: Mutex<HashMap<Question, Lookup>>,
}

impl Upstream {
    /// Forwards to the resolvers that the file names, except ourselves at `listen`.
    pub fn new(resolv_conf: PathBuf, listen: SocketAddr) -> Self {
        Self {
            resolvers: Resolvers::new(resolv_conf, listen),
            cache: Mutex::default(),
            under_way: Mutex::default(),
        }
    }

    /// The remembered answer, if there is one.
    pub fn cached(&self, question: &Question) -> Option<Resolved> {
        self.cache.lock().get(question, Instant::now())
    }

    /// Asks; equal questions at the same time are asked once. `None` if no resolver answered.
    pub async fn resolve(self: &Arc<Self>, question: Question) -> Option<Resolved> {
        if let Some(resolved) = self.cached(&question) {
            return Some(resolved);
        }
        let message = self.join(question).await?;
        Some(Resolved { message, age_seconds: 0 })
    }

    /// The lookup of `question` that is under way, or a new one.
    fn join(self: &Arc<Self>, question: Question) -> Lookup {
        let mut under_way = self.under_way.lock();
        if let Some(lookup) = under_way.get(&question) {
            return lookup.clone();
        }
        let (upstream, asked) = (self.clone(), question.clone());
        let lookup = async move {
            let message = upstream.ask(&asked).await;
            // Remembered first, so that nobody finds neither.
            let message = message.map(|message| upstream.cache.lock().put(&asked, message, Instant::now()));
            upstream.under_way.lock().remove(&asked);
            message
        };
        let lookup = lookup.boxed().shared();
        under_way.insert(question, lookup.clone());
        lookup
    }

    /// Asks one resolver after the other until one answers, and all of them again: a datagram may be lost. A refusal or
    /// failure is kept as the last resort.
    async fn ask(&self, question: &Question) -> Option<Message> {
        let servers = self.resolvers.current().await;
        let mut last = None;
        for patience in PATIENCE {
            for server in servers.iter() {
                match exchange::ask(*server, query(question), patience).await {
                    Ok(message) if is_conclusive(&message) => return Some(message),
                    Ok(message) => last = Some(message),
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::debug!(%server, name = %question.name, %error, cause, "a resolver did not answer");
                    }
                }
            }
            // Everybody was heard, and would say the same again.
            if last.is_some() {
                break;
            }
        }
        last
    }
}

fn is_conclusive(message: &Message) -> bool {
    matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn query(question: &Question) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = question.checking_disabled;
    message.add_query(Query::query(question.name.clone(), question.kind));
    message.set_edns(our_edns(question.dnssec_ok));
    message
}
