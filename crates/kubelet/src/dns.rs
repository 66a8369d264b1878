//! What goes into a pod's `/etc/resolv.conf`.

use k8s_openapi::api::core::v1::{Pod, PodDNSConfigOption};
use steersman_cri::DnsConfig;

use crate::pod::PodExt;

/// Limits of the resolver, as upstream applies them.
const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARS: usize = 2048;

/// The cluster's resolver.
#[derive(Debug, Clone, Default)]
pub struct ClusterDns {
    /// Addresses of the DNS service; none means that pods use the node's.
    pub servers: Vec<String>,
    /// `cluster.local`.
    pub domain: String,
}

/// Settings for one pod, from its policy, the cluster's resolver and the node's.
pub fn config(pod: &Pod, cluster: &ClusterDns, node: &DnsConfig) -> DnsConfig {
    let policy = pod.spec().dns_policy.as_deref().unwrap_or("ClusterFirst");
    let in_cluster = match policy {
        "ClusterFirstWithHostNet" => true,
        "ClusterFirst" => !pod.host_network(),
        _ => false,
    };
    let mut config = match policy {
        "None" => DnsConfig::default(),
        _ if in_cluster && !cluster.servers.is_empty() => for_cluster(pod, cluster, node),
        _ => node.clone(),
    };
    if let Some(own) = &pod.spec().dns_config {
        append_new(&mut config.servers, own.nameservers.iter().flatten());
        append_new(&mut config.searches, own.searches.iter().flatten());
        merge_options(&mut config.options, own.options.iter().flatten());
    }
    limit(&mut config);
    config
}

fn for_cluster(pod: &Pod, cluster: &ClusterDns, node: &DnsConfig) -> DnsConfig {
    let domain = &cluster.domain;
    let mut searches = Vec::new();
    if !domain.is_empty() {
        let own = [format!("{}.svc.{domain}", pod.namespace()), format!("svc.{domain}"), domain.clone()];
        append_new(&mut searches, &own);
    }
    append_new(&mut searches, &node.searches);
    DnsConfig { servers: cluster.servers.clone(), searches, options: vec!["ndots:5".to_owned()] }
}

fn append_new<'a>(list: &mut Vec<String>, more: impl IntoIterator<Item = &'a String>) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

/// An option of the pod replaces one of the same name.
fn merge_options<'a>(options: &mut Vec<String>, own: impl Iterator<Item = &'a PodDNSConfigOption>) {
    for option in own {
        let Some(name) = &option.name else { continue };
        let text = match option.value.as_deref().filter(|value| !value.is_empty()) {
            Some(value) => format!("{name}:{value}"),
            None => name.clone(),
        };
        let name_of = |text: &str| text.split(':').next().map(str::to_owned);
        match options.iter().position(|old| name_of(old).as_ref() == Some(name)) {
            Some(at) => options[at] = text,
            None => options.push(text),
        }
    }
}

fn limit(config: &mut DnsConfig) {
    config.servers.truncate(MAX_SERVERS);
    config.searches.truncate(MAX_SEARCHES);
    while config.searches.join(" ").len() > MAX_SEARCH_CHARS {
        config.searches.pop();
    }
}

/// Reads the node's `resolv.conf`, resolv.conf(5).
pub fn parse_resolv_conf(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
        let rest = |words: std::str::SplitWhitespace<'_>| words.map(str::to_owned).collect::<Vec<_>>();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            // The last of several counts.
            Some("search" | "domain") => {
                config.searches = rest(words).into_iter().map(|name| without_dot(&name)).collect();
            }
            Some("options") => append_new(&mut config.options, &rest(words)),
            _ => {}
        }
    }
    config
}

fn without_dot(name: &str) -> String {
    if name == "." { name.to_owned() } else { name.trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::{Value, json};

    fn resolve(mut spec: Value) -> (String, String, String) {
        spec["containers"] = json!([]);
        let cluster = ClusterDns { servers: vec!["10.96.0.10".into()], domain: "cluster.local".into() };
        let node = parse_resolv_conf(
            "# c\nnameserver 192.0.2.53\nsearch old\nsearch example.org. corp\noptions timeout:1\n",
        );
        let config = config(&pod(spec), &cluster, &node);
        (config.servers.join(" "), config.searches.join(" "), config.options.join(" "))
    }

    #[test]
    fn policies_choose_the_resolver() {
        let cluster = "ns.svc.cluster.local svc.cluster.local cluster.local example.org corp";
        let cases = [
            (json!({}), ("10.96.0.10", cluster, "ndots:5")),
            (json!({ "hostNetwork": true }), ("192.0.2.53", "example.org corp", "timeout:1")),
            (
                json!({ "hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet" }),
                ("10.96.0.10", cluster, "ndots:5"),
            ),
            (json!({ "dnsPolicy": "Default" }), ("192.0.2.53", "example.org corp", "timeout:1")),
            (
                json!({ "dnsPolicy": "None", "dnsConfig": { "nameservers": ["1.1.1.1"], "searches": ["s"],
                    "options": [{ "name": "edns0" }, { "name": "ndots", "value": "2" }] } }),
                ("1.1.1.1", "s", "edns0 ndots:2"),
            ),
        ];
        for (spec, (servers, searches, options)) in cases {
            let want = (servers.to_owned(), searches.to_owned(), options.to_owned());
            assert_eq!(resolve(spec.clone()), want, "{spec}");
        }
    }

    #[test]
    fn the_pods_own_settings_are_added_and_win() {
        let (servers, _, options) = resolve(json!({ "dnsConfig": {
            "nameservers": ["10.96.0.10", "a", "b", "c"], "options": [{ "name": "ndots", "value": "1" }] } }));
        assert_eq!((servers.as_str(), options.as_str()), ("10.96.0.10 a b", "ndots:1"));
    }
}
