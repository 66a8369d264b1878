//! Remembers answers for as long as their records live, at most 30 s (`cache 30` in kubeadm's Corefile); failures
//! for less.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record};
use tokio::time::Instant;

use super::{Question, Resolved};

/// The longest time that anything is remembered, in seconds.
const LONGEST: u32 = 30;
/// How long a resolver's failure is remembered, in seconds: the default of CoreDNS's cache.
const FAILURE: u32 = 5;
/// How many answers one generation holds.
const GENERATION: usize = 5_000;

/// A bounded cache of two generations: when the young one is full it becomes the old one, whose unused answers go.
/// What is asked for moves back to the young one.
#[derive(Default)]
pub(super) struct ResponseCache {
    young: HashMap<Question, Entry>,
    old: HashMap<Question, Entry>,
}

struct Entry {
    message: Arc<Message>,
    stored: Instant,
    lifetime: Duration,
}

impl ResponseCache {
    /// The answer, if it still lives.
    pub fn get(&mut self, question: &Question, now: Instant) -> Option<Resolved> {
        if let Some(entry) = self.old.remove(question) {
            self.insert(question.clone(), entry);
        }
        let entry = self.young.get(question)?;
        let age = now.saturating_duration_since(entry.stored);
        if age >= entry.lifetime {
            self.young.remove(question);
            return None;
        }
        let age_seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        Some(Resolved { message: entry.message.clone(), age_seconds })
    }

    /// Remembers an answer if it may be; gives it as it is to be sent, with no record living longer than the answer.
    pub fn put(&mut self, question: &Question, mut message: Message, now: Instant) -> Arc<Message> {
        let Some(lifetime) = lifetime(&message) else {
            return Arc::new(message);
        };
        let Message { answers, authorities, additionals, .. } = &mut message;
        for record in [answers, authorities, additionals].into_iter().flatten() {
            record.ttl = record.ttl.min(lifetime);
        }
        let message = Arc::new(message);
        let lifetime = Duration::from_secs(lifetime.into());
        self.insert(question.clone(), Entry { message: message.clone(), stored: now, lifetime });
        message
    }

    fn insert(&mut self, question: Question, entry: Entry) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, entry);
    }
}

/// How many seconds an answer may be remembered; `None` for not at all. A denial lives as long as the zone's start
/// of authority says (RFC 2308 §5).
fn lifetime(message: &Message) -> Option<u32> {
    let seconds = match message.metadata.response_code {
        _ if message.metadata.truncation => return None,
        ResponseCode::NoError if !message.answers.is_empty() && !is_alias_only(message) => {
            message.answers.iter().map(|record| record.ttl).min()?
        }
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let denial = message.authorities.iter().find_map(denial_lifetime)?;
            message.answers.iter().map(|record| record.ttl).fold(denial, u32::min)
        }
        ResponseCode::ServFail => FAILURE,
        _ => return None,
    };
    (seconds > 0).then_some(seconds.min(LONGEST))
}

/// An alias whose target has no such record is a denial too, unless the alias was asked for.
fn is_alias_only(message: &Message) -> bool {
    let wanted = message.queries.first().map(|query| query.query_type());
    let alias = |record: &Record| matches!(record.data, RData::CNAME(_));
    message.answers.iter().all(alias) && message.answers.first().map(Record::record_type) != wanted
}

fn denial_lifetime(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{OpCode, Query};
    use hickory_proto::rr::rdata::{A, CNAME, SOA};
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("valid")
    }

    fn question(text: &str) -> Question {
        let kind = RecordType::A;
        Question { name: name(text), kind, dnssec_ok: false, checking_disabled: false }
    }

    fn message(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.add_query(Query::query(name("a.example."), RecordType::A));
        message.metadata.response_code = code;
        (message.answers, message.authorities) = (answers, authorities);
        message
    }

    fn a(ttl: u32) -> Record {
        Record::from_rdata(name("a.example."), ttl, RData::A(A::new(192, 0, 2, 1)))
    }

    fn alias(ttl: u32) -> Record {
        Record::from_rdata(name("a.example."), ttl, RData::CNAME(CNAME(name("b.example."))))
    }

    fn soa(ttl: u32, minimum: u32) -> Record {
        let soa = SOA::new(name("ns.example."), name("x.example."), 1, 2, 3, 4, minimum);
        Record::from_rdata(name("example."), ttl, RData::SOA(soa))
    }

    #[test]
    fn lifetimes() {
        use ResponseCode::{NXDomain, NoError, Refused, ServFail};
        let cases = [
            ("capped", message(NoError, vec![a(300)], vec![]), Some(30)),
            ("the shortest counts", message(NoError, vec![alias(9), a(300)], vec![]), Some(9)),
            ("not to be kept", message(NoError, vec![a(0)], vec![]), None),
            ("denial", message(NXDomain, vec![], vec![soa(20, 10)]), Some(10)),
            ("denial by the record", message(NXDomain, vec![], vec![soa(5, 10)]), Some(5)),
            ("no data", message(NoError, vec![], vec![soa(500, 600)]), Some(30)),
            ("no start of authority", message(NXDomain, vec![], vec![]), None),
            ("alias of nothing", message(NoError, vec![alias(60)], vec![soa(7, 7)]), Some(7)),
            ("failure", message(ServFail, vec![], vec![soa(7, 7)]), Some(5)),
            ("refusal", message(Refused, vec![], vec![soa(7, 7)]), None),
        ];
        for (what, message, want) in cases {
            assert_eq!(lifetime(&message), want, "{what}");
        }
    }

    #[test]
    fn answers_age_and_end() {
        let mut cache = ResponseCache::default();
        let start = Instant::now();
        let sent = cache.put(&question("a."), message(ResponseCode::NoError, vec![a(300)], vec![]), start);
        assert_eq!(sent.answers[0].ttl, 30, "nobody keeps it longer than we do");
        let after = |cache: &mut ResponseCache, seconds| {
            cache.get(&question("a."), start + Duration::from_secs(seconds)).map(|hit| hit.age_seconds)
        };
        assert_eq!(after(&mut cache, 0), Some(0));
        assert_eq!(after(&mut cache, 29), Some(29));
        assert_eq!(after(&mut cache, 30), None);
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let (mut cache, now) = (ResponseCache::default(), Instant::now());
        let put = |cache: &mut ResponseCache, text: &str| {
            cache.put(&question(text), message(ResponseCode::NoError, vec![a(30)], vec![]), now);
        };
        put(&mut cache, "used.");
        for number in 0..3 * GENERATION {
            put(&mut cache, &format!("n{number}."));
            if number % 1000 == 0 {
                assert!(cache.get(&question("used."), now).is_some(), "{number}");
            }
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION);
        assert!(cache.get(&question("n0."), now).is_none());
    }
}
