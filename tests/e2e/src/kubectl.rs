//! Real kubectl.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{self, Output, Running};
use crate::wait;

/// No command of a test takes longer; what waits has a timeout of its own below it.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A kubectl with its credentials and namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Where it keeps its cache.
    home: PathBuf,
    namespace: String,
    environment: Vec<(String, String)>,
}

impl Kubectl {
    /// A program with the credentials of `kubeconfig`; its cache is below `home`.
    pub fn new(program: PathBuf, kubeconfig: &Path, home: &Path) -> Result<Self> {
        if !kubeconfig.is_file() {
            bail!("there is no {}", kubeconfig.display());
        }
        let (kubeconfig, home) = (kubeconfig.to_owned(), home.to_owned());
        Ok(Self { program, kubeconfig, home, namespace: "default".to_owned(), environment: Vec::new() })
    }

    /// The newest on this machine.
    pub fn newest() -> Result<PathBuf> {
        Ok(versions()?.pop().expect("there is one at least"))
    }

    /// The oldest on this machine, which is the newest where there is one only.
    pub fn oldest() -> Result<PathBuf> {
        Ok(versions()?.swap_remove(0))
    }

    /// The same with another program.
    #[must_use]
    pub fn with_program(&self, program: PathBuf) -> Self {
        Self { program, ..self.clone() }
    }

    /// The same in another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// The same with another environment variable.
    #[must_use]
    pub fn with_env(&self, name: &str, value: &str) -> Self {
        let mut out = self.clone();
        out.environment.push((name.to_owned(), value.to_owned()));
        out
    }

    /// The namespace that its commands are about.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The command, ready to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut out = Command::new(&self.program);
        out.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home).current_dir(&self.home);
        out.envs(self.environment.iter().map(|(name, value)| (name, value)));
        out.arg("--namespace").arg(&self.namespace).args(arguments);
        out
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        command::run(&mut self.command(arguments), b"", TIMEOUT)
    }

    /// What it prints; an error if it fails.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.success()
    }

    /// What it prints as an error; an error if it does not fail.
    pub fn fails(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.failure()
    }

    /// Runs it with an input.
    pub fn feed(&self, arguments: &[&str], input: &str) -> Result<Output> {
        command::run(&mut self.command(arguments), input.as_bytes(), TIMEOUT)
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.feed(&["apply", "-f", "-"], manifest)?.success()
    }

    /// Starts it beside the test.
    pub fn start(&self, arguments: &[&str]) -> Result<Running> {
        Running::spawn(&mut self.command(arguments))
    }

    /// Starts it on a terminal of its own.
    pub fn start_on_terminal(&self, arguments: &[&str]) -> Result<Running> {
        let kubectl = self.command(arguments);
        let words = std::iter::once(kubectl.get_program()).chain(kubectl.get_args());
        let line: Vec<_> = words.map(|w| format!("'{}'", w.to_string_lossy())).collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
        script.envs(kubectl.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.current_dir(&self.home);
        Running::spawn(&mut script)
    }

    /// One object, or a list.
    pub fn get(&self, what: &[&str]) -> Result<Value> {
        let text = self.ok(&[&["get", "--output=json"], what].concat())?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// One field of an object, as `jsonpath` prints it.
    pub fn field(&self, object: &str, path: &str) -> Result<String> {
        self.ok(&["get", object, "--output", &format!("jsonpath={{{path}}}")])
    }

    /// Waits until a field of an object, as `jsonpath` prints it, has a value.
    pub fn until_field(&self, object: &str, path: &str, wanted: &str) -> Result<()> {
        let what = format!("{path} of {object} is {wanted:?}");
        wait::until_equal(&what, &wanted.to_owned(), || self.field(object, path))
    }

    /// Waits until a pod is ready.
    pub fn until_ready(&self, pod: &str) -> Result<()> {
        self.ok(&["wait", "--for=condition=Ready", &format!("pod/{pod}"), "--timeout=60s"]).map(drop)
    }

    /// Waits until an event with this reason and text in its message is there.
    pub fn until_event(&self, object: &str, reason: &str, text: &str) -> Result<()> {
        let selector = format!("involvedObject.name={object},reason={reason}");
        wait::until(&format!("an event {reason} of {object} with {text:?}"), wait::SOON, || {
            let found = self.ok(&["get", "events", "--field-selector", &selector])?;
            if found.contains(text) { Ok(Some(())) } else { bail!("events: {found}") }
        })
    }
}

/// All kubectls of this machine, oldest first: that on the path, and `kubectl.<version>` beside it.
fn versions() -> Result<Vec<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|d| d.join("kubectl")).find(|p| p.is_file());
    let found = found.context("there is no kubectl on the path (Debian: kubernetes-client)")?;
    let beside = found.canonicalize()?.parent().context("kubectl is in no folder")?.to_owned();
    let mut versions: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(beside)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let numbers = name.strip_prefix("kubectl.").map(|v| v.split('.').map(str::parse).collect());
        if let Some(Ok(numbers)) = numbers {
            versions.push((numbers, path));
        }
    }
    versions.sort();
    let versions: Vec<_> = versions.into_iter().map(|(_, path)| path).collect();
    Ok(if versions.is_empty() { vec![found] } else { versions })
}
