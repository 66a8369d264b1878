//! Addresses of machines and people.

use std::net::{Ipv4Addr, Ipv6Addr};

/// As Go's `url.ParseRequestURI`: an absolute URI, or an absolute path.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else { return false };
    let path = rest.split('?').next().unwrap_or_default();
    if !path.starts_with('/') {
        return !scheme.is_empty();
    }
    match path.strip_prefix("//") {
        Some(rest) if !scheme.is_empty() => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            is_authority(authority) && has_whole_escapes(path)
        }
        _ => has_whole_escapes(path),
    }
}

/// The scheme (empty if there is none) and what follows its colon; `None` if there is a colon but no scheme.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' => return (i > 0).then(|| (&text[..i], &text[i + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user_char = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    user.bytes().all(user_char) && has_whole_escapes(user) && is_host(host)
}

fn is_host(host: &str) -> bool {
    let is_port = |text: &str| text.is_empty() || text.strip_prefix(':').is_some_and(is_digits);
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.rsplit_once(']') else { return false };
        let address = address.split("%25").next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
    }
    let (name, port) = host.split_at(host.rfind(':').unwrap_or(host.len()));
    // Of ASCII only a percent sign may be written as an escape.
    let escaped = |at: usize| {
        name[at..].starts_with("%25")
            || matches!(name.as_bytes().get(at + 1), Some(b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F'))
    };
    let fits = |(at, b): (usize, u8)| match b {
        b'%' => escaped(at),
        b if b >= 0x80 || b.is_ascii_alphanumeric() => true,
        b => b"-_.~!$&'()*+,;=<>\"".contains(&b),
    };
    is_port(port) && name.bytes().enumerate().all(fits) && has_whole_escapes(name)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether two hexadecimal digits follow each percent sign.
fn has_whole_escapes(text: &str) -> bool {
    text.as_bytes().iter().enumerate().filter(|(_, b)| **b == b'%').all(|(at, _)| {
        text.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    })
}

/// As Go's `mail.ParseAddress`: `a@b`, `<a@b>`, `Some One <a@b>`.
pub(super) fn is_email(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => is_display_name(name) && is_addr_spec(address),
        None => is_addr_spec(text),
    }
}

fn is_addr_spec(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let domain_fits = match literal {
        Some(literal) => !literal.is_empty() && !literal.contains(['[', ']', '\\']),
        None => is_dot_atom(domain),
    };
    (is_dot_atom(local) || is_quoted_string(local)) && domain_fits
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(is_atom)
}

fn is_atom(text: &str) -> bool {
    let fits = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    !text.is_empty() && text.chars().all(fits)
}

fn is_quoted_string(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut escaped = false;
    for c in inside.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            c if c.is_control() && c != '\t' => return false,
            _ => {}
        }
    }
    !escaped && !inside.is_empty()
}

fn is_display_name(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    let word = |word: &str| is_atom(word) || word.split('.').all(|part| part.is_empty() || is_atom(part));
    text.is_empty() || is_quoted_string(text) || text.split([' ', '\t']).all(|w| w.is_empty() || word(w))
}

/// An IPv4 address, with leading zeros allowed; also an IPv6 address whose end is written as one.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && parse_sloppy(text).is_some()
}

pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = parse_sloppy(address);
    let bits: Option<u32> =
        Some(bits).filter(|bits| !bits.is_empty() && is_digits(bits)).and_then(|bits| bits.parse().ok());
    matches!((most, bits), (Some(most), Some(bits)) if bits <= most)
}

/// How many bits an address has; `None` if it is none. Leading zeros are decimal, as Go took them before 1.17.
fn parse_sloppy(text: &str) -> Option<u32> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(|_| Ipv6Addr::BITS);
    }
    let part = |part: &str| !part.is_empty() && is_digits(part) && part.parse::<u8>().is_ok();
    (text.split('.').count() == 4 && text.split('.').all(part)).then_some(Ipv4Addr::BITS)
}

/// Six, eight or twenty bytes, in pairs with colons or dashes, or in fours with dots.
pub(super) fn is_mac(text: &str) -> bool {
    let grouped = |separator: char, width: usize| {
        let groups: Vec<&str> = text.split(separator).collect();
        let whole = groups.iter().all(|group| group.len() == width && super::is_hex(group));
        whole && matches!(groups.len() * width / 2, 6 | 8 | 20)
    };
    grouped(':', 2) || grouped('-', 2) || grouped('.', 4)
}
