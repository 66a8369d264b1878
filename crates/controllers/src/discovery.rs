//! What the API server serves, for controllers that work on all kinds alike.

use std::collections::HashSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::Client;
use kube::core::ApiResource;

/// One resource in the version that its group prefers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServedResource {
    pub group: String,
    pub version: String,
    /// The URL segment, such as `pods`.
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

impl ServedResource {
    /// Whether it offers all of `verbs`.
    pub(crate) fn supports(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|offered| offered == verb))
    }

    /// As kube's dynamic API wants it.
    pub(crate) fn api_resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version: group_version(&self.group, &self.version),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

/// What discovery found out.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    pub resources: Vec<ServedResource>,
    /// Group versions that could not be asked, with the reason.
    pub failures: Vec<String>,
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Asks for all resources. A group version that does not answer is in `failures`; the others are there all the same.
pub(crate) async fn discover(client: &Client) -> Result<Discovered, kube::Error> {
    let mut found = Discovered::default();
    let mut lists = vec![("".to_owned(), "v1".to_owned(), client.list_core_api_resources("v1").await?)];
    for group in client.list_api_groups().await?.groups {
        for version in versions_by_preference(&group) {
            let name = group_version(&group.name, &version);
            match client.list_api_group_resources(&name).await {
                Ok(list) => lists.push((group.name.clone(), version, list)),
                Err(error) => found.failures.push(format!("{name}: {}", crate::error::api_message(&error))),
            }
        }
    }
    found.resources = preferred(&lists);
    Ok(found)
}

fn versions_by_preference(group: &APIGroup) -> Vec<String> {
    let preferred = group.preferred_version.as_ref().map(|version| version.version.clone());
    let rest = group.versions.iter().map(|version| version.version.clone());
    let rest: Vec<String> = rest.filter(|version| Some(version) != preferred.as_ref()).collect();
    preferred.into_iter().chain(rest).collect()
}

/// Each resource once, from the first list that has it. Subresources are left out.
fn preferred(lists: &[(String, String, APIResourceList)]) -> Vec<ServedResource> {
    let mut seen = HashSet::new();
    let mut resources = Vec::new();
    for (group, version, list) in lists {
        for resource in list.resources.iter().filter(|resource| !resource.name.contains('/')) {
            if seen.insert((group, &resource.name)) {
                resources.push(ServedResource {
                    group: group.clone(),
                    version: version.clone(),
                    plural: resource.name.clone(),
                    kind: resource.kind.clone(),
                    namespaced: resource.namespaced,
                    verbs: resource.verbs.clone(),
                });
            }
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

    use super::*;

    fn list(names: &[&str]) -> APIResourceList {
        let resource = |name: &&str| APIResource { name: (*name).to_owned(), ..APIResource::default() };
        APIResourceList { resources: names.iter().map(resource).collect(), ..APIResourceList::default() }
    }

    #[test]
    fn a_resource_comes_from_the_preferred_version_that_has_it() {
        let lists = [
            ("apps".to_owned(), "v1".to_owned(), list(&["deployments", "deployments/status"])),
            ("apps".to_owned(), "v1beta1".to_owned(), list(&["deployments", "oddities"])),
        ];
        let found: Vec<_> =
            preferred(&lists).into_iter().map(|r| format!("{}/{}", r.version, r.plural)).collect();
        assert_eq!(found, ["v1/deployments", "v1beta1/oddities"]);
    }
}
