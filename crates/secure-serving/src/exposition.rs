//! Metrics in Prometheus's text form, version 0.0.4, which is what upstream's components answer with.

use std::fmt::{Display, Write};

/// The media type of the form.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl MetricKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// The text as it grows.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// One metric, whose samples follow.
pub struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins the metric `name`.
    pub fn family(&mut self, name: &'static str, kind: MetricKind, help: &str) -> Family<'_> {
        let kind = kind.as_str();
        write(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { out: &mut self.0, name }
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a number.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.out.push_str(self.name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            write(self.out, format_args!("{before}{label}=\"{}\"", escape(text)));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        write(self.out, format_args!("{end} {value}\n"));
        self
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_head() {
        let mut out = Exposition::default();
        let mut depth = out.family("workqueue_depth", MetricKind::Gauge, "Current depth.");
        depth.sample(&[("name", "a\"b\\c\nd")], 3).sample(&[("name", "x"), ("more", "y")], 0);
        out.family("up", MetricKind::Counter, "Whether.").sample(&[], 1.5);
        let text = "# HELP workqueue_depth Current depth.\n# TYPE workqueue_depth gauge\n\
                    workqueue_depth{name=\"a\\\"b\\\\c\\nd\"} 3\nworkqueue_depth{name=\"x\",more=\"y\"} 0\n\
                    # HELP up Whether.\n# TYPE up counter\nup 1.5\n";
        assert_eq!(out.into_text(), text);
    }
}
