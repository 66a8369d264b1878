//! The pod's names: host name, domain, and the `/etc/hosts` that the kubelet manages.

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use crate::pod::PodExt;

/// Longest name that the kernel takes.
const MAX_HOSTNAME: usize = 64;

/// Host name and domain of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodName {
    /// What `hostname` prints.
    pub hostname: String,
    /// The domain of the pod's subdomain, if it has one.
    pub domain: Option<String>,
}

/// The fully qualified name is too long to be the host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long ({MAX_HOSTNAME} characters is the max, {} characters requested)",
    fqdn.len()
)]
pub struct NameTooLong {
    /// The name that was asked for.
    pub fqdn: String,
}

/// The names of a pod, from its specification.
pub fn pod_name(pod: &Pod, cluster_domain: &str) -> Result<PodName, NameTooLong> {
    let spec = pod.spec();
    if let Some(name) = spec.hostname_override.as_deref().filter(|name| !name.is_empty()) {
        return Ok(PodName { hostname: name.to_owned(), domain: None });
    }
    let own = spec.hostname.as_deref().filter(|name| !name.is_empty());
    let hostname = own.map_or_else(|| label(pod.name()), str::to_owned);
    let subdomain = spec.subdomain.as_deref().filter(|name| !name.is_empty());
    let domain = subdomain.map(|subdomain| format!("{subdomain}.{}.svc.{cluster_domain}", pod.namespace()));
    match &domain {
        Some(domain) if spec.set_hostname_as_fqdn == Some(true) => {
            let fqdn = format!("{hostname}.{domain}");
            if fqdn.len() > MAX_HOSTNAME {
                return Err(NameTooLong { fqdn });
            }
            Ok(PodName { hostname: fqdn, domain: Some(domain.clone()) })
        }
        _ => Ok(PodName { hostname, domain }),
    }
}

/// The beginning of a pod's name that a DNS label has room for.
fn label(name: &str) -> String {
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

/// The file for a pod with a network of its own.
pub fn file(ips: &[String], name: &PodName, aliases: &[HostAlias]) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let short = &name.hostname;
    let names = match &name.domain {
        Some(domain) if short.ends_with(domain.as_str()) => short.clone(),
        Some(domain) => format!("{short}.{domain}\t{short}"),
        None => short.clone(),
    };
    for ip in ips {
        text.push_str(&format!("{ip}\t{names}\n"));
    }
    text + &alias_lines(aliases)
}

/// The file for a pod on the node's network: the node's own file, and the aliases.
pub fn host_network_file(node_file: &str, aliases: &[HostAlias]) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{node_file}{}", alias_lines(aliases))
}

fn alias_lines(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::json;

    #[test]
    fn names_follow_the_specification() {
        let long = "x".repeat(60);
        let cases = [
            (json!({}), "p", None),
            (json!({ "hostname": "web-0", "subdomain": "db" }), "web-0", Some("db.ns.svc.cluster.local")),
            (json!({ "subdomain": "db" }), "p", Some("db.ns.svc.cluster.local")),
            (
                json!({ "hostname": "web-0", "subdomain": "db", "setHostnameAsFQDN": true }),
                "web-0.db.ns.svc.cluster.local",
                Some("db.ns.svc.cluster.local"),
            ),
            (json!({ "hostnameOverride": "me.example.org", "subdomain": "db" }), "me.example.org", None),
        ];
        for (mut spec, hostname, domain) in cases {
            spec["containers"] = json!([]);
            let name = pod_name(&pod(spec.clone()), "cluster.local").unwrap();
            assert_eq!((name.hostname.as_str(), name.domain.as_deref()), (hostname, domain), "{spec}");
        }
        let spec =
            json!({ "containers": [], "hostname": long, "subdomain": "db", "setHostnameAsFQDN": true });
        let error = pod_name(&pod(spec), "cluster.local").unwrap_err().to_string();
        assert!(error.contains("is too long (64 characters is the max, 84 characters requested)"), "{error}");
    }

    #[test]
    fn the_file_has_the_pod_and_its_aliases() {
        let name = PodName { hostname: "h".into(), domain: Some("d.ns.svc.c".into()) };
        let aliases = [HostAlias { ip: "1.1.1.1".into(), hostnames: Some(vec!["a".into(), "b".into()]) }];
        let text = file(&["10.0.0.7".to_owned()], &name, &aliases);
        let tail = "fe00::2\tip6-allrouters\n10.0.0.7\th.d.ns.svc.c\th\n\n\
            # Entries added by HostAliases.\n1.1.1.1\ta\tb\n";
        assert!(text.ends_with(tail), "{text}");
        let text = host_network_file("127.0.0.1 me\n", &[]);
        assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 me\n");
    }
}
