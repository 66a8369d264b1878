//! Environment variables.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{
    config_map_key_problems, dns1123_subdomain_problems, env_var_name_problems,
};

use super::mounts::local_path;
use super::references::{self, Place};
use crate::checks::{invalid, required, required_name, subdomain};
use crate::tree::Read;

const SOURCES: [&str; 5] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
const ONE_SOURCE: &str =
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
const ONE_SOURCE_OF_ALL: &str = "must specify one of: `configMapRef` or `secretRef`";
const ONLY_ONE: &str = "may not have more than one field specified at a time";

/// The list `env`.
pub(super) fn variables(found: &mut ErrorList, variables: &[Tree], path: &Path) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        let name = variable.text("name");
        if required(found, path.child("name"), name) {
            invalid(found, &path.child("name"), name, env_var_name_problems(name));
        }
        if variable.has("valueFrom") {
            value_from(found, variable, &path.child("valueFrom"));
        }
    }
}

fn value_from(found: &mut ErrorList, variable: &Tree, path: &Path) {
    let from = variable.at("valueFrom");
    let given: Vec<&str> = SOURCES.into_iter().filter(|source| from.has(source)).collect();
    for kind in &given {
        let (source, path) = (from.at(kind), &path.child(kind));
        match *kind {
            "fieldRef" => references::field(found, source, path, Place::Variable),
            "resourceFieldRef" => references::resource(found, source, path, Place::Variable),
            "fileKeyRef" => file_key(found, source, path),
            _ => key(found, source, path),
        }
    }
    match given.len() {
        0 => found.push(Error::invalid(path.clone(), "", ONE_SOURCE)),
        _ if !variable.text("value").is_empty() => {
            found.push(Error::invalid(path.clone(), "", "may not be specified when `value` is not empty"));
        }
        1 => {}
        _ => found.push(Error::invalid(path.clone(), "", ONLY_ONE)),
    }
}

/// A key of a config map or secret.
fn key(found: &mut ErrorList, source: &Tree, path: &Path) {
    subdomain(found, &path.child("name"), source.text("name"));
    let key = source.text("key");
    if required(found, path.child("key"), key) {
        invalid(found, &path.child("key"), key, config_map_key_problems(key));
    }
}

/// A variable in a file of a volume.
fn file_key(found: &mut ErrorList, source: &Tree, path: &Path) {
    let key = source.text("key");
    if required(found, path.child("key"), key) {
        invalid(found, &path.child("key"), key, env_var_name_problems(key));
    }
    required(found, path.child("volumeName"), source.text("volumeName"));
    if required(found, path.child("path"), source.text("path")) {
        local_path(found, &path.child("path"), source.text("path"));
    }
}

/// The list `envFrom`.
pub(super) fn sources(found: &mut ErrorList, sources: &[Tree], path: &Path) {
    for (index, source) in sources.iter().enumerate() {
        let item = path.index(index);
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            invalid(found, &item.child("prefix"), prefix, env_var_name_problems(prefix));
        }
        let given: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|kind| source.has(kind)).collect();
        for kind in &given {
            let path = item.child(kind).child("name");
            required_name(found, path, source.at(kind).text("name"), dns1123_subdomain_problems);
        }
        // These two are reported for the list as a whole, as upstream does.
        match given.len() {
            0 => found.push(Error::invalid(path.clone(), "", ONE_SOURCE_OF_ALL)),
            1 => {}
            _ => found.push(Error::invalid(path.clone(), "", ONLY_ONE)),
        }
    }
}
