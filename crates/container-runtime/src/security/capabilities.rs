//! Capability names and the sets a container gets.

use crate::spec::Capabilities;

/// Names by bit number, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What every container gets unless told otherwise; the set all runtimes agree on.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Every capability.
pub const ALL: u64 = (1 << NAMES.len()) - 1;

/// A name that is no capability.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub struct UnknownCapability(pub String);

/// The bit mask of one capability, with or without `CAP_`, in any case.
pub fn mask(name: &str) -> Result<u64, UnknownCapability> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let position = NAMES.iter().position(|n| *n == short);
    position.map(|bit| 1 << bit).ok_or_else(|| UnknownCapability(name.to_owned()))
}

/// The sets of a container. `ALL` is handled first, so that adding all and dropping one leaves out that one, and the
/// other way round.
pub fn for_container(
    privileged: bool,
    add: &[String],
    drop: &[String],
    ambient: &[String],
) -> Result<Capabilities, UnknownCapability> {
    if privileged {
        return Ok(Capabilities { bounding: ALL, ambient: 0 });
    }
    let is_all = |names: &[String]| names.iter().any(|n| n.eq_ignore_ascii_case("ALL"));
    let masks = |names: &[String]| {
        names
            .iter()
            .filter(|n| !n.eq_ignore_ascii_case("ALL"))
            .try_fold(0, |all, name| Ok::<u64, UnknownCapability>(all | mask(name)?))
    };
    let ambient_set = if is_all(ambient) { ALL } else { masks(ambient)? };
    let mut bounding = DEFAULT.iter().try_fold(0, |all, name| Ok(all | mask(name)?))?;
    if is_all(add) {
        bounding = ALL;
    }
    if is_all(drop) {
        bounding = 0;
    }
    bounding |= masks(add)? | ambient_set;
    bounding &= !masks(drop)?;
    Ok(Capabilities { bounding, ambient: ambient_set & bounding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_dropped() {
        let set = |add: &[&str], drop: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|s| s.to_string()).collect::<Vec<_>>();
            for_container(false, &own(add), &own(drop), &[]).unwrap().bounding
        };
        let default = set(&[], &[]);
        assert_eq!(default, 0xa804_25fb);
        let net_admin = mask("NET_ADMIN").unwrap();
        assert_eq!(set(&["NET_ADMIN"], &[]), default | net_admin);
        assert_eq!(set(&["cap_net_admin"], &["ALL"]), net_admin);
        assert_eq!(set(&["ALL"], &["NET_ADMIN"]), ALL & !net_admin);
        assert_eq!(set(&[], &["all"]), 0);
        assert_eq!(set(&[], &["KILL"]), default & !mask("KILL").unwrap());
    }

    #[test]
    fn a_wrong_name_is_an_error() {
        let error = for_container(false, &["NET_ADMN".to_owned()], &[], &[]).unwrap_err();
        assert_eq!(error.to_string(), r#"unknown capability "NET_ADMN""#);
    }

    #[test]
    fn privileged_has_all() {
        assert_eq!(for_container(true, &[], &["ALL".to_owned()], &[]).unwrap().bounding, ALL);
    }
}
