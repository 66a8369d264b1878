//! The endpoints that every component has: `/healthz`, `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use jiff::Timestamp;
use steersman_apimachinery::status::ApiError;
use steersman_pki::ClientVerifier;

use crate::delegation::{Action, Caller, Delegation, User};
use crate::exposition::{CONTENT_TYPE, Exposition, MetricKind};
use crate::health::{self, Finding, Question};
use crate::server::{Body, Certificates, Handler, text, typed};

/// One named check.
pub struct Check {
    /// Path segment below `/healthz/`.
    pub name: &'static str,
    /// Whether it counts for `/healthz` and `/livez` too, not only for `/readyz`.
    pub liveness: bool,
    /// Says what is wrong.
    pub check: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// Adds metrics to an exposition.
pub type Collector = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// What a component shows, and to whom.
pub struct Component {
    /// `v1.37.0`.
    pub git_version: String,
    /// The checks.
    pub checks: Vec<Check>,
    /// The metrics beside those of the process.
    pub collectors: Vec<Collector>,
    /// Paths for everybody; one that ends in `*` stands for all that begin so.
    pub always_allow: Vec<String>,
    /// Verifies client certificates, where an authority for them is known.
    pub verifier: Option<Arc<ClientVerifier>>,
    /// Decides over everybody else.
    pub delegation: Delegation,
}

impl Handler for Component {
    async fn handle(&self, request: Request<Incoming>, certificates: Certificates) -> Response<Body> {
        match self.admit(&request, &certificates).await {
            Ok(()) => self.answer(request.method(), request.uri()),
            Err(refusal) => refused(&refusal),
        }
    }
}

impl Component {
    /// Whether the request may be answered.
    async fn admit<B>(&self, request: &Request<B>, certificates: &Certificates) -> Result<(), ApiError> {
        let certified = self.certified(certificates)?;
        let caller = self.delegation.authenticate(request, certified).await;
        let user = match caller.map_err(ApiError::internal)? {
            Caller::Known(user) => user,
            Caller::Anonymous => User::anonymous(),
            Caller::Refused => return Err(ApiError::unauthorized("Unauthorized")),
        };
        let path = request.uri().path();
        if self.always_allow.iter().any(|allowed| covers(allowed, path)) {
            return Ok(());
        }
        let action = Action::Path { verb: verb(request.method()), path: path.to_owned() };
        if self.delegation.allows(&user, &action).await.map_err(ApiError::internal)? {
            return Ok(());
        }
        let (name, verb) = (&user.name, verb(request.method()));
        Err(ApiError::forbidden("", "", "", &format!("User {name:?} cannot {verb} path {path:?}")))
    }

    fn certified(&self, certificates: &Certificates) -> Result<Option<User>, ApiError> {
        let (Some(verifier), Some(leaf)) = (&self.verifier, certificates.first()) else { return Ok(None) };
        verifier.verify(certificates, Timestamp::now()).map_err(|problem| {
            tracing::debug!(problem, "a client certificate is not good");
            ApiError::unauthorized("Unauthorized")
        })?;
        Ok(User::of_certificate(leaf))
    }

    fn answer(&self, method: &Method, uri: &Uri) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
        }
        let mut segments = uri.path().trim_start_matches('/').splitn(2, '/');
        match (segments.next().unwrap_or_default(), segments.next()) {
            (kind @ ("healthz" | "livez" | "readyz"), check) => self.health(kind, check, uri),
            ("metrics", None) => self.metrics(),
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn health(&self, kind: &str, check: Option<&str>, uri: &Uri) -> Response<Body> {
        let pairs = uri.query().unwrap_or_default().split('&');
        let pairs: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        let excluded = pairs.iter().filter(|(key, _)| *key == "exclude").map(|(_, name)| (*name).to_owned());
        let excluded: Vec<String> = excluded.collect();
        let verbose = pairs.iter().any(|(key, _)| *key == "verbose");
        let check = check.filter(|check| !check.is_empty());
        let question = Question { kind, check, excluded: &excluded, verbose };
        let (code, answer) = health::answer(&question, self.find(kind == "readyz"));
        text(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), answer)
    }

    fn find(&self, readiness: bool) -> Vec<Finding> {
        let asked = self.checks.iter().filter(|check| readiness || check.liveness);
        let ping: Finding = ("ping", Ok(()));
        std::iter::once(ping).chain(asked.map(|check| (check.name, (check.check)()))).collect()
    }

    fn metrics(&self) -> Response<Body> {
        let mut out = Exposition::default();
        let version = [("git_version", self.git_version.as_str()), ("major", "1"), ("minor", "37")];
        let help = "A metric with a constant '1' value labeled by version.";
        out.family("kubernetes_build_info", MetricKind::Gauge, help).sample(&version, 1);
        self.collectors.iter().for_each(|collect| collect(&mut out));
        crate::process::collect(&mut out);
        typed(StatusCode::OK, HeaderValue::from_static(CONTENT_TYPE), out.into_text())
    }
}

/// Whether `allowed`, which may end in `*`, stands for `path`.
fn covers(allowed: &str, path: &str) -> bool {
    let (allowed, path) = (allowed.trim_start_matches('/'), path.trim_start_matches('/'));
    match allowed.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == allowed,
    }
}

/// The verb of a request for something that is no resource: its method.
fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "OPTIONS" => "options",
        _ => "",
    }
}

fn refused(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    typed(status, HeaderValue::from_static("application/json"), error.to_status().to_string())
}

#[cfg(test)]
#[path = "component_tests.rs"]
mod tests;
