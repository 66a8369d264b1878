//! System call filters: the built-in default profile, profiles in the OCI form, and the compiler to classic BPF.
//!
//! The program is a binary search over ranges of system call numbers that share an outcome, so that a call passes
//! in about seven comparisons. Calls of another architecture (32-bit programs) get the default action.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::capabilities;
use super::syscalls::number;

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Program {
    /// Classic BPF, as `seccomp(2)` takes it.
    pub instructions: Vec<libc::sock_filter>,
    /// Whether the kernel logs what is not allowed.
    pub log: bool,
}

/// Why a profile was refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is no JSON of the expected form.
    #[error("not a seccomp profile")]
    Malformed(#[from] serde_json::Error),
    /// It uses an action or operator that does not exist.
    #[error("unknown {what} {word:?}")]
    Unknown {
        /// "action" or "operator".
        what: &'static str,
        /// The word found.
        word: String,
    },
}

/// What happens to a call: a `SECCOMP_RET_*` value with its data.
type Action = u32;

const ALLOW: Action = libc::SECCOMP_RET_ALLOW;

/// One condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    argument: u32,
    operator: Operator,
    value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `argument & mask == value`
    MaskedEqual(u64),
}

/// What decides on one system call: the first rule whose conditions all hold.
type Rules = Vec<(Vec<Condition>, Action)>;

/// A profile before compilation.
#[derive(Debug, Default)]
struct Profile {
    default: Action,
    rules: BTreeMap<u32, Rules>,
    log: bool,
}

impl Profile {
    fn add(&mut self, name: &str, conditions: Vec<Condition>, action: Action) {
        // A name that this architecture lacks cannot be called either.
        if let Some(number) = number(name) {
            self.rules.entry(number).or_default().push((conditions, action));
        }
    }
}

fn errno(number: i32) -> Action {
    libc::SECCOMP_RET_ERRNO | number as u32
}

/// Calls that are allowed to every container: the list all runtimes share.
const DEFAULT_ALLOWED: &str = "accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod \
    chown clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat \
    dup dup2 dup3 epoll_create epoll_create1 epoll_ctl  epoll_pwait epoll_pwait2 epoll_wait \
    eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate \
    fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork \
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake \
    futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups \
    getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit \
    getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch \
    inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit \
    ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown \
    lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat \
    madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 \
    mlockall mmap modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap \
    mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open \
    openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl \
    pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 \
    pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages \
    removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending \
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo \
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
    sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list \
    set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid \
    setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget \
    shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink symlinkat sync \
    sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
    timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat \
    utime utimensat utimes vfork vmsplice wait4 waitid write writev";

/// Calls that come with a capability.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount \
         open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module init_module finit_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "iopl ioperm"),
    ("SYS_TIME", "settimeofday clock_settime"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// `CLONE_NEW*` flags, which need a capability in a filter that has no say over them otherwise.
const NAMESPACE_FLAGS: u64 = 0x7E02_0000;

/// Personalities a container may ask for: Linux, 32-bit addresses, their uname variants, and "only tell me".
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The profile `RuntimeDefault` for a container with these capabilities.
pub fn runtime_default(capabilities: u64) -> Program {
    let holds = |name: &str| capabilities::mask(name).is_ok_and(|mask| capabilities & mask != 0);
    let mut profile = Profile { default: errno(libc::EPERM), ..Default::default() };
    for name in DEFAULT_ALLOWED.split_whitespace() {
        profile.add(name, vec![], ALLOW);
    }
    for (_, names) in WITH_CAPABILITY.iter().filter(|(capability, _)| holds(capability)) {
        names.split_whitespace().for_each(|name| profile.add(name, vec![], ALLOW));
    }
    let condition = |operator, value| vec![Condition { argument: 0, operator, value }];
    if !holds("SYS_ADMIN") {
        profile.add("clone", condition(Operator::MaskedEqual(NAMESPACE_FLAGS), 0), ALLOW);
        // Its flags are behind a pointer; ENOSYS makes the C library take clone instead.
        profile.add("clone3", vec![], errno(libc::ENOSYS));
    }
    for value in PERSONALITIES {
        profile.add("personality", condition(Operator::Equal, value), ALLOW);
    }
    profile.add("socket", condition(Operator::NotEqual, libc::AF_VSOCK as u64), ALLOW);
    compile(&profile)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciProfile {
    default_action: String,
    default_errno_ret: Option<i32>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<OciRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciRule {
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<i32>,
    #[serde(default)]
    args: Vec<OciArgument>,
    #[serde(default)]
    includes: OciFilter,
    #[serde(default)]
    excludes: OciFilter,
}

#[derive(Default, Deserialize)]
struct OciFilter {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciArgument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Compiles a profile file of the node (the form of the OCI runtime specification, with the `includes` and `excludes`
/// by capability that profile files in use have).
pub fn from_profile(text: &str, capabilities: u64) -> Result<Program, ProfileError> {
    let oci: OciProfile = serde_json::from_str(text)?;
    let mut profile = Profile {
        default: action(&oci.default_action, oci.default_errno_ret)?,
        log: oci.flags.iter().any(|f| f == "SECCOMP_FILTER_FLAG_LOG"),
        ..Default::default()
    };
    for rule in oci.syscalls.iter().filter(|rule| applies(rule, capabilities)) {
        let action = action(&rule.action, rule.errno_ret)?;
        let conditions = rule.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        for name in &rule.names {
            profile.add(name, conditions.clone(), action);
        }
    }
    Ok(compile(&profile))
}

fn applies(rule: &OciRule, capabilities: u64) -> bool {
    let holds = |name: &String| capabilities::mask(name).is_ok_and(|mask| capabilities & mask != 0);
    let here = |arch: &String| arch == ARCH_NAME;
    let included = rule.includes.caps.iter().all(holds)
        && (rule.includes.arches.is_empty() || rule.includes.arches.iter().any(here));
    included && !rule.excludes.caps.iter().any(holds) && !rule.excludes.arches.iter().any(here)
}

fn action(word: &str, errno_ret: Option<i32>) -> Result<Action, ProfileError> {
    Ok(match word {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_LOG" => libc::SECCOMP_RET_LOG,
        "SCMP_ACT_ERRNO" => errno(errno_ret.unwrap_or(libc::EPERM)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => libc::SECCOMP_RET_KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => libc::SECCOMP_RET_KILL_PROCESS,
        "SCMP_ACT_TRAP" => libc::SECCOMP_RET_TRAP,
        "SCMP_ACT_TRACE" => libc::SECCOMP_RET_TRACE | errno_ret.unwrap_or(libc::EPERM) as u32,
        other => return Err(ProfileError::Unknown { what: "action", word: other.to_owned() }),
    })
}

fn condition(argument: &OciArgument) -> Result<Condition, ProfileError> {
    let plain = |operator| Condition { argument: argument.index, operator, value: argument.value };
    Ok(match argument.op.as_str() {
        "SCMP_CMP_EQ" => plain(Operator::Equal),
        "SCMP_CMP_NE" => plain(Operator::NotEqual),
        "SCMP_CMP_LT" => plain(Operator::Less),
        "SCMP_CMP_LE" => plain(Operator::LessOrEqual),
        "SCMP_CMP_GT" => plain(Operator::Greater),
        "SCMP_CMP_GE" => plain(Operator::GreaterOrEqual),
        "SCMP_CMP_MASKED_EQ" => Condition {
            argument: argument.index,
            operator: Operator::MaskedEqual(argument.value),
            value: argument.value_two,
        },
        other => return Err(ProfileError::Unknown { what: "operator", word: other.to_owned() }),
    })
}

#[cfg(target_arch = "x86_64")]
const ARCH_NAME: &str = "amd64";
#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH_NAME: &str = "arm64";
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xC000_00B7;

// Classic BPF (linux/bpf_common.h) and the layout of struct seccomp_data.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const NUMBER_OFFSET: u32 = 0;
const ARCH_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;

fn op(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

fn compile(profile: &Profile) -> Program {
    let mut out = vec![
        op(LOAD, ARCH_OFFSET),
        jump(JUMP_EQUAL, AUDIT_ARCH, 1, 0),
        op(RETURN, profile.default),
        op(LOAD, NUMBER_OFFSET),
    ];
    out.extend(search(&segments(profile)));
    Program { instructions: out, log: profile.log }
}

/// Ranges of numbers with one outcome, each from its first number to the next one's.
fn segments(profile: &Profile) -> Vec<(u32, Vec<libc::sock_filter>)> {
    let default = vec![op(RETURN, profile.default)];
    let mut out = vec![(0, default.clone())];
    let mut push = |start: u32, body: Vec<libc::sock_filter>| {
        let (last_start, last_body) = out.last_mut().expect("starts with one segment");
        if same(last_body, &body) {
            return;
        }
        if *last_start == start {
            *last_body = body;
        } else {
            out.push((start, body));
        }
    };
    for (number, rules) in &profile.rules {
        push(*number, body(rules, profile.default));
        if !profile.rules.contains_key(&(number + 1)) {
            push(number + 1, default.clone());
        }
    }
    out
}

fn same(a: &[libc::sock_filter], b: &[libc::sock_filter]) -> bool {
    let key = |i: &libc::sock_filter| (i.code, i.jt, i.jf, i.k);
    a.iter().map(key).eq(b.iter().map(key))
}

/// Binary search; a long jump stands between the halves since conditional jumps reach 255 instructions only.
fn search(segments: &[(u32, Vec<libc::sock_filter>)]) -> Vec<libc::sock_filter> {
    if let [(_, body)] = segments {
        return body.clone();
    }
    let (left, right) = segments.split_at(segments.len() / 2);
    let (low, high) = (search(left), search(right));
    let mut out = vec![jump(JUMP_GREATER_OR_EQUAL, right[0].0, 0, 1), op(JUMP, low.len() as u32)];
    out.extend(low);
    out.extend(high);
    out
}

/// The rules of one call in order; when none holds, the default.
fn body(rules: &Rules, default: Action) -> Vec<libc::sock_filter> {
    let mut out = Vec::new();
    for (conditions, action) in rules {
        if conditions.is_empty() {
            out.push(op(RETURN, *action));
            return out;
        }
        out.extend(rule(conditions, *action));
    }
    out.push(op(RETURN, default));
    out
}

/// Placeholder target in a condition: "this rule does not hold". Filled in once the rule's length is known.
const FAIL: u8 = 0xff;

fn rule(conditions: &[Condition], action: Action) -> Vec<libc::sock_filter> {
    let mut out: Vec<_> = conditions.iter().flat_map(test).collect();
    out.push(op(RETURN, action));
    let end = out.len();
    for (at, instruction) in out.iter_mut().enumerate() {
        let to_end = (end - at - 1) as u8;
        for target in [&mut instruction.jt, &mut instruction.jf] {
            if *target == FAIL {
                *target = to_end;
            }
        }
    }
    out
}

/// Compares a 64-bit argument in two halves; falls through when the condition holds.
fn test(condition: &Condition) -> Vec<libc::sock_filter> {
    let low_at = ARGUMENTS_OFFSET + 8 * condition.argument;
    let load_high = op(LOAD, low_at + 4);
    let load_low = op(LOAD, low_at);
    let (high, low) = ((condition.value >> 32) as u32, condition.value as u32);
    match condition.operator {
        Operator::Equal => {
            vec![load_high, jump(JUMP_EQUAL, high, 0, FAIL), load_low, jump(JUMP_EQUAL, low, 0, FAIL)]
        }
        Operator::NotEqual => {
            vec![load_high, jump(JUMP_EQUAL, high, 0, 2), load_low, jump(JUMP_EQUAL, low, FAIL, 0)]
        }
        Operator::MaskedEqual(mask) => vec![
            load_high,
            op(AND, (mask >> 32) as u32),
            jump(JUMP_EQUAL, high, 0, FAIL),
            load_low,
            op(AND, mask as u32),
            jump(JUMP_EQUAL, low, 0, FAIL),
        ],
        // high > : holds; high == : the low half decides; else fails.
        Operator::Greater => ordered(load_high, load_low, high, jump(JUMP_GREATER, low, 0, FAIL), true),
        Operator::GreaterOrEqual => {
            ordered(load_high, load_low, high, jump(JUMP_GREATER_OR_EQUAL, low, 0, FAIL), true)
        }
        Operator::Less => {
            ordered(load_high, load_low, high, jump(JUMP_GREATER_OR_EQUAL, low, FAIL, 0), false)
        }
        Operator::LessOrEqual => ordered(load_high, load_low, high, jump(JUMP_GREATER, low, FAIL, 0), false),
    }
}

fn ordered(
    load_high: libc::sock_filter,
    load_low: libc::sock_filter,
    high: u32,
    low_test: libc::sock_filter,
    greater: bool,
) -> Vec<libc::sock_filter> {
    // Positions: 0 load high, 1 greater?, 2 equal?, 3 load low, 4 low test, then on.
    let (on_greater, on_less) = if greater { (3, FAIL) } else { (FAIL, 2) };
    vec![
        load_high,
        jump(JUMP_GREATER, high, on_greater, 0),
        jump(JUMP_EQUAL, high, 0, on_less),
        load_low,
        low_test,
    ]
}

#[cfg(test)]
mod tests;
