//! Where a webhook is reached: by URL or by service. Admission and the conversion of custom resources share this.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_subdomain_problems, port_number_problems};
use steersman_apimachinery::quote::quote;

use crate::tree::{Read, Write};

/// Completes a `clientConfig`.
pub(crate) fn default_client_config(config: &mut Tree) {
    if let Some(service) = config.part_mut("service") {
        service.default_value("port", 443);
    }
}

/// Checks a `clientConfig`: it has a URL or a service.
pub(crate) fn client_config(found: &mut ErrorList, config: &Tree, path: &Path) {
    match (config.at("url").as_str(), config.has("service")) {
        (Some(text), false) => url(found, text, &path.child("url")),
        (None, true) => service(found, config.at("service"), &path.child("service")),
        _ => found.push(Error::required(path.clone(), "exactly one of url or service is required")),
    }
}

const FORM: &str = "; desired format: https://host[/path]";

fn url(found: &mut ErrorList, text: &str, path: &Path) {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(why) => {
            let why = format!("url must be a valid URL: parse {}: {why}{FORM}", quote(text));
            found.push(Error::required(path.clone(), why));
            return;
        }
    };
    let mut push = |value: &str, why: String| found.push(Error::invalid(path.clone(), value, why));
    if url.scheme != "https" {
        push(&url.scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if url.host.is_empty() {
        push("", format!("host must be specified{FORM}"));
    }
    if let Some(user) = url.user {
        push(user, "user information is not permitted in the URL".to_owned());
    }
    if !url.fragment.is_empty() {
        push(url.fragment, "fragments are not permitted in the URL".to_owned());
    }
    if !url.query.is_empty() {
        push(url.query, "query parameters are not permitted in the URL".to_owned());
    }
}

/// The parts of a URL, cut as Go's `net/url` cuts them.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    scheme: String,
    user: Option<&'a str>,
    host: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        if text.contains(|c: char| c.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (scheme, rest) = scheme(rest)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self { scheme: scheme.to_lowercase(), user: None, host: "", query, fragment };
        if let Some(rest) = rest.strip_prefix("//") {
            let authority = rest.split('/').next().unwrap_or_default();
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority),
            };
            check_host(host)?;
            (url.user, url.host) = (user, host);
        } else if scheme.is_empty() && rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
        check_escapes(rest)?;
        Ok(url)
    }
}

/// The scheme, empty if there is none, and what follows its colon.
fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn check_host(host: &str) -> Result<(), String> {
    if let Some(bad) =
        host.chars().find(|c| matches!(c, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
    {
        return Err(format!("invalid character {} in host name", quote(&bad.to_string())));
    }
    let port = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("missing ']' in host")?.1,
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(if port.is_empty() { "" } else { "x" });
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(())
    } else {
        Err(format!("invalid port {} after host", quote(port)))
    }
}

fn check_escapes(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let code = text.get(at..at + 3).filter(|code| code[1..].bytes().all(|byte| byte.is_ascii_hexdigit()));
        if code.is_none() {
            let shown: String = text[at..].chars().take(3).collect();
            return Err(format!("invalid URL escape {}", quote(&shown)));
        }
    }
    Ok(())
}

fn service(found: &mut ErrorList, service: &Tree, path: &Path) {
    // Upstream mixes the two up: it reports a missing namespace as `name`, and a missing name as `namespace`.
    for (given, reported) in [("namespace", "name"), ("name", "namespace")] {
        if service.text(given).is_empty() {
            found.push(Error::required(path.child(reported), ""));
        }
    }
    let port = service.int("port").unwrap_or(0);
    let problems = port_number_problems(port);
    if !problems.is_empty() {
        let why = format!("port is not valid: {}", problems.join(", "));
        found.push(Error::invalid(path.child("port"), port, why));
    }
    let (text, at) = (service.text("path"), path.child("path"));
    let whys = path_problems(text);
    found.extend(whys.into_iter().map(|why| Error::invalid(at.clone(), text, why)));
}

fn path_problems(path: &str) -> Vec<String> {
    match path {
        "" | "/" => return Vec::new(),
        "//" => return vec!["segment[0] may not be empty".to_owned()],
        _ => {}
    }
    let mut whys = Vec::new();
    if !path.starts_with('/') {
        whys.push("must start with a '/'".to_owned());
    }
    // The first character is skipped, whatever it is.
    let mut characters = path.chars();
    characters.next();
    let steps = characters.as_str();
    for (index, step) in steps.strip_suffix('/').unwrap_or(steps).split('/').enumerate() {
        if step.is_empty() {
            whys.push(format!("segment[{index}] may not be empty"));
            continue;
        }
        let problems = dns1123_subdomain_problems(step, false).into_iter();
        whys.extend(problems.map(|why| format!("segment[{index}]: {why}")));
    }
    whys
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn problems(config: &Value) -> Vec<String> {
        let mut found = ErrorList::new();
        client_config(&mut found, config, &Path::new("c"));
        texts(&found)
    }

    #[test]
    fn a_webhook_has_one_place() {
        let one = "c: Required value: exactly one of url or service is required";
        assert_eq!(problems(&json!({})), [one]);
        assert_eq!(problems(&json!({"url": "https://a", "service": {}})), [one]);
    }

    #[test]
    fn urls_are_plain_and_secure() {
        let cases: [(&str, &[&str]); 12] = [
            ("https://a.b:8443/c", &[]),
            ("https://[::1]:443/", &[]),
            (
                "",
                &[
                    "Invalid value: \"\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
                    "Invalid value: \"\": host must be specified; desired format: https://host[/path]",
                ],
            ),
            (
                "http://a",
                &[
                    "Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
                ],
            ),
            (
                "https:///a",
                &["Invalid value: \"\": host must be specified; desired format: https://host[/path]"],
            ),
            (
                "https://u:p@a/b?c#d",
                &[
                    "Invalid value: \"u:p\": user information is not permitted in the URL",
                    "Invalid value: \"d\": fragments are not permitted in the URL",
                    "Invalid value: \"c\": query parameters are not permitted in the URL",
                ],
            ),
            (
                ":",
                &[
                    "Required value: url must be a valid URL: parse \":\": missing protocol scheme; desired format: https://host[/path]",
                ],
            ),
            (
                "a_b:c",
                &[
                    "Required value: url must be a valid URL: parse \"a_b:c\": first path segment in URL cannot contain colon; desired format: https://host[/path]",
                ],
            ),
            (
                "https://a:x",
                &[
                    "Required value: url must be a valid URL: parse \"https://a:x\": invalid port \":x\" after host; desired format: https://host[/path]",
                ],
            ),
            (
                "https://a b",
                &[
                    "Required value: url must be a valid URL: parse \"https://a b\": invalid character \" \" in host name; desired format: https://host[/path]",
                ],
            ),
            (
                "https://a/%zz",
                &[
                    "Required value: url must be a valid URL: parse \"https://a/%zz\": invalid URL escape \"%zz\"; desired format: https://host[/path]",
                ],
            ),
            (
                "https://a\n",
                &[
                    "Required value: url must be a valid URL: parse \"https://a\\n\": net/url: invalid control character in URL; desired format: https://host[/path]",
                ],
            ),
        ];
        for (url, want) in cases {
            let want: Vec<String> = want.iter().map(|why| format!("c.url: {why}")).collect();
            assert_eq!(problems(&json!({"url": url})), want, "{url}");
        }
    }

    #[test]
    fn services_are_named() {
        let service =
            |path: &str| json!({"service": {"name": "n", "namespace": "ns", "port": 443, "path": path}});
        for path in ["", "/", "/a", "/a/b/"] {
            assert!(problems(&service(path)).is_empty(), "{path}");
        }
        let wrong = |path: &str, why: &str| {
            assert_eq!(
                problems(&service(path)),
                [format!("c.service.path: Invalid value: \"{path}\": {why}")]
            );
        };
        wrong("//", "segment[0] may not be empty");
        wrong("/a//b", "segment[1] may not be empty");
        wrong("xa", "must start with a '/'");
        assert!(
            problems(&service("/A"))[0].starts_with("c.service.path: Invalid value: \"/A\": segment[0]: ")
        );
        let want = [
            "c.service.namespace: Required value",
            "c.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
        ];
        assert_eq!(problems(&json!({"service": {"namespace": "ns"}})), want);
        let mut config = json!({"service": {"name": "n"}});
        default_client_config(&mut config);
        assert_eq!(problems(&config), ["c.service.name: Required value"]);
    }
}
