//! A client that acts as a service account, with tokens that it asks for itself.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount as Account;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use kube::client::Body;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a token is asked to hold, as upstream's controller manager does.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The share of its life after which a token is replaced.
const USED: f64 = 0.8;

/// Why a request has no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It was not given.
    #[error("could not get a token for the service account {account}")]
    Request {
        /// Namespace and name.
        account: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// What was given cannot be sent.
    #[error("the token for the service account {0} is absent or malformed")]
    Malformed(String),
}

struct Token {
    header: HeaderValue,
    replace_at: Instant,
}

pub(crate) struct ServiceAccount {
    maker: kube::Client,
    namespace: String,
    name: String,
    /// Held while a token is asked for, so that it is asked for once.
    token: Mutex<Option<Token>>,
}

impl ServiceAccount {
    pub(crate) fn new(maker: kube::Client, namespace: &str, name: &str) -> Self {
        Self { maker, namespace: namespace.to_owned(), name: name.to_owned(), token: Mutex::default() }
    }

    /// A client that sends through `transport`, which must have no credentials of its own.
    pub(crate) fn client(self, transport: kube::Client) -> kube::Client {
        let account = Arc::new(self);
        let service = tower::service_fn(move |mut request: Request<Body>| {
            let (account, transport) = (account.clone(), transport.clone());
            async move {
                let header = account.header().await?;
                request.headers_mut().insert(AUTHORIZATION, header);
                Ok::<_, tower::BoxError>(transport.send(request).await?)
            }
        });
        kube::Client::new(service, "default")
    }

    async fn header(&self) -> Result<HeaderValue, TokenError> {
        let mut token = self.token.lock().await;
        if let Some(current) = token.as_ref().filter(|token| Instant::now() < token.replace_at) {
            return Ok(current.header.clone());
        }
        let new = self.request().await?;
        let header = new.header.clone();
        *token = Some(new);
        Ok(header)
    }

    async fn request(&self) -> Result<Token, TokenError> {
        let asked = Instant::now();
        let failed = |source| TokenError::Request { account: self.to_string(), source: Box::new(source) };
        let answer = match self.ask().await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.ensure_account().await.map_err(failed)?;
                self.ask().await
            }
            answer => answer,
        };
        let status = answer.map_err(failed)?.status.unwrap_or_default();
        let (Some(token), Some(expires)) = (status.token, status.expiration_timestamp) else {
            return Err(TokenError::Malformed(self.to_string()));
        };
        // The clocks of two machines may differ: what counts is how long it holds.
        let life = expires.0.duration_since(jiff::Timestamp::now());
        let life = Duration::try_from(life).unwrap_or(Duration::ZERO).min(LIFETIME);
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| TokenError::Malformed(self.to_string()))?;
        header.set_sensitive(true); // not for logs
        Ok(Token { header, replace_at: asked + life.mul_f64(USED) })
    }

    async fn ask(&self) -> Result<TokenRequest, kube::Error> {
        let accounts: Api<Account> = Api::namespaced(self.maker.clone(), &self.namespace);
        let seconds = i64::try_from(LIFETIME.as_secs()).ok();
        let spec = TokenRequestSpec { expiration_seconds: seconds, ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        accounts.create_token_request(&self.name, &PostParams::default(), &request).await
    }

    async fn ensure_account(&self) -> Result<(), kube::Error> {
        let accounts: Api<Account> = Api::namespaced(self.maker.clone(), &self.namespace);
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let account = Account { metadata, ..Account::default() };
        match accounts.create(&PostParams::default(), &account).await {
            // Somebody else was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            created => created.map(drop),
        }
    }
}

impl std::fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Method, Response, StatusCode};
    use http_body_util::{BodyExt, Full};
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, json};

    use super::*;

    type Log = Arc<std::sync::Mutex<Vec<String>>>;

    /// An API that begins without the account, gives tokens `t1`, `t2`, … for an hour, and notes what it is asked.
    fn api(log: &Log) -> kube::Client {
        let log = log.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let log = log.clone();
            async move {
                let path = request.uri().path().to_owned();
                let token =
                    request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
                let posted = request.method() == Method::POST;
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let mut log = log.lock().unwrap();
                let asked = |log: &[String], what: &str| log.iter().filter(|line| *line == what).count();
                let (code, line) = match (posted, path.ends_with("/token")) {
                    (true, true) if asked(&log, "account") == 0 => (404, "no account".to_owned()),
                    (true, true) => {
                        let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
                        let number = asked(&log, "token") + 1;
                        let status = json!({ "token": format!("t{number}"), "expirationTimestamp": expires });
                        body["status"] = status;
                        (201, "token".to_owned())
                    }
                    (true, false) => (201, "account".to_owned()),
                    (false, _) => {
                        body = json!({ "metadata": { "name": "a" } });
                        (200, token.unwrap_or_default())
                    }
                };
                if code == 404 {
                    body = json!({ "status": "Failure", "message": "no", "reason": "NotFound", "code": 404 });
                }
                log.push(line);
                let mut response = Response::new(Full::<bytes::Bytes>::from(body.to_string()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        kube::Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_asked_for_once_and_replaced_in_time() {
        let log = Log::default();
        let client = ServiceAccount::new(api(&log), "kube-system", "a").client(api(&log));
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        maps.get("a").await.unwrap();
        maps.get("a").await.unwrap();
        let begun = ["no account", "account", "token", "Bearer t1", "Bearer t1"];
        assert_eq!(*log.lock().unwrap(), begun);
        tokio::time::advance(Duration::from_secs(47 * 60)).await;
        maps.get("a").await.unwrap();
        tokio::time::advance(Duration::from_secs(2 * 60)).await;
        maps.get("a").await.unwrap();
        assert_eq!(log.lock().unwrap()[5..], ["Bearer t1", "token", "Bearer t2"]);
    }
}
