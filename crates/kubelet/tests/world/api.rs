//! An API server that keeps objects in memory: list, watch, create, patch, delete, and nothing more.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

type Body = BoxBody<Bytes, Infallible>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    history: Vec<(String, &'static str, Value)>,
}

#[derive(Clone)]
pub struct FakeApi {
    state: Arc<Mutex<State>>,
    revision: watch::Sender<usize>,
}

impl FakeApi {
    pub fn new() -> Self {
        Self { state: Arc::default(), revision: watch::Sender::new(0) }
    }

    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.handle(request).await) }
        });
        Client::new(service, "default")
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// How often objects below `prefix` were written.
    pub fn writes(&self, prefix: &str) -> usize {
        self.state.lock().unwrap().history.iter().filter(|(path, ..)| path.starts_with(prefix)).count()
    }

    /// Reasons and messages of all events, in order.
    pub fn events(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let events =
            state.history.iter().filter(|(path, kind, _)| path.contains("/events/") && *kind == "ADDED");
        let text = |event: &Value| {
            format!("{} {}", event["reason"].as_str().unwrap(), event["message"].as_str().unwrap())
        };
        events.map(|(_, _, event)| text(event)).collect()
    }

    pub fn put(&self, path: &str, object: Value) -> Value {
        self.change(path, |_| Some(object)).unwrap()
    }

    pub fn update(&self, path: &str, change: impl FnOnce(&mut Value)) {
        self.change(path, |old| {
            let mut object = old?.clone();
            change(&mut object);
            Some(object)
        });
    }

    pub fn remove(&self, path: &str) {
        self.change(path, |_| None);
    }

    fn change(&self, path: &str, change: impl FnOnce(Option<&Value>) -> Option<Value>) -> Option<Value> {
        let mut state = self.state.lock().unwrap();
        let old = state.objects.get(path);
        let (existed, gone) = (old.is_some(), old.cloned());
        let new = change(old);
        let kind = match (&new, existed) {
            (Some(_), false) => "ADDED",
            (Some(_), true) => "MODIFIED",
            (None, true) => "DELETED",
            (None, false) => return None,
        };
        let mut object = new.clone().or(gone).unwrap();
        let revision = state.history.len() + 1;
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        match new {
            Some(_) => state.objects.insert(path.to_owned(), object.clone()),
            None => state.objects.remove(path),
        };
        state.history.push((path.to_owned(), kind, object.clone()));
        drop(state);
        self.revision.send_replace(revision);
        Some(object)
    }

    async fn handle(&self, request: Request<kube::client::Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match parts.method {
            Method::GET if query.contains("watch=true") => self.watch(&path, &query),
            Method::GET if is_collection(&path) => {
                let items = self.list(&path, &query);
                let revision = self.revision.borrow().to_string();
                answer(&json!({ "metadata": { "resourceVersion": revision }, "items": items }))
            }
            Method::GET => self.get(&path).map_or_else(not_found, |object| answer(&object)),
            Method::POST if path.ends_with("/token") => {
                let status = json!({ "token": "jwt", "expirationTimestamp": "2099-01-01T00:00:00Z" });
                answer(&json!({ "metadata": {}, "spec": body["spec"], "status": status }))
            }
            Method::POST if path.ends_with("/subjectaccessreviews") => {
                let allowed = body["spec"]["user"] == "alice";
                answer(&json!({ "metadata": {}, "spec": body["spec"], "status": { "allowed": allowed } }))
            }
            Method::POST => {
                let mut body = body;
                body["metadata"]["uid"] = json!("uid");
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                answer(&self.put(&format!("{path}/{name}"), body))
            }
            Method::PATCH => {
                let path = path.trim_end_matches("/status");
                let changed = self.change(path, |old| {
                    let mut object = old?.clone();
                    merge(&mut object, &body);
                    Some(object)
                });
                changed.map_or_else(not_found, |object| answer(&object))
            }
            Method::DELETE => self.change(&path, |_| None).map_or_else(not_found, |object| answer(&object)),
            method => panic!("{method} {path}"),
        }
    }

    fn list(&self, path: &str, query: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        let inside = state.objects.iter().filter(|(key, _)| belongs(key, path, query));
        inside.map(|(_, object)| object.clone()).collect()
    }

    fn watch(&self, path: &str, query: &str) -> Response<Body> {
        let from = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let next: usize = from.and_then(|from| from.parse().ok()).unwrap_or(0);
        let (state, path, query) = (self.state.clone(), path.to_owned(), query.to_owned());
        let start = (next, self.revision.subscribe());
        let events = futures::stream::unfold(start, move |(next, mut revision)| {
            let (state, path, query) = (state.clone(), path.clone(), query.clone());
            async move {
                revision.wait_for(|now| *now > next).await.ok()?;
                let history = state.lock().unwrap().history[next..].to_vec();
                let seen = next + history.len();
                let inside = history.into_iter().filter(|(key, ..)| belongs(key, &path, &query));
                let lines: String = inside
                    .map(|(_, kind, object)| format!("{}\n", json!({ "type": kind, "object": object })))
                    .collect();
                Some((lines, (seen, revision)))
            }
        });
        let frames = events.map(|lines| Ok(Frame::data(Bytes::from(lines))));
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    }
}

fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let rest = if parts[0] == "api" { &parts[2..] } else { &parts[3..] };
    matches!(rest, [_] | ["namespaces", _, _])
}

/// Whether the object at `key` is in the collection and has the name that a selector asks for.
fn belongs(key: &str, collection: &str, query: &str) -> bool {
    let (kind, root) = (collection.rsplit('/').next().unwrap(), collection.rsplit_once('/').unwrap().0);
    let (parent, name) = key.rsplit_once('/').unwrap();
    let named = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=metadata.name%3D"));
    key.starts_with(root)
        && parent.ends_with(&format!("/{kind}"))
        && named.is_none_or(|wanted| wanted == name)
}

/// A strategic merge, as far as statuses need it: conditions by type, other lists whole.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return };
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.as_object_mut().unwrap().remove(key);
            }
            Value::Object(_) => {
                if !target[key].is_object() {
                    target[key] = json!({});
                }
                merge(&mut target[key], value);
            }
            Value::Array(items) if key == "conditions" => {
                let mut list = target[key].as_array().cloned().unwrap_or_default();
                for item in items {
                    match list.iter_mut().find(|old| old["type"] == item["type"]) {
                        Some(old) => merge(old, item),
                        None => list.push(item.clone()),
                    }
                }
                target[key] = Value::Array(list);
            }
            Value::Array(items) => {
                let plain = items.iter().filter(|item| item.get("$patch").is_none());
                target[key] = plain.cloned().collect();
            }
            value => target[key] = value.clone(),
        }
    }
}

fn answer(object: &Value) -> Response<Body> {
    Response::new(Full::new(Bytes::from(object.to_string())).boxed())
}

fn not_found() -> Response<Body> {
    let status = json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found" });
    let mut response = answer(&status);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
