//! The licence check: every crate the workspace depends on states a licence that `deny.toml` allows. It reads
//! `cargo metadata`, so that nothing needs to be installed.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// What is used of `deny.toml`.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    clarify: Vec<Clarified>,
}

/// A crate whose own statement is not the one that counts.
#[derive(Deserialize)]
struct Clarified {
    #[serde(rename = "crate")]
    name: String,
    expression: String,
}

/// What is used of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// Null for the workspace's own.
    source: Option<String>,
}

/// Fails with all crates whose licence is not allowed, one a line.
pub fn run() -> anyhow::Result<()> {
    let root = crate::root()?;
    let rules = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    let metadata: Metadata = crate::metadata(&root, &["--locked"])?;
    let problems = problems(&toml::from_str::<Rules>(&rules)?.licenses, &metadata);
    ensure!(problems.is_empty(), "licences that deny.toml does not allow:\n{}", problems.join("\n"));
    Ok(())
}

fn problems(rules: &Licenses, metadata: &Metadata) -> Vec<String> {
    let clarified: BTreeMap<&str, &str> =
        rules.clarify.iter().map(|c| (c.name.as_str(), c.expression.as_str())).collect();
    let allowed = |license: &str| rules.allow.iter().any(|a| a == license);
    let foreign = metadata.packages.iter().filter(|p| p.source.is_some());
    foreign
        .filter_map(|p| {
            let stated = clarified.get(p.name.as_str()).copied().or(p.license.as_deref()).unwrap_or("none");
            let fine = Expression::new(stated).is_some_and(|mut e| e.holds(&allowed));
            (!fine).then(|| format!("  {} {}: {stated}", p.name, p.version))
        })
        .collect()
}

/// An SPDX licence expression being read: `OR` binds weaker than `AND`, which binds weaker than `WITH`.
struct Expression<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
}

impl<'a> Expression<'a> {
    /// `None` if a parenthesis has no partner. The old form `MIT/Apache-2.0` means `OR`.
    fn new(text: &'a str) -> Option<Self> {
        let mut words = Vec::new();
        for part in text.split_inclusive(['(', ')', '/', ' ']) {
            let end = part.len() - usize::from(part.ends_with(['(', ')', '/', ' ']));
            let (word, mark) = part.split_at(end);
            let mark = if mark == "/" { "OR" } else { mark };
            words.extend([word, mark].into_iter().filter(|w| !w.trim().is_empty()));
        }
        let opened = words.iter().filter(|w| **w == "(").count();
        let closed = words.iter().filter(|w| **w == ")").count();
        (opened == closed).then(|| Self { words: words.into_iter().peekable() })
    }

    fn holds(&mut self, allowed: &impl Fn(&str) -> bool) -> bool {
        let mut any = self.all(allowed);
        while self.words.next_if_eq(&"OR").is_some() {
            any |= self.all(allowed);
        }
        any
    }

    fn all(&mut self, allowed: &impl Fn(&str) -> bool) -> bool {
        let mut all = self.one(allowed);
        while self.words.next_if_eq(&"AND").is_some() {
            all &= self.one(allowed);
        }
        all
    }

    fn one(&mut self, allowed: &impl Fn(&str) -> bool) -> bool {
        let Some(word) = self.words.next() else { return false };
        if word == "(" {
            let inner = self.holds(allowed);
            self.words.next();
            return inner;
        }
        if self.words.next_if_eq(&"WITH").is_some() {
            let exception = self.words.next().unwrap_or_default();
            // The exception only gives more rights.
            return allowed(&format!("{word} WITH {exception}")) || allowed(word);
        }
        allowed(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_has_them() {
        let cases = [
            ("MIT", true),
            ("GPL-3.0", false),
            ("none", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("GPL-3.0 OR MIT AND ISC", true),
            ("(GPL-3.0 OR MIT) AND ISC", true),
            ("(MIT OR ISC) AND GPL-3.0", false),
            ("MIT AND (GPL-3.0 OR (ISC AND MIT))", true),
            ("ISC WITH some-exception", true),
            ("(MIT", false),
            ("", false),
        ];
        let allowed = |license: &str| matches!(license, "MIT" | "ISC");
        for (text, want) in cases {
            let got = Expression::new(text).is_some_and(|mut e| e.holds(&allowed));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn every_dependency_has_an_allowed_licence() {
        run().unwrap();
    }
}
