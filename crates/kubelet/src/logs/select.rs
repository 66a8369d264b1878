//! Which lines a reader gets, and in which form. Pure.

use jiff::Timestamp;

use super::line;

/// What a reader asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Wait for more until the container ends.
    pub follow: bool,
    /// The container before this one.
    pub previous: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<usize>,
    /// Only so many bytes.
    pub limit_bytes: Option<usize>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// `stdout` or `stderr` alone.
    pub stream: Option<String>,
}

/// A query that cannot be answered; the text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuery(pub String);

impl Options {
    /// Reads the query of `containerLogs`.
    pub fn from_query(query: &[(String, String)], now: Timestamp) -> Result<Self, BadQuery> {
        let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let flag = |name: &str| matches!(value(name), Some("true" | "1"));
        let number = |name: &str| match value(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => match text.parse::<i64>() {
                Ok(number) if number >= 0 => Ok(Some(usize::try_from(number).unwrap_or(usize::MAX))),
                _ => Err(BadQuery(format!("{name}: Invalid value: {text:?}: must be a non-negative number"))),
            },
        };
        let since_time = match value("sinceTime").filter(|text| !text.is_empty()) {
            Some(text) => Some(
                text.parse::<Timestamp>()
                    .map_err(|_| BadQuery(format!("sinceTime: Invalid value: {text:?}")))?,
            ),
            None => None,
        };
        let since_seconds = number("sinceSeconds")?.and_then(|seconds| {
            Timestamp::from_second(now.as_second().checked_sub(i64::try_from(seconds).ok()?)?).ok()
        });
        let stream = value("stream").filter(|stream| !matches!(*stream, "" | "All")).map(str::to_lowercase);
        Ok(Self {
            follow: flag("follow"),
            previous: flag("previous"),
            tail_lines: number("tailLines")?,
            limit_bytes: number("limitBytes")?,
            since: since_time.or(since_seconds),
            timestamps: flag("timestamps"),
            stream,
        })
    }
}

/// Turns lines of the file into what the reader gets.
#[derive(Debug)]
pub struct Selector {
    options: Options,
    left: Option<usize>,
    at_line_start: bool,
}

impl Selector {
    /// A selector at the beginning of a log.
    pub fn new(options: Options) -> Self {
        Self { left: options.limit_bytes, options, at_line_start: true }
    }

    /// Appends what the reader gets of one line of the file.
    pub fn push(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let Some(line) = line::parse(raw) else {
            tracing::debug!("a line of a container's log is not in the format and is left out");
            return;
        };
        if self.options.stream.as_deref().is_some_and(|stream| stream != line.stream) {
            return;
        }
        let early = |since: Timestamp| line.time.parse::<Timestamp>().is_ok_and(|time| time < since);
        if self.options.since.is_some_and(early) {
            return;
        }
        let begin = out.len();
        if self.options.timestamps && self.at_line_start {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        if !line.partial {
            out.push(b'\n');
        }
        self.at_line_start = !line.partial;
        if let Some(left) = &mut self.left {
            out.truncate(begin + *left);
            *left -= out.len() - begin;
        }
    }

    /// Whether the reader has had all it asked for.
    pub fn is_done(&self) -> bool {
        self.left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr P tw\n\
        2026-01-01T00:00:03Z stderr F o\nnonsense\n2026-01-01T00:00:04Z stdout F three\n";

    fn read(query: &str) -> String {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query: Vec<_> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let now = "2026-01-01T00:00:05Z".parse().unwrap();
        let mut selector = Selector::new(Options::from_query(&query, now).unwrap());
        let mut out = Vec::new();
        LOG.lines().take_while(|_| true).for_each(|line| selector.push(line.as_bytes(), &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn readers_get_what_they_ask_for() {
        let cases = [
            ("", "one\ntwo\nthree\n"),
            (
                "timestamps=true",
                "2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z two\n2026-01-01T00:00:04Z three\n",
            ),
            ("limitBytes=5", "one\nt"),
            ("sinceTime=2026-01-01T00:00:04Z", "three\n"),
            ("sinceSeconds=1", "three\n"),
            ("stream=Stderr", "two\n"),
        ];
        for (query, want) in cases {
            assert_eq!(read(query), want, "{query}");
        }
    }

    #[test]
    fn a_query_that_makes_no_sense_is_refused() {
        for (key, value) in [("tailLines", "-1"), ("limitBytes", "x"), ("sinceTime", "yesterday")] {
            let query = [(key.to_owned(), value.to_owned())];
            assert!(Options::from_query(&query, Timestamp::UNIX_EPOCH).is_err(), "{key}");
        }
    }
}
