//! What names may look like, with upstream's words for what is wrong
//! (`k8s.io/apimachinery/pkg/util/validation`). Each function gives the problems, none if there is none.

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which \
must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
'*.example.com', regex used for validation is \
'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_KEY: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_VAR: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
regex used for validation is '[0-9]+%')";
const HTTP_HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', \
regex used for validation is '[-A-Za-z0-9]+')";
const C_IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is \
'[A-Za-z_][A-Za-z0-9_]*')";
/// What follows `Invalid path` for a path that [`is_http_path`] rejects.
pub const HTTP_PATH: &str = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";

/// As a DNS-1123 subdomain (at most 253 bytes). A `prefix` (`generateName`) may end in `-`.
pub fn dns1123_subdomain_problems(name: &str, prefix: bool) -> Vec<String> {
    let name = masked(name, prefix);
    problems([
        (name.len() > 253, too_long(253, "characters")),
        (!name.split('.').all(is_dns1123_label_shaped), SUBDOMAIN.to_owned()),
    ])
}

/// As a DNS-1123 label (at most 63 bytes).
pub fn dns1123_label_problems(name: &str, prefix: bool) -> Vec<String> {
    let name = masked(name, prefix);
    let dotted = name.split('.').all(is_dns1123_label_shaped);
    let shape = if dotted { "must not contain dots" } else { LABEL };
    problems([
        (name.len() > 63, too_long(63, "characters")),
        (!is_dns1123_label_shaped(&name), shape.to_owned()),
    ])
}

/// As a DNS-1035 label (at most 63 bytes): the names of services.
pub fn dns1035_label_problems(name: &str, prefix: bool) -> Vec<String> {
    let name = masked(name, prefix);
    let shaped = is_dns1123_label_shaped(&name) && name.starts_with(|c: char| c.is_ascii_lowercase());
    problems([(name.len() > 63, too_long(63, "characters")), (!shaped, LABEL_1035.to_owned())])
}

/// As a name that is only a segment of a path (RBAC's objects, for example).
pub fn path_segment_problems(name: &str, prefix: bool) -> Vec<String> {
    if !prefix && (name == "." || name == "..") {
        return vec![format!("may not be '{name}'")];
    }
    problems([
        (name.contains('/'), "may not contain '/'".to_owned()),
        (name.contains('%'), "may not contain '%'".to_owned()),
    ])
}

/// As a DNS-1123 subdomain after `*.`.
pub fn wildcard_dns1123_subdomain_problems(name: &str) -> Vec<String> {
    let rest = name.strip_prefix("*.");
    let shaped = rest.is_some_and(|rest| rest.split('.').all(is_dns1123_label_shaped));
    problems([(name.len() > 253, too_long(253, "characters")), (!shaped, WILDCARD.to_owned())])
}

/// As a qualified name, `[prefix/]name`: label keys, annotation keys, finalizers, resource names.
pub fn qualified_name_problems(value: &str) -> Vec<String> {
    let (mut found, name) = match value.split_once('/') {
        None => (Vec::new(), value),
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a valid label key {LABEL_KEY} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some(("", name)) => (vec!["prefix part must be non-empty".to_owned()], name),
        Some((prefix, name)) => {
            let shaped = prefix.split('.').all(is_dns1123_label_shaped);
            let found = problems([
                (prefix.len() > 253, format!("prefix part {}", too_long(253, "bytes"))),
                (!shaped, format!("prefix part {SUBDOMAIN}")),
            ]);
            (found, name)
        }
    };
    found.extend(problems([
        (name.is_empty(), "name part must be non-empty".to_owned()),
        (name.len() > 63, format!("name part {}", too_long(63, "bytes"))),
        (!is_label_key_shaped(name), format!("name part {LABEL_KEY}")),
    ]));
    found
}

/// As the value of a label.
pub fn label_value_problems(value: &str) -> Vec<String> {
    problems([
        (value.len() > 63, too_long(63, "bytes")),
        (!value.is_empty() && !is_label_key_shaped(value), LABEL_VALUE.to_owned()),
    ])
}

/// As a key of a ConfigMap or Secret.
pub fn config_map_key_problems(key: &str) -> Vec<String> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    let mut found = problems([
        (key.len() > 253, too_long(253, "characters")),
        (key.is_empty() || !key.bytes().all(allowed), CONFIG_KEY.to_owned()),
    ]);
    found.extend(match key {
        "." | ".." => Some(format!("must not be '{key}'")),
        key if key.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    });
    found
}

/// As the name of an environment variable (the relaxed rule, general since 1.32).
pub fn env_var_name_problems(name: &str) -> Vec<String> {
    let allowed = |c: u8| (0x20..0x7f).contains(&c) && c != b'=';
    problems([
        (name.is_empty(), "environment variable name must be non-empty".to_owned()),
        (!name.bytes().all(allowed), ENV_VAR.to_owned()),
    ])
}

/// As a C identifier.
pub fn c_identifier_problems(name: &str) -> Vec<String> {
    let head = |c: char| c.is_ascii_alphabetic() || c == '_';
    let shaped = name.starts_with(head) && name.chars().all(|c| head(c) || c.is_ascii_digit());
    problems([(!shaped, C_IDENTIFIER.to_owned())])
}

/// As the name of a port of a container, a service or an endpoint slice (RFC 6335).
pub fn port_name_problems(name: &str) -> Vec<String> {
    let charset = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edges = name.starts_with('-') || name.ends_with('-');
    problems([
        (name.len() > 15, too_long(15, "characters")),
        (
            name.is_empty() || !name.bytes().all(charset),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        ),
        (!name.bytes().any(|c| c.is_ascii_lowercase()), "must contain at least one letter (a-z)".to_owned()),
        (name.contains("--"), "must not contain consecutive hyphens".to_owned()),
        (edges, "must not begin or end with a hyphen".to_owned()),
    ])
}

/// As a port number.
pub fn port_number_problems(port: i64) -> Vec<String> {
    range_problems(port, 1, 65535)
}

/// As a number between `low` and `high`, both included.
pub fn range_problems(value: i64, low: i64, high: i64) -> Vec<String> {
    let message = format!("must be between {low} and {high}, inclusive");
    problems([(!(low..=high).contains(&value), message)])
}

/// As a percentage such as `25%`.
pub fn percent_problems(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    let shaped = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    problems([(!shaped, PERCENT.to_owned())])
}

/// As the name of an HTTP header.
pub fn http_header_name_problems(name: &str) -> Vec<String> {
    let shaped = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    problems([(!shaped, HTTP_HEADER.to_owned())])
}

/// Whether `path` has only characters that the path of a URL may have (RFC 3986).
pub fn is_http_path(path: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&c);
    !path.is_empty() && path.bytes().all(allowed)
}

/// A prefix that ends in `-` gets letters after it on use, so its dash is no fault. Upstream puts one letter in the
/// place of the last two bytes, and this does too: what it lets through, this lets through.
fn masked(name: &str, prefix: bool) -> std::borrow::Cow<'_, str> {
    if !prefix || name.len() < 2 || !name.ends_with('-') {
        return name.into();
    }
    let head = String::from_utf8_lossy(&name.as_bytes()[..name.len() - 2]);
    format!("{head}a").into()
}

/// Upstream counts bytes everywhere and says so only for label keys and values.
fn too_long(max: usize, unit: &str) -> String {
    format!("must be no more than {max} {unit}")
}

fn problems<const N: usize>(checks: [(bool, String); N]) -> Vec<String> {
    checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, message)| message).collect()
}

fn is_dns1123_label_shaped(s: &str) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    shaped(s, alphanumeric, |c| alphanumeric(c) || c == b'-')
}

fn is_label_key_shaped(s: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    shaped(s, |c| c.is_ascii_alphanumeric(), inner)
}

fn shaped(s: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = s.as_bytes();
    bytes.first().is_some_and(|c| edge(*c))
        && bytes.last().is_some_and(|c| edge(*c))
        && bytes.iter().all(|c| inner(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&str) -> Vec<String>;

    const SUBDOMAIN_RULE: Rule = |s| dns1123_subdomain_problems(s, false);
    const LABEL_RULE: Rule = |s| dns1123_label_problems(s, false);
    const LABEL_1035_RULE: Rule = |s| dns1035_label_problems(s, false);
    const PREFIX_RULE: Rule = |s| dns1123_subdomain_problems(s, true);
    const SEGMENT_RULE: Rule = |s| path_segment_problems(s, false);

    #[test]
    fn good_names_have_no_problem() {
        let long = "a".repeat(63);
        let cases: &[(Rule, &[&str])] = &[
            (SUBDOMAIN_RULE, &["a", "a.b", "1-2.3", &long]),
            (LABEL_RULE, &["a", "0-9", &long]),
            (LABEL_1035_RULE, &["a", "a-1"]),
            (PREFIX_RULE, &["web-", "a", "a.-"]),
            (SEGMENT_RULE, &["system:node", "a b", "..."]),
            (wildcard_dns1123_subdomain_problems, &["*.a", "*.a.b-c"]),
            (qualified_name_problems, &["a", "A_b.c-D", "example.com/x"]),
            (label_value_problems, &["", "a", "A.b_c-1"]),
            (config_map_key_problems, &["a", ".a", "a..b"]),
            (env_var_name_problems, &["A", "1 odd.name-x"]),
            (c_identifier_problems, &["_a1"]),
            (port_name_problems, &["http", "a-1"]),
            (percent_problems, &["0%", "100%"]),
            (http_header_name_problems, &["X-A1"]),
        ];
        for (rule, names) in cases {
            for name in *names {
                assert_eq!(rule(name), Vec::<String>::new(), "{name}");
            }
        }
    }

    #[test]
    fn bad_names_are_described_in_upstreams_words() {
        let long = "a".repeat(64);
        let cases: &[(Rule, &str, &[&str])] = &[
            (SUBDOMAIN_RULE, "A", &[SUBDOMAIN]),
            (SUBDOMAIN_RULE, "", &[SUBDOMAIN]),
            (SUBDOMAIN_RULE, "web-", &[SUBDOMAIN]),
            (LABEL_RULE, "a.b", &["must not contain dots"]),
            (LABEL_RULE, "a_b", &[LABEL]),
            (LABEL_RULE, &long, &["must be no more than 63 characters"]),
            (LABEL_1035_RULE, "1a", &[LABEL_1035]),
            (SEGMENT_RULE, "..", &["may not be '..'"]),
            (SEGMENT_RULE, "a/b%", &["may not contain '/'", "may not contain '%'"]),
            (wildcard_dns1123_subdomain_problems, "a.b", &[WILDCARD]),
            (label_value_problems, "-", &[LABEL_VALUE]),
            (config_map_key_problems, "..", &["must not be '..'"]),
            (config_map_key_problems, "..a", &["must not start with '..'"]),
            (config_map_key_problems, "", &[CONFIG_KEY]),
            (env_var_name_problems, "a=b", &[ENV_VAR]),
            (c_identifier_problems, "1", &[C_IDENTIFIER]),
            (port_name_problems, "1", &["must contain at least one letter (a-z)"]),
            (port_name_problems, "a--b", &["must not contain consecutive hyphens"]),
            (percent_problems, "%", &[PERCENT]),
            (http_header_name_problems, "a b", &[HTTP_HEADER]),
        ];
        for (rule, name, want) in cases {
            assert_eq!(rule(name), *want, "{name}");
        }
    }

    #[test]
    fn qualified_names_say_which_part_is_wrong() {
        let name = format!("name part {LABEL_KEY}");
        let empty = vec!["name part must be non-empty".to_owned(), name.clone()];
        assert_eq!(qualified_name_problems("a/"), empty);
        assert_eq!(qualified_name_problems("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name_problems("A/b"), [format!("prefix part {SUBDOMAIN}")]);
        assert_eq!(qualified_name_problems("-"), [name]);
        assert!(qualified_name_problems("a/b/c")[0].starts_with("a valid label key must consist"));
    }

    #[test]
    fn paths_of_urls() {
        assert!(is_http_path("/a/b-1.~%20"));
        assert!(!is_http_path("") && !is_http_path("/a b") && !is_http_path("/é"));
    }
}
