//! The cluster's zone: its name and the records at its top.

use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};

/// How long a cluster name may be cached, in seconds: the value in kubeadm's Corefile.
pub(crate) const TTL: u32 = 30;

/// The cluster domain.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    name: Name,
    /// Lower case, left to right.
    labels: Vec<Vec<u8>>,
}

impl Zone {
    /// The zone of a domain; `None` if it is not a domain name.
    pub fn parse(domain: &str) -> Option<Self> {
        let mut name = Name::from_ascii(domain.trim_end_matches('.')).ok()?.to_lowercase();
        name.set_fqdn(true);
        let labels: Vec<Vec<u8>> = name.iter().map(<[u8]>::to_vec).collect();
        (!labels.is_empty()).then_some(Self { name, labels })
    }

    /// The labels of the lower-case `name` left of the zone; `None` if the name is not in the zone or is not text.
    pub fn relative<'n>(&self, name: &'n Name) -> Option<Vec<&'n str>> {
        let depth = usize::from(name.num_labels()).checked_sub(self.labels.len())?;
        if !name.iter().skip(depth).eq(self.labels.iter().map(Vec::as_slice)) {
            return None;
        }
        // A label that is not text names nothing, but is ours to deny.
        Some(name.iter().take(depth).map(|label| std::str::from_utf8(label).unwrap_or("")).collect())
    }

    /// `labels` and the zone: `["web", "default", "svc"]` is `web.default.svc.cluster.local.`; `None` where the
    /// result would not be a valid name.
    pub fn child(&self, labels: &[&str]) -> Option<Name> {
        let name = Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?;
        name.append_domain(&self.name).ok().map(|name| name.to_lowercase())
    }

    /// The start of authority, which also says how long a denial may be cached.
    pub fn soa(&self, serial: u32) -> Record {
        let server = self.child(&["ns", "dns"]).unwrap_or_else(|| self.name.clone());
        let contact = self.child(&["hostmaster"]).unwrap_or_else(|| self.name.clone());
        let soa = SOA::new(server, contact, serial, 7200, 1800, 86400, TTL);
        Record::from_rdata(self.name.clone(), TTL, RData::SOA(soa))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_zone() {
        let zone = Zone::parse("Cluster.Local.").expect("valid");
        let relative = |name: &str| {
            let name = Name::from_ascii(name).expect("valid").to_lowercase();
            zone.relative(&name).map(|labels| labels.join("/"))
        };
        assert_eq!(relative("a.B.svc.cluster.LOCAL.").as_deref(), Some("a/b/svc"));
        assert_eq!(relative("cluster.local.").as_deref(), Some(""));
        assert_eq!(relative("acluster.local."), None);
        assert_eq!(relative("local."), None);
        assert_eq!(relative("cluster.local.example."), None);
        assert_eq!(zone.child(&["a", "svc"]).map(|n| n.to_string()).as_deref(), Some("a.svc.cluster.local."));
        assert!(Zone::parse("").is_none() && Zone::parse("a..b").is_none());
    }
}
