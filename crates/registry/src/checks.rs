//! Checks that many kinds need, with upstream's words. Each adds what it finds to a list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;
use steersman_apimachinery::names::{
    HTTP_PATH, dns1123_label_problems, dns1123_subdomain_problems, is_http_path, percent_problems,
    port_name_problems, port_number_problems, qualified_name_problems,
};
use steersman_apimachinery::quantity::Quantity;

use crate::addresses;
use crate::tree::{Read, same};

pub(crate) const IMMUTABLE: &str = "field is immutable";

/// Each problem of `value`.
pub(crate) fn invalid(found: &mut ErrorList, path: &Path, value: &str, problems: Vec<String>) {
    found.extend(problems.into_iter().map(|why| Error::invalid(path.clone(), value, why)));
}

/// A value that must be given; whether it is.
pub(crate) fn required(found: &mut ErrorList, path: Path, value: &str) -> bool {
    if value.is_empty() {
        found.push(Error::required(path, ""));
    }
    !value.is_empty()
}

/// A name that must be given and follow a rule.
pub(crate) fn required_name(
    found: &mut ErrorList,
    path: Path,
    name: &str,
    rule: fn(&str, bool) -> Vec<String>,
) {
    if required(found, path.clone(), name) {
        invalid(found, &path, name, rule(name, false));
    }
}

/// A word that must be given and be one of those known, in upstream's order.
pub(crate) fn required_word(found: &mut ErrorList, path: Path, word: &str, known: &[&str]) {
    if required(found, path.clone(), word) {
        known_word(found, path, word, known);
    }
}

/// A word that must be one of those known.
pub(crate) fn known_word(found: &mut ErrorList, path: Path, word: &str, known: &[&str]) {
    if !known.contains(&word) {
        found.push(Error::not_supported_in_order(path, word, known));
    }
}

/// A word that, if given, must be one of those known.
pub(crate) fn optional_word(found: &mut ErrorList, object: &Tree, path: &Path, field: &str, known: &[&str]) {
    if object.has(field) {
        known_word(found, path.child(field), object.text(field), known);
    }
}

/// Fields that, if given, are at least zero.
pub(crate) fn not_negative(found: &mut ErrorList, object: &Tree, path: &Path, fields: &[&str]) {
    for field in fields {
        if let Some(value) = object.int(field).filter(|value| *value < 0) {
            found.push(Error::invalid(path.child(field), value, "must be greater than or equal to 0"));
        }
    }
}

/// A user or group id.
pub(crate) fn id(found: &mut ErrorList, path: Path, id: Option<i64>) {
    if id.is_some_and(|id| !(0..=i64::from(i32::MAX)).contains(&id)) {
        let why = format!("must be between 0 and {}, inclusive", i32::MAX);
        found.push(Error::invalid(path, id, why));
    }
}

/// A DNS label.
pub(crate) fn label(found: &mut ErrorList, path: &Path, value: &str) {
    invalid(found, path, value, dns1123_label_problems(value, false));
}

/// A DNS subdomain.
pub(crate) fn subdomain(found: &mut ErrorList, path: &Path, value: &str) {
    invalid(found, path, value, dns1123_subdomain_problems(value, false));
}

/// A qualified name.
pub(crate) fn qualified(found: &mut ErrorList, path: &Path, value: &str) {
    invalid(found, path, value, qualified_name_problems(value));
}

/// The name of a driver (of volumes, of devices): a DNS subdomain of at most 63 characters, in any case. `too_long` is
/// how upstream counts at this place.
pub(crate) fn driver_name(
    found: &mut ErrorList,
    path: &Path,
    name: &str,
    too_long: fn(Path, usize) -> Error,
) {
    const MAX: usize = 63;
    if !required(found, path.clone(), name) {
        return;
    }
    if name.len() > MAX {
        found.push(too_long(path.clone(), MAX));
    }
    invalid(found, path, name, dns1123_subdomain_problems(&name.to_lowercase(), false));
}

/// An amount that is not below zero. What is no amount the decoder has refused.
pub(crate) fn not_negative_quantity(found: &mut ErrorList, path: Path, value: &Tree) {
    if let Ok(amount) = Quantity::from_tree(value)
        && amount.signum() < 0
    {
        found.push(Error::invalid(path, amount.to_string(), "must be greater than or equal to 0"));
    }
}

/// An amount above zero. What is no amount the decoder has refused.
pub(crate) fn positive_quantity(found: &mut ErrorList, path: Path, value: &Tree) {
    if let Ok(amount) = Quantity::from_tree(value)
        && amount.signum() <= 0
    {
        found.push(Error::invalid(path, amount.to_string(), "must be greater than zero"));
    }
}

/// The number of a port.
pub(crate) fn port_number(found: &mut ErrorList, path: &Path, port: i64) {
    found.extend(port_number_problems(port).into_iter().map(|why| Error::invalid(path.clone(), port, why)));
}

/// A port by number or by name; nothing at all is port 0.
pub(crate) fn port_number_or_name(found: &mut ErrorList, path: &Path, port: &Tree) {
    match port.as_str() {
        Some(name) => invalid(found, path, name, port_name_problems(name)),
        None => port_number(found, path, port.as_i64().unwrap_or(0)),
    }
}

/// A number of at least zero or a percentage.
pub(crate) fn count_or_percent(found: &mut ErrorList, path: &Path, value: &Tree) {
    match (value.as_str(), value.as_i64()) {
        (Some(text), _) => invalid(found, path, text, percent_problems(text)),
        (None, Some(number)) if number < 0 => {
            found.push(Error::invalid(path.clone(), number, "must be greater than or equal to 0"));
        }
        _ => {}
    }
}

/// A number or a percentage; nothing at all is zero. What is neither counts as zero too.
pub(crate) fn number_or_percent(value: &Tree) -> i64 {
    match (percent(value), value.as_str()) {
        (Some(percent), _) => percent,
        (None, Some(text)) => text.parse().unwrap_or(0),
        (None, None) => value.as_i64().unwrap_or(0),
    }
}

/// A percentage of at most 100.
pub(crate) fn at_most_all(found: &mut ErrorList, path: &Path, value: &Tree) {
    if percent(value).is_some_and(|percent| percent > 100) {
        found.push(Error::invalid(path.clone(), value.clone(), "must not be greater than 100%"));
    }
}

/// The number before the `%`; a number too large for any use reads as 0, as it does upstream.
fn percent(value: &Tree) -> Option<i64> {
    let text = value.as_str().filter(|text| percent_problems(text).is_empty())?;
    Some(text.trim_end_matches('%').parse().unwrap_or(0))
}

/// A counter that never goes back (`collisionCount`): dropping it counts as that too.
pub(crate) fn not_decremented(found: &mut ErrorList, new: &Tree, old: &Tree, path: &Path, field: &str) {
    let (now, before) = (new.int(field), old.int(field));
    if before.is_some_and(|before| now.is_none_or(|now| now < before)) {
        found.push(Error::invalid(path.child(field), now.unwrap_or(0), "cannot be decremented"));
    }
}

/// A path below a domain, such as `example.com/controller`.
pub(crate) fn domain_prefixed_path(found: &mut ErrorList, path: &Path, value: &str) {
    if !required(found, path.clone(), value) {
        return;
    }
    match value.split_once('/') {
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            subdomain(found, path, host);
            if !is_http_path(rest) {
                found.push(Error::invalid(path.clone(), rest, HTTP_PATH));
            }
        }
        _ => {
            let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            found.push(Error::invalid(path.clone(), value, why));
        }
    }
}

/// An IP address of either family; gives it if it is one.
pub(crate) fn ip(found: &mut ErrorList, path: &Path, text: &str) -> Option<IpAddr> {
    addresses::legacy_ip(found, path, text)
}

/// A label selector. `any_value` leaves out the check of the values in expressions, which upstream once lacked.
pub(crate) fn label_selector(found: &mut ErrorList, selector: &Tree, path: &Path, any_value: bool) {
    let mut problems = validate_label_selector(selector, path);
    problems.retain(|error| !(any_value && error.path.to_string().contains("].values[")));
    found.append(&mut problems);
}

/// An address that traffic may be sent to: none of those with a meaning of their own.
pub(crate) fn ordinary_ip(found: &mut ErrorList, path: &Path, text: &str) {
    let Ok(ip) = text.parse::<IpAddr>() else { return };
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    };
    let link_local_multicast = match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == Ipv4Addr::new(224, 0, 0, 0).octets()[..3],
        IpAddr::V6(ip) => {
            ip.segments()[0] & 0xff0f == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0).segments()[0]
        }
    };
    let whys = [
        (ip.is_unspecified(), format!("may not be unspecified ({ip})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (
            link_local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned(),
        ),
    ];
    for (_, why) in whys.into_iter().filter(|(applies, _)| *applies) {
        found.push(Error::invalid(path.clone(), text, why));
    }
}

/// A field that stays as it was.
pub(crate) fn immutable(found: &mut ErrorList, path: Path, new: &Tree, old: &Tree) {
    if !same(new, old) {
        found.push(Error::invalid(path, new.clone(), IMMUTABLE));
    }
}

/// A part of an object as Go names its fields, which is how upstream shows a whole struct in a message.
pub(crate) fn as_go(object: &Tree, fields: &[(&str, &str)]) -> Tree {
    let shown = |(field, name): &(&str, &str)| {
        let value = object.at(field);
        let zero = if *name == "TimeAdded" { Tree::Null } else { "".into() };
        ((*name).to_owned(), if value.is_null() { zero } else { value.clone() })
    };
    Tree::Object(fields.iter().map(shown).collect())
}

/// A part of an object with its fields named as Go names them, which is how upstream shows a whole struct in a message.
pub(crate) fn capitalized(part: &Tree) -> Tree {
    let name = |field: &str| field[..1].to_uppercase() + &field[1..];
    match part {
        Tree::Object(fields) => {
            let named =
                |(field, value): (&String, &Tree)| match field.is_char_boundary(1) && !field.is_empty() {
                    true => (name(field), capitalized(value)),
                    false => (field.clone(), value.clone()),
                };
            Tree::Object(fields.iter().map(named).collect())
        }
        Tree::Array(items) => items.iter().map(capitalized).collect(),
        other => other.clone(),
    }
}

/// Finds repetitions.
#[derive(Default)]
pub(crate) struct Seen<'a>(std::collections::HashSet<std::borrow::Cow<'a, str>>);

impl<'a> Seen<'a> {
    /// Whether this is the first time.
    pub(crate) fn first(&mut self, value: impl Into<std::borrow::Cow<'a, str>>) -> bool {
        self.0.insert(value.into())
    }

    /// Whether it was there already.
    pub(crate) fn has(&self, value: &str) -> bool {
        self.0.contains(value)
    }

    /// Reports `value` if it was there already.
    pub(crate) fn unique(&mut self, found: &mut ErrorList, path: Path, value: &'a str) {
        if !self.first(value) {
            found.push(Error::duplicate(path, value));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The problems as a client reads them.
    pub(crate) fn texts(found: &ErrorList) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    /// Puts a value at a JSON pointer, whose parents are made.
    pub(crate) fn put(tree: &mut Tree, pointer: &str, value: Tree) {
        let mut here = tree;
        for part in pointer.split('/').skip(1) {
            here = match part.parse::<usize>() {
                Ok(index) => {
                    if here.is_null() {
                        *here = Tree::Array(Vec::new());
                    }
                    let items = here.as_array_mut().expect("a list");
                    items.resize(items.len().max(index + 1), Tree::Null);
                    &mut items[index]
                }
                Err(_) => &mut here[&part.replace("~1", "/")],
            };
        }
        *here = value;
    }

    /// Each case puts a value into an object that has no problem and names the problems that there are then.
    pub(crate) fn assert_problems(
        good: &Tree,
        check: impl Fn(&Tree) -> ErrorList,
        cases: impl IntoIterator<Item = (&'static str, Tree, Vec<&'static str>)>,
    ) {
        assert_eq!(texts(&check(good)), Vec::<String>::new(), "the object without a problem");
        for (pointer, value, want) in cases {
            let mut tree = good.clone();
            put(&mut tree, pointer, value.clone());
            assert_eq!(texts(&check(&tree)), want, "{pointer} = {value}");
        }
    }

    #[test]
    fn addresses_with_a_meaning_are_refused() {
        let cases = [
            ("10.0.0.1", None),
            ("0.0.0.0", Some("may not be unspecified (0.0.0.0)")),
            ("127.0.0.1", Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")),
            ("fe80::1", Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")),
            ("224.0.0.9", Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")),
            ("ff02::1", Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")),
        ];
        for (address, want) in cases {
            let mut found = ErrorList::new();
            ordinary_ip(&mut found, &Path::new("ip"), address);
            assert_eq!(found.first().map(|error| error.detail.as_str()), want, "{address}");
        }
    }
}
