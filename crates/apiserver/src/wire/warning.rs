//! Warning headers (`Warning: 299 - "…"`, KEP-1693), collected while a request is worked on.

use http::HeaderValue;
use parking_lot::Mutex;

/// The most that upstream sends of one answer's warnings, in bytes.
const MAX_TOTAL: usize = 4 * 1024;

/// What a request's client is to be told beside the answer; each text once.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Adds a text, unless it is there already.
    pub fn add(&self, text: impl Into<String>) {
        let text = text.into();
        let mut texts = self.0.lock();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }

    /// The values of the `Warning` headers, as many as fit.
    pub fn headers(&self) -> Vec<HeaderValue> {
        let mut room = MAX_TOTAL;
        let mut values = Vec::new();
        for text in self.0.lock().iter() {
            let value = header_text(text);
            let Some(left) = room.checked_sub(value.len()) else { break };
            room = left;
            values.extend(HeaderValue::from_bytes(value.as_bytes()).ok());
        }
        values
    }
}

/// RFC 7234 §5.5: code 299, no agent, a quoted string.
fn header_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    format!("299 - \"{quoted}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_sent_once() {
        let warnings = Warnings::default();
        warnings.add("unknown field \"spec.x\"");
        warnings.add("unknown field \"spec.x\"");
        assert_eq!(warnings.headers(), [r#"299 - "unknown field \"spec.x\"""#]);
    }
}
