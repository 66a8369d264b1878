//! Between bytes and decisions: which queries are taken, and what a response looks like on the wire.

use hickory_proto::ProtoError;
use hickory_proto::op::{
    Edns, EmitAndCount, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
    emit_message_parts,
};
use hickory_proto::rr::{DNSClass, Name, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};

/// The largest UDP message without EDNS (RFC 1035 §4.2.1).
const PLAIN_UDP: u16 = 512;
/// The largest UDP message that we send, and say that we take: larger ones would be split by common networks.
pub(crate) const MOST_UDP: u16 = 1232;
/// The largest message over TCP.
pub(crate) const MOST_TCP: u16 = u16::MAX;

/// A query that can be answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub metadata: Metadata,
    pub query: Query,
    edns: Option<Edns>,
}

/// What to do with bytes that are no query we answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nothing: answering responses or noise makes loops.
    Silence,
    /// Send this.
    Answer(Box<Message>),
}

impl Request {
    /// Reads a query.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let Ok(header) = Header::read(&mut BinDecoder::new(bytes)) else {
            return Err(Refusal::Silence);
        };
        if header.metadata.message_type == MessageType::Response {
            return Err(Refusal::Silence);
        }
        let refuse = |code| Err(refusal(&header.metadata, None, code));
        if header.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        let Ok(message) = Message::from_vec(bytes) else {
            return refuse(ResponseCode::FormErr);
        };
        let Message { metadata, mut queries, edns, .. } = message;
        let (Some(query), true) = (queries.pop(), queries.is_empty()) else {
            return refuse(ResponseCode::FormErr);
        };
        if edns.as_ref().is_some_and(|edns| edns.version() != 0) {
            return Err(refusal(&metadata, Some(&query), ResponseCode::BADVERS));
        }
        if query.query_class() != DNSClass::IN {
            return Err(refusal(&metadata, Some(&query), ResponseCode::Refused));
        }
        Ok(Self { metadata, query, edns })
    }

    /// An empty response to this query.
    pub fn response(&self, code: ResponseCode) -> Message {
        let mut message = response_to(&self.metadata, Some(&self.query), code);
        message.edns = self.edns.as_ref().map(|edns| our_edns(edns.flags().dnssec_ok));
        message
    }

    /// Whether the client wants signatures.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
    }

    /// The largest response that the client takes over UDP.
    pub fn udp_limit(&self) -> u16 {
        self.edns.as_ref().map_or(PLAIN_UDP, |edns| edns.max_payload().clamp(PLAIN_UDP, MOST_UDP))
    }
}

/// The EDNS record of our own messages.
pub(crate) fn our_edns(dnssec_ok: bool) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(MOST_UDP).set_dnssec_ok(dnssec_ok);
    edns
}

fn refusal(request: &Metadata, query: Option<&Query>, code: ResponseCode) -> Refusal {
    let mut message = response_to(request, query, code);
    // The upper bits of the code are in the EDNS record.
    message.edns = (code.high() > 0).then(|| our_edns(false));
    Refusal::Answer(Box::new(message))
}

fn response_to(request: &Metadata, query: Option<&Query>, code: ResponseCode) -> Message {
    let mut message = Message::response(request.id, request.op_code);
    message.metadata = Metadata::response_from_request(request);
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.queries.extend(query.cloned());
    message
}

/// What an EDNS record without options takes.
const EDNS_SIZE: u16 = 11;

/// Writes a response into `out`. What does not fit is left out: additional records quietly; of answers the client is
/// told, so that it asks again over TCP.
pub(crate) fn encode(message: &Message, limit: u16, out: &mut Vec<u8>) -> Result<(), ProtoError> {
    out.clear();
    let name = message.queries.first().map(Query::name);
    let section = |records, optional| Section { name, records, optional };
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(limit - EDNS_SIZE);
    emit_message_parts(
        &message.metadata,
        &mut message.queries.iter(),
        &mut section(&message.answers, false),
        &mut section(&message.authorities, false),
        &mut Last { section: section(&message.additionals, true), limit },
        message.edns.as_ref(),
        None,
        &mut encoder,
    )?;
    Ok(())
}

/// Where the name of the question stands: right after the header. As a compressed name (RFC 1035 §4.1.4).
const QUESTION_NAME: u16 = 0xC000 | 12;

/// Records, most of which have the name of the question. The general way of compressing names searches for each
/// label of each record, and gives up after a few dozen names.
struct Section<'a> {
    name: Option<&'a Name>,
    records: &'a [Record],
    /// Whether records may be missing without the client being told.
    optional: bool,
}

/// The last section, after which the place that was kept for the EDNS record is free.
struct Last<'a> {
    section: Section<'a>,
    limit: u16,
}

impl EmitAndCount for Last<'_> {
    fn emit(&mut self, encoder: &mut BinEncoder<'_>) -> Result<usize, ProtoError> {
        let count = self.section.emit(encoder);
        encoder.set_max_size(self.limit);
        count
    }
}

impl EmitAndCount for Section<'_> {
    fn emit(&mut self, encoder: &mut BinEncoder<'_>) -> Result<usize, ProtoError> {
        let is_question = |record: &Record| self.name.is_some_and(|name| name.eq_case(&record.name));
        let entry = |record| Entry { record, short: is_question(record) };
        let entries: Vec<Entry<'_>> = self.records.iter().map(entry).collect();
        let written = encoder.emit_iter(&mut entries.iter());
        // Of a record that did not fit, a part may stand there.
        encoder.trim();
        match written {
            Err(ProtoError::NotAllRecordsWritten { count, .. }) if self.optional => Ok(count),
            written => written,
        }
    }
}

struct Entry<'a> {
    record: &'a Record,
    /// The name is that of the question.
    short: bool,
}

impl BinEncodable for Entry<'_> {
    fn emit(&self, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
        let record = self.record;
        if !self.short {
            return record.emit(encoder);
        }
        encoder.emit_u16(QUESTION_NAME)?;
        record.record_type().emit(encoder)?;
        record.dns_class.emit(encoder)?;
        encoder.emit_u32(record.ttl)?;
        let length = encoder.place::<u16>()?;
        record.data.emit(encoder)?;
        let written = u16::try_from(encoder.len_since_place(&length))
            .map_err(|_| ProtoError::Message("the data of a record is too long"))?;
        length.replace(encoder, written)
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, SRV};
    use hickory_proto::rr::{RData, RecordType};

    use super::*;

    fn response(count: u16) -> Message {
        let name = Name::from_ascii("_http._tcp.web.default.svc.cluster.local.").expect("a name");
        let mut message = Message::response(1, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::SRV));
        message.set_edns(our_edns(false));
        for number in 0..count {
            let target =
                Name::from_ascii(format!("h{number}.web.default.svc.cluster.local.")).expect("a name");
            let srv = RData::SRV(SRV::new(0, 1, number, target.clone()));
            message.add_answer(Record::from_rdata(name.clone(), 30, srv));
            message.add_additional(Record::from_rdata(target, 30, RData::A(A::new(10, 0, 0, 1))));
        }
        message
    }

    #[test]
    fn messages_fit_whatever_they_hold() {
        let mut out = Vec::new();
        for count in [0, 1, 5, 8, 9, 10, 20, 21, 22, 300, 900, 5000] {
            for limit in [PLAIN_UDP, MOST_UDP, MOST_TCP] {
                let message = response(count);
                encode(&message, limit, &mut out).expect("encodes");
                assert!(out.len() <= usize::from(limit));
                let read = Message::from_vec(&out).expect("decodes");
                let kept = read.answers.len();
                assert_eq!(read.answers, message.answers[..kept], "{count} in {limit}");
                assert_eq!(read.metadata.truncation, kept < usize::from(count), "{count} in {limit}");
                assert_eq!(read.additionals, message.additionals[..read.additionals.len()]);
                assert!(read.edns.is_some(), "{count} in {limit}");
            }
        }
    }
}
