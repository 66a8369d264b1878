//! Validation of ingresses.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{
    dns1123_label_problems, dns1123_subdomain_problems, port_name_problems,
    wildcard_dns1123_subdomain_problems,
};

use super::CLASS_ANNOTATION;
use crate::addresses::{legacy_ip, parse_ip};
use crate::checks::{invalid, known_word, port_number, required_name, subdomain};
use crate::networking::typed_reference;
use crate::tree::Read;

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
const NOT_AN_IP: &str = "must be a DNS name, not an IP address";

/// What an update may leave as it was though it would not be allowed anew.
#[derive(Clone, Copy, Default)]
struct Tolerated {
    secret_names: bool,
    rules_of_wildcards: bool,
}

/// Checks a new ingress.
pub(super) fn create(ingress: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    spec(&mut found, ingress.at("spec"), &Path::new("spec"), Tolerated::default());
    let class = ingress.at("metadata.annotations").get(CLASS_ANNOTATION).and_then(Tree::as_str);
    if let (Some(class), Some(name)) = (class, ingress.at("spec.ingressClassName").as_str())
        && class != name
    {
        let path = Path::new("annotations").child(CLASS_ANNOTATION);
        found.push(Error::invalid(path, class, "must match `ingressClassName` when both are specified"));
    }
    found
}

/// Checks a change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let tolerated = Tolerated {
        secret_names: old.items("spec.tls").iter().any(|tls| !secret_problems(tls).is_empty()),
        rules_of_wildcards: old.items("spec.rules").iter().any(|rule| {
            let mut found = ErrorList::new();
            http(&mut found, rule, &Path::root());
            rule.text("host").contains('*') && !found.is_empty()
        }),
    };
    let mut found = ErrorList::new();
    spec(&mut found, new.at("spec"), &Path::new("spec"), tolerated);
    found
}

/// Checks a report of the controller.
pub(super) fn status(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let known = old.items("status.loadBalancer.ingress");
    for (index, ingress) in new.items("status.loadBalancer.ingress").iter().enumerate() {
        let (path, ip, host) = (path.index(index), ingress.text("ip"), ingress.text("hostname"));
        if !ip.is_empty() && !known.iter().any(|known| known.text("ip") == ip) {
            legacy_ip(&mut found, &path.child("ip"), ip);
        }
        if !host.is_empty() {
            let path = path.child("hostname");
            subdomain(&mut found, &path, host);
            if parse_ip(host).is_some() {
                found.push(Error::invalid(path, host, NOT_AN_IP));
            }
        }
    }
    found
}

fn spec(found: &mut ErrorList, spec: &Tree, path: &Path, tolerated: Tolerated) {
    let rules = spec.items("rules");
    if rules.is_empty() && !spec.has("defaultBackend") {
        let why = "either `defaultBackend` or `rules` must be specified";
        found.push(Error::invalid(path.clone(), spec.at("rules").clone(), why));
    }
    if spec.has("defaultBackend") {
        backend(found, spec.at("defaultBackend"), &path.child("defaultBackend"));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(index);
        let host = rule.text("host");
        host_of_rule(found, host, &path.child("host"));
        if !(host.contains('*') && tolerated.rules_of_wildcards) {
            http(found, rule, &path);
        }
    }
    for (index, tls) in spec.items("tls").iter().enumerate() {
        self::tls(found, tls, &path.child("tls").index(index), tolerated);
    }
    if spec.has("ingressClassName") {
        subdomain(found, &path.child("ingressClassName"), spec.text("ingressClassName"));
    }
}

fn host_of_rule(found: &mut ErrorList, host: &str, path: &Path) {
    if host.is_empty() {
        return;
    }
    if parse_ip(host).is_some() {
        found.push(Error::invalid(path.clone(), host, NOT_AN_IP));
    }
    host_or_wildcard(found, host, path);
}

fn host_or_wildcard(found: &mut ErrorList, host: &str, path: &Path) {
    if host.contains('*') {
        invalid(found, path, host, wildcard_dns1123_subdomain_problems(host));
    } else {
        subdomain(found, path, host);
    }
}

fn tls(found: &mut ErrorList, tls: &Tree, path: &Path, tolerated: Tolerated) {
    for (index, host) in tls.texts("hosts").into_iter().enumerate() {
        host_or_wildcard(found, host, &path.child("hosts").index(index));
    }
    if !tolerated.secret_names {
        invalid(found, &path.child("secretName"), tls.text("secretName"), secret_problems(tls));
    }
}

fn secret_problems(tls: &Tree) -> Vec<String> {
    match tls.text("secretName") {
        "" => Vec::new(),
        name => dns1123_subdomain_problems(name, false),
    }
}

fn http(found: &mut ErrorList, rule: &Tree, path: &Path) {
    if !rule.has("http") {
        return;
    }
    let (paths, path) = (rule.items("http.paths"), path.child("http").child("paths"));
    if paths.is_empty() {
        found.push(Error::required(path.clone(), ""));
    }
    for (index, item) in paths.iter().enumerate() {
        http_path(found, item, &path.index(index));
    }
}

fn http_path(found: &mut ErrorList, item: &Tree, path: &Path) {
    if !item.has("pathType") {
        found.push(Error::required(path.child("pathType"), "pathType must be specified"));
        return;
    }
    let (text, at) = (item.text("path"), path.child("path"));
    let relative = !text.starts_with('/');
    match item.text("pathType") {
        "Exact" | "Prefix" => {
            if relative {
                found.push(Error::invalid(at.clone(), text, "must be an absolute path"));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|part| text.contains(part)) {
                found.push(Error::invalid(at.clone(), text, format!("must not contain '{part}'")));
            }
            for end in ["/..", "/."].into_iter().filter(|end| text.ends_with(end)) {
                found.push(Error::invalid(at.clone(), text, format!("cannot end with '{end}'")));
            }
        }
        "ImplementationSpecific" => {
            if relative && !text.is_empty() {
                found.push(Error::invalid(at, text, "must be an absolute path"));
            }
        }
        other => known_word(found, path.child("pathType"), other, &PATH_TYPES),
    }
    backend(found, item.at("backend"), &path.child("backend"));
}

fn backend(found: &mut ErrorList, backend: &Tree, path: &Path) {
    match (backend.has("resource"), backend.has("service")) {
        (true, true) => {
            found.push(Error::invalid(path.clone(), "", "cannot set both resource and service backends"));
        }
        (true, false) => typed_reference(found, backend.at("resource"), &path.child("resource")),
        (false, true) => service(found, backend.at("service"), path),
        (false, false) => {
            found.push(Error::invalid(path.clone(), "", "resource or service backend is required"));
        }
    }
}

fn service(found: &mut ErrorList, service: &Tree, path: &Path) {
    let at = path.child("service");
    required_name(found, at.child("name"), service.text("name"), dns1123_label_problems);
    let (name, number) = (service.text("port.name"), service.int("port.number").unwrap_or(0));
    match (name, number) {
        ("", 0) => found.push(Error::required(path.clone(), "port name or number is required")),
        ("", number) => port_number(found, &at.child("port").child("number"), number),
        (name, 0) => invalid(found, &at.child("port").child("name"), name, port_name_problems(name)),
        _ => found.push(Error::invalid(path.clone(), "", "cannot set both port name & port number")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn backend(name: &str) -> Value {
        json!({"service": {"name": name, "port": {"number": 80}}})
    }

    fn ingress(spec: Value) -> Value {
        json!({"spec": spec})
    }

    fn with_path(path: Value) -> Value {
        ingress(json!({"rules": [{"http": {"paths": [path]}}]}))
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let path = "spec.rules[0].http.paths[0]";
        let cases: Vec<(Value, Vec<String>)> = vec![
            (ingress(json!({"defaultBackend": backend("1-ok")})), vec![]),
            (
                ingress(json!({})),
                vec!["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified".into()],
            ),
            (
                ingress(json!({"rules": [{"host": "10.0.0.1"}]})),
                vec!["spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address".into()],
            ),
            (
                ingress(json!({"rules": [{"http": {"paths": []}}]})),
                vec!["spec.rules[0].http.paths: Required value".into()],
            ),
            (
                with_path(json!({"backend": backend("a")})),
                vec![format!("{path}.pathType: Required value: pathType must be specified")],
            ),
            (
                with_path(json!({"pathType": "Fuzzy", "backend": backend("a")})),
                vec![format!(
                    "{path}.pathType: Unsupported value: \"Fuzzy\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\""
                )],
            ),
            (
                with_path(json!({"pathType": "Exact", "path": "a//b/.", "backend": backend("a")})),
                vec![
                    format!("{path}.path: Invalid value: \"a//b/.\": must be an absolute path"),
                    format!("{path}.path: Invalid value: \"a//b/.\": must not contain '//'"),
                    format!("{path}.path: Invalid value: \"a//b/.\": cannot end with '/.'"),
                ],
            ),
            (
                with_path(json!({"pathType": "ImplementationSpecific", "path": "a", "backend": backend("a")})),
                vec![format!("{path}.path: Invalid value: \"a\": must be an absolute path")],
            ),
            (
                with_path(json!({"pathType": "Prefix", "path": "/"})),
                vec![format!("{path}.backend: Invalid value: \"\": resource or service backend is required")],
            ),
            (
                with_path(json!({"pathType": "Prefix", "path": "/", "backend": {"resource": {}, "service": {}}})),
                vec![format!("{path}.backend: Invalid value: \"\": cannot set both resource and service backends")],
            ),
            (
                with_path(json!({"pathType": "Prefix", "path": "/", "backend": {"resource": {"kind": "a/b"}}})),
                vec![
                    format!("{path}.backend.resource.kind: Invalid value: \"a/b\": may not contain '/'"),
                    format!("{path}.backend.resource.name: Required value"),
                ],
            ),
            (
                with_path(json!({"pathType": "Prefix", "path": "/", "backend": {"service": {}}})),
                vec![
                    format!("{path}.backend.service.name: Required value"),
                    format!("{path}.backend: Required value: port name or number is required"),
                ],
            ),
            (
                with_path(json!({"pathType": "Prefix", "path": "/", "backend": {"service":
                    {"name": "a", "port": {"name": "x", "number": 1}}}})),
                vec![format!("{path}.backend: Invalid value: \"\": cannot set both port name & port number")],
            ),
            (
                with_path(json!({"pathType": "Prefix", "path": "/", "backend": {"service":
                    {"name": "a", "port": {"number": 70000}}}})),
                vec![format!(
                    "{path}.backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"
                )],
            ),
            (
                with_path(json!({"pathType": "Prefix", "path": "/", "backend": {"service":
                    {"name": "a", "port": {"name": "1"}}}})),
                vec![format!(
                    "{path}.backend.service.port.name: Invalid value: \"1\": must contain at least one letter (a-z)"
                )],
            ),
            (
                json!({"metadata": {"annotations": {CLASS_ANNOTATION: "b"}},
                    "spec": {"defaultBackend": backend("a"), "ingressClassName": "a"}}),
                vec![
                    "annotations.kubernetes.io/ingress.class: Invalid value: \"b\": must match `ingressClassName` when both are specified".into(),
                ],
            ),
        ];
        for (ingress, want) in cases {
            assert_eq!(texts(&create(&ingress)), want, "{ingress}");
        }
    }

    #[test]
    fn names_of_hosts_and_secrets_are_checked() {
        let wrong = ingress(json!({"defaultBackend": backend("a"), "ingressClassName": "A",
            "tls": [{"hosts": ["*", "A"], "secretName": "A"}], "rules": [{"host": "*x"}]}));
        let found = create(&wrong);
        let paths: Vec<String> = found.iter().map(|error| error.path.to_string()).collect();
        let want = [
            "spec.rules[0].host",
            "spec.tls[0].hosts[0]",
            "spec.tls[0].hosts[1]",
            "spec.tls[0].secretName",
            "spec.ingressClassName",
        ];
        assert_eq!(paths, want);
    }

    #[test]
    fn an_update_tolerates_what_was_there() {
        let old = ingress(json!({"defaultBackend": backend("a"), "tls": [{"secretName": "A"}],
            "rules": [{"host": "*.a.b", "http": {"paths": []}}]}));
        assert_eq!(texts(&update(&old, &old)), Vec::<String>::new());
        let fine = ingress(json!({"defaultBackend": backend("a")}));
        assert_eq!(update(&old, &fine).len(), 2);
    }

    #[test]
    fn a_status_has_addresses() {
        let of = |ingress: Value| json!({"status": {"loadBalancer": {"ingress": [ingress]}}});
        let path = "status.loadBalancer.ingress[0]";
        let cases = [
            (of(json!({"ip": "10.0.0.1", "hostname": "a.b"})), vec![]),
            (
                of(json!({"ip": "x"})),
                vec![format!(
                    "{path}.ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                )],
            ),
            (
                of(json!({"hostname": "10.0.0.1"})),
                vec![format!(
                    "{path}.hostname: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"
                )],
            ),
        ];
        for (new, want) in cases {
            assert_eq!(texts(&status(&new, &json!({}))), want);
        }
        let old = of(json!({"ip": "010.0.0.1"}));
        assert!(status(&old, &old).is_empty());
    }
}
