use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// An API with one Lease, and events that it only counts.
#[derive(Clone, Default)]
struct FakeApi {
    lease: Arc<Mutex<Option<Value>>>,
    events: Arc<Mutex<Vec<String>>>,
    away: Arc<AtomicBool>,
}

impl FakeApi {
    fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        steersman_client::in_process(service, ())
    }

    async fn answer(&self, request: Request<Body>) -> Response<Full<bytes::Bytes>> {
        if self.away.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, body) = if path.contains("/events") {
            self.events.lock().push(body["message"].as_str().unwrap_or_default().to_owned());
            (StatusCode::CREATED, body)
        } else {
            self.lease(&method, body)
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        response
    }

    fn lease(&self, method: &Method, mut new: Value) -> (StatusCode, Value) {
        let mut lease = self.lease.lock();
        let version = lease.as_ref().map(|l| l["metadata"]["resourceVersion"].clone());
        let wanted = Some(new["metadata"]["resourceVersion"].clone()).filter(|v| !v.is_null());
        match (method, &*lease) {
            (&Method::GET, Some(lease)) => (StatusCode::OK, lease.clone()),
            (&Method::GET, None) => failure(404, "NotFound"),
            _ if wanted != version => failure(409, "Conflict"),
            _ => {
                let next = version.and_then(|v| v.as_str()?.parse::<u64>().ok()).unwrap_or(0) + 1;
                new["metadata"]["resourceVersion"] = json!(next.to_string());
                *lease = Some(new.clone());
                (StatusCode::OK, new)
            }
        }
    }

    fn holder(&self) -> String {
        let lease = self.lease.lock();
        lease.as_ref().and_then(|l| l["spec"]["holderIdentity"].as_str()).unwrap_or("").to_owned()
    }
}

fn failure(code: u16, reason: &str) -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), status)
}

fn elector(api: &FakeApi, identity: &str) -> (LeaderElector, LeaderEvents) {
    let config = LeaderElectionConfig {
        namespace: "kube-system".to_owned(),
        name: "kube-scheduler".to_owned(),
        identity: identity.to_owned(),
        timing: Timing::default(),
    };
    LeaderElector::new(api.client(), config, EventSource::default())
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_given_back_and_the_next_need_not_wait() {
    let api = FakeApi::default();
    let (first, events) = elector(&api, "first");
    let mut status = first.status();
    let stop = CancellationToken::new();
    let leading = tokio::spawn(first.run(events, stop.clone(), |stop| async move { stop.cancelled().await }));
    status.wait_for(LeaderStatus::is_leader).await.unwrap();
    // Long after the first hold: it is renewed.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(api.holder(), "first");

    let (second, events) = elector(&api, "second");
    let second = tokio::spawn(second.run(events, CancellationToken::new(), |_| async {}));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(api.holder(), "first");
    assert!(!second.is_finished());

    let asked = Instant::now();
    stop.cancel();
    assert_eq!(leading.await.unwrap(), Ok(Some(())));
    assert_eq!(second.await.unwrap(), Ok(Some(())));
    assert!(asked.elapsed() < Duration::from_secs(5), "it waited {:?}", asked.elapsed());
    assert_eq!(api.holder(), "", "its work has ended as well");
    assert_eq!(*api.events.lock(), ["first became leader", "second became leader"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_an_api_gives_up_and_drops_its_work() {
    let api = FakeApi::default();
    let (elector, events) = elector(&api, "first");
    let mut status = elector.status();
    let working = Arc::new(());
    let held = working.clone();
    let leading = tokio::spawn(elector.run(events, CancellationToken::new(), |_| async move {
        let _held = held;
        std::future::pending::<()>().await;
    }));
    status.wait_for(LeaderStatus::is_leader).await.unwrap();
    api.away.store(true, Ordering::Relaxed);
    let since = Instant::now();
    assert_eq!(leading.await.unwrap(), Err(LeadershipLost));
    assert!(since.elapsed() <= Timing::default().renew_deadline + LAST_EVENTS, "{:?}", since.elapsed());
    assert_eq!(Arc::strong_count(&working), 1);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_can_be_stopped() {
    let api = FakeApi::default();
    *api.lease.lock() = Some(json!({
        "metadata": { "resourceVersion": "1" },
        "spec": { "holderIdentity": "other", "leaseDurationSeconds": 15 },
    }));
    let (elector, events) = elector(&api, "second");
    let stop = CancellationToken::new();
    let running = tokio::spawn(elector.run(events, stop.clone(), |_| async {}));
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.cancel();
    assert_eq!(running.await.unwrap(), Ok(None));
    assert_eq!(api.holder(), "other");
}
