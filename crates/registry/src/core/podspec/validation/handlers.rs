//! Probes and lifecycle hooks.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::http_header_name_problems;

use super::Whole;
use crate::checks::{invalid, known_word, not_negative, port_number, port_number_or_name, required};
use crate::tree::Read;

const COUNTS: [&str; 5] =
    ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
const PROBE_HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc"];
const HOOK_HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "sleep"];

/// All probes and hooks of a container.
pub(super) fn of_container(found: &mut ErrorList, whole: &Whole, container: &Tree, path: &Path) {
    for hook in ["postStart", "preStop"] {
        let handler = container.at("lifecycle").at(hook);
        if !handler.is_null() {
            self::handler(found, whole, handler, HOOK_HANDLERS, &path.child("lifecycle").child(hook));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container.has(name) {
            probe(found, whole, name, container.at(name), &path.child(name));
        }
    }
}

fn probe(found: &mut ErrorList, whole: &Whole, name: &str, probe: &Tree, path: &Path) {
    handler(found, whole, probe, PROBE_HANDLERS, path);
    not_negative(found, probe, path, &COUNTS);
    let grace = probe.int("terminationGracePeriodSeconds");
    let grace_path = path.child("terminationGracePeriodSeconds");
    if let Some(seconds) = grace.filter(|seconds| *seconds <= 0) {
        found.push(Error::invalid(grace_path.clone(), seconds, "must be greater than 0"));
    }
    if name == "readinessProbe" {
        if let Some(seconds) = grace {
            found.push(Error::invalid(grace_path, seconds, "must not be set for readinessProbes"));
        }
    } else {
        let successes = probe.int("successThreshold").unwrap_or(0);
        if successes != 1 {
            found.push(Error::invalid(path.child("successThreshold"), successes, "must be 1"));
        }
    }
}

fn handler(found: &mut ErrorList, whole: &Whole, handler: &Tree, kinds: &[&str], path: &Path) {
    let given: Vec<&&str> = kinds.iter().filter(|kind| handler.has(kind)).collect();
    for (nth, kind) in given.iter().enumerate() {
        let path = &path.child(kind);
        if nth > 0 {
            found.push(Error::forbidden(path.clone(), "may not specify more than 1 handler type"));
            continue;
        }
        action(found, whole, kind, handler.at(kind), path);
    }
    if given.is_empty() {
        found.push(Error::required(path.clone(), "must specify a handler type"));
    }
}

fn action(found: &mut ErrorList, whole: &Whole, kind: &str, action: &Tree, path: &Path) {
    match kind {
        "exec" => {
            if action.items("command").is_empty() {
                found.push(Error::required(path.child("command"), ""));
            }
        }
        "httpGet" => http_get(found, action, path),
        "tcpSocket" => port_number_or_name(found, &path.child("port"), action.at("port")),
        "grpc" => port_number(found, &path.child("port"), action.int("port").unwrap_or(0)),
        _ => sleep(found, whole, action, path),
    }
}

fn http_get(found: &mut ErrorList, action: &Tree, path: &Path) {
    required(found, path.child("path"), action.text("path"));
    port_number_or_name(found, &path.child("port"), action.at("port"));
    known_word(found, path.child("scheme"), action.text("scheme"), &["HTTP", "HTTPS"]);
    for header in action.items("httpHeaders") {
        let name = header.text("name");
        invalid(found, &path.child("httpHeaders"), name, http_header_name_problems(name));
    }
}

fn sleep(found: &mut ErrorList, whole: &Whole, action: &Tree, path: &Path) {
    let seconds = action.int("seconds").unwrap_or(0);
    // Without a grace period the pod has a problem of its own, reported elsewhere.
    let Some(grace) = whole.grace_period() else { return };
    if !(0..=grace).contains(&seconds) {
        let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        found.push(Error::invalid(path.clone(), seconds, why));
    }
}
