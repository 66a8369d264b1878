//! What names may look like, with upstream's words for what is wrong.

const LABEL_MESSAGE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// The problems of `name` as a DNS-1123 subdomain (at most 253 characters); none if it is one. A `prefix`
/// (`generateName`) may end in `-`.
pub fn dns1123_subdomain_problems(name: &str, prefix: bool) -> Vec<String> {
    let name = masked(name, prefix);
    let mut problems = Vec::new();
    if name.len() > 253 {
        problems.push("must be no more than 253 bytes".to_owned());
    }
    if !name.split('.').all(is_label_shaped) {
        problems.push(SUBDOMAIN_MESSAGE.to_owned());
    }
    problems
}

/// The problems of `name` as a DNS-1123 label (at most 63 characters); none if it is one.
pub fn dns1123_label_problems(name: &str, prefix: bool) -> Vec<String> {
    let name = masked(name, prefix);
    let mut problems = Vec::new();
    if name.len() > 63 {
        problems.push("must be no more than 63 bytes".to_owned());
    }
    if !is_label_shaped(&name) {
        problems.push(LABEL_MESSAGE.to_owned());
    }
    problems
}

/// A prefix that ends in `-` gets letters after it on use, so the dash is no fault of it.
fn masked(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(head) if prefix && !head.is_empty() => format!("{head}a"),
        _ => name.to_owned(),
    }
}

fn is_label_shaped(s: &str) -> bool {
    let alphanumeric = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = s.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|c| alphanumeric(c) || *c == b'-')
}
