//! SchedulingGates: a pod with gates waits outside the queue (KEP-3521).

use crate::framework::Plugin;
use crate::pod_info::PodInfo;

pub(super) struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), String> {
        let gates: Vec<&str> =
            pod.spec().scheduling_gates.iter().flatten().map(|gate| gate.name.as_str()).collect();
        if gates.is_empty() {
            return Ok(());
        }
        Err(format!("waiting for scheduling gates: [{}]", gates.join(" ")))
    }
}
