//! Expressions: what a rule is made of. Registers are numbered as the kernel's 32-bit registers (`NFT_REG32_00` + n),
//! so that a concatenation is simply consecutive registers.

use super::Verdict;
use crate::attribute::Attributes;

/// One expression of a rule, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr(pub(crate) Attributes);

/// A 32-bit register, 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u32);

const REG32_BASE: u32 = 8;
const VERDICT_REGISTER: u32 = 0;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

impl Register {
    fn wire(self) -> u32 {
        REG32_BASE + self.0
    }
}

/// Which header a payload expression reads.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    /// IPv4 or IPv6.
    Network = 1,
    /// TCP, UDP or SCTP.
    Transport = 2,
}

/// What a meta expression reads.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Meta {
    Mark = 3,
    InterfaceIn = 6,
    InterfaceOut = 7,
    L4Protocol = 16,
}

/// What a conntrack expression reads.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Ct {
    State = 0,
    Status = 2,
}

/// `ct state new`.
pub const CT_STATE_NEW: u32 = 8;
/// `ct status dnat`.
pub const CT_STATUS_DNAT: u32 = 1 << 5;

/// How a comparison holds.
#[derive(Clone, Copy, Debug)]
pub enum Is {
    /// Equal.
    Equal = 0,
    /// Not equal.
    NotEqual = 1,
}

fn expr(name: &str, data: &Attributes) -> Expr {
    Expr(Attributes::default().text(1, name).nested(2, data))
}

fn value(bytes: &[u8]) -> Attributes {
    Attributes::default().bytes(DATA_VALUE, bytes)
}

/// Reads `length` bytes at `offset` of a header.
pub fn payload(base: Base, offset: u32, length: u32, to: Register) -> Expr {
    let data = Attributes::default().u32(1, to.wire()).u32(2, base as u32).u32(3, offset).u32(4, length);
    expr("payload", &data)
}

/// Reads the IPv4 source address.
pub fn source_address(to: Register) -> Expr {
    payload(Base::Network, 12, 4, to)
}

/// Reads the IPv4 destination address.
pub fn destination_address(to: Register) -> Expr {
    payload(Base::Network, 16, 4, to)
}

/// Reads the destination port.
pub fn destination_port(to: Register) -> Expr {
    payload(Base::Transport, 2, 2, to)
}

/// Reads a property of the packet.
pub fn meta(key: Meta, to: Register) -> Expr {
    expr("meta", &Attributes::default().u32(1, to.wire()).u32(2, key as u32))
}

/// Sets the packet's mark from a register.
pub fn set_mark(from: Register) -> Expr {
    expr("meta", &Attributes::default().u32(2, Meta::Mark as u32).u32(3, from.wire()))
}

/// Reads a property of the connection.
pub fn ct(key: Ct, to: Register) -> Expr {
    expr("ct", &Attributes::default().u32(1, to.wire()).u32(2, key as u32))
}

/// Goes on only if the register compares so with `bytes`.
pub fn compare(from: Register, is: Is, bytes: &[u8]) -> Expr {
    expr("cmp", &Attributes::default().u32(1, from.wire()).u32(2, is as u32).nested(3, &value(bytes)))
}

/// An interface's name, padded as the kernel compares it.
pub fn interface_name(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    let length = name.len().min(15);
    padded[..length].copy_from_slice(&name.as_bytes()[..length]);
    padded
}

/// `register = (register & mask) ^ xor`.
pub fn bitwise(register: Register, mask: &[u8], xor: &[u8]) -> Expr {
    let data = Attributes::default()
        .u32(1, register.wire())
        .u32(2, register.wire())
        .u32(3, mask.len() as u32)
        .nested(4, &value(mask))
        .nested(5, &value(xor));
    expr("bitwise", &data)
}

/// Goes on only if the key that begins in `key` is in the set.
pub fn in_set(set: &str, key: Register) -> Expr {
    expr("lookup", &Attributes::default().text(1, set).u32(2, key.wire()))
}

/// Goes on only if the key that begins in `key` is not in the set.
pub fn not_in_set(set: &str, key: Register) -> Expr {
    expr("lookup", &Attributes::default().text(1, set).u32(2, key.wire()).u32(5, 1))
}

/// Looks the key up in a map and puts the value into registers from `to` on; goes on only if it is there.
pub fn map(set: &str, key: Register, to: Register) -> Expr {
    expr("lookup", &Attributes::default().text(1, set).u32(2, key.wire()).u32(3, to.wire()))
}

/// Looks the key up in a verdict map and does what it says.
pub fn verdict_map(set: &str, key: Register) -> Expr {
    expr("lookup", &Attributes::default().text(1, set).u32(2, key.wire()).u32(3, VERDICT_REGISTER))
}

/// Puts `bytes` into registers from `to` on.
pub fn immediate(bytes: &[u8], to: Register) -> Expr {
    expr("immediate", &Attributes::default().u32(1, to.wire()).nested(2, &value(bytes)))
}

/// Does this.
pub fn verdict(verdict: &Verdict) -> Expr {
    let data = Attributes::default().nested(DATA_VERDICT, &verdict.attributes());
    expr("immediate", &Attributes::default().u32(1, VERDICT_REGISTER).nested(2, &data))
}

/// A random number below `modulus` (in host order).
pub fn random(modulus: u32, to: Register) -> Expr {
    expr("numgen", &Attributes::default().u32(1, to.wire()).u32(2, modulus).u32(3, 1))
}

/// Rewrites the destination to the address and, if given, the port in registers.
pub fn dnat(address: Register, port: Option<Register>) -> Expr {
    const DNAT: u32 = 1;
    const FAMILY_IPV4: u32 = 2;
    let mut data = Attributes::default().u32(1, DNAT).u32(2, FAMILY_IPV4).u32(3, address.wire());
    if let Some(port) = port {
        data = data.u32(5, port.wire());
    }
    expr("nat", &data)
}

/// Rewrites the source to the outgoing interface's address, with a port chosen at random: in turn, two packets at once
/// might choose the same one and lose.
pub fn masquerade() -> Expr {
    const FLAGS: u16 = 1;
    const FULLY_RANDOM: u32 = 1 << 4;
    expr("masq", &Attributes::default().u32(FLAGS, FULLY_RANDOM))
}

/// The type of the destination address, into a register.
pub fn destination_type(to: Register) -> Expr {
    const FLAG_DESTINATION: u32 = 1 << 1;
    address_type(FLAG_DESTINATION, to)
}

/// The type of the source address, into a register.
pub fn source_type(to: Register) -> Expr {
    const FLAG_SOURCE: u32 = 1;
    address_type(FLAG_SOURCE, to)
}

fn address_type(of: u32, to: Register) -> Expr {
    const RESULT_ADDRESS_TYPE: u32 = 3;
    expr("fib", &Attributes::default().u32(1, to.wire()).u32(2, RESULT_ADDRESS_TYPE).u32(3, of))
}

/// The address type of the host's own addresses (`RTN_LOCAL`), as [`destination_type`] and [`source_type`] give it.
pub const ADDRESS_LOCAL: [u8; 4] = 2_u32.to_ne_bytes();

/// Refuses: ICMP port unreachable.
pub fn reject() -> Expr {
    const ICMP_UNREACHABLE: u32 = 0;
    const PORT_UNREACHABLE: u8 = 3;
    expr("reject", &Attributes::default().u32(1, ICMP_UNREACHABLE).bytes(2, &[PORT_UNREACHABLE]))
}

/// Puts key → value into a map, or renews it, for `timeout_ms` milliseconds. What is there keeps its value. Goes on
/// only if there was room for it.
pub fn update_map(set: &str, key: Register, from: Register, timeout_ms: u64) -> Expr {
    const UPDATE: u32 = 1;
    expr("dynset", &dynamic(set, UPDATE, key, from).u64(6, timeout_ms))
}

/// Removes a key from a map, if it is there. The kernel wants to be given a value, but ignores it.
pub fn delete_from_map(set: &str, key: Register, from: Register) -> Expr {
    const DELETE: u32 = 2;
    expr("dynset", &dynamic(set, DELETE, key, from))
}

fn dynamic(set: &str, operation: u32, key: Register, from: Register) -> Attributes {
    Attributes::default().text(1, set).u32(3, operation).u32(4, key.wire()).u32(5, from.wire())
}
