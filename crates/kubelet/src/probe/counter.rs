//! When a run of equal results becomes a verdict.

use k8s_openapi::api::core::v1::Probe;

/// Counts equal results in a row.
#[derive(Debug, Clone)]
pub struct Counter {
    failure_threshold: u32,
    success_threshold: u32,
    last: Option<bool>,
    run: u32,
}

impl Counter {
    /// A counter with the thresholds of `probe`.
    pub fn new(probe: &Probe) -> Self {
        let threshold = |value: Option<i32>, default| {
            value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
        };
        Self {
            failure_threshold: threshold(probe.failure_threshold, 3),
            success_threshold: threshold(probe.success_threshold, 1),
            last: None,
            run: 0,
        }
    }

    /// Takes one result; gives the verdict once enough of them agree.
    pub fn observe(&mut self, success: bool) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run + 1 } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.success_threshold } else { self.failure_threshold };
        (self.run >= threshold).then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_need_their_thresholds() {
        let probe = Probe { failure_threshold: Some(2), success_threshold: Some(3), ..Probe::default() };
        let mut counter = Counter::new(&probe);
        let results = [false, true, false, false, false, true, true, true, true];
        let verdicts: Vec<_> = results.into_iter().map(|result| counter.observe(result)).collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(verdicts, [None, None, None, no, no, None, None, yes, yes]);
    }
}
