//! What tests share: a cluster, a registry, the list of tests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, anyhow};
use libtest_mimic::{Failed, Trial};

use crate::cluster::{self, Cluster};
use crate::kubectl::Kubectl;
use crate::machine::Snapshot;
use crate::registry::Registry;

/// A test: its name, and what it does.
pub type Test = (&'static str, fn(&Suite) -> Result<()>);

/// Shared by all tests. Parts start when a test first asks for them.
pub struct Suite {
    before: Snapshot,
    registry: Mutex<Option<Arc<Registry>>>,
    cluster: Mutex<Shared>,
    namespaces: AtomicU32,
}

#[derive(Default)]
enum Shared {
    #[default]
    None,
    Up(Arc<Cluster>),
    /// It did not start; each test that needs it says so without trying again.
    Failed(String),
}

impl Suite {
    /// Nothing runs yet, nor anything that an interrupted run has left.
    pub fn new() -> Result<Self> {
        cluster::remove_left_over()?;
        Ok(Self {
            before: Snapshot::take()?,
            registry: Mutex::default(),
            cluster: Mutex::default(),
            namespaces: AtomicU32::new(0),
        })
    }

    /// The machine as it was before the first cluster.
    pub fn machine_before(&self) -> &Snapshot {
        &self.before
    }

    /// The cluster that tests share.
    pub fn cluster(&self) -> Result<Arc<Cluster>> {
        let mut shared = lock(&self.cluster);
        if matches!(*shared, Shared::None) {
            *shared = match Cluster::start() {
                Ok(cluster) => Shared::Up(Arc::new(cluster)),
                Err(error) => Shared::Failed(format!("{error:#}")),
            };
        }
        match &*shared {
            Shared::Up(cluster) => Ok(cluster.clone()),
            Shared::Failed(error) => Err(anyhow!("the shared cluster did not start: {error}")),
            Shared::None => unreachable!("it was started"),
        }
    }

    /// Takes the shared cluster, so that the test can stop it; the next test that asks gets a new one.
    pub fn take_cluster(&self) -> Result<Arc<Cluster>> {
        let cluster = self.cluster()?;
        *lock(&self.cluster) = Shared::None;
        Ok(cluster)
    }

    /// Makes room for a cluster of a test's own.
    pub fn end_cluster(&self) {
        *lock(&self.cluster) = Shared::None;
    }

    /// The registry with the images.
    pub fn registry(&self) -> Result<Arc<Registry>> {
        let mut registry = lock(&self.registry);
        if registry.is_none() {
            *registry = Some(Arc::new(Registry::start()?));
        }
        Ok(registry.clone().expect("it was started"))
    }

    /// The full name of an image, such as `busybox:1`.
    pub fn image(&self, name: &str) -> Result<String> {
        Ok(self.registry()?.image(name))
    }

    /// A namespace of the shared cluster for one test.
    pub fn namespace(&self) -> Result<Namespace> {
        let kubectl = self.cluster()?.kubectl()?;
        let name = format!("e2e-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        kubectl.ok(&["create", "namespace", &name])?;
        Ok(Namespace { kubectl: kubectl.in_namespace(&name) })
    }

    /// Ends everything. The machine is as it was before.
    pub fn close(&self) {
        self.end_cluster();
        *lock(&self.registry) = None;
    }

    fn state(&self) -> String {
        match &*lock(&self.cluster) {
            Shared::Up(cluster) => cluster.state(),
            Shared::Failed(_) | Shared::None => String::new(),
        }
    }
}

/// A namespace that goes with its test; used like the kubectl in it.
pub struct Namespace {
    kubectl: Kubectl,
}

impl std::ops::Deref for Namespace {
    type Target = Kubectl;

    fn deref(&self) -> &Kubectl {
        &self.kubectl
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let name = self.kubectl.namespace();
        if let Err(error) = self.kubectl.ok(&["delete", "namespace", name, "--wait=false"]) {
            eprintln!("could not delete the namespace {name}: {error:#}");
        }
    }
}

/// The tests of a module, as the runner wants them.
pub fn trials(suite: &Arc<Suite>, module: &str, tests: &[Test]) -> Vec<Trial> {
    let trial = |(name, test): &Test| {
        let (suite, test) = (suite.clone(), *test);
        Trial::test(format!("{module}::{name}"), move || run(&suite, test))
    };
    tests.iter().map(trial).collect()
}

/// A failure shows the state of the shared cluster as it was then.
fn run(suite: &Suite, test: fn(&Suite) -> Result<()>) -> Result<(), Failed> {
    let outcome = catch_unwind(AssertUnwindSafe(|| test(suite)));
    let message = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
        }
    };
    Err(format!("{message}\n{}", suite.state()).into())
}

/// A test that panicked has left nothing half done in what is shared.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
