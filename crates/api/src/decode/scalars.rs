//! Strings with a form: times, quantities and base64, each with Go's words for what is wrong.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError as Base64Error, alphabet};
use steersman_apimachinery::quantity::Quantity;
use steersman_apimachinery::quote::quote;
use steersman_apimachinery::time;

/// A quantity in its canonical form.
pub(crate) fn canonical_quantity(text: &str) -> Result<String, String> {
    // Most quantities are canonical already, but only parsing tells.
    text.trim().parse::<Quantity>().map(|q| q.to_string()).map_err(|e| e.to_string())
}

/// A time in upstream's form: UTC, in whole seconds or in microseconds.
pub(crate) fn canonical_time(text: &str, micro: bool) -> Result<String, String> {
    let layout = if micro { MICRO } else { SECONDS };
    match (mismatch(text, layout), time::parse(text)) {
        (None, Ok(time)) if micro => Ok(time::format_micro(time)),
        (None, Ok(time)) => Ok(time::format(time)),
        (Some((rest, element)), _) => {
            let whole: String = layout.iter().map(|e| e.text()).collect();
            Err(format!(
                "parsing time {} as {}: cannot parse {} as {}",
                quote(text),
                quote(&whole),
                quote(rest),
                quote(element)
            ))
        }
        (None, Err(_)) => Err(format!("parsing time {}: day out of range", quote(text))),
    }
}

/// A part of a Go time layout.
enum Element {
    /// So many digits, by the layout's text.
    Digits(&'static str),
    /// This very text.
    Literal(&'static str),
    /// An optional fraction of any length.
    AnyFraction,
    /// A dot and exactly six digits.
    Fraction6,
    /// `Z` or an offset.
    Zone,
}

use Element::{AnyFraction, Digits, Fraction6, Literal, Zone};

const SECONDS: &[Element] = &[
    Digits("2006"),
    Literal("-"),
    Digits("01"),
    Literal("-"),
    Digits("02"),
    Literal("T"),
    Digits("15"),
    Literal(":"),
    Digits("04"),
    Literal(":"),
    Digits("05"),
    AnyFraction,
    Zone,
];

const MICRO: &[Element] = &[
    Digits("2006"),
    Literal("-"),
    Digits("01"),
    Literal("-"),
    Digits("02"),
    Literal("T"),
    Digits("15"),
    Literal(":"),
    Digits("04"),
    Literal(":"),
    Digits("05"),
    Fraction6,
    Zone,
];

impl Element {
    fn text(&self) -> &'static str {
        match self {
            Digits(text) | Literal(text) => text,
            AnyFraction => "",
            Fraction6 => ".000000",
            Zone => "Z07:00",
        }
    }

    /// How many bytes of `rest` it takes; `None` if it does not match.
    fn matches(&self, rest: &str) -> Option<usize> {
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        match self {
            Digits(text) => (digits(rest) >= text.len()).then_some(text.len()),
            Literal(text) => rest.starts_with(text).then_some(text.len()),
            AnyFraction => Some(rest.strip_prefix('.').map(digits).filter(|n| *n > 0).map_or(0, |n| n + 1)),
            Fraction6 => (digits(rest.strip_prefix('.')?) >= 6).then_some(7),
            Zone if rest.starts_with('Z') => Some(1),
            Zone => {
                let b = rest.as_bytes();
                let shaped = b.len() >= 6 && matches!(b[0], b'+' | b'-') && b[3] == b':';
                (shaped && digits(&rest[1..]) == 2 && digits(&rest[4..]) >= 2).then_some(6)
            }
        }
    }
}

/// The rest of `text` that does not match, and what it should have matched.
fn mismatch<'a>(text: &'a str, layout: &'static [Element]) -> Option<(&'a str, &'static str)> {
    let mut rest = text;
    for element in layout {
        match element.matches(rest).and_then(|n| rest.get(n..)) {
            Some(tail) => rest = tail,
            None => return Some((rest, element.text())),
        }
    }
    (!rest.is_empty()).then_some((rest, ""))
}

/// Go ignores the bits after the last byte, and line breaks.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Bytes in their canonical base64.
pub(super) fn canonical_base64(text: &str) -> Result<String, String> {
    let stripped: String;
    let plain = if text.contains(['\r', '\n']) {
        stripped = text.replace(['\r', '\n'], "");
        &stripped
    } else {
        text
    };
    let bytes = BASE64.decode(plain).map_err(|error| {
        let at = match error {
            Base64Error::InvalidByte(at, _) | Base64Error::InvalidLastSymbol(at, _) => at,
            Base64Error::InvalidLength(_) | Base64Error::InvalidPadding => plain.len() / 4 * 4,
        };
        format!("illegal base64 data at input byte {at}")
    })?;
    Ok(to_base64(&bytes))
}

/// Bytes as JSON has them.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_reads_them() {
        let layout = "\"2006-01-02T15:04:05Z07:00\"";
        let cases = [
            ("2026-01-02T03:04:05Z", false, Ok("2026-01-02T03:04:05Z".to_owned())),
            ("2026-01-02T03:04:05.9+01:00", false, Ok("2026-01-02T02:04:05Z".to_owned())),
            ("2026-01-02T03:04:05.000006Z", true, Ok("2026-01-02T03:04:05.000006Z".to_owned())),
            (
                "yesterday",
                false,
                Err(format!(
                    "parsing time \"yesterday\" as {layout}: cannot parse \"yesterday\" as \"2006\""
                )),
            ),
            (
                "2026-01-02 03:04:05Z",
                false,
                Err(format!(
                    "parsing time \"2026-01-02 03:04:05Z\" as {layout}: cannot parse \" 03:04:05Z\" as \"T\""
                )),
            ),
            (
                "2026-01-02T03:04:05Z",
                true,
                Err("parsing time \"2026-01-02T03:04:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": \
                     cannot parse \"Z\" as \".000000\""
                    .to_owned()),
            ),
        ];
        for (text, micro, want) in cases {
            assert_eq!(canonical_time(text, micro), want, "{text}");
        }
    }

    #[test]
    fn base64_is_read_as_go_reads_it() {
        let cases = [
            ("aGk=", Ok("aGk=")),
            ("aG\r\nk=", Ok("aGk=")),
            ("", Ok("")),
            ("a*k=", Err("illegal base64 data at input byte 1")),
            ("aGk", Err("illegal base64 data at input byte 0")),
        ];
        for (text, want) in cases {
            assert_eq!(canonical_base64(text).as_deref().map_err(String::as_str), want, "{text}");
        }
    }
}
