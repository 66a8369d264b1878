//! Tokens of service accounts for the volumes of one pod, renewed before they end.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

use super::TokenFiles;
use crate::pod::PodExt;

/// A token is renewed after this much of its life, or after a day.
const USABLE_PERCENT: u32 = 80;
const LONGEST_USE: Duration = Duration::from_secs(24 * 3600);
const CALL_LIMIT: Duration = Duration::from_secs(30);
const DEFAULT_SECONDS: i64 = 3600;

/// The tokens that one pod has.
#[derive(Debug, Default)]
pub struct Tokens {
    held: HashMap<(String, i64), Held>,
}

#[derive(Debug)]
struct Held {
    token: String,
    renew: Instant,
}

impl Tokens {
    /// A token for each place in the pod's volumes that asks for one; new ones are requested where needed.
    pub async fn collect(&mut self, client: &Client, pod: &Pod) -> TokenFiles {
        let mut files = TokenFiles::new();
        for volume in pod.spec().volumes.iter().flatten() {
            let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
            for source in sources.filter_map(|source| source.service_account_token.as_ref()) {
                let token = self.token(client, pod, source).await;
                files.insert((volume.name.clone(), source.path.clone()), token);
            }
        }
        files
    }

    /// When the next of them must be renewed.
    pub fn next_renewal(&self) -> Option<Instant> {
        self.held.values().map(|held| held.renew).min()
    }

    async fn token(
        &mut self,
        client: &Client,
        pod: &Pod,
        source: &ServiceAccountTokenProjection,
    ) -> Result<String, String> {
        let audience = source.audience.clone().unwrap_or_default();
        let seconds = source.expiration_seconds.unwrap_or(DEFAULT_SECONDS);
        let key = (audience, seconds);
        if let Some(held) = self.held.get(&key).filter(|held| held.renew > Instant::now()) {
            return Ok(held.token.clone());
        }
        match request(client, pod, &key.0, seconds).await {
            Ok((token, life)) => {
                let renew = Instant::now() + usable(life);
                self.held.insert(key, Held { token: token.clone(), renew });
                Ok(token)
            }
            // A token that still works is better than none.
            Err(error) => match self.held.get_mut(&key) {
                Some(held) => {
                    tracing::warn!(pod = %pod.long_name(), %error, "could not renew a service account token");
                    held.renew = Instant::now() + Duration::from_secs(10);
                    Ok(held.token.clone())
                }
                None => Err(format!("failed to fetch token: {error}")),
            },
        }
    }
}

fn usable(life: Duration) -> Duration {
    (life * USABLE_PERCENT / 100).min(LONGEST_USE)
}

async fn request(
    client: &Client,
    pod: &Pod,
    audience: &str,
    seconds: i64,
) -> Result<(String, Duration), String> {
    let account =
        pod.spec().service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
    let body = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: (!audience.is_empty()).then(|| vec![audience.to_owned()]),
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name().to_owned()),
                uid: Some(pod.uid().to_owned()),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let api = Api::<ServiceAccount>::namespaced(client.clone(), pod.namespace());
    let params = PostParams::default();
    let call = api.create_subresource::<_, TokenRequest>("token", account, &params, &body);
    let answer =
        tokio::time::timeout(CALL_LIMIT, call).await.map_err(|_| "context deadline exceeded".to_owned())?;
    let status = answer.map_err(api_message)?.status.unwrap_or_default();
    let token = status.token.filter(|token| !token.is_empty()).ok_or("the API gave no token")?;
    let ends = status.expiration_timestamp.map_or(i64::MAX, |time| time.0.as_second());
    let left = ends.saturating_sub(Timestamp::now().as_second());
    let life = u64::try_from(left).unwrap_or(0).min(u64::try_from(seconds).unwrap_or(3600).max(1));
    Ok((token, Duration::from_secs(life)))
}

/// What the API says is wrong, without the wrapping of the client.
pub(crate) fn api_message(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_at_four_fifths_of_their_life() {
        assert_eq!(usable(Duration::from_secs(3600)).as_secs(), 2880);
        assert_eq!(usable(Duration::from_secs(1_000_000)).as_secs(), 86_400);
    }
}
