//! `metav1.Time` (whole seconds) and `metav1.MicroTime` (always six digits): RFC 3339 in UTC; and durations as
//! people read them.

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

/// A duration of `seconds` as people read it, about two digits exact (upstream's `duration.HumanDuration`): `85s`,
/// `5m30s`, `47h`, `7d23h`, `2y10d`.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match seconds {
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => pair(days, "d", hours % 24, "h"),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if days < 8 * 365 => pair(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

fn pair(large: i64, unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_upstream_writes_them() {
        const M: i64 = 60;
        const H: i64 = 3600;
        const D: i64 = 24 * H;
        const Y: i64 = 365 * D;
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (2 * M, "2m"),
            (9 * M + 59, "9m59s"),
            (10 * M + 5, "10m"),
            (179 * M + 59, "179m"),
            (3 * H, "3h"),
            (7 * H + 59 * M, "7h59m"),
            (8 * H + 30 * M, "8h"),
            (47 * H + 59 * M, "47h"),
            (2 * D, "2d"),
            (7 * D + 23 * H, "7d23h"),
            (8 * D + 23 * H, "8d"),
            (2 * Y - 1, "729d"),
            (2 * Y, "2y"),
            (2 * Y + 10 * D, "2y10d"),
            (8 * Y + 100 * D, "8y"),
        ];
        for (seconds, want) in cases {
            assert_eq!(human_duration(seconds), want, "{seconds} seconds");
        }
    }

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
