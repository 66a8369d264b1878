//! Values in the form that Go prints them, since tools read the kubelet's messages.

use std::time::Duration;

/// `text` in double quotes, escaped as Go's `%q` does.
pub fn go_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\'' => out.push(c),
            c if u32::from(c) < 0x80 && c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t') => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c if c.is_ascii() || c.escape_debug().len() == 1 => out.extend(c.escape_debug()),
            c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// A duration as Go prints it: `10s`, `1m20s`, `1.5s`, `120ms`.
pub fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000_000_000 {
        let (unit, size) = match nanos {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{}{unit}", decimal(nanos, size));
    }
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let tail = format!("{}s", decimal(seconds % 60 * 1_000_000_000 + rest, 1_000_000_000));
    match (hours, minutes) {
        (0, 0) => tail,
        (0, minutes) => format!("{minutes}m{tail}"),
        (hours, minutes) => format!("{hours}h{minutes}m{tail}"),
    }
}

/// `value / unit` with as many decimals as it needs.
fn decimal(value: u128, unit: u128) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", value % unit);
    let fraction = fraction.trim_end_matches('0');
    let whole = value / unit;
    if unit == 1 || fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

/// An error of the runtime as Go's gRPC prints it.
pub fn rpc_error(status: &tonic::Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// A list as Go prints it: `[a b]`.
pub fn go_list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    format!("[{}]", items.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_in_go() {
        let cases = [("it's", "\"it's\""), ("a\"b\\\n\u{1}é", "\"a\\\"b\\\\\\n\\x01é\"")];
        for (text, want) in cases {
            assert_eq!(go_quote(text), want);
        }
    }

    #[test]
    fn durations_read_as_in_go() {
        let cases = [
            (0, "0s"),
            (120_000_000, "120ms"),
            (1_500, "1.5µs"),
            (1_500_000_000, "1.5s"),
            (10_000_000_000, "10s"),
            (80_000_000_000, "1m20s"),
            (300_000_000_000, "5m0s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, want) in cases {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), want);
        }
    }
}
