//! Code generation and checks of the workspace: `cargo xtask <command>`.

mod catalog;
mod descriptions;
mod layers;
mod licenses;

use anyhow::{Context, bail};

const USAGE: &str = "usage: cargo xtask <command>
  catalog CATALOG_JSON GO_FACTS_JSON   write the field catalogue of crates/api; the facts of the Go
                                       types are what `go run .` prints in xtask/go-facts
  descriptions                         write the descriptions that OpenAPI has, from the k8s-openapi crate
  layers                               check the crates' dependencies against layers.toml
  licenses                             check the licences of all dependencies against deny.toml";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["catalog", catalog, facts] => catalog::run(catalog.as_ref(), facts.as_ref()),
        ["descriptions"] => descriptions::run(),
        ["layers"] => layers::run(),
        ["licenses"] => licenses::run(),
        _ => bail!("{USAGE}"),
    }
}

/// The workspace's root folder.
fn root() -> anyhow::Result<std::path::PathBuf> {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.parent().context("xtask is not inside a workspace")?.to_owned())
}

/// What `cargo metadata` prints of the workspace, as far as `T` reads it.
fn metadata<T: serde::de::DeserializeOwned>(root: &std::path::Path, options: &[&str]) -> anyhow::Result<T> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .args(options)
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    if !out.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}
