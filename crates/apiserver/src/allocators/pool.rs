//! Numbers of a range, handed out one by one.

use std::collections::BTreeSet;
use std::ops::Range;

use rand::Rng;

/// How many random numbers are tried before the free ones are looked for in order.
const RANDOM_TRIES: usize = 16;

/// Which numbers of a range are taken. The lower part is handed out last, so that users can choose from it.
#[derive(Debug)]
pub struct Pool {
    range: Range<u32>,
    /// Where the part begins that is handed out first.
    dynamic_from: u32,
    taken: BTreeSet<u32>,
}

/// Why a number cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Somebody has it.
    Taken,
    /// It is not in the range.
    Outside,
    /// All are taken.
    Full,
}

impl Pool {
    /// A pool of `range` with nothing taken; `reserved` numbers at its beginning are handed out last.
    pub fn new(range: Range<u32>, reserved: u32) -> Self {
        let dynamic_from = range.start.saturating_add(reserved).min(range.end);
        Self { range, dynamic_from, taken: BTreeSet::new() }
    }

    /// Takes this number.
    pub fn claim(&mut self, number: u32) -> Result<(), Unavailable> {
        if !self.range.contains(&number) {
            return Err(Unavailable::Outside);
        }
        if self.taken.insert(number) { Ok(()) } else { Err(Unavailable::Taken) }
    }

    /// Takes any number.
    pub fn take(&mut self) -> Result<u32, Unavailable> {
        let first = if self.dynamic_from < self.range.end { self.dynamic_from } else { self.range.start };
        let mut random = rand::rng();
        let number = (0..RANDOM_TRIES)
            .filter(|_| first < self.range.end)
            .map(|_| random.random_range(first..self.range.end))
            .find(|number| !self.taken.contains(number))
            .or_else(|| self.first_free(first..self.range.end))
            .or_else(|| self.first_free(self.range.start..first))
            .ok_or(Unavailable::Full)?;
        self.taken.insert(number);
        Ok(number)
    }

    /// Gives a number back.
    pub fn release(&mut self, number: u32) {
        self.taken.remove(&number);
    }

    fn first_free(&self, range: Range<u32>) -> Option<u32> {
        range.into_iter().find(|number| !self.taken.contains(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_until_the_pool_is_full() {
        let mut pool = Pool::new(10..40, 5);
        assert_eq!(pool.claim(12), Ok(()));
        assert_eq!(pool.claim(12), Err(Unavailable::Taken));
        assert_eq!(pool.claim(40), Err(Unavailable::Outside));
        let taken: BTreeSet<u32> = (0..25).map(|_| pool.take().expect("there is room")).collect();
        assert!(taken.len() == 25 && taken.iter().all(|n| *n >= 15), "the lower part comes last: {taken:?}");
        for _ in 0..4 {
            assert!(pool.take().is_ok_and(|n| n < 15 && n != 12));
        }
        assert_eq!(pool.take(), Err(Unavailable::Full));
        pool.release(12);
        assert_eq!(pool.take(), Ok(12));
    }
}
