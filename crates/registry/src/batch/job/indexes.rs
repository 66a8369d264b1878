//! Sets of a job's indexes as text: `1,3-5,7`.

use steersman_apimachinery::quote::quote;

type Interval = (i64, i64);

/// Checks a text of rising indexes below `completions`. Gives how many there are.
pub(super) fn count(text: &str, completions: i64) -> Result<i64, String> {
    let mut total = 0;
    let mut last: Option<i64> = None;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// The first index that is in both sets; parts that cannot be read are reported by [`count`] and are left out here.
pub(super) fn overlap(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let intervals = |text: &str| -> Vec<Interval> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (completed, failed) = (intervals(completed), intervals(failed));
    let (mut left, mut right) = (completed.as_slice(), failed.as_slice());
    while let ([(a, b), rest_left @ ..], [(x, y), rest_right @ ..]) = (left, right) {
        if a <= y && x <= b {
            return Some(*a.max(x));
        }
        if a <= x { left = rest_left } else { right = rest_right }
    }
    None
}

fn interval(text: &str, completions: i64) -> Result<Interval, String> {
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [one] => index(one, completions).map(|one| (one, one)),
        [first, last] => {
            let (first, last) = (index(first, completions)?, index(last, completions)?);
            if first >= last {
                return Err(format!("non-increasing order, previous: {first}, current: {last}"));
            }
            Ok((first, last))
        }
        _ => Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
            quote(text)
        )),
    }
}

fn index(text: &str, completions: i64) -> Result<i64, String> {
    match text.parse() {
        Err(_) => Err(format!("cannot convert string to integer for index: {}", quote(text))),
        Ok(index) if index >= completions => Err(format!("too large index: {}", quote(text))),
        Ok(index) => Ok(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_counted() {
        let cases: [(&str, Result<i64, &str>); 8] = [
            ("", Ok(0)),
            ("0,2-4,9", Ok(5)),
            ("10", Err("too large index: \"10\"")),
            ("1-10", Err("too large index: \"10\"")),
            ("a", Err("cannot convert string to integer for index: \"a\"")),
            ("3-2", Err("non-increasing order, previous: 3, current: 2")),
            ("3,3", Err("non-increasing order, previous: 3, current: 3")),
            (
                "1-2-3",
                Err(
                    "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts \
                     separated by '-'",
                ),
            ),
        ];
        for (text, want) in cases {
            assert_eq!(count(text, 10), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn overlaps_are_found() {
        let cases =
            [("0-3,7", "4-6", None), ("0-3,7", "2,8", Some(2)), ("0,7-9", "1,x,8", Some(8)), ("", "1", None)];
        for (completed, failed, want) in cases {
            assert_eq!(overlap(completed, failed, 10), want, "{completed} and {failed}");
        }
    }
}
