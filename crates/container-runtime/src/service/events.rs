//! Container events for whoever listens.

use steersman_cri as cri;

use super::state::Inner;
use super::status;

impl Inner {
    /// Tells listeners that something happened to `container` (or, for a sandbox, to itself). The states of the pod go
    /// along, so that a listener need not ask again.
    pub fn publish(&self, kind: cri::ContainerEventType, container: &str, sandbox: &str) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let pod = self.sandbox(sandbox).ok();
        let event = cri::ContainerEventResponse {
            container_id: container.to_owned(),
            container_event_type: kind as i32,
            created_at: crate::shim::now_ns(),
            pod_sandbox_status: pod.map(|s| status::sandbox_status(&s.record(), s.is_ready())),
            containers_statuses: self.container_statuses(sandbox),
        };
        // An error means that the last listener has just gone.
        let _ = self.events.send(event);
    }

    /// The states of all containers of a sandbox.
    pub fn container_statuses(&self, sandbox: &str) -> Vec<cri::ContainerStatus> {
        let all = self.containers_of(sandbox);
        all.iter().map(|c| status::container_status(&c.record.lock(), &c.run.borrow())).collect()
    }
}
