//! Credentials for registries, from the pull secrets of a pod.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use steersman_cri::AuthConfig;

use super::name::registry_and_path;

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
    #[serde(default, rename = "registrytoken")]
    registry_token: String,
}

/// The credentials that may open `image`, the most specific first. Secrets that cannot be read are passed over, as
/// upstream does: the pull fails visibly if they were needed.
pub fn candidates(secrets: &[Secret], image: &str) -> Vec<AuthConfig> {
    let (registry, path) = registry_and_path(image);
    let mut found: Vec<(usize, AuthConfig)> = Vec::new();
    for secret in secrets {
        for (place, entry) in entries(secret) {
            if let Some(weight) = matches(&place, &registry, &path) {
                found.push((weight, auth(&place, entry)));
            }
        }
    }
    found.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    found.into_iter().map(|(_, auth)| auth).collect()
}

fn entries(secret: &Secret) -> BTreeMap<String, Entry> {
    let data =
        |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let parsed = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => data(".dockerconfigjson")
            .map(|json| serde_json::from_slice::<DockerConfig>(json).map(|config| config.auths)),
        Some("kubernetes.io/dockercfg") => data(".dockercfg").map(serde_json::from_slice),
        _ => None,
    };
    match parsed {
        Some(Ok(entries)) => entries,
        Some(Err(error)) => {
            let name = secret.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(secret = name, %error, "pull secret cannot be read");
            BTreeMap::new()
        }
        None => BTreeMap::new(),
    }
}

/// How much of the image's name the entry names; `None` when it is for another.
fn matches(place: &str, registry: &str, path: &str) -> Option<usize> {
    let place = place.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = if matches!(prefix, "v1" | "v2") { "" } else { prefix };
    let host_fits = host_matches(host, registry)
        || (registry == "docker.io" && matches!(host, "index.docker.io" | "registry-1.docker.io"));
    let path_fits = prefix.is_empty() || path == prefix || path.starts_with(&format!("{prefix}/"));
    (host_fits && path_fits).then_some(prefix.len())
}

/// `*` stands for one label or a part of one.
fn host_matches(pattern: &str, host: &str) -> bool {
    let (pattern, host): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), host.split('.').collect());
    pattern.len() == host.len() && pattern.iter().zip(&host).all(|(pattern, label)| glob(pattern, label))
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| glob(after, &rest[at..]))
        }),
    }
}

fn auth(place: &str, entry: Entry) -> AuthConfig {
    let decoded =
        BASE64_STANDARD.decode(entry.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (username, password) = match pair {
        Some((username, password)) if entry.username.is_empty() => (username.to_owned(), password.to_owned()),
        _ => (entry.username, entry.password),
    };
    AuthConfig {
        username,
        password,
        server_address: place.to_owned(),
        identity_token: entry.identity_token,
        registry_token: entry.registry_token,
        auth: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use serde_json::json;

    fn secret(auths: serde_json::Value) -> Secret {
        let config = json!({ "auths": auths }).to_string().into_bytes();
        Secret {
            type_: Some("kubernetes.io/dockerconfigjson".into()),
            data: Some([(".dockerconfigjson".to_owned(), ByteString(config))].into()),
            ..Secret::default()
        }
    }

    #[test]
    fn the_most_specific_credentials_come_first() {
        let secrets = [secret(json!({
            "localhost:5000": { "username": "all", "password": "p" },
            "https://localhost:5000/team": { "auth": BASE64_STANDARD.encode("team:secret:x") },
            "*.example.org": { "username": "star" },
            "https://index.docker.io/v1/": { "username": "hub" } }))];
        let users = |image: &str| -> Vec<String> {
            candidates(&secrets, image).into_iter().map(|auth| auth.username).collect()
        };
        assert_eq!(users("localhost:5000/team/app:v1"), ["team", "all"]);
        assert_eq!(users("localhost:5000/teams/app"), ["all"]);
        assert_eq!(users("r.example.org/app"), ["star"]);
        assert_eq!(users("a.r.example.org/app"), Vec::<String>::new());
        assert_eq!(users("nginx"), ["hub"]);
        assert_eq!(candidates(&secrets, "localhost:5000/team/app")[0].password, "secret:x");
    }
}
