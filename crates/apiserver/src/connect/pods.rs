//! Which kubelet, and which of its paths, a request about a pod means.

use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use super::Connector;
use super::target::{self, Target, escape, segment};
use crate::chain::Exchange;
use crate::server::Inner;
use crate::wire::query::Query;

/// The annotation that names the container to take where none is given.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Finds the pod's kubelet and says what to ask of it; `None` if there is none and the answer is nothing.
pub async fn target(
    connector: Connector,
    server: &Inner,
    exchange: &Exchange,
) -> Result<Option<Target>, ApiError> {
    let info = &exchange.info;
    let pod = target::object(server, "pods", &info.namespace, &info.name).await?;
    let path = path(connector, &pod, &exchange.query)?;
    let node = pod.str_at("spec.nodeName");
    match (node, connector) {
        // A pod that is not placed has an empty log, as upstream has it.
        ("", Connector::Log) => Ok(None),
        ("", _) => Err(ApiError::bad_request(format!("pod {} does not have a host assigned", pod.name()))),
        (node, _) => target::kubelet(server, node, path).await.map(Some),
    }
}

fn path(connector: Connector, pod: &Tree, query: &Query) -> Result<String, ApiError> {
    let (namespace, name) = (segment(pod.namespace()), segment(pod.name()));
    let container = || container(pod, query.get("container").unwrap_or_default());
    Ok(match connector {
        Connector::Log => {
            let container = segment(&container()?);
            with_query(format!("/containerLogs/{namespace}/{name}/{container}"), log_options(query)?)
        }
        Connector::Exec => {
            let container = segment(&container()?);
            if query.all("command").is_empty() {
                return Err(ApiError::bad_request("you must specify at least 1 command for the container"));
            }
            with_query(format!("/exec/{namespace}/{name}/{container}"), stream_options(query, true))
        }
        Connector::Attach => {
            let container = segment(&container()?);
            with_query(format!("/attach/{namespace}/{name}/{container}"), stream_options(query, false))
        }
        _ => {
            let ports: Vec<String> =
                query.all("ports").iter().map(|port| format!("port={}", escape(port))).collect();
            with_query(format!("/portForward/{namespace}/{name}"), ports)
        }
    })
}

fn with_query(path: String, options: Vec<String>) -> String {
    if options.is_empty() { path } else { format!("{path}?{}", options.join("&")) }
}

/// The kubelet's names of what to connect differ from the API's.
fn stream_options(query: &Query, is_exec: bool) -> Vec<String> {
    let flag = |name: &str| query.flag(name);
    let mut options = Vec::new();
    for (asked, sent) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        // A terminal has one output.
        if flag(asked) && !(asked == "stderr" && flag("tty")) {
            options.push(format!("{sent}=1"));
        }
    }
    if is_exec {
        options.extend(query.all("command").iter().map(|part| format!("command={}", escape(part))));
    }
    options
}

/// Checked here as upstream does, so that the kubelet need not.
fn log_options(query: &Query) -> Result<Vec<String>, ApiError> {
    let mut options = Vec::new();
    for name in ["follow", "previous", "timestamps"] {
        if query.flag(name) {
            options.push(format!("{name}=true"));
        }
    }
    for name in ["tailLines", "limitBytes", "sinceSeconds"] {
        if let Some(number) = query.integer(name)? {
            if number < 0 || (name != "tailLines" && number == 0) {
                return Err(invalid_log_option(name, number));
            }
            options.push(format!("{name}={number}"));
        }
    }
    for name in ["sinceTime", "stream"] {
        if let Some(value) = query.non_empty(name) {
            options.push(format!("{name}={}", escape(value)));
        }
    }
    Ok(options)
}

fn invalid_log_option(name: &str, number: i64) -> ApiError {
    use steersman_apimachinery::field::{Error, Path};
    let why =
        if name == "tailLines" { "must be greater than or equal to 0" } else { "must be greater than 0" };
    ApiError::invalid("", "PodLogOptions", "", &vec![Error::invalid(Path::new(name), number, why)])
}

fn names<'p>(pod: &'p Tree, list: &str) -> Vec<&'p str> {
    pod.items_at(list).iter().map(Named::name_member).collect()
}

/// The `name` member of an item.
trait Named {
    fn name_member(&self) -> &str;
}

impl Named for Tree {
    fn name_member(&self) -> &str {
        self.get("name").and_then(Tree::as_str).unwrap_or_default()
    }
}

/// The container meant: the one named, the annotated default, or the only one.
fn container(pod: &Tree, asked: &str) -> Result<String, ApiError> {
    let main = names(pod, "spec.containers");
    let init = names(pod, "spec.initContainers");
    let ephemeral = names(pod, "spec.ephemeralContainers");
    let name = pod.name();
    if !asked.is_empty() {
        if [&main, &init, &ephemeral].into_iter().any(|list| list.contains(&asked)) {
            return Ok(asked.to_owned());
        }
        return Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    if let Some(default) = pod.annotation(DEFAULT_CONTAINER).filter(|d| main.contains(d)) {
        return Ok(default.to_owned());
    }
    match main.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(ApiError::bad_request(format!("a container name must be specified for pod {name}"))),
        many => {
            let mut choose = format!("choose one of: [{}]", many.join(" "));
            if !init.is_empty() {
                choose.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(ApiError::bad_request(format!("a container name must be specified for pod {name}, {choose}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(containers: &[&str]) -> Tree {
        let containers: Vec<Tree> = containers.iter().map(|name| json!({ "name": name })).collect();
        json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": containers,
            "initContainers": [{"name": "init"}]}})
    }

    #[test]
    fn the_container_is_found_or_asked_for_in_upstreams_words() {
        let choose = |pod: &Tree, asked: &str| container(pod, asked).map_err(|e| e.message);
        assert_eq!(choose(&pod(&["a"]), ""), Ok("a".to_owned()));
        assert_eq!(choose(&pod(&["a"]), "init"), Ok("init".to_owned()));
        assert_eq!(choose(&pod(&["a"]), "x"), Err("container x is not valid for pod p".to_owned()));
        assert_eq!(
            choose(&pod(&["a", "b"]), ""),
            Err("a container name must be specified for pod p, choose one of: [a b] or one of the init \
                 containers: [init]"
                .to_owned())
        );
        let mut annotated = pod(&["a", "b"]);
        annotated["metadata"]["annotations"] = json!({ DEFAULT_CONTAINER: "b" });
        assert_eq!(choose(&annotated, ""), Ok("b".to_owned()));
    }

    #[test]
    fn the_kubelet_is_asked_in_its_own_words() {
        let path =
            |connector, query: &str| path(connector, &pod(&["a"]), &Query::parse(query)).expect("a path");
        assert_eq!(
            path(Connector::Exec, "command=ls&command=-l%20x&stdin=true&stdout=true&stderr=true&tty=false"),
            "/exec/ns/p/a?input=1&output=1&error=1&command=ls&command=-l%20x"
        );
        assert_eq!(path(Connector::Attach, "stdout=1&stderr=1&tty=1"), "/attach/ns/p/a?output=1&tty=1");
        assert_eq!(
            path(Connector::Log, "follow=true&tailLines=5&container=a"),
            "/containerLogs/ns/p/a?follow=true&tailLines=5"
        );
        assert_eq!(path(Connector::PortForward, "ports=80"), "/portForward/ns/p?port=80");
        assert!(super::path(Connector::Log, &pod(&["a"]), &Query::parse("limitBytes=0")).is_err());
    }
}
