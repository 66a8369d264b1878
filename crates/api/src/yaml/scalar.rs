//! What a plain scalar means in YAML 1.1, as Go's parser resolves it.

use steersman_apimachinery::Tree;

/// The meaning of a plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond 63 bits.
    Unsigned(u64),
    /// Perhaps infinite or not a number.
    Float(f64),
    /// `<<`, which as a key merges a map.
    Merge,
    /// A date or a time: kept as text.
    Timestamp,
    String,
}

const WORDS: [(&[&str], Resolved); 8] = [
    (&["", "~", "null", "Null", "NULL"], Resolved::Null),
    (&["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"], Resolved::Bool(true)),
    (&["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"], Resolved::Bool(false)),
    (&[".nan", ".NaN", ".NAN"], Resolved::Float(f64::NAN)),
    (&[".inf", ".Inf", ".INF"], Resolved::Float(f64::INFINITY)),
    (&["+.inf", "+.Inf", "+.INF"], Resolved::Float(f64::INFINITY)),
    (&["-.inf", "-.Inf", "-.INF"], Resolved::Float(f64::NEG_INFINITY)),
    (&["<<"], Resolved::Merge),
];

/// Resolves a plain scalar without a tag.
pub(super) fn resolve(text: &str) -> Resolved {
    if let Some((_, meaning)) = WORDS.iter().find(|(words, _)| words.contains(&text)) {
        return meaning.clone();
    }
    match text.bytes().next() {
        Some(b'.') => float(text).map_or(Resolved::String, Resolved::Float),
        Some(b'0'..=b'9' | b'+' | b'-') => number_or_time(text),
        _ => Resolved::String,
    }
}

fn number_or_time(text: &str) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain = text.replace('_', "");
    integer(&plain)
        .or_else(|| is_float_shaped(&plain).then(|| float(&plain)).flatten().map(Resolved::Float))
        .unwrap_or(Resolved::String)
}

/// Decimal, `0x`, `0o`, `0b`, and octal by a leading zero.
fn integer(text: &str) -> Option<Resolved> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = radix(digits);
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    match (negative, i64::try_from(size)) {
        (false, Ok(n)) => Some(Resolved::Int(n)),
        (false, Err(_)) => Some(Resolved::Unsigned(size)),
        (true, _) => 0i64.checked_sub_unsigned(size).map(Resolved::Int),
    }
}

fn radix(digits: &str) -> (u32, &str) {
    let prefixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    for (prefix, radix) in prefixes {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return (radix, rest);
        }
    }
    match digits.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float_shaped(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

/// A finite float; Go refuses what is out of range.
fn float(text: &str) -> Option<f64> {
    is_float_shaped(text).then(|| text.parse().ok()).flatten().filter(|f: &f64| f.is_finite())
}

/// `2026-1-2`, alone or with a time: what a YAML 1.1 reader may take for a date.
fn is_timestamp(text: &str) -> bool {
    let Some((year, rest)) = text.split_once('-') else { return false };
    let Some((month, rest)) = rest.split_once('-') else { return false };
    let day_length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, time) = rest.split_at(day_length);
    let within = |s: &str, max: u8| s.parse::<u8>().is_ok_and(|n| (1..=max).contains(&n));
    let short = |s: &str| (1..=2).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    let is_date = year.len() == 4
        && year.bytes().all(|b| b.is_ascii_digit())
        && short(month)
        && within(month, 12)
        && short(day)
        && within(day, 31);
    is_date && (time.is_empty() || is_clock(time))
}

/// `T3:04:05.6Z`, `t03:04:05+01:00`, ` 3:4:5`.
fn is_clock(time: &str) -> bool {
    let zoned = time.starts_with(['T', 't']);
    if !zoned && !time.starts_with(' ') {
        return false;
    }
    let rest = &time[1..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let fits = |s: &str, below: u8| s.len() <= 2 && s.parse::<u8>().is_ok_and(|n| n < below);
    let [hour, minute, second] = parts[..] else { return false };
    let offset = zone.len() == 6 && zone.starts_with(['+', '-']) && zone.as_bytes()[3] == b':';
    fits(hour, 24)
        && fits(minute, 60)
        && fits(second, 60)
        && !fraction.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && if zoned { zone == "Z" || offset } else { zone.is_empty() }
}

/// The value that JSON holds for it; `None` for numbers that JSON does not have.
pub(super) fn to_tree(resolved: &Resolved, text: &str) -> Option<Tree> {
    Some(match resolved {
        Resolved::Null => Tree::Null,
        Resolved::Bool(b) => (*b).into(),
        Resolved::Int(n) => (*n).into(),
        Resolved::Unsigned(n) => (*n).into(),
        Resolved::Float(f) => whole(*f)
            .map_or_else(|| serde_json::Number::from_f64(*f).map(Tree::Number), |n| Some(n.into()))?,
        Resolved::Merge | Resolved::Timestamp | Resolved::String => text.into(),
    })
}

/// On its way through JSON text a whole float loses its point, and is an integer for who reads it next.
fn whole(f: f64) -> Option<i64> {
    (f.fract() == 0.0 && f.abs() < 1e15).then_some(f as i64)
}
