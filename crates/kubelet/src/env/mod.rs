//! The environment of a container. Pure: the objects it draws on have been fetched before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, Secret};

pub mod downward;
pub mod expansion;
pub mod services;

use downward::Downward;

/// Variables in the order they are given.
pub type Environment = Vec<(String, String)>;

/// The container cannot be made from what there is; the words are upstream's and reach the user as the message of
/// `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// The object could not be read.
    #[error("{0}")]
    Object(Missing),
    /// The ConfigMap has no such key.
    #[error("couldn't find key {key} in ConfigMap {namespace}/{name}")]
    ConfigMapKey {
        /// Wanted key.
        key: String,
        /// Of the pod.
        namespace: String,
        /// Of the ConfigMap.
        name: String,
    },
    /// The Secret has no such key.
    #[error("couldn't find key {key} in Secret {namespace}/{name}")]
    SecretKey {
        /// Wanted key.
        key: String,
        /// Of the pod.
        namespace: String,
        /// Of the Secret.
        name: String,
    },
    /// A field or resource reference leads nowhere.
    #[error("{0}")]
    Downward(#[from] downward::FieldError),
}

/// Why an object that a pod refers to is not at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Missing {
    /// The API says it does not exist; an optional reference may then be skipped.
    pub not_found: bool,
    /// `configmap "x" not found`, or the failure to ask.
    pub message: String,
}

/// Objects a pod refers to, by name, as they were when last looked at.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// ConfigMaps of the pod's namespace.
    pub config_maps: HashMap<String, Result<Arc<ConfigMap>, Missing>>,
    /// Secrets of the pod's namespace.
    pub secrets: HashMap<String, Result<Arc<Secret>, Missing>>,
}

impl Objects {
    /// The ConfigMap, or `None` if it does not exist and that is allowed.
    pub fn config_map(&self, name: &str, optional: bool) -> Result<Option<Arc<ConfigMap>>, Missing> {
        lookup(&self.config_maps, "configmap", name, optional)
    }

    /// The Secret, or `None` if it does not exist and that is allowed.
    pub fn secret(&self, name: &str, optional: bool) -> Result<Option<Arc<Secret>>, Missing> {
        lookup(&self.secrets, "secret", name, optional)
    }
}

fn lookup<K>(
    objects: &HashMap<String, Result<Arc<K>, Missing>>,
    kind: &str,
    name: &str,
    optional: bool,
) -> Result<Option<Arc<K>>, Missing> {
    let absent = || Missing { not_found: true, message: format!("{kind} \"{name}\" not found") };
    match objects.get(name).cloned().unwrap_or_else(|| Err(absent())) {
        Ok(object) => Ok(Some(object)),
        Err(missing) if missing.not_found && optional => Ok(None),
        Err(missing) => Err(missing),
    }
}

/// The environment of `container`: `envFrom`, then `env`, then the variables of services that neither names.
pub fn environment(
    container: &Container,
    objects: &Objects,
    downward: &Downward<'_>,
    services: &BTreeMap<String, String>,
) -> Result<Environment, EnvError> {
    let mut env = Ordered::default();
    for source in container.env_from.iter().flatten() {
        add_all(&mut env, source, objects)?;
    }
    for var in container.env.iter().flatten() {
        if let Some(value) = value_of(var, &env, objects, downward, container, services)? {
            env.set(&var.name, value);
        }
    }
    for (name, value) in services {
        if !env.at.contains_key(name) {
            env.set(name, value.clone());
        }
    }
    Ok(env.vars)
}

/// Variables by name that remember the order they came in; a repeated one takes the place of the first.
#[derive(Default)]
struct Ordered {
    vars: Environment,
    at: HashMap<String, usize>,
}

impl Ordered {
    fn set(&mut self, name: &str, value: String) {
        match self.at.get(name) {
            Some(index) => self.vars[*index].1 = value,
            None => {
                self.at.insert(name.to_owned(), self.vars.len());
                self.vars.push((name.to_owned(), value));
            }
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.at.get(name).map(|index| self.vars[*index].1.clone())
    }
}

fn add_all(env: &mut Ordered, source: &EnvFromSource, objects: &Objects) -> Result<(), EnvError> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(reference) = &source.config_map_ref {
        let object = objects.config_map(&reference.name, reference.optional == Some(true));
        for (key, value) in object.map_err(EnvError::Object)?.iter().flat_map(|map| map.data.iter().flatten())
        {
            env.set(&format!("{prefix}{key}"), value.clone());
        }
    }
    if let Some(reference) = &source.secret_ref {
        let object = objects.secret(&reference.name, reference.optional == Some(true));
        for (key, value) in object.map_err(EnvError::Object)?.iter().flat_map(|map| map.data.iter().flatten())
        {
            env.set(&format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
        }
    }
    Ok(())
}

fn value_of(
    var: &EnvVar,
    env: &Ordered,
    objects: &Objects,
    downward: &Downward<'_>,
    container: &Container,
    services: &BTreeMap<String, String>,
) -> Result<Option<String>, EnvError> {
    match (&var.value, &var.value_from) {
        (Some(value), _) if !value.is_empty() => {
            let lookup = |name: &str| env.get(name).or_else(|| services.get(name).cloned());
            Ok(Some(expansion::expand(value, lookup)))
        }
        (_, Some(source)) => referred(source, objects, downward, container),
        _ => Ok(Some(String::new())),
    }
}

fn referred(
    source: &EnvVarSource,
    objects: &Objects,
    downward: &Downward<'_>,
    container: &Container,
) -> Result<Option<String>, EnvError> {
    let namespace = || downward.pod.metadata.namespace.clone().unwrap_or_default();
    if let Some(field) = &source.field_ref {
        return Ok(Some(downward.field(&field.field_path)?));
    }
    if let Some(resource) = &source.resource_field_ref {
        return Ok(Some(downward.resource(resource, Some(container))?));
    }
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let object = objects.config_map(&reference.name, optional).map_err(EnvError::Object)?;
        let value = object.as_ref().and_then(|map| map.data.as_ref()?.get(&reference.key).cloned());
        let (key, name) = (reference.key.clone(), reference.name.clone());
        let missing = || EnvError::ConfigMapKey { key, namespace: namespace(), name };
        return value.map(Some).or_else(|| optional.then_some(None)).ok_or_else(missing);
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        let object = objects.secret(&reference.name, optional).map_err(EnvError::Object)?;
        let value = object.as_ref().and_then(|secret| secret.data.as_ref()?.get(&reference.key).cloned());
        let value = value.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
        let (key, name) = (reference.key.clone(), reference.name.clone());
        let missing = || EnvError::SecretKey { key, namespace: namespace(), name };
        return value.map(Some).or_else(|| optional.then_some(None)).ok_or_else(missing);
    }
    Ok(Some(String::new()))
}

#[cfg(test)]
mod tests;
