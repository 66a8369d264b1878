use super::*;

/// Runs a program as the kernel would.
fn run(program: &Program, arch: u32, number: u32, arguments: [u64; 6]) -> Action {
    let mut words = vec![number, arch, 0, 0];
    words.extend(arguments.iter().flat_map(|a| [*a as u32, (*a >> 32) as u32]));
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let i = program.instructions[at];
        at += 1;
        let branch = |taken: bool| usize::from(if taken { i.jt } else { i.jf });
        match i.code {
            LOAD => accumulator = words[i.k as usize / 4],
            AND => accumulator &= i.k,
            JUMP => at += i.k as usize,
            JUMP_EQUAL => at += branch(accumulator == i.k),
            JUMP_GREATER => at += branch(accumulator > i.k),
            JUMP_GREATER_OR_EQUAL => at += branch(accumulator >= i.k),
            RETURN => return i.k,
            other => panic!("unexpected instruction {other:#x}"),
        }
    }
}

fn call(program: &Program, name: &str, first: u64) -> Action {
    run(program, AUDIT_ARCH, number(name).unwrap(), [first, 0, 0, 0, 0, 0])
}

#[test]
fn the_default_profile_allows_programs_and_refuses_the_kernel() {
    let plain = runtime_default(0);
    let denied = errno(libc::EPERM);
    let cases = [
        ("read", 0, ALLOW),
        ("execve", 0, ALLOW),
        ("writev", 0, ALLOW),
        ("mount", 0, denied),
        ("unshare", 0, denied),
        ("reboot", 0, denied),
        ("keyctl", 0, denied),
        ("io_uring_setup", 0, denied),
        ("clone", libc::CLONE_VM as u64, ALLOW),
        ("clone", libc::CLONE_NEWUSER as u64, denied),
        ("clone3", 0, errno(libc::ENOSYS)),
        ("personality", 0x2_0008, ALLOW),
        ("personality", 0x4_0000, denied),
        ("personality", 1 << 40, denied),
        ("socket", libc::AF_INET as u64, ALLOW),
        ("socket", libc::AF_VSOCK as u64, denied),
    ];
    for (name, first, action) in cases {
        assert_eq!(call(&plain, name, first), action, "{name}({first:#x})");
    }
    assert_eq!(run(&plain, 0x4000_0003, 11, [0; 6]), denied, "a 32-bit call");
    assert_eq!(run(&plain, AUDIT_ARCH, 0x4000_0000, [0; 6]), denied, "an x32 call");
}

#[test]
fn capabilities_open_their_calls() {
    let admin = runtime_default(capabilities::mask("SYS_ADMIN").unwrap());
    assert_eq!(call(&admin, "mount", 0), ALLOW);
    assert_eq!(call(&admin, "clone", libc::CLONE_NEWUSER as u64), ALLOW);
    assert_eq!(call(&admin, "clone3", 0), ALLOW);
    assert_eq!(call(&admin, "reboot", 0), errno(libc::EPERM));
}

#[test]
fn every_name_of_the_default_list_exists() {
    for name in DEFAULT_ALLOWED.split_whitespace() {
        assert!(number(name).is_some(), "{name}");
    }
}

#[test]
fn profiles_compare_whole_arguments() {
    let big = 1u64 << 33;
    let cases = [
        ("SCMP_CMP_EQ", [false, true, false]),
        ("SCMP_CMP_NE", [true, false, true]),
        ("SCMP_CMP_LT", [true, false, false]),
        ("SCMP_CMP_LE", [true, true, false]),
        ("SCMP_CMP_GT", [false, false, true]),
        ("SCMP_CMP_GE", [false, true, true]),
    ];
    for (operator, wanted) in cases {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":7,"syscalls":[
              {{"names":["lseek","no_such_call"],"action":"SCMP_ACT_ALLOW","args":[{{"index":1,"value":{big},"op":"{operator}"}}]}}]}}"#
        );
        let program = from_profile(&text, 0).unwrap();
        let values = [[big - 1, big, big + 1], [5, big, big + (1 << 34)]];
        for value in values {
            for (value, wanted) in value.into_iter().zip(wanted) {
                let got = run(&program, AUDIT_ARCH, number("lseek").unwrap(), [0, value, 0, 0, 0, 0]);
                assert_eq!(got, if wanted { ALLOW } else { errno(7) }, "{operator} {value:#x}");
            }
        }
        assert_eq!(call(&program, "read", 0), errno(7));
    }
}

#[test]
fn profiles_with_unknown_words_are_refused() {
    let error = from_profile(r#"{"defaultAction":"SCMP_ACT_MAYBE"}"#, 0).unwrap_err();
    assert_eq!(error.to_string(), r#"unknown action "SCMP_ACT_MAYBE""#);
    assert!(from_profile("{", 0).is_err());
}
