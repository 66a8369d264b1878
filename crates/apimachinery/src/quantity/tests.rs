use proptest::prelude::*;

use super::*;

fn q(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn the_canonical_form_is_upstreams() {
    let cases = [
        ("0", "0"),
        ("0Mi", "0"),
        ("-0", "0"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("1.5", "1500m"),
        ("1.", "1."),
        ("1.500", "1.500"),
        ("0.500", "500m"),
        ("1500", "1500"),
        ("2000", "2k"),
        ("12345678901234567890", "12345678901234567890"),
        ("1Ki", "1Ki"),
        ("1024", "1024"),
        ("1024Ki", "1Mi"),
        ("2048Mi", "2Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Mi", "512Ki"),
        ("0.5Ki", "512"),
        ("0.0001Ki", "102400u"),
        ("1.1Ki", "1126400m"),
        ("8Ki", "8Ki"),
        ("7Ki", "7Ki"),
        ("1e3", "1e3"),
        ("1e4", "10e3"),
        ("2E6", "2E6"),
        ("1E", "1E"),
        ("1e0", "1e0"),
        ("10e0", "10e0"),
        ("+5", "+5"),
        ("05", "05"),
        ("-1.5Gi", "-1536Mi"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("1.0000000001", "1000000001n"),
        ("9223372036854775807Ki", "9223372036854775807"),
        ("1e21", "1e21"),
        ("-", "0"),
    ];
    for (text, want) in cases {
        assert_eq!(q(text).to_string(), want, "{text}");
    }
}

#[test]
fn bad_texts_are_refused() {
    let cases = [
        ("", QuantityError::Format),
        ("a", QuantityError::Format),
        ("1 Gi", QuantityError::Format),
        ("1.2.3", QuantityError::Format),
        ("1k1", QuantityError::Suffix),
        ("1ki", QuantityError::Suffix),
        ("1e", QuantityError::Suffix),
        ("1KiMi", QuantityError::Suffix),
        ("1-5", QuantityError::Suffix),
    ];
    for (text, want) in cases {
        assert_eq!(text.parse::<Quantity>().map_err(|e| (text, e)), Err((text, want)));
    }
}

#[test]
fn values_round_away_from_zero() {
    let cases = [
        ("100m", 1, 100),
        ("1.5", 2, 1500),
        ("-1.5", -2, -1500),
        ("1n", 1, 1),
        ("1Gi", 1 << 30, 1000 << 30),
        ("1e30", i64::MAX, i64::MAX),
        ("-1e30", i64::MIN, i64::MIN),
        ("1e1000000", i64::MAX, i64::MAX),
    ];
    for (text, value, milli) in cases {
        assert_eq!((q(text).value(), q(text).milli_value()), (value, milli), "{text}");
    }
}

#[test]
fn arithmetic_keeps_the_format_unless_zero() {
    let sum = |a: &str, b: &str| {
        let mut sum = q(a);
        sum.add(&q(b));
        sum.to_string()
    };
    assert_eq!(sum("1Gi", "512Mi"), "1536Mi");
    assert_eq!(sum("0", "1Gi"), "1Gi");
    assert_eq!(sum("100m", "0.9"), "1");
    assert_eq!(sum("1Gi", "1"), "1073741825");
    let mut difference = q("1");
    difference.sub(&q("1100m"));
    assert_eq!(difference.to_string(), "-100m");
    difference.mul(-20);
    assert_eq!(difference.to_string(), "2");
    assert_eq!((-q("1Ki")).to_string(), "-1Ki");
}

#[test]
fn order_is_by_value() {
    let sorted = ["-1e1000", "-1Gi", "-1", "0", "1n", "999u", "1m", "1", "1000", "1Ki", "1e3000"];
    for (i, a) in sorted.iter().enumerate() {
        for (j, b) in sorted.iter().enumerate() {
            assert_eq!(q(a).cmp(&q(b)), i.cmp(&j), "{a} {b}");
        }
    }
    assert_eq!(q("1000m"), q("1"));
    assert_eq!(q("1024"), q("1Ki"));
}

fn text() -> impl Strategy<Value = String> {
    let suffix =
        prop::sample::select(vec!["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-3", "E2"]);
    ("[+-]?", "[0-9]{1,9}", "(\\.[0-9]{0,6})?", suffix).prop_map(|(s, w, f, e)| format!("{s}{w}{f}{e}"))
}

proptest! {
    #[test]
    fn printing_keeps_the_value_and_is_canonical_once(text in text()) {
        let first = q(&text);
        let printed = first.to_string();
        let second = q(&printed);
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(second.to_string(), printed);
    }

    #[test]
    fn sums_agree_with_whole_numbers(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000) {
        let mut sum = Quantity::from_milli(a, Format::DecimalSi);
        sum.add(&Quantity::from_milli(b, Format::BinarySi));
        prop_assert_eq!(sum.milli_value(), a + b);
        let order = Quantity::from_milli(a, Format::DecimalSi).cmp(&Quantity::from_milli(b, Format::BinarySi));
        prop_assert_eq!(order, a.cmp(&b));
    }

    #[test]
    fn no_text_panics(text in "[-+0-9.eEinumkKMGTP]{0,50}|.{0,10}") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            let _ = (quantity.to_string(), quantity.value(), quantity.as_f64());
            let mut sum = quantity.clone();
            sum.add(&Quantity::new(1, Format::BinarySi));
            let _ = (sum.to_string(), -quantity);
        }
    }
}
