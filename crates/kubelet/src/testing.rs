//! Short ways to write pods and views in tests.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::pod::{PodExt, container_hash};
use crate::view::{Container, PodView, Sandbox, State};

/// A pod named `p` in namespace `ns` with this specification.
pub fn pod(spec: Value) -> Pod {
    let metadata = json!({ "name": "p", "namespace": "ns", "uid": "u1", "generation": 3 });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

/// A ready sandbox with an address.
pub fn sandbox(attempt: u32) -> Sandbox {
    Sandbox {
        id: format!("s{attempt}"),
        attempt,
        ready: true,
        created_at: i64::from(attempt) + 1,
        ips: vec!["10.0.0.7".to_owned()],
    }
}

/// A container of the sandbox `s0`, made from `pod`; exited ones carry their code.
pub fn container(pod: &Pod, name: &str, attempt: u32, state: State, exit_code: i32) -> Container {
    const SECOND: i64 = 1_000_000_000;
    let spec = pod.find_container(name).unwrap().1;
    let started = if state == State::Created { 0 } else { 1_000 * SECOND };
    Container {
        id: format!("{name}-{attempt}"),
        name: name.to_owned(),
        sandbox: "s0".to_owned(),
        attempt,
        state,
        created_at: (900 + i64::from(attempt)) * SECOND,
        started_at: started,
        finished_at: if state == State::Exited { 2_000 * SECOND } else { 0 },
        exit_code,
        reason: String::new(),
        message: String::new(),
        image: spec.image.clone().unwrap_or_default(),
        image_ref: "sha256:abc".to_owned(),
        hash: container_hash(&spec),
        log_path: String::new(),
        message_path: String::new(),
        message_from_log: false,
        user: None,
        stop_signal: None,
    }
}

/// A view of one ready sandbox and these containers.
pub fn view(containers: Vec<Container>) -> PodView {
    PodView::new(vec![sandbox(0)], containers)
}
