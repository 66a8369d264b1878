//! What a request's method and path ask for, by upstream's rules (`k8s.io/apiserver/pkg/endpoints/request`).

use http::Method;

use super::query::Query;

/// A request's meaning, before anybody looks whether the resource exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path lies below `/api/<version>` or `/apis/<group>/<version>`.
    pub is_resource: bool,
    /// The URL path as sent.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for a path that is no
    /// resource the HTTP method in lower case.
    pub verb: String,
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; empty if none.
    pub namespace: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource; empty if none.
    pub subresource: String,
    /// Object name; empty if none. A list by `metadata.name=x` has that name.
    pub name: String,
    /// What follows the subresource in the path, with its leading slash (`/healthz` of `…/proxy/healthz`).
    pub rest: String,
    /// Whether `name` stands in the path.
    pub named_in_path: bool,
    /// Whether the path leads into a namespace (`/namespaces/<ns>/<resource>`).
    pub in_namespace: bool,
}

impl RequestInfo {
    /// Reads a request line.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let info =
            Self { path: path.to_owned(), verb: method.as_str().to_ascii_lowercase(), ..Self::default() };
        let parts: Vec<&str> = path.trim_matches('/').split('/').filter(|p| !p.is_empty()).collect();
        match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                Self { version: (*version).to_owned(), ..info }.of_resource(path, rest, method, query)
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                Self { group: (*group).to_owned(), version: (*version).to_owned(), ..info }
                    .of_resource(path, rest, method, query)
            }
            _ => info,
        }
    }

    fn of_resource(mut self, path: &str, parts: &[&str], method: &Method, query: &Query) -> Self {
        self.is_resource = true;
        let mut parts = parts;
        let mut watch_path = false;
        if parts[0] == "watch" && parts.len() > 1 {
            watch_path = true;
            parts = &parts[1..];
        }
        parts = self.take_namespace(parts);
        self.resource = parts.first().map(|p| decode(p)).unwrap_or_default();
        self.name = parts.get(1).map(|p| decode(p)).unwrap_or_default();
        self.named_in_path = !self.name.is_empty();
        self.subresource = parts.get(2).map(|p| decode(p)).unwrap_or_default();
        self.rest = remainder(path, parts);
        self.verb = if watch_path { "watch" } else { verb_of(method) }.to_owned();
        self.refine_collection_verb(query);
        self
    }

    /// `/namespaces/<ns>/<resource>…` has a namespace; `/namespaces/<name>` and its `status` and `finalize` are the
    /// namespace itself.
    fn take_namespace<'p>(&mut self, parts: &'p [&'p str]) -> &'p [&'p str] {
        let ["namespaces", namespace, rest @ ..] = parts else { return parts };
        self.namespace = decode(namespace);
        match rest {
            [] | ["status" | "finalize", ..] => parts,
            _ => {
                self.in_namespace = true;
                rest
            }
        }
    }

    fn refine_collection_verb(&mut self, query: &Query) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb.as_str() {
            "get" if query.flag("watch") => self.verb = "watch".to_owned(),
            "get" => self.verb = "list".to_owned(),
            "delete" => self.verb = "deletecollection".to_owned(),
            _ => return,
        }
        if let Some(name) = query.get("fieldSelector").and_then(single_name) {
            self.name = name;
        }
    }

    /// Whether the answer may take as long as it takes: watches, logs and tunnels.
    pub fn is_long_running(&self) -> bool {
        self.is_resource
            && (self.verb == "watch"
                || matches!(self.subresource.as_str(), "attach" | "exec" | "proxy" | "log" | "portforward"))
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// The name of the selector `metadata.name=<name>`, if it asks for just that among its terms.
fn single_name(selector: &str) -> Option<String> {
    selector.split(',').find_map(|term| {
        let value = term.strip_prefix("metadata.name=")?;
        let value = value.strip_prefix('=').unwrap_or(value);
        (!value.is_empty() && !value.contains('/') && value != "." && value != "..").then(|| value.to_owned())
    })
}

/// The part of `path` after the third of `parts`, with its leading slash; empty if there is none.
fn remainder(path: &str, parts: &[&str]) -> String {
    let Some(subresource) = parts.get(2) else { return String::new() };
    // `parts` borrow from `path`, so the position of the segment is known.
    let end = subresource.as_ptr() as usize - path.as_ptr() as usize + subresource.len();
    path.get(end..).unwrap_or_default().to_owned()
}

/// Percent-decodes one path segment; text that is no UTF-8 stays as it is.
pub fn decode(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match hex_pair(&bytes[at..]) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| segment.to_owned())
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |c: u8| char::from(c).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, uri: &str) -> RequestInfo {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        RequestInfo::parse(&method, path, &Query::parse(query))
    }

    #[test]
    fn paths_mean_what_they_mean_upstream() {
        // method, uri, verb, group/version, namespace, resource, subresource, name
        let cases = [
            (Method::GET, "/api/v1/namespaces", "list", "/v1", "", "namespaces", "", ""),
            (Method::GET, "/api/v1/namespaces/a", "get", "/v1", "a", "namespaces", "", "a"),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                "update",
                "/v1",
                "a",
                "namespaces",
                "finalize",
                "a",
            ),
            (Method::GET, "/api/v1/namespaces/a/pods", "list", "/v1", "a", "pods", "", ""),
            (Method::GET, "/api/v1/namespaces/a/pods/", "list", "/v1", "a", "pods", "", ""),
            (Method::GET, "/api/v1/namespaces/a/pods?watch=true", "watch", "/v1", "a", "pods", "", ""),
            (Method::GET, "/api/v1/watch/namespaces/a/pods", "watch", "/v1", "a", "pods", "", ""),
            (Method::GET, "/api/v1/pods?fieldSelector=metadata.name=x", "list", "/v1", "", "pods", "", "x"),
            (Method::GET, "/api/v1/namespaces/a/pods/x/log", "get", "/v1", "a", "pods", "log", "x"),
            (Method::POST, "/api/v1/namespaces/a/pods/x/exec", "create", "/v1", "a", "pods", "exec", "x"),
            (Method::DELETE, "/api/v1/namespaces/a/pods", "deletecollection", "/v1", "a", "pods", "", ""),
            (
                Method::DELETE,
                "/apis/apps/v1/namespaces/a/deployments/d",
                "delete",
                "apps/v1",
                "a",
                "deployments",
                "",
                "d",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "patch",
                "apps/v1",
                "a",
                "deployments",
                "scale",
                "d",
            ),
            (Method::GET, "/api/v1/nodes/n/proxy/metrics/cadvisor", "get", "/v1", "", "nodes", "proxy", "n"),
            (
                Method::GET,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "get",
                "rbac.authorization.k8s.io/v1",
                "",
                "clusterroles",
                "",
                "system:node",
            ),
        ];
        for (method, uri, verb, gv, namespace, resource, subresource, name) in cases {
            let info = parse(method, uri);
            let got_gv = format!("{}/{}", info.group, info.version);
            assert!(info.is_resource, "{uri}");
            assert_eq!(
                (info.verb.as_str(), got_gv.as_str(), info.namespace.as_str(), info.resource.as_str()),
                (verb, gv, namespace, resource),
                "{uri}"
            );
            assert_eq!((info.subresource.as_str(), info.name.as_str()), (subresource, name), "{uri}");
        }
    }

    #[test]
    fn discovery_and_health_are_no_resources() {
        for path in ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/healthz", "/version"] {
            let info = parse(Method::GET, path);
            assert!(!info.is_resource, "{path}");
            assert_eq!(info.verb, "get");
        }
    }

    #[test]
    fn a_proxied_path_keeps_its_form() {
        assert_eq!(parse(Method::GET, "/api/v1/nodes/n/proxy/a%20b/").rest, "/a%20b/");
        assert_eq!(parse(Method::GET, "/api/v1/nodes/n/proxy").rest, "");
    }
}
