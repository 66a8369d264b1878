//! Schedules of cron jobs, in the language of `github.com/robfig/cron` that upstream reads them in: five fields, or a
//! word such as `@hourly` or `@every 90m`, either after `TZ=…` or `CRON_TZ=…`. Wrong ones are refused with its words.

mod duration;
mod next;

use std::sync::LazyLock;

use jiff::SignedDuration;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Time zones come with the program, so that no machine knows fewer.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A text that is no schedule; the message is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSchedule(String);

/// When to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    times: Times,
    /// The zone that the schedule itself names.
    zone: Option<TimeZone>,
}

#[derive(Clone, Debug, PartialEq)]
enum Times {
    /// Again and again after so long, in whole seconds.
    Every(SignedDuration),
    Fields(Fields),
}

/// Which values each field allows, one bit each.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Days of the month and of the week must both allow a day if either was given as `*`; else one is enough.
    any_day: bool,
}

/// The zone of an IANA name, exactly as it is spelt; `None` if there is none.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    ZONES.get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

impl Schedule {
    /// Reads a schedule.
    pub fn parse(text: &str) -> Result<Self, InvalidSchedule> {
        if text.is_empty() {
            return refuse("empty spec string");
        }
        let (zone, rest) = zone_and_rest(text)?;
        let times = if rest.starts_with('@') { named(rest)? } else { Times::Fields(fields(rest)?) };
        Ok(Self { times, zone })
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, InvalidSchedule> {
    Err(InvalidSchedule(why.into()))
}

fn zone_and_rest(text: &str) -> Result<(Option<TimeZone>, &str), InvalidSchedule> {
    let Some(zoned) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else {
        return Ok((None, text));
    };
    let Some((name, rest)) = zoned.split_once(' ') else {
        // Upstream's parser panics here, and its caller says so.
        return refuse("invalid schedule format: runtime error: slice bounds out of range [:-1]");
    };
    let known = if matches!(name, "" | "Local") { Some(TimeZone::UTC) } else { time_zone(name) };
    match known {
        Some(zone) => Ok((Some(zone), rest.trim())),
        None => refuse(format!("provided bad location {name}: unknown time zone {name}")),
    }
}

/// What the words stand for.
const NAMED: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

fn named(text: &str) -> Result<Times, InvalidSchedule> {
    if let Some((_, fields_text)) = NAMED.iter().find(|(name, _)| *name == text) {
        return fields(fields_text).map(Times::Fields);
    }
    let Some(period) = text.strip_prefix("@every ") else {
        return refuse(format!("unrecognized descriptor: {text}"));
    };
    match duration::parse(period) {
        Ok(period) => Ok(Times::Every(SignedDuration::from_secs(period.as_secs().max(1)))),
        Err(why) => refuse(format!("failed to parse duration {text}: {why}")),
    }
}

/// What a field may say.
struct Bounds {
    min: u64,
    max: u64,
    /// Words for the values from `min` on.
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

fn fields(text: &str) -> Result<Fields, InvalidSchedule> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = parts[..] else {
        let found = parts.len();
        return refuse(format!("expected exactly 5 fields, found {found}: [{}]", parts.join(" ")));
    };
    let (minutes, _) = field(minutes, &MINUTES)?;
    let (hours, _) = field(hours, &HOURS)?;
    let (days, every_day) = field(days, &DAYS)?;
    let (months, _) = field(months, &MONTHS)?;
    let (weekdays, every_weekday) = field(weekdays, &WEEKDAYS)?;
    Ok(Fields { minutes, hours, days, months, weekdays, any_day: every_day || every_weekday })
}

/// The values that a field allows, and whether it says `*`.
fn field(text: &str, bounds: &Bounds) -> Result<(u64, bool), InvalidSchedule> {
    let (mut bits, mut star) = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (values, all) = range(part, bounds)?;
        bits |= values;
        star |= all;
    }
    Ok((bits, star))
}

/// `*`, `5`, `1-5`, each with or without a step.
fn range(text: &str, bounds: &Bounds) -> Result<(u64, bool), InvalidSchedule> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let all = matches!(ends[0], "*" | "?");
    let (start, mut end) = match ends[..] {
        _ if all => (bounds.min, bounds.max),
        [one] => (value(one, bounds)?, value(one, bounds)?),
        [start, end] => (value(start, bounds)?, value(end, bounds)?),
        _ => return refuse(format!("too many hyphens: {text}")),
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => number(step)?,
        _ => return refuse(format!("too many slashes: {text}")),
    };
    if parts.len() == 2 && ends.len() == 1 {
        // `5/10` goes on to the end.
        end = bounds.max;
    }
    if start < bounds.min {
        return refuse(format!("beginning of range ({start}) below minimum ({}): {text}", bounds.min));
    }
    if end > bounds.max {
        return refuse(format!("end of range ({end}) above maximum ({}): {text}", bounds.max));
    }
    if start > end {
        return refuse(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return refuse(format!("step of range should be a positive number: {text}"));
    }
    let step_by = usize::try_from(step).unwrap_or(usize::MAX);
    let bits = (start..=end).step_by(step_by).fold(0, |bits, value| bits | 1 << value);
    Ok((bits, all && step == 1))
}

fn value(text: &str, bounds: &Bounds) -> Result<u64, InvalidSchedule> {
    let lower = text.to_lowercase();
    match (bounds.min..).zip(bounds.names).find(|(_, name)| **name == lower) {
        Some((value, _)) => Ok(value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, InvalidSchedule> {
    match text.parse::<i64>() {
        Ok(number) => u64::try_from(number)
            .or_else(|_| refuse(format!("negative number ({number}) not allowed: {text}"))),
        Err(error) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            refuse(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_schedules_are_refused_in_upstreams_words() {
        let cases = [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            (
                "99999999999999999999 * * * *",
                "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out \
                 of range",
            ),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* 5-3 * * *", "beginning of range (5) beyond end of range (3): 5-3"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("*/-5 * * * *", "negative number (-5) not allowed: -5"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("@often", "unrecognized descriptor: @often"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
            ("TZ=Nowhere 0 0 * * *", "provided bad location Nowhere: unknown time zone Nowhere"),
            ("TZ=UTC", "invalid schedule format: runtime error: slice bounds out of range [:-1]"),
        ];
        for (text, want) in cases {
            assert_eq!(
                Schedule::parse(text).map_err(|error| error.to_string()),
                Err(want.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn ways_to_say_the_same_are_the_same() {
        let same = [
            ("@hourly", "0 * * * *"),
            ("@weekly", "0 0 * * sun"),
            ("0 0 ? * MON-fri", "0 0 * * 1,2,3,4,5"),
            ("50/5 * * * *", "50,55 * * * *"),
            ("0-20/10 * * * *", "0,10,20 * * * *"),
            ("CRON_TZ=Europe/Berlin 0 0 * * *", "TZ=Europe/Berlin @daily"),
            ("@every 90s", "@every 1m30s"),
            ("@every 10ms", "@every 1s"),
        ];
        for (a, b) in same {
            assert_eq!(Schedule::parse(a), Schedule::parse(b), "{a} and {b}");
            assert!(Schedule::parse(a).is_ok(), "{a}");
        }
    }

    #[test]
    fn zones_are_spelt_exactly() {
        for (name, known) in [
            ("UTC", true),
            ("Europe/Berlin", true),
            ("europe/berlin", false),
            ("Etc/GMT+5", true),
            ("Mars/Base", false),
        ] {
            assert_eq!(time_zone(name).is_some(), known, "{name}");
        }
    }
}
