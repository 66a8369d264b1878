//! What the server counts, in Prometheus's text form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;

use crate::wire::info::RequestInfo;

/// Upper bounds of the duration histogram, in seconds: upstream's, thinned out.
const BOUNDS: [f64; 12] = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0, 2.0, 5.0, 15.0, 60.0];

/// Verb, group, version, resource, subresource and scope: the labels that both metrics share.
type Labels = (String, String, String, String, String, &'static str);

#[derive(Default)]
struct Histogram {
    /// Not cumulative; the last is beyond all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

#[derive(Default)]
struct Counters {
    requests: BTreeMap<(Labels, u16), u64>,
    durations: BTreeMap<Labels, Histogram>,
}

/// The counters. Bounded: unknown resources are counted together.
#[derive(Default)]
pub struct Metrics(Mutex<Counters>);

impl Metrics {
    /// Counts an answered request.
    pub fn request(&self, info: &RequestInfo, code: StatusCode, took: Duration) {
        let labels = labels(info, code);
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        let mut counters = self.0.lock();
        *counters.requests.entry((labels.clone(), code.as_u16())).or_default() += 1;
        if !info.is_long_running() {
            let histogram = counters.durations.entry(labels).or_default();
            histogram.buckets[bucket] += 1;
            histogram.seconds += seconds;
        }
    }

    /// The exposition.
    pub fn text(&self, git_version: &str) -> String {
        let counters = self.0.lock();
        let mut out = String::new();
        head(&mut out, "apiserver_request_total", "counter", "Counter of apiserver requests.");
        for ((labels, code), count) in &counters.requests {
            let labels = text_of(labels);
            line(&mut out, format_args!("apiserver_request_total{{code=\"{code}\",{labels}}} {count}"));
        }
        let name = "apiserver_request_duration_seconds";
        head(&mut out, name, "histogram", "Response latency distribution in seconds.");
        for (labels, histogram) in &counters.durations {
            let labels = text_of(labels);
            let mut total = 0;
            for (count, bound) in histogram.buckets.iter().zip(BOUNDS.map(Some).into_iter().chain([None])) {
                total += count;
                let bound = bound.map_or("+Inf".to_owned(), |b| b.to_string());
                line(&mut out, format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {total}"));
            }
            line(&mut out, format_args!("{name}_sum{{{labels}}} {}", histogram.seconds));
            line(&mut out, format_args!("{name}_count{{{labels}}} {total}"));
        }
        head(&mut out, "kubernetes_build_info", "gauge", "The version of this server.");
        line(
            &mut out,
            format_args!("kubernetes_build_info{{git_version=\"{git_version}\",major=\"1\",minor=\"37\"}} 1"),
        );
        out
    }
}

fn labels(info: &RequestInfo, code: StatusCode) -> Labels {
    if !info.is_resource || code == StatusCode::NOT_FOUND && info.name.is_empty() {
        return (info.verb.to_uppercase(), String::new(), String::new(), String::new(), String::new(), "");
    }
    let scope = match (info.named_in_path, info.in_namespace) {
        (true, _) => "resource",
        (false, true) => "namespace",
        (false, false) => "cluster",
    };
    (
        metric_verb(&info.verb),
        info.group.clone(),
        info.version.clone(),
        info.resource.clone(),
        info.subresource.clone(),
        scope,
    )
}

/// Upstream counts HTTP methods, but lists and watches apart.
fn metric_verb(verb: &str) -> String {
    match verb {
        "create" => "POST".to_owned(),
        "update" => "PUT".to_owned(),
        other => other.to_uppercase(),
    }
}

fn text_of((verb, group, version, resource, subresource, scope): &Labels) -> String {
    format!(
        "verb={verb:?},group={group:?},version={version:?},resource={resource:?},\
         subresource={subresource:?},scope={scope:?}"
    )
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}"));
    line(out, format_args!("# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_resource_and_code() {
        let metrics = Metrics::default();
        let info = RequestInfo {
            is_resource: true,
            verb: "list".to_owned(),
            version: "v1".to_owned(),
            resource: "pods".to_owned(),
            ..RequestInfo::default()
        };
        metrics.request(&info, StatusCode::OK, Duration::from_millis(30));
        metrics.request(&info, StatusCode::OK, Duration::from_millis(1));
        let text = metrics.text("v1.37.0");
        let labels = r#"verb="LIST",group="",version="v1",resource="pods",subresource="",scope="cluster""#;
        assert!(text.contains(&format!("apiserver_request_total{{code=\"200\",{labels}}} 2\n")), "{text}");
        let bucket = format!("apiserver_request_duration_seconds_bucket{{{labels},le=\"0.005\"}} 1\n");
        assert!(text.contains(&bucket), "{text}");
    }
}
