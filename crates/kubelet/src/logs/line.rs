//! One line of a log in the format of the runtime interface:
//! `2016-10-06T00:17:09.669794202Z stdout F the text`.

/// A line, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// RFC 3339 with nanoseconds, as written.
    pub time: &'a str,
    /// `stdout` or `stderr`.
    pub stream: &'a str,
    /// Whether the text goes on in the next line (tag `P`).
    pub partial: bool,
    /// The text.
    pub text: &'a [u8],
}

/// Takes a line apart, with or without its newline; `None` when it is not in the format.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(parts.next()?).ok();
    let (time, stream, tags) = (word()?, word()?, word()?);
    let known = matches!(stream, "stdout" | "stderr") && time.parse::<jiff::Timestamp>().is_ok();
    let partial = tags.split(':').next() == Some("P");
    known.then_some(Line { time, stream, partial, text: parts.next().unwrap_or_default() })
}

/// The text of a line and whether it ends there.
pub fn content(line: &str) -> Option<(&str, bool)> {
    let line = parse(line.as_bytes())?;
    Some((std::str::from_utf8(line.text).ok()?, !line.partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let time = "2016-10-06T00:17:09.669794202Z";
        let full = format!("{time} stdout F some text\n");
        let want = Line { time, stream: "stdout", partial: false, text: b"some text" };
        assert_eq!(parse(full.as_bytes()), Some(want));
        let partial = format!("{time} stderr P:x a");
        assert!(parse(partial.as_bytes()).is_some_and(|line| line.partial && line.stream == "stderr"));
        assert_eq!(parse(format!("{time} stdout F").as_bytes()).map(|line| line.text), Some(&b""[..]));
        for bad in ["", "x", "not-a-time stdout F x", "2016-10-06T00:17:09Z stdin F x"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
