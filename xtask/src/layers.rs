//! The layer check: a crate depends on lower layers only, as `layers.toml` has them.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Deserialize;

const PREFIX: &str = "steersman-";

/// `layers.toml`.
#[derive(Debug, Default, Deserialize)]
struct Table {
    layers: BTreeMap<String, u32>,
    #[serde(default)]
    exceptions: BTreeMap<String, Vec<String>>,
}

/// What is used of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or null for an ordinary one.
    kind: Option<String>,
}

/// Fails with all wrong edges, one a line.
pub fn run() -> anyhow::Result<()> {
    let root = crate::root()?;
    let table = std::fs::read_to_string(root.join("layers.toml")).context("layers.toml")?;
    let problems = problems(&toml::from_str(&table)?, &crate::metadata(&root, &["--no-deps", "--offline"])?);
    ensure!(problems.is_empty(), "dependencies against the layers:\n{}", problems.join("\n"));
    Ok(())
}

/// Every wrong edge, and every crate that the table does not know though it has a layered dependency.
fn problems(table: &Table, metadata: &Metadata) -> Vec<String> {
    let short = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let mut out = Vec::new();
    for package in &metadata.packages {
        let from = short(&package.name);
        let edges = package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev"));
        for to in edges.filter_map(|d| d.name.strip_prefix(PREFIX)) {
            out.extend(edge_problem(table, &from, to));
        }
        if package.name.starts_with(PREFIX) && !is_beside(&from) && !table.layers.contains_key(&from) {
            out.push(format!("  {from} is in no layer"));
        }
    }
    out
}

/// Fixtures and test crates stand beside the layers.
fn is_beside(name: &str) -> bool {
    matches!(name, "test-support" | "e2e" | "fuzz-targets") || name.ends_with("-tests")
}

fn edge_problem(table: &Table, from: &str, to: &str) -> Option<String> {
    let upper = table.layers.get(from)?;
    if table.exceptions.get(from).is_some_and(|allowed| allowed.iter().any(|a| a == to)) {
        return None;
    }
    match table.layers.get(to) {
        Some(lower) if lower < upper => None,
        Some(lower) => Some(format!("  {from} (layer {upper}) depends on {to} (layer {lower})")),
        None => Some(format!("  {from} (layer {upper}) depends on {to}, which is in no layer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        toml::from_str("[layers]\nbase = 0\nvalues = 1\nother = 1\n[exceptions]\nvalues = [\"other\"]")
            .unwrap()
    }

    type Edge = (&'static str, Option<&'static str>);

    fn package(name: &str, dependencies: &[Edge]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
            .collect();
        Package { name: name.to_owned(), dependencies }
    }

    #[test]
    fn only_downward_edges_pass() {
        let cases: [(&str, &[Edge], usize); 7] = [
            ("steersman-values", &[("steersman-base", None), ("serde", None)], 0),
            ("steersman-base", &[("steersman-values", None)], 1),
            ("steersman-base", &[("steersman-values", Some("dev"))], 0),
            ("steersman-base", &[("steersman-values", Some("build"))], 1),
            ("steersman-other", &[("steersman-values", None)], 1),
            ("steersman-values", &[("steersman-other", None)], 0),
            ("steersman-stray", &[], 1),
        ];
        for (name, dependencies, want) in cases {
            let metadata = Metadata { packages: vec![package(name, dependencies)] };
            let found = problems(&table(), &metadata);
            assert_eq!(found.len(), want, "{name} {dependencies:?}: {found:?}");
        }
    }

    #[test]
    fn this_workspace_keeps_its_layers() {
        run().unwrap();
    }
}
