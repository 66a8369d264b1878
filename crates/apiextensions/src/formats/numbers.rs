//! Numbers that people are given, with their check digits.

use super::is_hex;

/// 32 hexadecimal digits in groups of 8-4-4-4-12; each dash may be left out. A version fixes the third group's first
/// digit, and from 4 on the variant.
pub(super) fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut groups = Vec::with_capacity(5);
    let mut rest = text;
    for (i, width) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        let Some((group, after)) = rest.split_at_checked(width) else { return false };
        groups.push(group);
        rest = if i < 4 { after.strip_prefix('-').unwrap_or(after) } else { after };
    }
    let variant = |c: char| "89abAB".contains(c);
    let fits = match version {
        None => true,
        Some(version) => groups[2].starts_with(version) && (version == '3' || groups[3].starts_with(variant)),
    };
    rest.is_empty() && groups.iter().all(|group| is_hex(group)) && fits
}

fn without_separators(text: &str) -> Vec<u8> {
    text.bytes().filter(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r' | b'-')).collect()
}

pub(super) fn is_isbn10(text: &str) -> bool {
    let all = without_separators(text);
    let [digits @ .., last] = all.as_slice() else { return false };
    if digits.len() != 9
        || !digits.iter().all(u8::is_ascii_digit)
        || !(last.is_ascii_digit() || *last == b'X')
    {
        return false;
    }
    let value = |b: u8| if b == b'X' { 10 } else { u32::from(b - b'0') };
    let sum: u32 = all.iter().zip(1..).map(|(b, weight)| weight * value(*b)).sum();
    sum.is_multiple_of(11)
}

pub(super) fn is_isbn13(text: &str) -> bool {
    let all = without_separators(text);
    if all.len() != 13 || !all.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 =
        all.iter().zip([1, 3].into_iter().cycle()).map(|(b, weight)| weight * u32::from(b - b'0')).sum();
    sum.is_multiple_of(10)
}

/// The ranges of the big issuers, and Luhn's check digit. Anything that is no digit may stand between.
pub(super) fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    let luhn = digits.iter().rev().enumerate().map(|(i, d)| match (i % 2, d * 2) {
        (0, _) => u32::from(*d),
        (_, double @ 10..) => u32::from(double) - 9,
        (_, double) => u32::from(double),
    });
    is_issued(&digits) && luhn.sum::<u32>().is_multiple_of(10)
}

fn is_issued(digits: &[u8]) -> bool {
    matches!(
        (digits, digits.len()),
        ([4, ..], 13 | 16)
            | ([5, 1..=5, ..], 16)
            | ([3, 4 | 7, ..], 15)
            | ([6, 0, 1, 1, ..] | [6, 5, ..], 16)
            | ([3, 0, 0..=5, ..] | [3, 6 | 8, ..], 14)
            | ([2, 1, 3, 1, ..] | [1, 8, 0, 0, ..], 15)
            | ([3, 5, ..], 16)
    )
}

/// `123-45-6789`; the separators may be spaces.
pub(super) fn is_ssn(text: &str) -> bool {
    text.bytes().enumerate().all(|(i, b)| match i {
        3 | 6 => b == b'-' || b == b' ',
        _ => b.is_ascii_digit(),
    })
}
