//! The next time of a schedule.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use super::{Fields, Schedule, Times};

/// A schedule that names no day within so many years has none (30 February).
const YEARS: i16 = 5;

impl Schedule {
    /// The first time after `after`, as clocks show it in the schedule's own zone or, if it names none, in `zone`.
    /// `None` if there is none in five years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let second = whole_second(after)?;
        match &self.times {
            Times::Every(period) => second.checked_add(*period).ok(),
            Times::Fields(fields) => {
                let zone = self.zone.as_ref().unwrap_or(zone);
                let first = second.checked_add(SignedDuration::from_secs(1)).ok()?;
                fields.first_from(first.to_zoned(zone.clone()))
            }
        }
    }
}

fn whole_second(time: Timestamp) -> Option<Timestamp> {
    let nanos = time.as_nanosecond().rem_euclid(1_000_000_000);
    time.checked_sub(SignedDuration::from_nanos(i64::try_from(nanos).ok()?)).ok()
}

impl Fields {
    /// Goes from field to field, the largest first, each time to where the field's next value begins. An hour that a
    /// clock leaves out is never found; one that it shows twice is found twice.
    fn first_from(&self, mut time: Zoned) -> Option<Timestamp> {
        if [self.minutes, self.hours, self.months, self.days | self.weekdays].contains(&0) {
            return None;
        }
        let last_year = time.year() + YEARS;
        while time.year() <= last_year {
            let into_hour = i64::from(time.minute()) * 60 + i64::from(time.second());
            time = if !allows(self.months, time.month()) {
                time.first_of_month().ok()?.checked_add(1.month()).ok()?.start_of_day().ok()?
            } else if !self.allows_day(&time) {
                time.checked_add(1.day()).ok()?.start_of_day().ok()?
            } else if !allows(self.hours, time.hour()) {
                time.checked_add(SignedDuration::from_secs(3600 - into_hour)).ok()?
            } else if !allows(self.minutes, time.minute()) || time.second() != 0 {
                time.checked_add(SignedDuration::from_secs(60 - i64::from(time.second()))).ok()?
            } else {
                return Some(time.timestamp());
            };
        }
        None
    }

    fn allows_day(&self, time: &Zoned) -> bool {
        let day = allows(self.days, time.day());
        let weekday = allows(self.weekdays, time.weekday().to_sunday_zero_offset());
        if self.any_day { day && weekday } else { day || weekday }
    }
}

fn allows(bits: u64, value: i8) -> bool {
    bits >> value & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::super::time_zone;
    use super::*;

    #[test]
    fn the_next_time_is_found() {
        let cases = [
            ("* * * * *", "UTC", "2026-01-01T00:00:00Z", Some("2026-01-01T00:01:00Z")),
            ("* * * * *", "UTC", "2026-01-01T00:00:59.5Z", Some("2026-01-01T00:01:00Z")),
            ("*/15 9-17 * * *", "UTC", "2026-01-01T17:45:00Z", Some("2026-01-02T09:00:00Z")),
            ("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", Some("2026-03-31T00:00:00Z")),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", Some("2028-02-29T00:00:00Z")),
            ("0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z", None),
            // Either the 13th or a Friday; both only if one of them is a star.
            ("0 0 13 * fri", "UTC", "2026-01-01T12:00:00Z", Some("2026-01-02T00:00:00Z")),
            ("0 0 * * fri", "UTC", "2026-01-02T00:00:00Z", Some("2026-01-09T00:00:00Z")),
            ("0 9 * * *", "Asia/Tokyo", "2026-01-01T00:00:00Z", Some("2026-01-02T00:00:00Z")),
            ("TZ=Asia/Tokyo 0 9 * * *", "UTC", "2025-12-31T23:00:00Z", Some("2026-01-01T00:00:00Z")),
            // 02:30 is left out on 29 March 2026, and comes twice on 25 October.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", Some("2026-03-30T00:30:00Z")),
            ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", Some("2026-10-25T01:30:00Z")),
            ("@every 90s", "UTC", "2026-01-01T00:00:00.7Z", Some("2026-01-01T00:01:30Z")),
            (", * * * *", "UTC", "2026-01-01T00:00:00Z", None),
        ];
        for (schedule, zone, after, want) in cases {
            let parsed = Schedule::parse(schedule).expect("a schedule");
            let zone = time_zone(zone).expect("a zone");
            let next = parsed.next(after.parse().expect("a time"), &zone);
            assert_eq!(next, want.map(|want| want.parse().expect("a time")), "{schedule} after {after}");
        }
    }
}
