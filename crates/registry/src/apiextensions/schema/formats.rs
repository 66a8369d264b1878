//! Formats of strings and numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use steersman_apimachinery::names::{dns1123_label_problems, dns1123_subdomain_problems};

/// The formats of strings, without the dashes that names of formats may have anywhere.
const STRINGS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

/// Whether values of this type are checked against the format; other formats are only documentation.
pub fn is_known_format(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => STRINGS.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// Whether a string has the format. Formats that say nothing that could be checked cheaply (`password`, `isbn`,
/// `creditcard`, `ssn`, `rgbcolor`, `bsonobjectid`, `duration`) take every string.
pub(super) fn has_format(text: &str, format: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match format.replace('-', "").as_str() {
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => {
            let parts: Vec<&str> = text.split([':', '-']).collect();
            matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| part.len() == 2 && hex(part))
        }
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "byte" => STANDARD.decode(text).is_ok(),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            hex(digits) && matches!(digits.len(), 3 | 6)
        }
        "hostname" => dns1123_subdomain_problems(&text.to_lowercase(), false).is_empty(),
        "email" => text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace)
        }),
        "uri" => text.starts_with('/') || text.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme)),
        "k8sshortname" => dns1123_label_problems(text, false).is_empty(),
        "k8slongname" => dns1123_subdomain_problems(text, false).is_empty(),
        _ => true,
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((ip, bits)) = text.split_once('/') else { return false };
    match (ip.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

/// As upstream's patterns have it: the dashes may be missing, and the version is the thirteenth digit.
fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut digits = String::with_capacity(32);
    for (index, c) in text.chars().enumerate() {
        match c {
            '-' if index > 0 && matches!(digits.len(), 8 | 12 | 16 | 20) => {}
            c if c.is_ascii_hexdigit() => digits.push(c.to_ascii_lowercase()),
            _ => return false,
        }
    }
    let variant = digits.chars().nth(16).is_some_and(|c| matches!(c, '8' | '9' | 'a' | 'b'));
    digits.len() == 32
        && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
        && (matches!(version, None | Some('3')) || variant)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_checked() {
        let cases = [
            ("ipv4", "10.0.0.1", "10.0.0"),
            ("ipv6", "fd00::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "00:11:22:33:44:55", "00:11"),
            ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810"),
            ("uuid4", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            ("byte", "AAE=", "!"),
            ("date", "2026-01-31", "2026-02-31"),
            ("date-time", "2026-01-31T00:00:00Z", "2026-01-31"),
            ("hexcolor", "#fff", "#ff"),
            ("hostname", "A.b", "a_b"),
            ("email", "a@b", "a"),
            ("uri", "https://a/b", "a b"),
            ("k8s-short-name", "a-b", "a.b"),
            ("k8s-long-name", "a.b", "A"),
        ];
        for (format, good, bad) in cases {
            assert!(is_known_format("string", format), "{format}");
            assert!(has_format(good, format) && !has_format(bad, format), "{format}");
        }
        assert!(has_format("anything", "password"));
    }

    #[test]
    fn formats_belong_to_types() {
        assert!(
            is_known_format("", "date")
                && is_known_format("integer", "int64")
                && is_known_format("number", "float")
        );
        assert!(!is_known_format("string", "int32") && !is_known_format("integer", "date"));
        assert!(!is_known_format("boolean", "x") && !is_known_format("string", "quantity"));
    }
}
