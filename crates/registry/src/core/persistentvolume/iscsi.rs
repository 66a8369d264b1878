//! iSCSI sources: names of targets and initiators have one of three forms (RFC 3720 §3.2.6.3).

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::sources::unit_number;
use crate::checks::required;
use crate::tree::Read;

const FORM: &str = "must be valid format";
/// The most bytes of the name that an initiator gets from the volume and the portal.
const MAX_NAME_BYTES: usize = 64;

/// Checks an iSCSI source of the volume `name`, beside its portal.
pub(super) fn check(found: &mut ErrorList, source: &Tree, name: &str, path: &Path) {
    let (portal, initiator) = (source.text("targetPortal"), source.at("initiatorName").as_str());
    if initiator.is_some() && name.len() + 1 + portal.len() > MAX_NAME_BYTES {
        let why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                   iscsi.initiatorName is specified.";
        found.push(Error::invalid(path.child("targetportal"), portal, why));
    }
    let target = source.text("iqn");
    if required(found, path.child("iqn"), target) && !is_name(target) {
        found.push(Error::invalid(path.child("iqn"), target, FORM));
    }
    unit_number(found, source.int("lun").unwrap_or(0), path);
    let secret = path.child("secretRef");
    if source.has("secretRef") {
        required(found, secret.child("name"), source.text("secretRef.name"));
    } else if source.flag("chapAuthDiscovery") || source.flag("chapAuthSession") {
        found.push(Error::required(secret, ""));
    }
    if let Some(initiator) = initiator.filter(|initiator| !is_name(initiator)) {
        found.push(Error::invalid(path.child("initiatorname"), initiator, FORM));
    }
}

fn is_name(name: &str) -> bool {
    match name.get(..3) {
        Some("iqn") => name.get(3..).and_then(|rest| rest.strip_prefix('.')).is_some_and(is_qualified),
        Some("eui") => is_code(name, 16),
        Some("naa") => is_code(name, 32),
        _ => false,
    }
}

/// `2026-01.com.example:target`.
fn is_qualified(rest: &str) -> bool {
    let Some((date, name)) = rest.split_once('.') else { return false };
    let Some((authority, own)) = name.split_once(':') else { return false };
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    date.split_once('-').is_some_and(|(year, month)| digits(year, 4) && digits(month, 2))
        && !authority.is_empty()
        && authority.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && !own.is_empty()
        && !own.contains([',', ';', '*', '&', '$', '|', ' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

fn is_code(name: &str, length: usize) -> bool {
    let mut rest = name.chars().skip(3);
    rest.next().is_some_and(|separator| separator != '\n')
        && rest.clone().count() == length
        && rest.all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_of_three_forms() {
        let cases = [
            ("iqn.2026-01.com.example:storage.disk1", true),
            ("iqn.2026-01.com.example", false),
            ("iqn.26-01.com.example:x", false),
            ("iqn.2026-01.com.example:a b", false),
            ("eui.0123456789ABCDEF", true),
            ("eui.0123", false),
            ("naa.0123456789abcdef0123456789abcdef", true),
            ("naa.0123456789abcdef", false),
            ("abc", false),
            ("", false),
        ];
        for (name, want) in cases {
            assert_eq!(is_name(name), want, "{name}");
        }
    }
}
