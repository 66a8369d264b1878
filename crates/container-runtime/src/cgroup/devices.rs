//! Which devices a container may use: the `devices` controller in v1, an eBPF program in v2.
//!
//! Both are made from one list of rules; the last rule that matches decides, and what none matches is denied.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::{Cgroup, Layout};
use crate::sys::{BpfInsn, attach_device_filter};

/// One rule. `None` numbers match any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// `b`lock or `c`haracter devices.
    pub block: bool,
    /// Major number.
    pub major: Option<u32>,
    /// Minor number.
    pub minor: Option<u32>,
    /// What is allowed.
    pub access: Access,
}

/// Ways to use a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// Making a node for it.
    pub mknod: bool,
}

impl Access {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, mknod: true };
    /// Making nodes only.
    pub const MKNOD: Self = Self { read: false, write: false, mknod: true };

    /// Reads `rwm` letters.
    pub fn parse(letters: &str) -> Self {
        Self { read: letters.contains('r'), write: letters.contains('w'), mknod: letters.contains('m') }
    }

    fn letters(self) -> String {
        [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')]
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, letter)| letter)
            .collect()
    }

    /// The bits of `BPF_DEVCG_ACC_*`.
    fn bits(self) -> i32 {
        i32::from(self.mknod) | i32::from(self.read) << 1 | i32::from(self.write) << 2
    }
}

/// What every container may do (OCI runtime specification, "default devices"): make any node, use the harmless ones.
pub fn default_device_rules() -> Vec<DeviceRule> {
    let character = |major, minor, access| DeviceRule { block: false, major, minor, access };
    let mut rules = vec![
        character(None, None, Access::MKNOD),
        DeviceRule { block: true, major: None, minor: None, access: Access::MKNOD },
    ];
    // null, zero, full, random, urandom; tty, console, ptmx; pseudo terminals.
    for minor in [3, 5, 7, 8, 9] {
        rules.push(character(Some(1), Some(minor), Access::ALL));
    }
    for minor in [0, 1, 2] {
        rules.push(character(Some(5), Some(minor), Access::ALL));
    }
    rules.push(character(Some(136), None, Access::ALL));
    rules
}

pub(super) fn apply(layout: &Layout, path: &str, rules: &[DeviceRule]) -> io::Result<()> {
    if let Some(hierarchy) = layout.v1("devices") {
        let directory = hierarchy.directory(path);
        fs::write(directory.join("devices.deny"), "a")?;
        for rule in rules {
            fs::write(directory.join("devices.allow"), v1_line(rule))?;
        }
        return Ok(());
    }
    match Cgroup::new(layout, path).v2_directory()? {
        Some(directory) => attach_device_filter(directory, &program(rules)),
        None => Ok(()),
    }
}

fn v1_line(rule: &DeviceRule) -> String {
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let kind = if rule.block { 'b' } else { 'c' };
    format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access.letters())
}

// eBPF, from the kernel's instruction set document: r1 holds the context
// { access_type: access << 16 | device type, major, minor }; a result of 0 denies, 1 allows.
const LOAD_WORD: u8 = 0x61;
const AND_CONST: u8 = 0x54;
const SHIFT_RIGHT_CONST: u8 = 0x74;
const MOVE: u8 = 0xbc;
const MOVE_CONST: u8 = 0xb4;
const JUMP_NOT_EQUAL_CONST: u8 = 0x56;
const JUMP_NOT_EQUAL: u8 = 0x5e;
const EXIT: u8 = 0x95;
const TYPE_BLOCK: i32 = 1;
const TYPE_CHARACTER: i32 = 2;

fn insn(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> BpfInsn {
    BpfInsn { code, registers: src << 4 | dst, offset, immediate }
}

/// r2 = type, r3 = access, r4 = major, r5 = minor; then one block a rule that allows what it covers wholly.
fn program(rules: &[DeviceRule]) -> Vec<BpfInsn> {
    let mut out = vec![
        insn(LOAD_WORD, 2, 1, 0, 0),
        insn(AND_CONST, 2, 0, 0, 0xffff),
        insn(LOAD_WORD, 3, 1, 0, 0),
        insn(SHIFT_RIGHT_CONST, 3, 0, 0, 16),
        insn(LOAD_WORD, 4, 1, 4, 0),
        insn(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules {
        out.extend(rule_block(rule));
    }
    out.extend([insn(MOVE_CONST, 0, 0, 0, 0), insn(EXIT, 0, 0, 0, 0)]);
    out
}

fn rule_block(rule: &DeviceRule) -> Vec<BpfInsn> {
    let kind = if rule.block { TYPE_BLOCK } else { TYPE_CHARACTER };
    let mut block = vec![insn(JUMP_NOT_EQUAL_CONST, 2, 0, 0, kind)];
    if rule.access != Access::ALL {
        // What is asked must be part of what is allowed: (access & allowed) == access.
        block.push(insn(MOVE, 1, 3, 0, 0));
        block.push(insn(AND_CONST, 1, 0, 0, rule.access.bits()));
        block.push(insn(JUMP_NOT_EQUAL, 1, 3, 0, 0));
    }
    block.extend(rule.major.map(|n| insn(JUMP_NOT_EQUAL_CONST, 4, 0, 0, n as i32)));
    block.extend(rule.minor.map(|n| insn(JUMP_NOT_EQUAL_CONST, 5, 0, 0, n as i32)));
    block.extend([insn(MOVE_CONST, 0, 0, 0, 1), insn(EXIT, 0, 0, 0, 0)]);
    let end = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        if matches!(instruction.code, JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_CONST) {
            instruction.offset = (end - at - 1) as i16;
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would, for the instructions it uses.
    fn allows(rules: &[DeviceRule], block: bool, major: i64, minor: i64, access: Access) -> bool {
        let kind = i64::from(if block { TYPE_BLOCK } else { TYPE_CHARACTER });
        let context = [i64::from(access.bits()) << 16 | kind, major, minor];
        let (mut registers, mut at, program) = ([0i64; 8], 0usize, program(rules));
        loop {
            let i = program[at];
            let (dst, src) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            at += 1;
            match i.code {
                LOAD_WORD => registers[dst] = context[i.offset as usize / 4],
                AND_CONST => registers[dst] &= i64::from(i.immediate),
                SHIFT_RIGHT_CONST => registers[dst] >>= i.immediate,
                MOVE => registers[dst] = registers[src],
                MOVE_CONST => registers[dst] = i64::from(i.immediate),
                JUMP_NOT_EQUAL if registers[dst] != registers[src] => at += i.offset as usize,
                JUMP_NOT_EQUAL_CONST if registers[dst] != i64::from(i.immediate) => at += i.offset as usize,
                JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_CONST => {}
                EXIT => return registers[0] == 1,
                other => panic!("unexpected instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_decides_as_the_rules_say() {
        let rules = default_device_rules();
        let read = Access::parse("r");
        assert!(allows(&rules, false, 1, 3, Access::ALL), "null");
        assert!(allows(&rules, false, 136, 7, Access::parse("rw")), "a pseudo terminal");
        assert!(allows(&rules, true, 8, 0, Access::MKNOD), "any node may be made");
        assert!(!allows(&rules, true, 8, 0, read), "a disk may not be read");
        assert!(!allows(&rules, false, 1, 1, read), "nor may memory");
        assert!(
            !allows(&rules, true, 8, 0, Access::parse("rm")),
            "one allowed access does not cover another"
        );
    }

    #[test]
    fn rules_in_v1_form() {
        let lines: Vec<_> = default_device_rules().iter().map(v1_line).collect();
        assert_eq!(lines[..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(lines.last().unwrap(), "c 136:* rwm");
    }
}
