//! The directory of a cluster: what is where in it, and that one process at a time uses it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// Paths below `--data-dir`.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// Held as long as the cluster runs.
pub struct Lock(#[expect(dead_code, reason = "dropping it unlocks")] Flock<File>);

impl DataDir {
    /// The directory, made absolute.
    pub fn new(path: &Path) -> Result<Self> {
        let absolute =
            std::path::absolute(path).with_context(|| format!("{} is not a path", path.display()))?;
        Ok(Self(absolute))
    }

    /// Makes the directory. Only its owner may look inside: it holds the cluster's keys.
    pub fn create(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.with_context(|| {
            format!(
                "could not create the data directory {}; choose another with --data-dir",
                self.0.display()
            )
        })?;
        let probe = self.0.join(".writable");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).with_context(|| {
            format!("the data directory {} is not writable; choose another with --data-dir", self.0.display())
        })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The embedded store.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Keys and certificates.
    pub fn pki(&self) -> PathBuf {
        self.0.join("pki")
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.kubeconfig("admin")
    }

    /// The kubeconfig of a component.
    pub fn kubeconfig(&self, stem: &str) -> PathBuf {
        self.0.join(format!("{stem}.kubeconfig"))
    }

    /// What a detached cluster prints.
    pub fn log(&self) -> PathBuf {
        self.0.join("steersman.log")
    }

    /// Images and containers' writable layers.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// Which pod has which address.
    pub fn addresses(&self) -> PathBuf {
        self.0.join("addresses")
    }

    /// Volumes of pods.
    pub fn kubelet(&self) -> PathBuf {
        self.0.join("kubelet")
    }

    /// Logs of pods.
    pub fn pod_logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Socket of the container runtime.
    pub fn cri_socket(&self) -> PathBuf {
        self.0.join("cri.sock")
    }

    /// Socket on which a running cluster takes what is not the API's.
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    fn pid(&self) -> PathBuf {
        self.0.join("steersman.pid")
    }

    /// Takes the directory for this process; an error names the process that has it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.pid();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("could not open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                let pid = std::process::id().to_string();
                let write = |file: &mut File| -> std::io::Result<()> {
                    file.set_len(0)?;
                    file.seek(SeekFrom::Start(0))?;
                    file.write_all(pid.as_bytes())
                };
                write(&mut lock).with_context(|| format!("could not write {}", path.display()))?;
                Ok(Lock(lock))
            }
            Err((mut file, _)) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid)
                    .with_context(|| format!("could not read {}", path.display()))?;
                bail!(
                    "a cluster is running already on {} (process {}); stop it with: steersman down --data-dir {0}",
                    self.0.display(),
                    pid.trim()
                )
            }
        }
    }

    /// The process that runs the cluster of this directory; `None` if none does.
    pub fn running(&self) -> Result<Option<nix::unistd::Pid>> {
        let path = self.pid();
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("could not open {}", path.display())),
        };
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("could not read {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(_) => Ok(None),
            Err(_) => {
                let pid =
                    text.trim().parse().with_context(|| format!("{} holds no process id", path.display()))?;
                Ok(Some(nix::unistd::Pid::from_raw(pid)))
            }
        }
    }
}
