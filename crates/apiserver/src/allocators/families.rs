//! Which IP families a service may ask for in a cluster of one family. Pure.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::meta::Object;

use super::network::family;

/// What a service asks for that the cluster does not have. What an update leaves as it was is not looked at.
pub fn problems(new: &Tree, old: Option<&Tree>, configured: &str) -> ErrorList {
    let mut found = ErrorList::new();
    let fields = ["spec.type", "spec.ipFamilyPolicy", "spec.ipFamilies", "spec.clusterIPs"];
    if new.str_at("spec.type") == "ExternalName" || old.is_some_and(|old| !new.differs(old, &fields)) {
        return found;
    }
    let spec = Path::new("spec");
    let addresses = new.items_at("spec.clusterIPs");
    for (index, address) in addresses.iter().enumerate() {
        let Some(Ok(address)) = address.as_str().map(str::parse) else { continue };
        if family(address) != configured {
            let why = format!("{} is not configured on this cluster", family(address));
            found.push(Error::invalid(spec.child("clusterIPs").index(index), addresses.to_vec(), why));
        }
    }
    let selects = new.at("spec.selector").and_then(Tree::as_object).is_some_and(|all| !all.is_empty());
    if !found.is_empty() || new.str_at("spec.clusterIP") == "None" && !selects {
        return found;
    }
    let policy = new.str_at("spec.ipFamilyPolicy");
    if policy == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        found.push(Error::invalid(spec.child("ipFamilyPolicy"), policy, why));
    }
    for (index, family) in new.items_at("spec.ipFamilies").iter().enumerate() {
        if family.as_str() != Some(configured) {
            let path = spec.child("ipFamilies").index(index);
            found.push(Error::invalid(path, family.clone(), "not configured on this cluster"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_cluster_lacks_is_refused() {
        let cases = [
            (json!({"ipFamilies": ["IPv4"], "ipFamilyPolicy": "PreferDualStack"}), vec![]),
            (
                json!({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}),
                vec!["spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"],
            ),
            (
                json!({"ipFamilies": ["IPv6"], "clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                vec![
                    "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster",
                ],
            ),
            (
                json!({"ipFamilies": ["IPv4"], "ipFamilyPolicy": "RequireDualStack"}),
                vec![
                    "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
                ],
            ),
            (
                json!({"clusterIP": "None", "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}),
                vec![],
            ),
            (json!({"type": "ExternalName", "ipFamilies": ["IPv6"]}), vec![]),
        ];
        for (spec, want) in cases {
            let service = json!({"spec": spec});
            let texts: Vec<String> =
                problems(&service, None, "IPv4").iter().map(ToString::to_string).collect();
            assert_eq!(texts, want, "{service}");
            assert!(problems(&service, Some(&service), "IPv4").is_empty(), "what is there stays");
        }
    }
}
