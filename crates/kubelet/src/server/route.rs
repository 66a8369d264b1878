//! Paths of the kubelet's server, and what a caller must be allowed for each. Pure.

/// A container of a pod, as paths name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod, where the path has one.
    pub uid: Option<String>,
    /// Name of the container; empty where only the pod is meant.
    pub container: String,
}

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Whether the kubelet lives.
    Healthz,
    /// The pods it runs.
    Pods,
    /// The log of a container.
    Logs(Place),
    /// A command in a container, over an upgraded connection.
    Exec(Place),
    /// The standard streams of a container, over an upgraded connection.
    Attach(Place),
    /// A command in a container, its output as the answer.
    Run(Place),
    /// Ports of a pod, over an upgraded connection.
    PortForward(Place),
    /// What pods use.
    Stats,
    /// The kubelet's own figures.
    Metrics,
    /// What pods use, as figures.
    ResourceMetrics,
}

/// Reads a path; `None` for one that leads nowhere.
pub fn route(path: &str) -> Option<Route> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["healthz"] | ["healthz", "ping" | "log" | "syncloop"] => Some(Route::Healthz),
        ["pods"] => Some(Route::Pods),
        ["containerLogs", namespace, pod, container] => {
            Some(Route::Logs(place(namespace, pod, None, container)))
        }
        ["stats"] | ["stats", "summary"] => Some(Route::Stats),
        ["metrics"] => Some(Route::Metrics),
        ["metrics", "resource"] => Some(Route::ResourceMetrics),
        ["portForward", namespace, pod] => Some(Route::PortForward(place(namespace, pod, None, ""))),
        ["portForward", namespace, pod, uid] => {
            Some(Route::PortForward(place(namespace, pod, Some(uid), "")))
        }
        [verb, namespace, pod, container] => in_container(verb, place(namespace, pod, None, container)),
        [verb, namespace, pod, uid, container] => {
            in_container(verb, place(namespace, pod, Some(uid), container))
        }
        _ => None,
    }
}

fn in_container(verb: &str, place: Place) -> Option<Route> {
    match verb {
        "exec" => Some(Route::Exec(place)),
        "attach" => Some(Route::Attach(place)),
        "run" => Some(Route::Run(place)),
        _ => None,
    }
}

fn place(namespace: &str, pod: &str, uid: Option<&str>, container: &str) -> Place {
    Place {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        uid: uid.map(str::to_owned),
        container: container.to_owned(),
    }
}

/// Subresources of `nodes`, one of which a caller must be allowed to use, the narrower first.
pub fn subresources(path: &str) -> &'static [&'static str] {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match first {
        "stats" => &["stats"],
        "metrics" => &["metrics"],
        "logs" => &["log"],
        "checkpoint" => &["checkpoint"],
        "healthz" => &["healthz", "proxy"],
        "pods" | "runningpods" => &["pods", "proxy"],
        "configz" => &["configz", "proxy"],
        _ => &["proxy"],
    }
}

/// The verb of a method, as RBAC has it.
pub fn verb(method: &http::Method) -> &'static str {
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "get",
    }
}

/// The pairs of a query string, decoded.
pub fn query(text: Option<&str>) -> Vec<(String, String)> {
    let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let rest = bytes.clone();
                let hex: Vec<u8> = rest.take(2).collect();
                match std::str::from_utf8(&hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(value) if hex.len() == 2 => {
                        out.push(value);
                        bytes.nth(1);
                    }
                    _ => out.push(byte),
                }
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_upstreams_do() {
        let here = |uid: Option<&str>, container: &str| place("ns", "p", uid, container);
        let cases = [
            ("/healthz", Some(Route::Healthz)),
            ("/pods/", Some(Route::Pods)),
            ("/containerLogs/ns/p/c", Some(Route::Logs(here(None, "c")))),
            ("/exec/ns/p/c", Some(Route::Exec(here(None, "c")))),
            ("/exec/ns/p/u/c", Some(Route::Exec(here(Some("u"), "c")))),
            ("/attach/ns/p/c", Some(Route::Attach(here(None, "c")))),
            ("/portForward/ns/p", Some(Route::PortForward(here(None, "")))),
            ("/stats/summary", Some(Route::Stats)),
            ("/nothing/at/all", None),
            ("/", None),
        ];
        for (path, want) in cases {
            assert_eq!(route(path), want, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let pairs = query(Some("command=sh&command=-c&command=echo+%22a%20b%22%&tty"));
        let values: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["sh", "-c", "echo \"a b\"%", ""]);
    }

    #[test]
    fn narrow_permissions_are_asked_for_first() {
        assert_eq!(subresources("/pods"), ["pods", "proxy"]);
        assert_eq!(subresources("/exec/a/b/c"), ["proxy"]);
        assert_eq!(subresources("/stats/summary"), ["stats"]);
    }
}
