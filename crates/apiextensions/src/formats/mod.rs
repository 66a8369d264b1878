//! The forms of strings that `format` may ask for: the ones upstream supports, judged as its libraries judge them.

mod net;
mod numbers;
mod time;

use std::sync::LazyLock;

use regex::Regex;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Form {
    BsonObjectId,
    Uri,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Cidr,
    Mac,
    Uuid,
    Uuid3,
    Uuid4,
    Uuid5,
    Isbn,
    Isbn10,
    Isbn13,
    CreditCard,
    Ssn,
    HexColor,
    RgbColor,
    Byte,
    Password,
    Date,
    Duration,
    DateTime,
    ShortName,
    LongName,
}

/// Names without their dashes, as they are looked up.
const NAMES: [(&str, Form); 26] = [
    ("bsonobjectid", Form::BsonObjectId),
    ("uri", Form::Uri),
    ("email", Form::Email),
    ("hostname", Form::Hostname),
    ("ipv4", Form::Ipv4),
    ("ipv6", Form::Ipv6),
    ("cidr", Form::Cidr),
    ("mac", Form::Mac),
    ("uuid", Form::Uuid),
    ("uuid3", Form::Uuid3),
    ("uuid4", Form::Uuid4),
    ("uuid5", Form::Uuid5),
    ("isbn", Form::Isbn),
    ("isbn10", Form::Isbn10),
    ("isbn13", Form::Isbn13),
    ("creditcard", Form::CreditCard),
    ("ssn", Form::Ssn),
    ("hexcolor", Form::HexColor),
    ("rgbcolor", Form::RgbColor),
    ("byte", Form::Byte),
    ("password", Form::Password),
    ("date", Form::Date),
    ("duration", Form::Duration),
    ("datetime", Form::DateTime),
    ("k8sshortname", Form::ShortName),
    ("k8slongname", Form::LongName),
];

impl Form {
    /// The form of this name; dashes do not count (`date-time`, `datetime`).
    pub(crate) fn named(name: &str) -> Option<Self> {
        let plain = name.replace('-', "");
        NAMES.iter().find(|(own, _)| *own == plain).map(|(_, form)| *form)
    }

    /// Whether a text has the form.
    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::BsonObjectId => text.len() == 24 && is_hex(text),
            Self::Uri => net::is_request_uri(text),
            Self::Email => net::is_email(text),
            Self::Hostname => is_hostname(text),
            Self::Ipv4 => net::is_ipv4(text),
            Self::Ipv6 => net::is_ipv6(text),
            Self::Cidr => net::is_cidr(text),
            Self::Mac => net::is_mac(text),
            Self::Uuid => numbers::is_uuid(text, None),
            Self::Uuid3 => numbers::is_uuid(text, Some('3')),
            Self::Uuid4 => numbers::is_uuid(text, Some('4')),
            Self::Uuid5 => numbers::is_uuid(text, Some('5')),
            Self::Isbn => numbers::is_isbn10(text) || numbers::is_isbn13(text),
            Self::Isbn10 => numbers::is_isbn10(text),
            Self::Isbn13 => numbers::is_isbn13(text),
            Self::CreditCard => numbers::is_credit_card(text),
            Self::Ssn => text.len() == 11 && numbers::is_ssn(text),
            Self::HexColor => is_hex_color(text),
            Self::RgbColor => is_rgb_color(text),
            Self::Byte => is_base64(text),
            Self::Password => true,
            Self::Date => time::is_date(text),
            Self::Duration => time::is_duration(text),
            Self::DateTime => time::is_date_time(text),
            Self::ShortName => text.len() <= 63 && is_name(text),
            Self::LongName => text.len() <= 253 && text.split('.').all(is_name),
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Letters may be of any script, and symbols too; a last label of letters only, after others.
fn is_hostname(text: &str) -> bool {
    static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
        let c = r"[a-zA-Z0-9\p{S}\p{L}]";
        let dashed = r"[a-zA-Z0-9\-\p{S}\p{L}]";
        let one = format!(r"{c}(?:-?{c}{{0,62}})?");
        let many = format!(r"(?:{c}(?:{dashed}{{0,61}}{c})?\.)+[a-zA-Z\p{{L}}]{{2,63}}");
        Regex::new(&format!("^(?:{one}|{many})$")).expect("a constant expression")
    });
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63) && SHAPE.is_match(text)
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

fn is_rgb_color(text: &str) -> bool {
    let inside = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')'));
    let part = |part: &str| {
        let number = part.trim_matches([' ', '\t', '\n', '\u{c}', '\r']);
        let plain = number.bytes().all(|b| b.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
        plain && number.parse::<u8>().is_ok()
    };
    inside.is_some_and(|inside| inside.split(',').count() == 3 && inside.split(',').all(part))
}

/// Base64 with padding; not empty.
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let pads = text.len() - body.len();
    let known = body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    !body.is_empty() && text.len().is_multiple_of(4) && pads <= 2 && known
}

/// A DNS label of lower case, whatever its length.
fn is_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(|b| inside(*b));
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| inside(*b) || *b == b'-')
}

#[cfg(test)]
mod tests;
