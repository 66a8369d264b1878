//! When a probe asks again. Pure.

use std::time::Duration;

/// The wait after the first early failure; each further one is twice as long.
const FIRST_STEP: Duration = Duration::from_millis(100);

/// Times the questions of one probe.
///
/// A container that has just been started rarely answers at once, and its first success would then be seen a whole
/// period later. So the first period of a readiness or startup probe has questions in between, after 0.1 s, 0.2 s,
/// 0.4 s and so on, until one succeeds. Of these only a success counts: thresholds are reached no sooner than the
/// period says.
#[derive(Debug)]
pub struct Pace {
    period: Duration,
    early: Option<Early>,
}

#[derive(Debug)]
struct Early {
    step: Duration,
    /// What is left of the first period.
    left: Duration,
}

/// When to ask next, from the time of the last question.
#[derive(Debug, PartialEq, Eq)]
pub struct Next {
    /// How long after it.
    pub wait: Duration,
    /// Whether a failure counts.
    pub counts: bool,
}

impl Pace {
    /// Asks once a `period`; `eager` asks in between at first.
    pub fn new(period: Duration, eager: bool) -> Self {
        let early = eager.then_some(Early { step: FIRST_STEP, left: period });
        Self { period, early }
    }

    /// Takes the last answer and says when to ask again.
    pub fn next(&mut self, success: bool) -> Next {
        let Some(early) = self.early.as_mut().filter(|_| !success) else {
            self.early = None;
            return Next { wait: self.period, counts: true };
        };
        let wait = early.step.min(early.left);
        early.left -= wait;
        early.step *= 2;
        let counts = early.left.is_zero();
        if counts {
            self.early = None;
        }
        Next { wait, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(pace: &mut Pace, answers: &[bool]) -> Vec<(u128, bool)> {
        let next = |answer: &bool| pace.next(*answer);
        answers.iter().map(next).map(|next| (next.wait.as_millis(), next.counts)).collect()
    }

    #[test]
    fn the_first_period_has_questions_in_between() {
        let second = Duration::from_secs(1);
        let got = millis(&mut Pace::new(second, true), &[false; 6]);
        assert_eq!(got, [(100, false), (200, false), (400, false), (300, true), (1000, true), (1000, true)]);
        assert_eq!(millis(&mut Pace::new(second, false), &[false; 2]), [(1000, true); 2]);
    }

    #[test]
    fn a_success_ends_the_hurry() {
        let mut pace = Pace::new(Duration::from_secs(10), true);
        let got = millis(&mut pace, &[false, false, true, false]);
        assert_eq!(got, [(100, false), (200, false), (10_000, true), (10_000, true)]);
    }
}
