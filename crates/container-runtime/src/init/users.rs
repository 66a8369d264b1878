//! Who a process runs as, from the container's own `/etc/passwd` and `/etc/group`. Pure.
//!
//! The binary is linked statically, so the C library's name services are out of reach, and the files to ask are the
//! container's, not the host's.

use crate::spec::{Identity, User};

/// The fields of `/etc/passwd` that matter here.
struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Resolves `user` against the text of `passwd` and `group`.
///
/// A number needs no entry. A name does, and the error for a missing one is the words every runtime uses.
pub fn resolve(user: &User, passwd: &str, group: &str) -> Result<Identity, String> {
    let (user_part, group_part) = match user.name.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user.name.as_str(), None),
    };
    let user_part = if user_part.is_empty() { "0" } else { user_part };
    let entry = find_user(user_part, passwd);
    let uid = match (&entry, user_part.parse::<u32>()) {
        (Some(entry), _) => entry.uid,
        (None, Ok(uid)) => uid,
        (None, Err(_)) => {
            return Err(format!("unable to find user {user_part}: no matching entries in passwd file"));
        }
    };
    let gid = match (user.gid, group_part) {
        (Some(gid), _) => gid,
        (None, Some(name)) => find_group(name, group)
            .ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))?,
        (None, None) => entry.as_ref().map_or(0, |e| e.gid),
    };
    let mut groups = user.supplemental.clone();
    // Groups of the image count only for a user the image knows by its own primary choice.
    if let (Some(entry), false) = (&entry, user.strict) {
        groups.extend(groups_of(entry.name, group));
    }
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    let home = entry.map_or("/", |e| e.home);
    let home = if home.is_empty() { "/" } else { home };
    Ok(Identity { uid, gid, groups, home: home.to_owned() })
}

/// By name first, then by number, as an image may have a user named "1000".
fn find_user<'a>(wanted: &str, passwd: &'a str) -> Option<PasswdEntry<'a>> {
    let number = wanted.parse::<u32>().ok();
    let entries = || passwd.lines().filter_map(parse_passwd);
    entries().find(|e| e.name == wanted).or_else(|| entries().find(|e| Some(e.uid) == number))
}

fn parse_passwd(line: &str) -> Option<PasswdEntry<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(PasswdEntry { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
}

fn find_group(wanted: &str, group: &str) -> Option<u32> {
    let named = parse_groups(group).find(|(name, ..)| *name == wanted).map(|(_, gid, _)| gid);
    named.or_else(|| wanted.parse().ok())
}

fn groups_of<'a>(user: &'a str, group: &'a str) -> impl Iterator<Item = u32> + 'a {
    parse_groups(group)
        .filter(move |(_, _, members)| members.split(',').any(|m| m.trim() == user))
        .map(|(_, gid, _)| gid)
}

fn parse_groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:Web:/var/www:/bin/false\n# note\n";
    const GROUP: &str = "root:x:0:\nweb:x:102:\nlogs:x:4:syslog,web\nbackup:x:34:web\n";

    fn user(name: &str) -> User {
        User { name: name.into(), ..Default::default() }
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        struct Case {
            user: User,
            uid: u32,
            gid: u32,
            groups: &'static [u32],
            home: &'static str,
        }
        let cases = [
            Case { user: user(""), uid: 0, gid: 0, groups: &[0], home: "/root" },
            Case { user: user("web"), uid: 101, gid: 102, groups: &[4, 34, 102], home: "/var/www" },
            Case { user: user("101"), uid: 101, gid: 102, groups: &[4, 34, 102], home: "/var/www" },
            Case { user: user("web:logs"), uid: 101, gid: 4, groups: &[4, 34], home: "/var/www" },
            Case { user: user("1234:77"), uid: 1234, gid: 77, groups: &[77], home: "/" },
            Case { user: user("1234"), uid: 1234, gid: 0, groups: &[0], home: "/" },
            Case {
                user: User { name: "web".into(), gid: Some(9), supplemental: vec![8], strict: false },
                uid: 101,
                gid: 9,
                groups: &[4, 8, 9, 34],
                home: "/var/www",
            },
            Case {
                user: User { name: "web".into(), gid: None, supplemental: vec![8], strict: true },
                uid: 101,
                gid: 102,
                groups: &[8, 102],
                home: "/var/www",
            },
        ];
        for case in cases {
            let found = resolve(&case.user, PASSWD, GROUP).unwrap();
            let wanted = Identity {
                uid: case.uid,
                gid: case.gid,
                groups: case.groups.to_vec(),
                home: case.home.into(),
            };
            assert_eq!(found, wanted, "{:?}", case.user);
        }
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = resolve(&user("nobody"), PASSWD, GROUP).unwrap_err();
        assert_eq!(error, "unable to find user nobody: no matching entries in passwd file");
        let error = resolve(&user("web:none"), PASSWD, GROUP).unwrap_err();
        assert_eq!(error, "unable to find group none: no matching entries in group file");
    }

    #[test]
    fn an_image_without_the_files_still_has_root() {
        assert_eq!(resolve(&user(""), "", "").unwrap().uid, 0);
    }
}
