//! Durations as Go writes them: `1h30m`, `1.5s`, `-2ms`.

use jiff::SignedDuration;

/// Nanoseconds of each unit.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Reads a duration; the error is Go's.
pub(super) fn parse(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        nanos += number * size;
        rest = after;
    }
    let seconds = if negative { -nanos } else { nanos } / 1e9;
    SignedDuration::try_from_secs_f64(seconds).ok().filter(|_| nanos <= i64::MAX as f64).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let millis = |text: &str| parse(text).map(|duration| duration.as_millis());
        let wrong = |why: &str| Err(format!("time: {why}"));
        let cases = [
            ("1h30m", Ok(5_400_000)),
            ("1.5s", Ok(1500)),
            (".5s", Ok(500)),
            ("-2ms", Ok(-2)),
            ("0", Ok(0)),
            ("", wrong("invalid duration \"\"")),
            ("h", wrong("invalid duration \"h\"")),
            (".s", wrong("invalid duration \".s\"")),
            ("5", wrong("missing unit in duration \"5\"")),
            ("5x", wrong("unknown unit \"x\" in duration \"5x\"")),
            ("9999999h", wrong("invalid duration \"9999999h\"")),
        ];
        for (text, want) in cases {
            assert_eq!(millis(text), want, "{text:?}");
        }
    }
}
