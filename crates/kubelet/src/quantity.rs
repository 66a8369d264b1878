//! Numbers behind resource quantities, as the kubelet uses them: thousandths of a core, bytes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Resource amounts by resource name.
pub type ResourceList = BTreeMap<String, Quantity>;

/// Thousandths, rounded up. Admission has validated the quantity; one that cannot be read counts as nothing.
pub fn milli(quantity: &Quantity) -> i64 {
    scaled(&quantity.0, 1000)
}

/// Whole units, rounded up.
pub fn value(quantity: &Quantity) -> i64 {
    scaled(&quantity.0, 1)
}

/// Thousandths of the resource `name` in `list`.
pub fn milli_of(list: Option<&ResourceList>, name: &str) -> Option<i64> {
    list?.get(name).map(milli)
}

/// Whole units of the resource `name` in `list`.
pub fn value_of(list: Option<&ResourceList>, name: &str) -> Option<i64> {
    list?.get(name).map(value)
}

fn scaled(text: &str, factor: i128) -> i64 {
    parse(text, factor).and_then(|n| i64::try_from(n).ok()).unwrap_or(0)
}

/// `text` times `factor`, rounded away from zero.
fn parse(text: &str, factor: i128) -> Option<i128> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (numerator, denominator) = multiplier(suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let negative = whole.starts_with('-');
    let digits: String = whole.trim_start_matches(['+', '-']).chars().chain(fraction.chars()).collect();
    let digits: i128 = digits.parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?.checked_mul(denominator)?;
    let scaled = digits.checked_mul(numerator)?.checked_mul(factor)?;
    let rounded = scaled / scale + i128::from(scaled % scale != 0);
    Some(if negative { -rounded } else { rounded })
}

fn multiplier(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((1_i128 << (10 * power), 1));
    let decimal = |power: u32| Some((10_i128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => exponential(exponent.strip_prefix(['e', 'E'])?),
    }
}

fn exponential(power: &str) -> Option<(i128, i128)> {
    match power.parse::<i32>().ok()? {
        power if power < 0 => Some((1, 10_i128.checked_pow(power.unsigned_abs())?)),
        power => Some((10_i128.checked_pow(power.unsigned_abs())?, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_read() {
        let cases = [
            ("0", 0, 0),
            ("100m", 100, 1),
            ("1.5", 1500, 2),
            ("2", 2000, 2),
            ("64Mi", 64 * 1024 * 1024 * 1000, 64 * 1024 * 1024),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("1e3", 1_000_000, 1000),
            ("1E", 1_000_000_000_000_000_000, 1_000_000_000_000_000_000),
            ("5u", 1, 1),
        ];
        for (text, _, units) in cases {
            assert_eq!(value(&Quantity(text.into())), units, "{text}");
        }
        for (text, thousandths, _) in &cases[..7] {
            assert_eq!(milli(&Quantity((*text).into())), *thousandths, "{text}");
        }
    }
}
