//! Groups, versions, kinds and resources.

use std::fmt;
use std::str::FromStr;

/// `apps/v1`; the core group's name is empty and its `apiVersion` is the bare version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
}

/// An `apiVersion` with more than one slash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unexpected GroupVersion string: {0}")]
pub struct InvalidGroupVersion(pub String);

impl GroupVersion {
    /// A group and a version.
    pub fn new(group: impl Into<String>, version: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into() }
    }

    /// The kind of this group and version.
    pub fn with_kind(&self, kind: impl Into<String>) -> GroupVersionKind {
        GroupVersionKind { group: self.group.clone(), version: self.version.clone(), kind: kind.into() }
    }

    /// The resource of this group and version.
    pub fn with_resource(&self, resource: impl Into<String>) -> GroupVersionResource {
        GroupVersionResource {
            group: self.group.clone(),
            version: self.version.clone(),
            resource: resource.into(),
        }
    }
}

impl FromStr for GroupVersion {
    type Err = InvalidGroupVersion;

    /// Reads an `apiVersion`. Empty and `/` are the empty group and version, as upstream has it.
    fn from_str(s: &str) -> Result<Self, InvalidGroupVersion> {
        match s.split_once('/') {
            _ if s == "/" => Ok(Self::default()),
            None => Ok(Self::new("", s)),
            Some((_, rest)) if rest.contains('/') => Err(InvalidGroupVersion(s.to_owned())),
            Some((group, version)) => Ok(Self::new(group, version)),
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            return f.write_str(&self.version);
        }
        write!(f, "{}/{}", self.group, self.version)
    }
}

/// A type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// The kind.
    pub kind: String,
}

impl GroupVersionKind {
    /// A group, a version and a kind.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Its `apiVersion`.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(&*self.group, &*self.version)
    }

    /// `Deployment.apps`, as messages name a kind; the kind alone in the core group.
    pub fn group_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// A URL segment with its group and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionResource {
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource.
    pub resource: String,
}

impl GroupVersionResource {
    /// A group, a version and a resource.
    pub fn new(group: impl Into<String>, version: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }

    /// Its `apiVersion`.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(&*self.group, &*self.version)
    }

    /// `deployments.apps`, as messages name a resource; the resource alone in the core group.
    pub fn group_resource(&self) -> String {
        qualified(&self.resource, &self.group)
    }
}

impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Resource={}", self.group, self.version, self.resource)
    }
}

/// `name.group`; `name` alone in the core group.
pub fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_are_read_and_printed() {
        let cases =
            [("v1", "", "v1"), ("apps/v1", "apps", "v1"), ("", "", ""), ("/v1", "", "v1"), ("a/", "a", "")];
        for (text, group, version) in cases {
            assert_eq!(text.parse(), Ok(GroupVersion::new(group, version)), "{text}");
        }
        assert_eq!("/".parse(), Ok(GroupVersion::default()));
        let problem = "a/b/c".parse::<GroupVersion>().expect_err("two slashes");
        assert_eq!(problem.to_string(), "unexpected GroupVersion string: a/b/c");
        assert_eq!(GroupVersion::new("apps", "v1").to_string(), "apps/v1");
        assert_eq!(GroupVersion::new("", "v1").to_string(), "v1");
    }

    #[test]
    fn kinds_and_resources_are_printed_as_upstream_prints_them() {
        let kind = GroupVersion::new("apps", "v1").with_kind("Deployment");
        assert_eq!(kind.to_string(), "apps/v1, Kind=Deployment");
        assert_eq!(kind.group_kind(), "Deployment.apps");
        let resource = GroupVersion::new("", "v1").with_resource("pods");
        assert_eq!(resource.to_string(), "/v1, Resource=pods");
        assert_eq!(resource.group_resource(), "pods");
    }
}
