//! The policy: how much is written about a request. Pure. The first rule that matches decides.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1123_subdomain_problems;

use crate::request::User;
use crate::wire::info::RequestInfo;

const API_VERSION: &str = "audit.k8s.io/v1";

/// How much is written about a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who, what, when.
    Metadata,
    /// And what was sent.
    Request,
    /// And what was answered.
    RequestResponse,
}

const LEVELS: [&str; 4] = ["None", "Metadata", "Request", "RequestResponse"];

/// When an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Stage {
    /// Before anything is done.
    RequestReceived,
    /// The head of the answer to a long-running request was sent.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

/// What the policy wants of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How much.
    pub level: Level,
    /// When not.
    pub omit_stages: Vec<Stage>,
    /// Whether `managedFields` are left out.
    pub omit_managed_fields: bool,
}

/// A policy file (`audit.k8s.io/v1`, kind `Policy`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    rules: Vec<Rule>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    level: Level,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    urls: Vec<String>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroupResources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// Why a policy is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// It is not YAML.
    #[error("failed decoding: {0}")]
    Syntax(String),
    /// It is another kind of file.
    #[error("unknown group version field {0} in policy")]
    UnknownKind(String),
    /// Fields have values that mean nothing.
    #[error("{0}")]
    Invalid(String),
    /// It has no rules.
    #[error("loaded illegal policy with 0 rules")]
    NoRules,
}

impl Policy {
    /// Reads a policy file; every problem names its field.
    pub fn parse(yaml: &[u8]) -> Result<Self, PolicyError> {
        let document = steersman_api::yaml::parse(yaml).map_err(|e| PolicyError::Syntax(e.to_string()))?;
        let tree = document.tree;
        let of = |field: &str| tree[field].as_str().unwrap_or_default();
        if of("apiVersion") != API_VERSION || of("kind") != "Policy" {
            return Err(PolicyError::UnknownKind(format!("{}, Kind={}", of("apiVersion"), of("kind"))));
        }
        let problems: Vec<String> = problems(&tree).iter().map(ToString::to_string).collect();
        match problems.as_slice() {
            [] => {}
            [one] => return Err(PolicyError::Invalid(one.clone())),
            several => return Err(PolicyError::Invalid(format!("[{}]", several.join(", ")))),
        }
        let policy: Self = serde_json::from_value(tree).map_err(|e| PolicyError::Syntax(e.to_string()))?;
        if policy.rules.is_empty() { Err(PolicyError::NoRules) } else { Ok(policy) }
    }

    /// What is wanted of a request; `user` is `None` for one whose sender is not known.
    pub(crate) fn wanted(&self, info: &RequestInfo, user: Option<&User>) -> Wanted {
        let Some(rule) = self.rules.iter().find(|rule| rule.matches(info, user)) else {
            return Wanted::default();
        };
        Wanted {
            level: rule.level,
            omit_stages: self.omit_stages.iter().chain(&rule.omit_stages).copied().collect(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

impl Rule {
    fn matches(&self, info: &RequestInfo, user: Option<&User>) -> bool {
        let is_user = |name: &String| user.is_some_and(|user| user.name == *name);
        let in_group = |group: &String| user.is_some_and(|user| user.groups.contains(group));
        (self.users.is_empty() || self.users.iter().any(is_user))
            && (self.user_groups.is_empty() || self.user_groups.iter().any(in_group))
            && (self.verbs.is_empty() || self.verbs.contains(&info.verb))
            && self.matches_target(info)
    }

    fn matches_target(&self, info: &RequestInfo) -> bool {
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return info.is_resource
                && (self.namespaces.is_empty() || self.namespaces.contains(&info.namespace))
                && (self.resources.is_empty() || self.resources.iter().any(|group| group.matches(info)));
        }
        let matches = |url: &String| match url.strip_suffix('*') {
            Some(beginning) => info.path.starts_with(beginning),
            None => info.path == *url,
        };
        self.urls.is_empty() || (!info.is_resource && self.urls.iter().any(matches))
    }
}

impl GroupResources {
    fn matches(&self, info: &RequestInfo) -> bool {
        let named = self.resource_names.is_empty() || self.resource_names.contains(&info.name);
        (self.group == "*" || self.group == info.group)
            && (self.resources.is_empty()
                || (named && self.resources.iter().any(|resource| is_resource(resource, info))))
    }
}

/// `pods` is the resource without its subresources, `pods/log` one of them, `pods/*` all with the resource itself,
/// `*/scale` that of any resource, `*` everything.
fn is_resource(wanted: &str, info: &RequestInfo) -> bool {
    match wanted.split_once('/') {
        None => wanted == "*" || (wanted == info.resource && info.subresource.is_empty()),
        Some(("*", subresource)) => !subresource.is_empty() && subresource == info.subresource,
        Some((resource, "*")) => resource == info.resource,
        Some((resource, subresource)) => resource == info.resource && subresource == info.subresource,
    }
}

fn problems(tree: &Value) -> ErrorList {
    let mut found = ErrorList::new();
    stages(&mut found, &tree["omitStages"], &Path::new("omitStages"));
    for (index, rule) in list(&tree["rules"]).iter().enumerate() {
        let path = Path::new("rules").index(index);
        level(&mut found, &rule["level"], &path.child("level"));
        urls(&mut found, &rule["nonResourceURLs"], &path.child("nonResourceURLs"));
        resources(&mut found, &rule["resources"], &path.child("resources"));
        stages(&mut found, &rule["omitStages"], &path.child("omitStages"));
        let targets = list(&rule["resources"]).len() + list(&rule["namespaces"]).len();
        if !list(&rule["nonResourceURLs"]).is_empty() && targets > 0 {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            found.push(Error::invalid(path.child("nonResourceURLs"), rule["nonResourceURLs"].clone(), why));
        }
    }
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn level(found: &mut ErrorList, level: &Value, path: &Path) {
    match level.as_str().unwrap_or_default() {
        "" => found.push(Error::required(path.clone(), "")),
        known if LEVELS.contains(&known) => {}
        other => found.push(Error::not_supported_in_order(path.clone(), other, &LEVELS)),
    }
}

fn stages(found: &mut ErrorList, stages: &Value, path: &Path) {
    for (index, stage) in list(stages).iter().enumerate() {
        let stage = stage.as_str().unwrap_or_default();
        if !STAGES.contains(&stage) {
            let why = format!("allowed stages are {}", STAGES.join(","));
            found.push(Error::invalid(path.index(index), stage, why));
        }
    }
}

fn urls(found: &mut ErrorList, urls: &Value, path: &Path) {
    for (index, url) in list(urls).iter().enumerate() {
        let url = url.as_str().unwrap_or_default();
        if url == "*" {
            continue;
        }
        if !url.starts_with('/') {
            let why = "non-resource URL rules must begin with a '/' character";
            found.push(Error::invalid(path.index(index), url, why));
        }
        if url.strip_suffix('*').unwrap_or(url).contains('*') {
            let why = "non-resource URL wildcards '*' must be the final character of the rule";
            found.push(Error::invalid(path.index(index), url, why));
        }
    }
}

fn resources(found: &mut ErrorList, resources: &Value, path: &Path) {
    for resource in list(resources) {
        let group = resource["group"].as_str().unwrap_or_default();
        if !matches!(group, "" | "*") {
            let why = dns1123_subdomain_problems(group, false);
            if !why.is_empty() {
                found.push(Error::invalid(path.child("group"), group, why.join(",")));
            }
        }
        if !list(&resource["resourceNames"]).is_empty() && list(&resource["resources"]).is_empty() {
            let why = "using resourceNames requires at least one resource";
            found.push(Error::invalid(path.child("resourceNames"), resource["resourceNames"].clone(), why));
        }
    }
}
