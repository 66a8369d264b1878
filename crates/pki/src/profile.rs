//! Who a certificate is for: the subjects and names that upstream's components carry.

use std::net::IpAddr;

use jiff::SignedDuration;

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

/// What a certificate says about its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The user name, for client certificates.
    pub common_name: String,
    /// The group, for client certificates.
    pub organization: Option<String>,
    /// May prove a server's identity.
    pub server: bool,
    /// May prove a client's identity.
    pub client: bool,
    /// Names of the server.
    pub dns_names: Vec<String>,
    /// Addresses of the server.
    pub addresses: Vec<IpAddr>,
    /// How long it holds, from its issue.
    pub lifetime: SignedDuration,
}

impl Profile {
    /// A client: the user `name`, in `group`.
    pub fn client(name: &str, group: Option<&str>) -> Self {
        Self {
            common_name: name.to_owned(),
            organization: group.map(str::to_owned),
            server: false,
            client: true,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            lifetime: YEAR,
        }
    }

    /// A server that is reached by these names and addresses.
    pub fn server(name: &str, dns_names: Vec<String>, addresses: Vec<IpAddr>) -> Self {
        Self { server: true, client: false, dns_names, addresses, ..Self::client(name, None) }
    }

    /// The administrator: `kubernetes-admin`, whose rights come from a binding that can be taken away.
    pub fn admin() -> Self {
        Self::client("kubernetes-admin", Some("kubeadm:cluster-admins"))
    }

    /// The way in when RBAC is broken: authorization never refuses `system:masters`.
    pub fn super_admin() -> Self {
        Self::client("kubernetes-super-admin", Some("system:masters"))
    }

    /// The controller manager as a client of the API server.
    pub fn controller_manager() -> Self {
        Self::client("system:kube-controller-manager", None)
    }

    /// The scheduler as a client of the API server.
    pub fn scheduler() -> Self {
        Self::client("system:kube-scheduler", None)
    }

    /// The service proxy as a client of the API server.
    pub fn proxy() -> Self {
        Self::client("system:kube-proxy", None)
    }

    /// The kubelet of a node as a client of the API server.
    pub fn node(node: &str) -> Self {
        Self::client(&format!("system:node:{node}"), Some("system:nodes"))
    }

    /// The kubelet of a node as a server (logs, exec).
    pub fn kubelet_server(node: &str, addresses: Vec<IpAddr>) -> Self {
        Self {
            organization: Some("system:nodes".to_owned()),
            ..Self::server(&format!("system:node:{node}"), vec![node.to_owned()], addresses)
        }
    }

    /// The API server as a client of kubelets.
    pub fn apiserver_kubelet_client() -> Self {
        Self::client("kube-apiserver-kubelet-client", Some("system:masters"))
    }

    /// The API server as a client of extension API servers; signed by the front proxy's authority.
    pub fn front_proxy_client() -> Self {
        Self::client("front-proxy-client", None)
    }

    /// The API server: reached as the `kubernetes` service, as this node, as `localhost`, and by `names` and
    /// `addresses` (the service's first address, the node's, …).
    pub fn apiserver(node: &str, cluster_domain: &str, names: &[String], addresses: &[IpAddr]) -> Self {
        let mut dns_names: Vec<String> =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned).to_vec();
        dns_names.push(format!("kubernetes.default.svc.{cluster_domain}"));
        dns_names.extend(["localhost".to_owned(), node.to_owned()]);
        dns_names.extend_from_slice(names);
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];
        let addresses = loopback.iter().chain(addresses).copied().collect();
        Self::server("kube-apiserver", without_repeats(dns_names), without_repeats(addresses))
    }
}

fn without_repeats<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
