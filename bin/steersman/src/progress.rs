//! What the user sees while the cluster starts: a line as each part becomes ready.

use std::path::Path;
use std::time::Instant;

use crate::settings::KUBERNETES;

/// The last line of a start that went well; a detached start waits for it.
pub const READY: &str = "Kubernetes is ready";

/// Prints to standard output.
pub struct Progress {
    started: Instant,
}

impl Progress {
    pub fn new() -> Self {
        println!("steersman {}, Kubernetes {KUBERNETES}", env!("CARGO_PKG_VERSION"));
        Self { started: Instant::now() }
    }

    /// A part is ready; `detail` says where.
    pub fn ready(&mut self, part: &str, detail: impl std::fmt::Display) {
        println!("{:>7.2} s  {part:<12} {detail}", self.started.elapsed().as_secs_f64());
    }

    /// Everything is ready: what to type next.
    pub fn all_ready(&mut self, kubeconfig: &Path) {
        println!("{READY} after {:.2} s. Next:", self.started.elapsed().as_secs_f64());
        println!("  export KUBECONFIG={}", kubeconfig.display());
        println!("  kubectl get nodes");
    }
}
