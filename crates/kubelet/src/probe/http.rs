//! Probing by an HTTP request. Certificates are not checked: the pod vouches for nothing here.

use std::time::Duration;

use k8s_openapi::api::core::v1::HTTPGetAction;

use super::check::{Answer, dial_error, host_port};
use crate::http_client::{self, GetError, Response};
use crate::text::go_quote;

const MAX_REDIRECTS: usize = 10;

/// Success for every status from 200 to 399.
pub async fn ask(action: &HTTPGetAction, pod_ip: &str, port: u16, timeout: Duration) -> Answer {
    let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip);
    let path = action.path.as_deref().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("{scheme}://{}{slash}{path}", host_port(host, port));
    let headers: Vec<(String, String)> = action
        .http_headers
        .iter()
        .flatten()
        .map(|header| (header.name.clone(), header.value.clone()))
        .collect();
    let first = url.clone();
    match tokio::time::timeout(timeout, follow(url, &headers)).await {
        Ok(answer) => answer,
        Err(_) => Answer::Failure(format!(
            "Get {}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            go_quote(&first)
        )),
    }
}

/// Follows redirects while they stay on the same host.
async fn follow(mut url: String, headers: &[(String, String)]) -> Answer {
    for _ in 0..=MAX_REDIRECTS {
        let response = match http_client::get(&url, headers).await {
            Ok(response) => response,
            Err(error) => return Answer::Failure(failure(&url, &error)),
        };
        match next_hop(&url, &response) {
            Hop::Stay => return verdict(&response),
            Hop::Elsewhere => {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                return Answer::Warning(format!("Probe terminated redirects, Response body: {body}"));
            }
            Hop::To(next) => url = next,
        }
    }
    Answer::Failure(format!("Get {}: stopped after {MAX_REDIRECTS} redirects", go_quote(&url)))
}

enum Hop {
    Stay,
    Elsewhere,
    To(String),
}

fn next_hop(url: &str, response: &Response) -> Hop {
    let redirects = matches!(response.status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.location.as_deref().filter(|_| redirects) else { return Hop::Stay };
    let (Ok(here), Ok(there)) = (url.parse::<http::Uri>(), location.parse::<http::Uri>()) else {
        return Hop::Stay;
    };
    match there.host() {
        Some(host) if Some(host) != here.host() => Hop::Elsewhere,
        Some(_) => Hop::To(location.to_owned()),
        None => {
            let scheme = here.scheme_str().unwrap_or("http");
            let authority = here.authority().map_or(String::new(), ToString::to_string);
            let slash = if location.starts_with('/') { "" } else { "/" };
            Hop::To(format!("{scheme}://{authority}{slash}{location}"))
        }
    }
}

fn verdict(response: &Response) -> Answer {
    match response.status {
        200..=399 => Answer::Success,
        code => Answer::Failure(format!("HTTP probe failed with statuscode: {code}")),
    }
}

fn failure(url: &str, error: &GetError) -> String {
    let cause = match error {
        GetError::Connect { address, source } => dial_error(address, source),
        other => other.to_string(),
    };
    format!("Get {}: {cause}", go_quote(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each connection with the next of `replies` and gives back what was asked.
    async fn serve(replies: &'static [&'static str]) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut asked = Vec::new();
            for reply in replies {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                asked.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
            asked
        });
        (port, task)
    }

    async fn probe(port: u16) -> Answer {
        let action: HTTPGetAction =
            serde_json::from_value(serde_json::json!({ "path": "health?x=1", "port": 1,
            "httpHeaders": [{ "name": "Host", "value": "me" }, { "name": "X-A", "value": "b" }] }))
            .unwrap();
        ask(&action, "127.0.0.1", port, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn the_status_decides() {
        let (port, server) = serve(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).await;
        assert_eq!(probe(port).await, Answer::Success);
        let asked = server.await.unwrap().remove(0).to_lowercase();
        assert!(asked.starts_with("get /health?x=1 http/1.1\r\n"), "{asked}");
        for header in ["host: me\r\n", "x-a: b\r\n", "user-agent: kube-probe/1.37\r\n"] {
            assert!(asked.contains(header), "{header} in {asked}");
        }
        let (port, _server) = serve(&["HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"]).await;
        let want = "HTTP probe failed with statuscode: 503";
        assert_eq!(probe(port).await, Answer::Failure(want.into()));
    }

    #[tokio::test]
    async fn redirects_are_followed_on_the_same_host_only() {
        let (port, _server) = serve(&[
            "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
        ])
        .await;
        assert_eq!(probe(port).await, Answer::Failure("HTTP probe failed with statuscode: 500".into()));
        let (port, _server) =
            serve(&["HTTP/1.1 302 Found\r\nlocation: http://other/\r\ncontent-length: 2\r\n\r\nhi"]).await;
        let want = "Probe terminated redirects, Response body: hi";
        assert_eq!(probe(port).await, Answer::Warning(want.into()));
    }

    #[tokio::test]
    async fn refusal_reads_as_upstream() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let want = format!(
            "Get \"http://127.0.0.1:{port}/health?x=1\": dial tcp 127.0.0.1:{port}: connect: connection refused"
        );
        assert_eq!(probe(port).await, Answer::Failure(want));
    }
}
