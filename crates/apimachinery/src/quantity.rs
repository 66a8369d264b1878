//! `resource.Quantity`: exact numbers with a suffix (`100m`, `1.5Gi`, `1e3`), printed in one canonical form.
//!
//! The value is a whole number times a power of ten. What is smaller than a billionth is rounded up on reading, as
//! upstream does. Upstream has no upper limit; here the 128-bit mantissa is one (about 38 digits), and sums beyond it
//! stay at the limit.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Neg;
use std::str::FromStr;

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is none.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// No such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// Which suffixes a quantity is printed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `k`, `M`, `m`, ….
    #[default]
    DecimalSi,
    /// `Ki`, `Mi`, ….
    BinarySi,
    /// `e3`, `e6`, ….
    DecimalExponent,
}

/// An exact number. Equal and ordered by value alone, whatever the format.
#[derive(Clone, Debug, Default)]
pub struct Quantity {
    mantissa: i128,
    /// Power of ten; at least −9.
    exponent: i32,
    format: Format,
    /// How it was written, where upstream keeps that instead of the canonical form.
    written: Option<Box<str>>,
}

const NANO: i32 = -9;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// A whole number.
    pub fn new(value: i64, format: Format) -> Self {
        Self { mantissa: value.into(), exponent: 0, format, written: None }
    }

    /// Thousandths.
    pub fn from_milli(value: i64, format: Format) -> Self {
        Self { mantissa: value.into(), exponent: -3, format, written: None }
    }

    /// Reads a quantity out of a tree: a string or a number.
    pub fn from_tree(tree: &crate::Tree) -> Result<Self, QuantityError> {
        match tree {
            crate::Tree::String(text) => text.trim().parse(),
            crate::Tree::Number(number) => number.to_string().parse(),
            crate::Tree::Null => Ok(Self::default()),
            _ => Err(QuantityError::Format),
        }
    }

    /// Which suffixes it is printed with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The value rounded up (away from zero) to a whole number; at the limits of `i64` if it is beyond them.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The value in thousandths, rounded up (away from zero); at the limits of `i64` if it is beyond them.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// Nearly the value.
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.exponent)
    }

    /// −1, 0 or 1.
    pub fn signum(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// Adds; zero takes on the format of what is added.
    pub fn add(&mut self, other: &Self) {
        if self.is_zero() {
            self.format = other.format;
        }
        let (a, b, exponent) = aligned(self, other);
        self.set(a.saturating_add(b), exponent);
    }

    /// Subtracts; zero takes on the format of what is subtracted.
    pub fn sub(&mut self, other: &Self) {
        if self.is_zero() {
            self.format = other.format;
        }
        let (a, b, exponent) = aligned(self, other);
        self.set(a.saturating_sub(b), exponent);
    }

    /// Multiplies.
    pub fn mul(&mut self, factor: i64) {
        self.set(self.mantissa.saturating_mul(factor.into()), self.exponent);
    }

    fn set(&mut self, mantissa: i128, exponent: i32) {
        self.mantissa = mantissa;
        self.exponent = exponent;
        self.written = None;
    }

    fn scaled(&self, scale: i32) -> i64 {
        let (value, _) = rescaled(self.mantissa, self.exponent.saturating_sub(scale));
        i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if sign != Ordering::Equal || self.exponent == other.exponent {
            return sign.then(self.mantissa.cmp(&other.mantissa));
        }
        // Scale the one with the larger power up; if that overflows, it is the larger in magnitude.
        let ((small, large), flipped) =
            if self.exponent < other.exponent { ((self, other), false) } else { ((other, self), true) };
        let ordering = match times_ten(large.mantissa, large.exponent.abs_diff(small.exponent)) {
            Some(mantissa) => small.mantissa.cmp(&mantissa),
            None if large.mantissa > 0 => Ordering::Less,
            None => Ordering::Greater,
        };
        if flipped { ordering.reverse() } else { ordering }
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(mut self) -> Self {
        self.set(self.mantissa.saturating_neg(), self.exponent);
        self
    }
}

/// Both mantissas at the smaller of the two powers of ten.
fn aligned(a: &Quantity, b: &Quantity) -> (i128, i128, i32) {
    let exponent = a.exponent.min(b.exponent);
    let (a, _) = rescaled(a.mantissa, a.exponent.saturating_sub(exponent));
    let (b, _) = rescaled(b.mantissa, b.exponent.saturating_sub(exponent));
    (a, b, exponent)
}

/// `mantissa` × 10^`exponent`, rounded away from zero, and whether that is exact. Stays at the limits of `i128`.
fn rescaled(mantissa: i128, exponent: i32) -> (i128, bool) {
    if exponent >= 0 {
        return match times_ten(mantissa, exponent.unsigned_abs()) {
            Some(value) => (value, true),
            None => (if mantissa < 0 { i128::MIN } else { i128::MAX }, false),
        };
    }
    let Some(divisor) = 10i128.checked_pow(exponent.unsigned_abs()) else {
        return (mantissa.signum(), mantissa == 0);
    };
    let (quotient, rest) = (mantissa / divisor, mantissa % divisor);
    (quotient + rest.signum(), rest == 0)
}

fn times_ten(mantissa: i128, power: u32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    10i128.checked_pow(power).and_then(|factor| mantissa.checked_mul(factor))
}

/// A text split into its parts; leading zeros of the whole part are gone.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

enum Suffix {
    Decimal(i32, Format),
    /// Power of two.
    Binary(u32),
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let (whole, rest) = digits(unsigned);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
    let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let exponent = letters.strip_prefix(['+', '-']).unwrap_or(letters);
    if !exponent.bytes().all(|c| c.is_ascii_digit()) {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative, whole: whole.trim_start_matches('0'), fraction, suffix })
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn suffix(text: &str) -> Option<Suffix> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(suffix, _)| *suffix == text) {
        return Some(Suffix::Decimal(*exponent, Format::DecimalSi));
    }
    if let Some(i) = BINARY.iter().position(|suffix| *suffix == text) {
        return Some(Suffix::Binary(10 * (i as u32 + 1)));
    }
    let exponent = text.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(Suffix::Decimal(exponent, Format::DecimalExponent))
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let parts = split(text)?;
        let suffix = suffix(parts.suffix).ok_or(QuantityError::Suffix)?;
        let written = keeps_text(&parts, &suffix).then(|| text.into());
        let (mantissa, point) = mantissa(&parts);
        let (mantissa, exponent, format) = match suffix {
            Suffix::Decimal(exponent, format) => (mantissa, exponent.saturating_add(point), format),
            Suffix::Binary(power) => binary(mantissa.saturating_mul(1 << power), point),
        };
        let (mantissa, exponent) = if exponent < NANO {
            (rescaled(mantissa, exponent.saturating_sub(NANO)).0, NANO)
        } else {
            (mantissa, exponent)
        };
        let mantissa = if parts.negative { -mantissa } else { mantissa };
        Ok(Self { mantissa, exponent, format, written })
    }
}

/// The digits as one number, and the (negative) power of ten it is to be multiplied with. Digits after the ninth of
/// the fraction only round up.
fn mantissa(parts: &Parts<'_>) -> (i128, i32) {
    // With a suffix of up to 10^18 or 2^60, this many digits after the point can still count.
    let kept = parts.fraction.len().min(27);
    let (fraction, rest) = parts.fraction.split_at(kept);
    let shift = |number: i128, digit: u8| number.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
    let mut number = parts.whole.bytes().chain(fraction.bytes()).fold(0, shift);
    if rest.bytes().any(|c| c != b'0') {
        number = number.saturating_add(1);
    }
    (number, -(kept as i32))
}

/// Binary quantities end at the largest `i64`, and below one they are printed as decimals.
fn binary(mantissa: i128, exponent: i32) -> (i128, i32, Format) {
    let (whole, _) = rescaled(mantissa, exponent);
    if whole > i128::from(i64::MAX) {
        return (i64::MAX.into(), 0, Format::BinarySi);
    }
    let below_one = 10i128.checked_pow(exponent.unsigned_abs()).is_some_and(|one| mantissa < one);
    let format = if below_one && mantissa > 0 { Format::DecimalSi } else { Format::BinarySi };
    (mantissa, exponent, format)
}

/// Upstream prints some texts as they came, though not canonical (`1.500`, `2E6`): those that its short way of
/// reading takes for canonical.
fn keeps_text(parts: &Parts<'_>, suffix: &Suffix) -> bool {
    let whole = if parts.whole.is_empty() { "0" } else { parts.whole };
    let count = whole.len() + parts.fraction.len();
    let number = format!("{whole}{}", parts.fraction).parse::<i64>();
    match suffix {
        Suffix::Decimal(exponent, _) => {
            let scale = exponent.saturating_sub(parts.fraction.len() as i32);
            let digits = format!("{whole}{}", parts.fraction);
            count <= 18 && scale >= NANO && scale % 3 == 0 && !digits.ends_with("000") && whole != "0"
        }
        Suffix::Binary(power) => {
            let room = 15 - whole.len() as i32 - (*power as i32 * 3 / 10) - 1;
            parts.fraction.is_empty() && room >= 0 && number.is_ok_and(|n| n & 7 != 0)
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(written) = &self.written {
            return f.write_str(written);
        }
        if self.is_zero() {
            return f.write_str("0");
        }
        let (whole, exact) = rescaled(self.mantissa, self.exponent);
        match self.format {
            Format::BinarySi if exact && whole.unsigned_abs() >= 1024 => write_binary(f, whole),
            Format::BinarySi => self.write_decimal(f, Format::DecimalSi),
            format => self.write_decimal(f, format),
        }
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, mut whole: i128) -> fmt::Result {
    let mut suffix = "";
    for next in BINARY {
        if whole % 1024 != 0 {
            break;
        }
        whole /= 1024;
        suffix = next;
    }
    write!(f, "{whole}{suffix}")
}

impl Quantity {
    fn write_decimal(&self, f: &mut fmt::Formatter<'_>, format: Format) -> fmt::Result {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        while exponent.rem_euclid(3) != 0 {
            mantissa = mantissa.saturating_mul(10);
            exponent -= 1;
        }
        let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent);
        match (format, suffix) {
            (Format::DecimalExponent, _) if exponent == 0 => write!(f, "{mantissa}"),
            (Format::DecimalSi | Format::BinarySi, Some((suffix, _))) => write!(f, "{mantissa}{suffix}"),
            // Beyond the suffixes there are, upstream leaves the power out, which changes the value.
            _ => write!(f, "{mantissa}e{exponent}"),
        }
    }
}

#[cfg(test)]
mod tests;
