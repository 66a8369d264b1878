//! PEM as Go's `encoding/pem` reads it: text around blocks is skipped, and so is what only looks like a block.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// `CERTIFICATE`, `CERTIFICATE REQUEST`, ….
    pub(super) label: String,
    /// Whether there are `Key: value` lines before the data.
    pub(super) has_headers: bool,
    /// The data, as DER.
    pub(super) der: Vec<u8>,
}

/// Every block of `text`.
pub(super) fn blocks(text: &[u8]) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in text.split(|byte| *byte == b'\n') {
        // A line that is no text belongs to no block.
        let line = std::str::from_utf8(line).unwrap_or("\u{fffd}");
        if let Some(label) = marked(line, "-----BEGIN ") {
            open = Some((label, Vec::new()));
        } else if line.starts_with("-----END ") {
            let label = marked(line, "-----END ");
            if let Some((begun, lines)) = open.take().filter(|(begun, _)| label == Some(*begun)) {
                found.extend(block(begun, &lines));
            }
        } else if let Some((_, lines)) = &mut open {
            lines.push(line);
        }
    }
    found
}

fn marked<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.trim_end().strip_prefix(mark)?.strip_suffix("-----")
}

fn block(label: &str, lines: &[&str]) -> Option<Block> {
    let headers = lines.iter().take_while(|line| line.contains(':')).count();
    let data: String = lines[headers..].concat().split_ascii_whitespace().collect();
    let der = STANDARD.decode(data).ok()?;
    Some(Block { label: label.to_owned(), has_headers: headers > 0, der })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_in_any_text() {
        let block = |label: &str, has_headers: bool, der: &[u8]| Block {
            label: label.to_owned(),
            has_headers,
            der: der.to_vec(),
        };
        let cases = [
            ("", vec![]),
            ("-----BEGIN A-----\nAA==\n-----END A-----", vec![block("A", false, &[0])]),
            ("-----BEGIN A-----\r\nA A=\t=\r\n-----END A-----\r\n", vec![block("A", false, &[0])]),
            ("x\n-----BEGIN A-----\nK: v\n\nAQ==\n-----END A-----\ny", vec![block("A", true, &[1])]),
            ("-----BEGIN A-----\n-----BEGIN B-----\nAQ==\n-----END B-----\n", vec![block("B", false, &[1])]),
            ("-----BEGIN A-----\nAQ==\n-----END B-----\n", vec![]),
            (
                "-----BEGIN A-----\n!\n-----END A-----\n-----BEGIN B-----\n-----END B-----",
                vec![block("B", false, &[])],
            ),
        ];
        for (text, want) in cases {
            assert_eq!(blocks(text.as_bytes()), want, "{text}");
        }
    }
}
