//! How many seats a level has: its share of the server's, less what it lends, plus what it borrows. Pure.

/// What a level's spec says of its seats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shares {
    /// Its part of all seats, relative to the others'.
    pub nominal: u32,
    /// How much of that others may borrow, in percent.
    pub lendable_percent: u32,
    /// How much it may borrow, in percent of its own; without limit if `None`.
    pub borrowing_percent: Option<u32>,
}

/// The seats of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What it has if nobody lends or borrows.
    pub nominal: u32,
    /// What it has at least.
    pub lower: u32,
    /// What it has at most.
    pub upper: u32,
}

impl Limits {
    /// What a level has until it is known how much it needs.
    pub fn at_start(self) -> u32 {
        self.nominal - (self.nominal - self.lower) / 2
    }
}

/// Splits `total` seats. Each part is rounded up, so the parts may sum to a little more.
pub fn split(total: u32, levels: &[Shares]) -> Vec<Limits> {
    let sum: u64 = levels.iter().map(|level| u64::from(level.nominal)).sum();
    levels.iter().map(|level| limits(total, sum.max(1), level)).collect()
}

fn limits(total: u32, sum: u64, level: &Shares) -> Limits {
    let nominal = (u64::from(total) * u64::from(level.nominal)).div_ceil(sum);
    let nominal = u32::try_from(nominal).unwrap_or(u32::MAX);
    let percent = |percent: u32| (f64::from(nominal) * f64::from(percent) / 100.0).round() as u32;
    let borrowing = level.borrowing_percent.map_or(total, percent);
    Limits {
        nominal,
        lower: nominal.saturating_sub(percent(level.lendable_percent)),
        upper: nominal.saturating_add(borrowing),
    }
}

/// What a level needed of late.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Its limits.
    pub limits: Limits,
    /// It is never limited: what it uses is gone for the others.
    pub exempt: bool,
    /// The most seats it could have used at once in the last period.
    pub high_watermark: u32,
    /// Smoothed seats that it could have used.
    pub smoothed: f64,
}

impl Need {
    /// What it must not lend now.
    fn floor(&self) -> u32 {
        let wanted =
            if self.exempt { self.high_watermark } else { self.high_watermark.min(self.limits.nominal) };
        self.limits.lower.max(wanted)
    }
}

/// The seats of each level for the next period: everybody gets the same fraction of what they need, within their
/// limits.
pub fn lend(levels: &[Need]) -> Vec<u32> {
    let total: i64 = levels.iter().map(|level| i64::from(level.limits.nominal)).sum();
    let limited = || levels.iter().filter(|level| !level.exempt);
    let exempt: i64 = levels.iter().filter(|level| level.exempt).map(|level| i64::from(level.floor())).sum();
    let remaining = total - exempt;
    let lowest: i64 = limited().map(|level| i64::from(level.limits.lower)).sum();
    let floors: i64 = limited().map(|level| i64::from(level.floor())).sum();
    let fraction = if remaining > floors { fair_fraction(remaining as f64, limited()) } else { 0.0 };
    let seats = |level: &Need| {
        if level.exempt {
            level.floor()
        } else if remaining <= lowest {
            level.limits.lower
        } else if remaining <= floors {
            let part = (remaining - lowest) as f64 / (floors - lowest) as f64;
            level.limits.lower + (f64::from(level.floor() - level.limits.lower) * part).round() as u32
        } else {
            allotted(level, fraction).round() as u32
        }
    };
    levels.iter().map(seats).collect()
}

/// What a level gets if everybody gets `fraction` of what they need.
fn allotted(level: &Need, fraction: f64) -> f64 {
    let floor = f64::from(level.floor());
    // Nobody needs nothing: seats that nobody asks for are spread evenly.
    let target = level.smoothed.max(floor).max(0.001);
    (fraction * target).clamp(floor, f64::from(level.limits.upper).max(floor))
}

/// The fraction at which the parts sum to `seats`. What everybody gets grows with it, so it is found by halving.
fn fair_fraction<'a>(seats: f64, levels: impl Iterator<Item = &'a Need> + Clone) -> f64 {
    let sum = |fraction: f64| levels.clone().map(|level| allotted(level, fraction)).sum::<f64>();
    let (mut low, mut high) = (0.0, 1.0);
    // Beyond this everybody has what they need a million times: all are at their upper limits.
    while sum(high) < seats && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if sum(middle) < seats { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(nominal: u32, lendable_percent: u32) -> Shares {
        Shares { nominal, lendable_percent, borrowing_percent: None }
    }

    #[test]
    fn default_levels_have_upstreams_seats() {
        let shares = [(0, 0), (5, 0), (30, 33), (40, 25), (10, 0), (40, 50), (100, 90), (20, 50)]
            .map(|(n, l)| level(n, l));
        let found: Vec<_> = split(600, &shares).iter().map(|l| (l.nominal, l.lower)).collect();
        let want = [(0, 0), (13, 13), (74, 50), (98, 73), (25, 25), (98, 49), (245, 24), (49, 24)];
        assert_eq!(found, want);
    }

    #[test]
    fn the_busy_borrow_from_the_idle() {
        let limits = split(600, &[level(100, 90), level(100, 50)]);
        let need = |limits: Limits, high_watermark: u32| Need {
            limits,
            exempt: false,
            high_watermark,
            smoothed: f64::from(high_watermark),
        };
        let seats = lend(&[need(limits[0], 0), need(limits[1], 900)]);
        assert_eq!(seats, [30, 570]);
        assert_eq!(
            lend(&[need(limits[0], 300), need(limits[1], 900)]),
            [300, 300],
            "nobody lends what it needs"
        );
    }

    proptest! {
        #[test]
        fn lent_seats_stay_within_limits_and_sum(
            levels in prop::collection::vec((1u32..100, 0u32..=100, 0u32..1000), 1..8),
        ) {
            let shares: Vec<_> = levels.iter().map(|(n, l, _)| level(*n, *l)).collect();
            let limits = split(600, &shares);
            let needs: Vec<_> = limits.iter().zip(&levels).map(|(limits, (_, _, wanted))| Need {
                limits: *limits, exempt: false, high_watermark: *wanted, smoothed: f64::from(*wanted),
            }).collect();
            let seats = lend(&needs);
            for (seats, limits) in seats.iter().zip(&limits) {
                prop_assert!((limits.lower..=limits.upper).contains(seats));
            }
            let total: u32 = limits.iter().map(|l| l.nominal).sum();
            prop_assert!(seats.iter().sum::<u32>().abs_diff(total) as usize <= levels.len());
        }
    }
}
