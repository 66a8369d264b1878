//! How many seats a level could have used over a period: in use and waited for. Pure; the time is since some fixed
//! moment.

use std::time::Duration;

/// How much of the smoothed demand stays over a period: a half-life of five minutes.
const DECAY: f64 = 0.977;

/// The demand of the running period.
#[derive(Debug, Default)]
pub struct Demand {
    value: f64,
    changed: Duration,
    started: Duration,
    /// Seat-seconds since the start.
    sum: f64,
    squares: f64,
    max: f64,
}

/// The demand of a period that is over, and of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Smoothed {
    /// The most seats at once.
    pub high_watermark: u32,
    /// The mean.
    pub average: f64,
    /// The standard deviation.
    pub deviation: f64,
    /// Rises at once, falls slowly.
    pub smoothed: f64,
}

impl Demand {
    /// From now on it is `seats`.
    pub fn set(&mut self, seats: u32, now: Duration) {
        self.settle(now);
        self.value = f64::from(seats);
        self.max = self.max.max(self.value);
    }

    /// Ends the period and begins the next one.
    pub fn end_period(&mut self, now: Duration, before: Smoothed) -> Smoothed {
        self.settle(now);
        let seconds = now.saturating_sub(self.started).as_secs_f64();
        let high_watermark = self.max.round() as u32;
        let (sum, squares) = (self.sum, self.squares);
        *self = Self { value: self.value, max: self.value, changed: now, started: now, ..Self::default() };
        if seconds <= 0.0 {
            return Smoothed { high_watermark, ..before };
        }
        let average = sum / seconds;
        let deviation = (squares / seconds - average * average).max(0.0).sqrt();
        let envelope = average + deviation;
        let smoothed = envelope.max(DECAY * before.smoothed + (1.0 - DECAY) * envelope);
        Smoothed { high_watermark, average, deviation, smoothed }
    }

    fn settle(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.changed).as_secs_f64();
        self.sum += self.value * seconds;
        self.squares += self.value * self.value * seconds;
        self.changed = self.changed.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_rises_at_once_and_falls_slowly() {
        let mut demand = Demand::default();
        let at = Duration::from_secs;
        demand.set(8, at(0));
        demand.set(0, at(5));
        let first = demand.end_period(at(10), Smoothed::default());
        assert_eq!(
            (first.high_watermark, first.average, first.deviation, first.smoothed),
            (8, 4.0, 4.0, 8.0)
        );
        let second = demand.end_period(at(20), first);
        assert_eq!((second.high_watermark, second.average), (0, 0.0));
        assert!((second.smoothed - 8.0 * DECAY).abs() < 1e-9);
    }
}
