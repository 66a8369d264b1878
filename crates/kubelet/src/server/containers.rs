//! Logs and commands of single containers.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use steersman_controller_runtime::ObjectKey;
use steersman_cri as cri;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::route::Place;
use super::{Body, Handler, text};
use crate::logs::follow;
use crate::logs::select::Options;
use crate::pod::PodExt;
use crate::text::rpc_error;
use crate::view::{Container, PodView, State};

/// Blocks of a log that may wait for a slow reader; the file is then read no further.
const WAITING_BLOCKS: usize = 8;

impl Handler {
    pub(super) fn find_pod(&self, place: &Place) -> Option<Arc<Pod>> {
        let key = ObjectKey::new(place.namespace.as_str(), place.pod.as_str());
        let pod = self.shared.pods.cache().get(&key)?;
        place.uid.as_ref().is_none_or(|uid| uid == pod.uid()).then_some(pod)
    }

    async fn view(&self, place: &Place) -> Result<(Arc<Pod>, PodView), Response<Body>> {
        let Some(pod) = self.find_pod(place) else {
            return Err(text(StatusCode::NOT_FOUND, format!("pod \"{}\" does not exist\n", place.pod)));
        };
        match self.shared.runtime.pod_view(pod.uid()).await {
            Ok(view) => Ok((pod, view)),
            Err(status) => Err(text(StatusCode::INTERNAL_SERVER_ERROR, rpc_error(&status))),
        }
    }

    /// Id of the pod's sandbox.
    pub(super) async fn sandbox(&self, place: &Place) -> Result<String, Response<Body>> {
        let (_, view) = self.view(place).await?;
        match view.sandbox().filter(|sandbox| sandbox.ready) {
            Some(sandbox) => Ok(sandbox.id.clone()),
            None => Err(text(StatusCode::NOT_FOUND, format!("pod not found (\"{}\")\n", place.pod))),
        }
    }

    /// Id of a container that runs.
    pub(super) async fn running(&self, place: &Place) -> Result<String, Response<Body>> {
        let (_, view) = self.view(place).await?;
        match view.latest(&place.container).filter(|container| container.state == State::Running) {
            Some(container) => Ok(container.id.clone()),
            None => {
                Err(text(StatusCode::NOT_FOUND, format!("container not found (\"{}\")\n", place.container)))
            }
        }
    }

    pub(super) async fn logs(&self, place: &Place, query: &[(String, String)]) -> Response<Body> {
        let options = match Options::from_query(query, jiff::Timestamp::now()) {
            Ok(options) => options,
            Err(error) => return text(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        };
        let (pod, view) = match self.view(place).await {
            Ok(found) => found,
            Err(refused) => return refused,
        };
        match choose(&pod, &view, &place.container, options.previous) {
            Ok(container) => self.stream_log(container, options),
            Err((status, message)) => text(status, message),
        }
    }

    fn stream_log(&self, container: &Container, options: Options) -> Response<Body> {
        let (sender, receiver) = mpsc::channel::<Bytes>(WAITING_BLOCKS);
        let (runtime, id) = (self.shared.runtime.clone(), container.id.clone());
        let is_running = move || {
            let (mut service, id) = (runtime.service.clone(), id.clone());
            async move {
                let request = cri::ContainerStatusRequest { container_id: id, verbose: false };
                let status = service.container_status(request).await.ok();
                let status = status.and_then(|response| response.into_inner().status);
                status.is_some_and(|status| status.state == cri::ContainerState::ContainerRunning as i32)
            }
        };
        let (path, changes) = (container.log_path.clone().into(), self.pods.changes());
        let reading = async move {
            if let Err(error) = follow::stream(path, options, sender, changes, is_running).await {
                tracing::warn!(%error, "log not read");
            }
        };
        self.tasks.spawn(self.closing.clone().run_until_cancelled_owned(reading));
        let frames = ReceiverStream::new(receiver).map(|block| Ok(Frame::data(block)));
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
        let plain = http::HeaderValue::from_static("text/plain");
        response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
        response
    }

    pub(super) async fn run_command(&self, place: &Place, query: &[(String, String)]) -> Response<Body> {
        let container_id = match self.running(place).await {
            Ok(id) => id,
            Err(refused) => return refused,
        };
        let line =
            query.iter().find(|(key, _)| key == "cmd").map(|(_, value)| value.as_str()).unwrap_or_default();
        let cmd = line.split(' ').map(str::to_owned).collect();
        let request = cri::ExecSyncRequest { container_id, cmd, timeout: 0 };
        match self.shared.runtime.service.clone().exec_sync(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let output = [answer.stdout, answer.stderr].concat();
                text(StatusCode::OK, String::from_utf8_lossy(&output))
            }
            Err(status) => text(StatusCode::INTERNAL_SERVER_ERROR, rpc_error(&status)),
        }
    }
}

/// The container whose log is asked for.
fn choose<'a>(
    pod: &Pod,
    view: &'a PodView,
    name: &str,
    previous: bool,
) -> Result<&'a Container, (StatusCode, String)> {
    let long = pod.name();
    if pod.find_container(name).is_none() {
        let message = format!("container \"{name}\" not found in pod \"{long}\"");
        return Err((StatusCode::NOT_FOUND, message));
    }
    let mut runs = view.named(name).filter(|container| container.state != State::Created);
    let waits = waiting_reason(pod, name);
    if previous {
        let latest = runs.next();
        // While a container waits to start again, the one that ended last is the previous one.
        let ended =
            latest.filter(|latest| latest.state == State::Exited && waits.is_some()).or_else(|| runs.next());
        return ended.ok_or_else(|| {
            let message = format!("previous terminated container \"{name}\" in pod \"{long}\" not found");
            (StatusCode::BAD_REQUEST, message)
        });
    }
    runs.next().ok_or_else(|| {
        let reason = waits.unwrap_or_else(|| "ContainerCreating".to_owned());
        let message = match reason.as_str() {
            "ErrImagePull" | "ImagePullBackOff" => {
                format!("container \"{name}\" in pod \"{long}\" is waiting to start: trying and failing to pull image")
            }
            "InvalidImageName" => {
                format!("container \"{name}\" in pod \"{long}\" is waiting to start: image name is invalid")
            }
            reason => format!("container \"{name}\" in pod \"{long}\" is waiting to start: {reason}"),
        };
        (StatusCode::BAD_REQUEST, message)
    })
}

fn waiting_reason(pod: &Pod, name: &str) -> Option<String> {
    let status = pod.status.as_ref()?;
    let lists =
        [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let mut all = lists.into_iter().flatten().flatten();
    let status: &ContainerStatus = all.find(|status| status.name == name)?;
    status.state.as_ref()?.waiting.as_ref()?.reason.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{container, pod, view};
    use serde_json::json;

    #[test]
    fn the_right_run_of_a_container_is_read() {
        let mut p = pod(json!({ "containers": [{ "name": "a" }] }));
        let ended = container(&p, "a", 0, State::Exited, 1);
        let running = container(&p, "a", 1, State::Running, 0);
        let get = |p: &Pod, view: &PodView, name: &str, previous: bool| {
            choose(p, view, name, previous).map(|c| c.id.clone()).map_err(|(_, message)| message)
        };
        let both = view(vec![ended.clone(), running]);
        assert_eq!(get(&p, &both, "a", false), Ok("a-1".into()));
        assert_eq!(get(&p, &both, "a", true), Ok("a-0".into()));
        assert_eq!(get(&p, &both, "b", false), Err("container \"b\" not found in pod \"p\"".into()));
        let none = PodView::default();
        let want = "container \"a\" in pod \"p\" is waiting to start: ContainerCreating";
        assert_eq!(get(&p, &none, "a", false), Err(want.into()));
        let want = "previous terminated container \"a\" in pod \"p\" not found";
        let only = view(vec![ended]);
        assert_eq!(get(&p, &only, "a", true), Err(want.into()));
        let state = json!({ "containerStatuses": [{ "name": "a", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] });
        p.status = serde_json::from_value(state).unwrap();
        assert_eq!(get(&p, &only, "a", true), Ok("a-0".into()));
    }
}
