//! Which requests a flow schema is for, and which flow of it a request belongs to. Pure.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::request::User;
use crate::wire::info::RequestInfo;

/// The spec of a flow schema, as matching reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchemaSpec {
    /// The level that its requests belong to.
    pub priority_level_configuration: Named,
    /// Schemas are tried from the smallest to the largest.
    pub matching_precedence: i32,
    distinguisher_method: Option<Method>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    pub name: String,
    namespace: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "type")]
enum Method {
    ByUser,
    ByNamespace,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    subjects: Vec<Subject>,
    resource_rules: Vec<ResourceRule>,
    non_resource_rules: Vec<PathRule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind")]
enum Subject {
    User {
        user: Named,
    },
    Group {
        group: Named,
    },
    #[serde(rename_all = "camelCase")]
    ServiceAccount {
        service_account: Named,
    },
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceRule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    cluster_scope: bool,
    namespaces: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PathRule {
    verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    urls: Vec<String>,
}

impl SchemaSpec {
    /// Whether it is for this request.
    pub fn matches(&self, info: &RequestInfo, user: &User) -> bool {
        self.rules.iter().any(|rule| {
            rule.subjects.iter().any(|subject| subject.is(user))
                && match info.is_resource {
                    true => rule.resource_rules.iter().any(|rule| rule.matches(info)),
                    false => rule.non_resource_rules.iter().any(|rule| rule.matches(info)),
                }
        })
    }

    /// What tells the flows of the schema apart; empty if they are all one.
    pub fn distinguisher<'a>(&self, info: &'a RequestInfo, user: &'a User) -> &'a str {
        match self.distinguisher_method {
            Some(Method::ByUser) => &user.name,
            Some(Method::ByNamespace) => &info.namespace,
            None => "",
        }
    }
}

/// The entropy by which a flow finds its queues, the same on every server.
pub fn flow_hash(schema: &str, distinguisher: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(schema);
    hash.update([0]);
    hash.update(distinguisher);
    let sum = hash.finalize();
    let first = sum.first_chunk().expect("SHA-256 gives 32 bytes");
    u64::from_le_bytes(*first)
}

/// The order in which schemas are tried: a name decides among equals.
pub fn order(name: &str, spec: &SchemaSpec) -> (i32, String) {
    (spec.matching_precedence, name.to_owned())
}

impl Subject {
    fn is(&self, user: &User) -> bool {
        match self {
            Self::User { user: named } => named.name == "*" || named.name == user.name,
            Self::Group { group } => group.name == "*" || user.groups.contains(&group.name),
            Self::ServiceAccount { service_account: account } => {
                let of = |name: &'_ str| -> Option<bool> {
                    let rest = name.strip_prefix("system:serviceaccount:")?;
                    let name = rest.strip_prefix(account.namespace.as_str())?.strip_prefix(':')?;
                    Some(account.name == "*" || account.name == name)
                };
                of(&user.name).unwrap_or(false)
            }
        }
    }
}

impl ResourceRule {
    fn matches(&self, info: &RequestInfo) -> bool {
        has(&self.verbs, &info.verb)
            && self.has_resource(info)
            && has(&self.api_groups, &info.group)
            && match info.namespace.as_str() {
                "" => self.cluster_scope,
                namespace => has(&self.namespaces, namespace),
            }
    }

    fn has_resource(&self, info: &RequestInfo) -> bool {
        self.resources.iter().any(|wanted| match wanted.split_once('/') {
            Some((resource, subresource)) => resource == info.resource && subresource == info.subresource,
            None => wanted == "*" || (wanted == &info.resource && info.subresource.is_empty()),
        })
    }
}

impl PathRule {
    fn matches(&self, info: &RequestInfo) -> bool {
        let below = |url: &str| {
            let prefix = url.strip_suffix('*').unwrap_or(url);
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            info.path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        };
        has(&self.verbs, &info.verb)
            && self.urls.iter().any(|url| url == "*" || *url == info.path || below(url))
    }
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}
