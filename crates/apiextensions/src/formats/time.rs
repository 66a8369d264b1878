//! Dates and durations.

use jiff::civil::Date;

/// `2026-01-02`.
pub(super) fn is_date(text: &str) -> bool {
    let shape = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    shape && text.parse::<Date>().is_ok()
}

/// RFC 3339, in small letters too; any character may stand before the fraction.
pub(super) fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let Some((date, rest)) = lower.split_once('t') else { return false };
    let time = rest.split('t').next().unwrap_or_default();
    is_date(date) && is_time(time)
}

fn is_time(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else { return false };
    let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = clock.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return false };
    let clock_fits = [hours, minutes, seconds].iter().all(|part| two(part));
    clock_fits && **hours <= *"23" && **minutes <= *"59" && **seconds <= *"59" && is_zone_after_fraction(rest)
}

fn is_zone_after_fraction(text: &str) -> bool {
    if is_zone(text) {
        return true;
    }
    let mut chars = text.chars();
    chars.next();
    let zone = chars.as_str().trim_start_matches(|c: char| c.is_ascii_digit());
    zone.len() < chars.as_str().len() && is_zone(zone)
}

fn is_zone(text: &str) -> bool {
    match text.as_bytes() {
        b"z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

/// As Go's `time.ParseDuration` (`1h30m`, `-1.5s`), or with units as Scala has them (`3 days`).
pub(super) fn is_duration(text: &str) -> bool {
    is_go_duration(text) || is_scala_duration(text)
}

fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - after.len()];
        let has_digit = number.bytes().any(|b| b.is_ascii_digit());
        if !has_digit || number.matches('.').count() > 1 {
            return false;
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        if !matches!(&after[..end], "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h") {
            return false;
        }
        rest = &after[end..];
    }
    true
}

/// Each unit's names; of the last one, longer forms too.
const UNITS: [&[&str]; 8] = [
    &["ns", "nano"],
    &["us", "µs", "micro"],
    &["ms", "milli"],
    &["s", "sec"],
    &["m", "min"],
    &["h", "hr", "hour"],
    &["d", "day"],
    &["w", "wk", "week"],
];

fn is_scala_duration(text: &str) -> bool {
    let mut found = false;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let number_and_more = &rest[at..];
        let after = number_and_more.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = &number_and_more[..number_and_more.len() - after.len()];
        let unit = after.trim_start_matches([' ', '\t', '\n', '\u{c}', '\r']);
        rest = unit.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
        let name = unit[..unit.len() - rest.len()].to_lowercase();
        if name.is_empty() {
            continue;
        }
        if number.parse::<i64>().is_err() {
            return false;
        }
        let is = |unit: &[&str]| {
            unit.contains(&name.as_str()) || unit.last().is_some_and(|long| name.starts_with(long))
        };
        found |= UNITS.iter().any(|unit| is(unit));
    }
    found
}
