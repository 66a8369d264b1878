//! A registry on the loopback with the images that `scripts/images` makes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::cluster::free_port;
use crate::command::Running;

/// The registry that the manifests of `examples/` name.
const IN_EXAMPLES: &str = "127.0.0.1:5000/";

/// The project's root folder.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs until it is dropped.
pub struct Registry {
    host: String,
    process: Running,
}

impl Registry {
    /// Makes the images that are not there yet, and serves them on a free port.
    pub fn start() -> Result<Self> {
        let port = free_port()?;
        let script = root().join("scripts/images/serve");
        let mut process = Running::spawn(Command::new(script).env("PORT", port.to_string()))?;
        process.wait_for("serving on")?;
        Ok(Self { host: format!("127.0.0.1:{port}"), process })
    }

    /// The full name of an image, such as `nginx:1`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// A manifest of `examples/` that takes its images from here.
    pub fn example(&self, path: &str) -> Result<String> {
        let text = std::fs::read_to_string(root().join("examples").join(path))?;
        Ok(text.replace(IN_EXAMPLES, &format!("{}/", self.host)))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The script ends the registry, which a kill of the script would leave.
        if let Err(error) = self.process.signal("TERM").and_then(|()| self.process.wait_end()) {
            eprintln!("could not end the registry: {error:#}");
        }
    }
}
