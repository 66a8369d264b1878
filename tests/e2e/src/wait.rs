//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Long enough for anything that a cluster does with one or two pods, also in a build without optimizations.
pub const SOON: Duration = Duration::from_secs(60);

/// Asks until the answer is `Ok(Some(_))`. After `timeout` it fails with `what` and the last error, if that was the
/// last answer.
pub fn until<T>(what: &str, timeout: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let answer = ask();
        if let Ok(Some(value)) = answer {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            let late = || format!("not within {} s: {what}", timeout.as_secs());
            return match answer {
                Err(error) => Err(error).with_context(late),
                Ok(_) => bail!(late()),
            };
        }
        pause();
    }
}

/// Asks until the answer is the wanted one, for [`SOON`]; the error shows the last answer.
pub fn until_equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &T,
    mut ask: impl FnMut() -> Result<T>,
) -> Result<()> {
    until(what, SOON, || {
        let got = ask()?;
        if got == *wanted { Ok(Some(())) } else { bail!("wanted {wanted:?}, got {got:?}") }
    })
}

fn pause() {
    pause_for(LOOK_EVERY);
}

/// One step of a wait on something that cannot be awaited: another process.
#[expect(clippy::disallowed_methods, reason = "other processes can only be looked at again")]
pub(crate) fn pause_for(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_is_seen_and_one_that_does_not_is_named() {
        let mut left = 3;
        let counted = until("counted down", SOON, || {
            left -= 1;
            Ok((left == 0).then_some("done"))
        });
        assert_eq!(counted.unwrap(), "done");
        let late = until::<()>("the moon", Duration::ZERO, || bail!("clouds")).unwrap_err();
        assert_eq!(format!("{late:#}"), "not within 0 s: the moon: clouds");
    }
}
