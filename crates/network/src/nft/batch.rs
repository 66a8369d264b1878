//! A batch of changes.

use super::Expr;
use crate::attribute::Attributes;
use crate::netfilter::{FAMILY_IPV4, FLAG_ACK, FLAG_REQUEST, generic_header, message_type, put};

/// Elements in one message: an attribute holds less than 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 256;
/// `NFNL_SUBSYS_NFTABLES`.
pub(super) const SUBSYSTEM: u8 = 10;

const NEW_TABLE: u8 = 0;
const DELETE_TABLE: u8 = 2;
const NEW_CHAIN: u8 = 3;
const DELETE_CHAIN: u8 = 5;
const NEW_RULE: u8 = 6;
const DELETE_RULE: u8 = 8;
const NEW_SET: u8 = 9;
const NEW_ELEMENT: u8 = 12;
const DELETE_ELEMENT: u8 = 14;

const LIST_ELEMENT: u16 = 1;

const FLAG_CREATE: u16 = 0x400;
const FLAG_APPEND: u16 = 0x800;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It passes this hook.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the calling chain.
    Return,
    /// On in another chain, and back.
    Jump(String),
    /// On in another chain.
    Goto(String),
}

impl Verdict {
    pub(crate) fn attributes(&self) -> Attributes {
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Return => (-5, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
        };
        let attributes = Attributes::default().u32(1, code as u32);
        match chain {
            Some(chain) => attributes.text(2, chain),
            None => attributes,
        }
    }
}

/// Where in the kernel a base chain sits.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum HookPoint {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// What a base chain may do.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum ChainKind {
    Filter,
    Nat,
}

/// How a base chain is attached.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// What it may do.
    pub kind: ChainKind,
    /// Where.
    pub point: HookPoint,
    /// Lower comes first; `dstnat` is -100, `srcnat` 100, `filter` 0.
    pub priority: i32,
}

/// A chain to make; one that exists already is left as it is.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// Attached, or reached by jumps only.
    pub hook: Option<Hook>,
}

/// The type of a key or value, as the `nft` program shows it; a concatenation is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Datatype {
    Ipv4Address = 7,
    Protocol = 12,
    Port = 13,
    Mark = 19,
}

const TYPE_BITS: u32 = 6;
const TYPE_VERDICT: u32 = 0xffff_ff00;

fn concatenated(types: &[Datatype]) -> (u32, u32) {
    let kind = types.iter().fold(0, |kind, part| kind << TYPE_BITS | *part as u32);
    let length = match types {
        [Datatype::Protocol] => 1,
        [Datatype::Port] => 2,
        many => 4 * many.len() as u32,
    };
    (kind, length)
}

/// Whether a set changes from the packet path, and whether its elements end.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetFlags {
    /// Rules add elements, with timeouts.
    pub dynamic: bool,
}

/// A set or map to make; one that exists already is left as it is.
#[derive(Clone, Debug)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// The key's parts.
    pub key: &'a [Datatype],
    /// `None` for a set; an empty list for a verdict map.
    pub data: Option<&'a [Datatype]>,
    /// How it behaves.
    pub flags: SetFlags,
}

/// What a map has under a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElementData {
    /// Nothing: an element of a set.
    None,
    /// A value.
    Value(Vec<u8>),
    /// A verdict.
    Verdict(Verdict),
}

/// An element of a set or map. Parts of a concatenated key or value are padded to four bytes each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    /// The key.
    pub key: Vec<u8>,
    /// What is under it.
    pub data: ElementData,
}

impl Element {
    fn attributes(&self, with_data: bool) -> Attributes {
        let value = |bytes: &[u8]| Attributes::default().bytes(1, bytes);
        let attributes = Attributes::default().nested(1, &value(&self.key));
        match (&self.data, with_data) {
            (ElementData::Value(bytes), true) => attributes.nested(2, &value(bytes)),
            (ElementData::Verdict(verdict), true) => {
                attributes.nested(2, &Attributes::default().nested(2, &verdict.attributes()))
            }
            _ => attributes,
        }
    }
}

/// Changes that the kernel applies all together or not at all, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) messages: Vec<Message>,
    sets: u32,
}

/// One netlink message, and what it does in words.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) body: Vec<u8>,
    pub(super) does: String,
}

impl Batch {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Makes a table of family `ip` unless it exists.
    pub fn add_table(&mut self, table: &str) {
        self.push(
            NEW_TABLE,
            FLAG_CREATE,
            &Attributes::default().text(1, table),
            format!("add table {table}"),
        );
    }

    /// Removes a table with all that is in it. It must exist: [`Self::add_table`] before makes sure of that.
    pub fn delete_table(&mut self, table: &str) {
        self.push(DELETE_TABLE, 0, &Attributes::default().text(1, table), format!("delete table {table}"));
    }

    /// Makes a chain.
    pub fn add_chain(&mut self, table: &str, chain: &Chain<'_>) {
        let mut attributes = Attributes::default().text(1, table).text(3, chain.name);
        if let Some(hook) = chain.hook {
            let place = Attributes::default().u32(1, hook.point as u32).u32(2, hook.priority as u32);
            let kind = match hook.kind {
                ChainKind::Filter => "filter",
                ChainKind::Nat => "nat",
            };
            attributes = attributes.nested(4, &place).text(7, kind);
        }
        self.push(NEW_CHAIN, FLAG_CREATE, &attributes, format!("add chain {table} {}", chain.name));
    }

    /// Removes a chain that nothing jumps to any more; flush it first.
    pub fn delete_chain(&mut self, table: &str, chain: &str) {
        let attributes = Attributes::default().text(1, table).text(3, chain);
        self.push(DELETE_CHAIN, 0, &attributes, format!("delete chain {table} {chain}"));
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, table: &str, chain: &str) {
        let attributes = Attributes::default().text(1, table).text(2, chain);
        self.push(DELETE_RULE, 0, &attributes, format!("flush chain {table} {chain}"));
    }

    /// Appends a rule.
    pub fn add_rule(&mut self, table: &str, chain: &str, expressions: &[Expr]) {
        let list = expressions.iter().fold(Attributes::default(), |list, e| list.nested(LIST_ELEMENT, &e.0));
        let attributes = Attributes::default().text(1, table).text(2, chain).nested(4, &list);
        self.push(NEW_RULE, FLAG_CREATE | FLAG_APPEND, &attributes, format!("add rule {table} {chain}"));
    }

    /// Makes a set or map.
    pub fn add_set(&mut self, table: &str, set: &Set<'_>) {
        const MAP: u32 = 8;
        const TIMEOUT: u32 = 0x10;
        const DYNAMIC: u32 = 0x20;
        let (key_type, key_length) = concatenated(set.key);
        let mut flags = if set.data.is_some() { MAP } else { 0 };
        if set.flags.dynamic {
            flags |= TIMEOUT | DYNAMIC;
        }
        self.sets += 1;
        let mut attributes = Attributes::default()
            .text(1, table)
            .text(2, set.name)
            .u32(3, flags)
            .u32(4, key_type)
            .u32(5, key_length)
            .u32(10, self.sets);
        match set.data {
            None => {}
            Some([]) => attributes = attributes.u32(6, TYPE_VERDICT).u32(7, 16),
            Some(types) => {
                let (kind, length) = concatenated(types);
                attributes = attributes.u32(6, kind).u32(7, length);
            }
        }
        if set.flags.dynamic {
            // A dynamic set needs a bound: what does not fit is not remembered.
            attributes = attributes.nested(9, &Attributes::default().u32(1, 1 << 16));
        }
        self.push(NEW_SET, FLAG_CREATE, &attributes, format!("add set {table} {}", set.name));
    }

    /// Adds elements; one that is there already must be the same.
    pub fn add_elements(&mut self, table: &str, set: &str, elements: &[Element]) {
        self.elements(NEW_ELEMENT, FLAG_CREATE, table, set, elements);
    }

    /// Removes elements, which must be there.
    pub fn delete_elements(&mut self, table: &str, set: &str, elements: &[Element]) {
        self.elements(DELETE_ELEMENT, 0, table, set, elements);
    }

    /// Removes all elements.
    pub fn flush_set(&mut self, table: &str, set: &str) {
        let attributes = Attributes::default().text(1, table).text(2, set);
        self.push(DELETE_ELEMENT, 0, &attributes, format!("flush set {table} {set}"));
    }

    fn elements(&mut self, kind: u8, flags: u16, table: &str, set: &str, elements: &[Element]) {
        let verb = if kind == NEW_ELEMENT { "add" } else { "delete" };
        for chunk in elements.chunks(ELEMENTS_PER_MESSAGE) {
            let list = chunk.iter().fold(Attributes::default(), |list, element| {
                list.nested(LIST_ELEMENT, &element.attributes(kind == NEW_ELEMENT))
            });
            let attributes = Attributes::default().text(1, table).text(2, set).nested(3, &list);
            self.push(kind, flags, &attributes, format!("{verb} {} elements of {table} {set}", chunk.len()));
        }
    }

    fn push(&mut self, kind: u8, flags: u16, attributes: &Attributes, does: String) {
        let mut body = generic_header(FAMILY_IPV4, 0).to_vec();
        body.extend_from_slice(&attributes.0);
        self.messages.push(Message {
            kind: message_type(SUBSYSTEM, kind),
            flags: FLAG_REQUEST | flags,
            body,
            does,
        });
    }

    /// The batch on the wire; message `i` has the sequence number `i + 1`, and the last asks for an answer.
    pub(super) fn encode(&self) -> Vec<u8> {
        const BEGIN: u16 = 0x10;
        const END: u16 = 0x11;
        let bracket = generic_header(0, u16::from(SUBSYSTEM));
        let mut wire = Vec::new();
        put(&mut wire, BEGIN, FLAG_REQUEST, 0, &bracket);
        for (i, message) in self.messages.iter().enumerate() {
            let last = i + 1 == self.messages.len();
            let flags = message.flags | if last { FLAG_ACK } else { 0 };
            put(&mut wire, message.kind, flags, i as u32 + 1, &message.body);
        }
        put(&mut wire, END, FLAG_REQUEST, self.messages.len() as u32 + 1, &bracket);
        wire
    }
}
