//! Strings and JSON as Go prints them into messages (`%q`, `json.Marshal`): tools compare whole messages.

use serde_json::Value;

/// `s` in double quotes, escaped as Go's `strconv.Quote` does.
pub fn quote(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}

/// Letters, marks, numbers, punctuation, symbols, and of all spaces only U+0020 (Go's `unicode.IsPrint`).
pub fn is_printable(c: char) -> bool {
    // The standard library escapes what cannot be printed, and quotes and backslashes, which can. A mark that
    // combines with the letter before it is printable, and not escaped after a letter.
    let escaped = || ['a', c].iter().collect::<String>().escape_debug().count();
    matches!(c, '"' | '\'' | '\\' | ' ') || (!c.is_whitespace() && escaped() == 2)
}

/// `value` as Go's `json.Marshal` prints it: compact, keys sorted, `<`, `>` and `&` escaped.
pub fn json(value: &Value) -> String {
    let text = with_go_numbers(value).to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    // These occur in JSON only inside strings, so the escapes cannot break the structure.
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Go writes whole floats without a fraction, as far as they have no exponent.
fn with_go_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|f| number.is_f64() && f.fract() == 0.0 && f.abs() < 1e18);
            whole.map_or_else(|| value.clone(), |whole| (whole as i64).into())
        }
        Value::Array(items) => items.iter().map(with_go_numbers).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), with_go_numbers(value))).collect())
        }
        other => other.clone(),
    }
}

/// `value` as Go's `%v` prints a decoded JSON value: `map[a:1 b:[x y]]`, `<nil>`.
pub fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => go_number(number),
        Value::Bool(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_value).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

fn go_number(number: &serde_json::Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => go_float(float),
        None => number.to_string(),
    }
}

/// A `float64` as Go's `%v` prints it: the shortest digits, with an exponent below 1e-4 and from a million on.
pub fn go_float(float: f64) -> String {
    let magnitude = float.abs();
    if float == 0.0 || (1e-4..1e6).contains(&magnitude) || !float.is_finite() {
        return float.to_string();
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The Go type that a decoded JSON value has.
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_does() {
        let cases = [
            ("plain", r#""plain""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("tab\tnul\0bell\x07", r#""tab\tnul\x00bell\a""#),
            ("it's 中文 e\u{301}", "\"it's 中文 e\u{301}\""),
            ("\u{200b}\u{a0}", r#""\u200b\u00a0""#),
        ];
        for (input, want) in cases {
            assert_eq!(quote(input), want);
        }
    }

    #[test]
    fn json_writes_whole_floats_as_integers() {
        assert_eq!(json(&serde_json::json!({"a": [2.0, 2.5, 1]})), r#"{"a":[2,2.5,1]}"#);
    }

    #[test]
    fn json_escapes_html() {
        assert_eq!(json(&serde_json::json!({"a": "<b>&"})), r#"{"a":"\u003cb\u003e\u0026"}"#);
    }

    #[test]
    fn floats_are_printed_as_go_does() {
        let cases = [
            (10.0, "10"),
            (0.5, "0.5"),
            (999999.5, "999999.5"),
            (1_234_567.0, "1.234567e+06"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (-0.00001, "-1e-05"),
        ];
        for (float, want) in cases {
            assert_eq!(go_float(float), want);
        }
    }

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let value = serde_json::json!({"b": [1, "x", null], "a": {"c": true}});
        assert_eq!(go_value(&value), "map[a:map[c:true] b:[1 x <nil>]]");
        assert_eq!(go_type(&value), "map[string]interface {}");
    }
}
