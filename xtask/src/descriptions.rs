//! What `kubectl explain` says: collects the descriptions of types and fields from the sources of the `k8s-openapi`
//! crate that the workspace depends on, and writes them compressed. The crate has them in its `schemars` feature,
//! which would take minutes to compile; reading its (generated, regular) sources takes none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Deserialize;

const OUTPUT: &str = "crates/api/src/openapi/descriptions.z";
const HEADER: &str = "// Generated from definition ";
const SCHEMA: &str = "json_schema!({";
/// The version of the API, a folder of the crate.
const VERSION: &str = "src/v1_37";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// A type's description, and its fields'.
#[derive(Debug, Default, PartialEq)]
struct Described {
    text: String,
    fields: BTreeMap<String, String>,
}

/// Writes the file.
pub fn run() -> anyhow::Result<()> {
    let root = crate::root()?;
    let mut types = BTreeMap::new();
    for path in rust_files(&source(&root)?.join(VERSION))? {
        let source = std::fs::read_to_string(&path)?;
        types.extend(described(&source).with_context(|| path.display().to_string())?);
    }
    ensure!(types.len() > 500, "only {} types found", types.len());
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text(&types).as_bytes())?;
    Ok(std::fs::write(root.join(OUTPUT), encoder.finish()?)?)
}

/// The folder of the crate, wherever Cargo has put it.
fn source(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo).args(["metadata", "--format-version", "1"]).current_dir(root).output()?;
    let metadata: Metadata = serde_json::from_slice(&out.stdout).context("cargo metadata")?;
    let package = metadata.packages.into_iter().find(|p| p.name == "k8s-openapi").context("k8s-openapi")?;
    Ok(package.manifest_path.parent().context("no folder")?.to_owned())
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            out.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    Ok(out)
}

/// The type of a source file, if there is one. Properties stand at a fixed indentation, each with its description
/// first or in an `insert`.
fn described(source: &str) -> anyhow::Result<Option<(String, Described)>> {
    let Some(name) = source.lines().find_map(|l| l.strip_prefix(HEADER)) else { return Ok(None) };
    let Some((_, schema)) = source.split_once(SCHEMA) else { return Ok(None) };
    let mut out = Described::default();
    let mut property: Option<String> = None;
    for line in schema.lines().take_while(|l| !l.starts_with("        })")) {
        if let Some(rest) = line.strip_prefix("                \"") {
            property = rest.split_once("\": ").map(|(name, _)| name.to_owned());
        }
        let Some(literal) = description_literal(line) else { continue };
        let description = unescape(literal).with_context(|| line.to_owned())?;
        match &property {
            None if out.text.is_empty() => out.text = description,
            None => {}
            Some(name) => drop(out.fields.entry(name.clone()).or_insert(description)),
        }
    }
    Ok(Some((name.to_owned(), out)))
}

/// What is between the quotes of a description.
fn description_literal(line: &str) -> Option<&str> {
    let line = line.trim();
    let plain = line.strip_prefix("\"description\": \"").and_then(|rest| rest.strip_suffix("\","));
    let (_, inserted) = line.split_once(".insert(\"description\".into(), \"").unwrap_or_default();
    plain.or_else(|| inserted.strip_suffix("\".into());"))
}

/// A Rust string literal's text.
fn unescape(literal: &str) -> anyhow::Result<String> {
    let mut out = String::with_capacity(literal.len());
    let mut chars = literal.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(c @ ('"' | '\\' | '\''))) => out.push(c),
            ('\\', Some('u')) => {
                let hex: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                out.push(char::from_u32(u32::from_str_radix(&hex, 16)?).context("no character")?);
            }
            ('\\', other) => anyhow::bail!("unknown escape {other:?}"),
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

/// `=definition<tab>text`, then `field<tab>text`; a line break within a text is `\n`.
fn text(types: &BTreeMap<String, Described>) -> String {
    let escape = |s: &str| s.replace('\\', "\\\\").replace('\n', "\\n");
    let mut out = String::new();
    for (name, described) in types {
        out.push_str(&format!("={name}\t{}\n", escape(&described.text)));
        for (field, text) in &described.fields {
            out.push_str(&format!("{field}\t{}\n", escape(text)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_of_a_source_file() {
        let source = r#"// Generated from definition io.k8s.api.x.v1.Y
        crate::schemars::json_schema!({
            "description": "A \"thing\".\nMore.",
            "type": "object",
            "properties": {
                "a": {
                    "description": "The a.",
                    "items": {
                        "description": "not this",
                    },
                },
                "b": ({
                    schema_obj.ensure_object().insert("description".into(), "The b.".into());
                    schema_obj
                }),
                "c": {
                    "type": "string",
                },
            },
        })
"#;
        let (name, found) = described(source).unwrap().unwrap();
        assert_eq!(name, "io.k8s.api.x.v1.Y");
        assert_eq!(found.text, "A \"thing\".\nMore.");
        let fields: Vec<_> = found.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(fields, [("a", "The a."), ("b", "The b.")]);
    }
}
