//! Takes queries over UDP and TCP and sends the answers.

mod listen;
mod tcp;
mod udp;

use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::DnsError;
use crate::answer::{Reply, answer};
use crate::message::{Refusal, Request};
use crate::upstream::{Question, Resolved, Upstream};
use crate::world::World;

pub(crate) use listen::Listeners;

/// How many queries may wait for the host's resolvers at once; more are refused, as by CoreDNS under kubeadm.
const MOST_WAITING: usize = 1000;

/// Answers queries.
pub(crate) struct Server {
    world: Arc<RwLock<World>>,
    upstream: Arc<Upstream>,
    waiting: Arc<Semaphore>,
}

/// What a query needs.
pub(crate) enum Step {
    /// Nothing: it is no query.
    Ignore,
    /// This response, which may have this size over UDP.
    Send(Message, u16),
    /// The records of a name that is not ours.
    Wait(Box<Pending>),
}

/// A query whose answer others know.
pub(crate) struct Pending {
    request: Request,
    /// The aliases that lead to `target`.
    chain: Vec<Record>,
    target: Name,
}

impl Server {
    /// A server of `world`; `upstream` answers for all other names.
    pub fn new(world: Arc<RwLock<World>>, upstream: Upstream) -> Self {
        Self { world, upstream: Arc::new(upstream), waiting: Arc::new(Semaphore::new(MOST_WAITING)) }
    }

    /// Serves until `stop` is cancelled or a part ends; returns after every query under way has its answer.
    pub async fn run(self: Arc<Self>, listeners: Listeners, stop: CancellationToken) -> Result<(), DnsError> {
        let (mut parts, waiting) = (JoinSet::new(), TaskTracker::new());
        for socket in listeners.udp {
            parts.spawn(udp::serve(self.clone(), Arc::new(socket), waiting.clone(), stop.clone()));
        }
        parts.spawn(tcp::serve(self, listeners.tcp, waiting.clone(), stop.clone()));
        let mut outcome = Ok(());
        while let Some(ended) = parts.join_next().await {
            stop.cancel(); // one part down means the whole goes down
            outcome = outcome.and(ended.map_err(DnsError::from));
        }
        waiting.close();
        waiting.wait().await;
        outcome
    }

    /// What to do about a message. Never waits.
    pub fn step(&self, bytes: &[u8]) -> Step {
        let request = match Request::parse(bytes) {
            Ok(request) => request,
            Err(Refusal::Silence) => return Step::Ignore,
            Err(Refusal::Answer(message)) => return Step::Send(*message, crate::message::MOST_UDP),
        };
        let (name, kind) = (request.query.name(), request.query.query_type());
        if matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return self.send(&request, request.response(ResponseCode::Refused));
        }
        let reply = answer(&self.world.read(), name, kind);
        match reply {
            Reply::NotOurs => {
                let target = name.clone();
                self.step_outside(Pending { request, chain: Vec::new(), target })
            }
            Reply::Chase { chain, target } => self.step_outside(Pending { request, chain, target }),
            reply => self.send(&request, self.authoritative(&request, reply)),
        }
    }

    fn send(&self, request: &Request, message: Message) -> Step {
        Step::Send(message, request.udp_limit())
    }

    fn step_outside(&self, pending: Pending) -> Step {
        match self.upstream.cached(&pending.question()) {
            Some(resolved) => {
                let limit = pending.request.udp_limit();
                Step::Send(pending.response(Some(resolved)), limit)
            }
            None => Step::Wait(Box::new(pending)),
        }
    }

    fn authoritative(&self, request: &Request, reply: Reply) -> Message {
        let code = if reply == Reply::NoName { ResponseCode::NXDomain } else { ResponseCode::NoError };
        let mut message = request.response(code);
        message.metadata.authoritative = true;
        match reply {
            Reply::Found { mut answers, additionals } => {
                rotate(&mut answers, request.metadata.id);
                (message.answers, message.additionals) = (answers, additionals);
            }
            _ => {
                let world = self.world.read();
                message.authorities.push(world.zone.soa(world.serial));
            }
        }
        message
    }

    /// Gets the answer to a pending query from the host's resolvers.
    pub async fn finish(&self, pending: Pending) -> Message {
        let Ok(_permit) = self.waiting.try_acquire() else {
            return pending.request.response(ResponseCode::Refused);
        };
        let resolved = self.upstream.resolve(pending.question()).await;
        pending.response(resolved)
    }
}

impl Pending {
    fn question(&self) -> Question {
        Question {
            name: self.target.to_lowercase(),
            kind: self.request.query.query_type(),
            dnssec_ok: self.request.dnssec_ok(),
            checking_disabled: self.request.metadata.checking_disabled,
        }
    }

    fn response(self, resolved: Option<Resolved>) -> Message {
        let Some(Resolved { message: theirs, age_seconds }) = resolved else {
            return self.request.response(ResponseCode::ServFail);
        };
        let aged = |records: &[Record]| -> Vec<Record> {
            let mut records = records.to_vec();
            records.iter_mut().for_each(|record| record.ttl = record.ttl.saturating_sub(age_seconds));
            records
        };
        let mut message = self.request.response(theirs.metadata.response_code);
        message.metadata.authentic_data = theirs.metadata.authentic_data;
        message.answers = self.chain;
        message.answers.extend(aged(&theirs.answers));
        message.authorities = aged(&theirs.authorities);
        message.additionals = aged(&theirs.additionals);
        message
    }

    fn udp_limit(&self) -> u16 {
        self.request.udp_limit()
    }
}

/// Spreads clients that take the first record over all of them. Aliases stay in front. The identifiers of queries
/// are random, so they serve as the dice.
fn rotate(answers: &mut [Record], id: u16) {
    let aliases = answers.iter().take_while(|record| record.record_type() == RecordType::CNAME).count();
    let records = &mut answers[aliases..];
    if records.len() > 1 {
        records.rotate_left(usize::from(id) % records.len());
    }
}
