//! The scale subresource of a custom resource: where it has its numbers of replicas and its selector.

use serde_json::{Map, Value, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::quote::{go_type, go_value};

/// Metadata of the object that its scale shows.
const SHOWN: [&str; 5] = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];

/// `subresources.scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// Such as `.spec.replicas`.
    pub spec_replicas: String,
    /// Such as `.status.replicas`.
    pub status_replicas: String,
    /// Such as `.status.selector`: a selector as text.
    pub label_selector: Option<String>,
}

/// A value of the wrong type on the way of a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} accessor error: {value} is of the type {go_type}, expected {expected}")]
pub struct AccessorError {
    path: String,
    value: String,
    go_type: &'static str,
    expected: &'static str,
}

/// Why there is no scale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// A value of the wrong type.
    #[error(transparent)]
    Accessor(#[from] AccessorError),
    /// The object says nothing about its replicas.
    #[error("the spec replicas field {0:?} does not exist")]
    NoReplicas(String),
}

impl ScalePaths {
    /// Reads `subresources.scale`.
    pub fn parse(scale: &Value) -> Self {
        let selector = scale.str_at("labelSelectorPath");
        Self {
            spec_replicas: scale.str_at("specReplicasPath").to_owned(),
            status_replicas: scale.str_at("statusReplicasPath").to_owned(),
            label_selector: (!selector.is_empty()).then(|| selector.to_owned()),
        }
    }

    /// The `autoscaling/v1` `Scale` of an object.
    pub fn scale_of(&self, object: &Tree) -> Result<Tree, ScaleError> {
        let wanted = int(object, &self.spec_replicas)?;
        let running = int(object, &self.status_replicas)?.unwrap_or(0);
        let selector = self.label_selector.as_deref().map(|path| text(object, path)).transpose()?.flatten();
        let wanted = wanted.ok_or_else(|| ScaleError::NoReplicas(self.spec_replicas.clone()))?;
        let metadata = SHOWN.iter().filter_map(|name| {
            let value = object.at(&format!("metadata.{name}"))?;
            Some((String::from(*name), value.clone()))
        });
        let mut scale = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": Map::from_iter(metadata),
            "spec": {}, "status": {"replicas": running},
        });
        if wanted != 0 {
            scale.set("spec.replicas", wanted);
        }
        if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
            scale.set("status.selector", selector);
        }
        Ok(scale)
    }

    /// Gives an object the number of replicas of a `Scale`, and its `resourceVersion` for the check of conflicts.
    pub fn set(&self, object: &mut Tree, scale: &Tree) {
        let path = self.spec_replicas.strip_prefix('.').unwrap_or(&self.spec_replicas);
        object.set(path, scale.i64_at("spec.replicas").unwrap_or(0));
        if !scale.resource_version().is_empty() {
            object.copy_from(scale, "metadata.resourceVersion");
        }
    }

    /// What is wrong with the numbers of an object.
    pub fn validate(&self, object: &Tree) -> ErrorList {
        let spec = check_replicas(object, &self.spec_replicas);
        spec.into_iter().chain(self.validate_status(object)).collect()
    }

    /// The same of those that a write of the status can change.
    pub fn validate_status(&self, object: &Tree) -> ErrorList {
        let replicas = check_replicas(object, &self.status_replicas);
        let selector = self.label_selector.as_deref().and_then(|path| {
            let error = text(object, path).err()?;
            Some(Error::invalid(Path::new(path), "", error.to_string()))
        });
        replicas.into_iter().chain(selector).collect()
    }
}

fn check_replicas(object: &Tree, path: &str) -> Option<Error> {
    let at = Path::new(path);
    match int(object, path) {
        Err(error) => Some(Error::invalid(at, 0, error.to_string())),
        Ok(Some(n)) if n < 0 => Some(Error::invalid(at, n, "should be a non-negative integer")),
        Ok(Some(n)) if n > i64::from(i32::MAX) => {
            Some(Error::invalid(at, n, format!("should be less than or equal to {}", i32::MAX)))
        }
        Ok(_) => None,
    }
}

fn int(object: &Tree, path: &str) -> Result<Option<i64>, AccessorError> {
    let Some(value) = nested(object, path)? else { return Ok(None) };
    value.as_i64().map(Some).ok_or_else(|| wrong(full(path), value, "int64"))
}

fn text<'a>(object: &'a Tree, path: &str) -> Result<Option<&'a str>, AccessorError> {
    let Some(value) = nested(object, path)? else { return Ok(None) };
    value.as_str().map(Some).ok_or_else(|| wrong(full(path), value, "string"))
}

fn full(path: &str) -> String {
    format!(".{}", path.strip_prefix('.').unwrap_or(path))
}

fn wrong(path: String, value: &Tree, expected: &'static str) -> AccessorError {
    let go_type = if value.is_null() { "<nil>" } else { go_type(value) };
    AccessorError { path, value: go_value(value), go_type, expected }
}

/// The value at a path of fields; `None` if there is nothing, or null on the way.
fn nested<'a>(object: &'a Tree, path: &str) -> Result<Option<&'a Tree>, AccessorError> {
    let names: Vec<&str> = path.strip_prefix('.').unwrap_or(path).split('.').collect();
    let mut value = object;
    for (i, name) in names.iter().enumerate() {
        match value {
            Value::Null => return Ok(None),
            Value::Object(fields) => match fields.get(*name) {
                Some(below) => value = below,
                None => return Ok(None),
            },
            other => {
                return Err(wrong(format!(".{}", names[..=i].join(".")), other, "map[string]interface{}"));
            }
        }
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> ScalePaths {
        ScalePaths::parse(&json!({"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n",
            "labelSelectorPath": ".status.selector"}))
    }

    #[test]
    fn a_scale_shows_and_sets_the_replicas() {
        let mut object = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "3", "labels": {}},
            "spec": {"n": 2}, "status": {"n": 1, "selector": "a=b"}});
        let mut scale = paths().scale_of(&object).unwrap();
        let want = json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "3"},
            "spec": {"replicas": 2}, "status": {"replicas": 1, "selector": "a=b"}});
        assert_eq!(scale, want);
        scale["spec"]["replicas"] = 5.into();
        paths().set(&mut object, &scale);
        assert_eq!(object["spec"]["n"], 5);
        let missing = paths().scale_of(&json!({"spec": {}})).unwrap_err();
        assert_eq!(missing.to_string(), "the spec replicas field \".spec.n\" does not exist");
    }

    #[test]
    fn wrong_numbers_are_found() {
        let cases = [
            (json!({"spec": {"n": -1}}), ".spec.n: Invalid value: -1: should be a non-negative integer"),
            (
                json!({"status": {"n": 3_000_000_000_i64}}),
                ".status.n: Invalid value: 3000000000: should be less than or equal to 2147483647",
            ),
            (
                json!({"spec": {"n": "x"}}),
                ".spec.n: Invalid value: 0: .spec.n accessor error: x is of the type string, expected int64",
            ),
            (
                json!({"spec": 5}),
                ".spec.n: Invalid value: 0: .spec.n accessor error: 5 is of the type int64, expected map[string]interface{}",
            ),
            (
                json!({"status": {"selector": 1}}),
                ".status.selector: Invalid value: \"\": .status.selector accessor error: 1 is of the type int64, expected string",
            ),
        ];
        for (object, want) in cases {
            let texts: Vec<String> = paths().validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(texts, [want]);
        }
        assert!(paths().validate(&json!({})).is_empty());
    }
}
