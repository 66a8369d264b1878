//! How flags of upstream's forms are read.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use steersman_image::Mirror;

/// A duration as Go writes it: `15s`, `1m30s`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 15s or 1m30s");
    let parsed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

/// The path of a unix socket, written as an endpoint (`unix:///run/cri.sock`) or plainly.
pub fn unix_socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.starts_with('/') {
        return Ok(path.into());
    }
    Err(format!(
        "{text:?} is not the endpoint of a unix socket such as unix:///run/containerd/containerd.sock"
    ))
}

/// `name=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form name=value"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `registry=host:port`.
pub fn mirror(text: &str) -> Result<Mirror, String> {
    let (registry, host) = pair(text)?;
    if registry.is_empty() || host.is_empty() || host.contains('/') {
        return Err(format!(
            "{text:?} is not of the form registry=host:port, such as docker.io=127.0.0.1:5000"
        ));
    }
    Ok(Mirror { registry, host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_hosts() {
        let want = Mirror { registry: "docker.io".to_owned(), host: "127.0.0.1:5000".to_owned() };
        assert_eq!(mirror("docker.io=127.0.0.1:5000"), Ok(want));
        for wrong in ["docker.io", "docker.io=", "=h:1", "docker.io=http://h:1"] {
            assert!(mirror(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, want) in [
            ("15s", Some(Duration::from_secs(15))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("500ms", Some(Duration::from_millis(500))),
            ("-1s", None),
            ("15", None),
        ] {
            assert_eq!(duration(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn endpoints_are_unix_sockets() {
        assert_eq!(unix_socket("unix:///run/cri.sock").unwrap(), PathBuf::from("/run/cri.sock"));
        assert_eq!(unix_socket("/run/cri.sock").unwrap(), PathBuf::from("/run/cri.sock"));
        assert!(unix_socket("tcp://127.0.0.1:1").is_err());
    }
}
