//! Finding sandboxes again after the runtime was restarted, and noticing when a shim dies.

use std::io;
use std::sync::Arc;

use steersman_cri as cri;

use super::state::{Container, Inner, Sandbox};
use crate::client::{News, ShimClient, ShimError};
use crate::record::{self, CONTAINER_FILE, ContainerRecord, SANDBOX_FILE, STATE_FILE, SandboxRecord};
use crate::shim::now_ns;
use crate::spec::{ContainerRun, Exit};

/// Exit code of a container whose end nobody saw, as other runtimes report it.
const UNKNOWN_EXIT: i32 = 255;

impl Inner {
    /// Reads all records and connects to the shims that still live.
    pub async fn recover(self: &Arc<Self>) -> io::Result<()> {
        let state = &self.config.state_dir;
        for record in record::load_all::<ContainerRecord>(&state.join("containers"), CONTAINER_FILE)? {
            let run = record::load_run(&self.config.container_dir(&record.id).join(STATE_FILE));
            let container = Container::new(record, run);
            self.containers.lock().insert(container.id.clone(), Arc::new(container));
        }
        for record in record::load_all::<SandboxRecord>(&state.join("sandboxes"), SANDBOX_FILE)? {
            let shim = ShimClient::new(self.config.shim_socket(&record.id));
            let sandbox = Arc::new(Sandbox::new(record, shim));
            self.sandboxes.lock().insert(sandbox.id.clone(), sandbox.clone());
            if let Err(error) = self.watch_shim(&sandbox).await {
                tracing::info!(sandbox = %sandbox.id, %error, "the sandbox has ended meanwhile");
                self.shim_gone(&sandbox).await;
            }
        }
        Ok(())
    }

    /// Takes over what the shim knows and listens to it from now on.
    pub async fn watch_shim(self: &Arc<Self>, sandbox: &Arc<Sandbox>) -> Result<(), ShimError> {
        let (status, news) = sandbox.shim.watch().await?;
        sandbox.alive.send_replace(true);
        for (id, run) in status {
            self.container_changed(&id, run);
        }
        let (inner, sandbox) = (self.clone(), sandbox.clone());
        self.tasks.spawn(async move { inner.listen(&sandbox, news).await });
        Ok(())
    }

    async fn listen(self: &Arc<Self>, sandbox: &Arc<Sandbox>, mut news: News) {
        loop {
            tokio::select! {
                // Half a message lost does not matter: nobody reads on.
                () = self.stop.cancelled() => return,
                next = news.next() => match next {
                    Some((id, run)) => self.container_changed(&id, run),
                    None => break,
                },
            }
        }
        if sandbox.record.lock().stopped {
            sandbox.alive.send_replace(false);
            return;
        }
        tracing::warn!(sandbox = %sandbox.id, "the sandbox's shim has died");
        self.shim_gone(sandbox).await;
        self.publish(cri::ContainerEventType::ContainerStoppedEvent, &sandbox.id, &sandbox.id);
    }

    fn container_changed(&self, id: &str, run: ContainerRun) {
        let Ok(container) = self.container(id) else { return };
        let ended = run.exit.is_some() && container.run.borrow().exit.is_none();
        container.update(run);
        if ended {
            let sandbox = container.record.lock().sandbox.clone();
            self.publish(cri::ContainerEventType::ContainerStoppedEvent, id, &sandbox);
        }
    }

    /// Without its shim a container has no output and no exit code: what runs of it is killed and called unknown.
    async fn shim_gone(&self, sandbox: &Sandbox) {
        sandbox.alive.send_replace(false);
        for container in self.containers_of(&sandbox.id) {
            let run = container.run();
            if run.exit.is_some() || run.started_at == 0 && run.pid.is_none() {
                continue;
            }
            let (layout, path) = (self.layout.clone(), container.record.lock().spec.cgroup_path.clone());
            let killed =
                tokio::task::spawn_blocking(move || crate::teardown::empty_and_remove(&layout, &path)).await;
            if let Ok(Err(error)) = killed {
                tracing::warn!(container = %container.id, %error, "could not kill what is left of a container");
            }
            let exit =
                Exit { code: UNKNOWN_EXIT, finished_at: now_ns(), oom_killed: false, start_error: None };
            let run = ContainerRun { pid: None, exit: Some(exit), ..run };
            let file = self.config.container_dir(&container.id).join(STATE_FILE);
            if let Err(error) = record::save(&file, &run) {
                tracing::warn!(container = %container.id, %error, "could not write a container's state");
            }
            self.container_changed(&container.id, run);
        }
    }
}
