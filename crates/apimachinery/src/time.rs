//! `metav1.Time` (whole seconds) and `metav1.MicroTime` (always six digits): RFC 3339 in UTC.

use jiff::Timestamp;

/// A text that is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parsing time {} as \"2006-01-02T15:04:05Z07:00\": not in that form", crate::quote::quote(.0))]
pub struct InvalidTime(pub String);

/// `2026-01-02T03:04:05Z`; what is below a second is cut off.
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-01-02T03:04:05.000006Z`; what is below a microsecond is cut off.
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads RFC 3339 with any offset and any fraction, as strict as Go is: `T` and `Z` in capitals, no leap seconds.
pub fn parse(text: &str) -> Result<Timestamp, InvalidTime> {
    let wrong = || InvalidTime(text.to_owned());
    if !has_shape(text.as_bytes()) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn has_shape(text: &[u8]) -> bool {
    const HEAD: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let Some((head, tail)) = text.split_at_checked(HEAD.len()) else { return false };
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let fits = |(want, got): (&u8, &u8)| if *want == b'd' { got.is_ascii_digit() } else { want == got };
    let offset = match tail {
        [b'.' | b',', rest @ ..] => {
            let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
            if digits == 0 { &[] } else { &rest[digits..] }
        }
        _ => tail,
    };
    let offset_fits = match offset {
        [b'Z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => digits(&[*h1, *h2, *m1, *m2]),
        _ => false,
    };
    HEAD.iter().zip(head).all(fits) && head[17] < b'6' && offset_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed() {
        let cases = [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456Z"),
            ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z", "2026-01-02T01:04:05.000000Z"),
        ];
        for (text, seconds, micros) in cases {
            let time = parse(text).expect(text);
            assert_eq!(format(time), seconds);
            assert_eq!(format_micro(time), micros);
        }
    }

    #[test]
    fn what_go_rejects_is_rejected() {
        let cases = [
            "",
            "2026-01-02",
            "2026-01-02 03:04:05Z",
            "2026-01-02t03:04:05z",
            "2026-01-02T03:04:60Z",
            "2026-13-02T03:04:05Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05[UTC]",
            "2026-01-02T03:04:05+0200",
        ];
        for text in cases {
            assert_eq!(parse(text), Err(InvalidTime(text.to_owned())), "{text}");
        }
    }
}
