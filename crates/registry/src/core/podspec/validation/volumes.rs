//! Volumes: each has one source. Sources that only other components serve are checked for what they cannot do
//! without.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1123_label_problems;
use steersman_apimachinery::quantity::Quantity;

use super::mounts::{local_path, no_steps_back};
use super::references::{self, Place};
use crate::checks::{Seen, known_word, required, required_name};
use crate::core::claimspec;
use crate::tree::Read;

const ONE_SOURCE: &str = "may not specify more than 1 volume type";
const NO_SOURCE: &str = "must specify a volume type";
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// The kinds of sources, in the order in which a second one is refused.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "flexVolume",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Strings that a source cannot do without.
const REQUIRED_FIELDS: &[(&str, &[&str])] = &[
    ("nfs", &["server", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("csi", &["driver"]),
    ("configMap", &["name"]),
    ("secret", &["secretName"]),
    ("hostPath", &["path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("cinder", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("rbd", &["image"]),
    ("azureFile", &["secretName", "shareName"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("vsphereVolume", &["volumePath"]),
    ("flexVolume", &["driver"]),
    ("gitRepo", &["repository"]),
];

/// The list `volumes`.
pub(super) fn list(found: &mut ErrorList, volumes: &[Tree], path: &Path) {
    let mut names = Seen::default();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        one_source(found, volume, SOURCES, &path, source);
        let name = volume.text("name");
        required_name(found, path.child("name"), name, dns1123_label_problems);
        if !name.is_empty() {
            names.unique(found, path.child("name"), name);
        }
    }
}

fn one_source(
    found: &mut ErrorList,
    holder: &Tree,
    kinds: &[&str],
    path: &Path,
    check: fn(&mut ErrorList, &str, &Tree, &Path),
) {
    let given: Vec<&&str> = kinds.iter().filter(|kind| holder.has(kind)).collect();
    for (nth, kind) in given.iter().enumerate() {
        if nth == 0 {
            check(found, kind, holder.at(kind), &path.child(kind));
        } else {
            found.push(Error::forbidden(path.child(kind), ONE_SOURCE));
        }
    }
    if given.is_empty() {
        found.push(Error::required(path.clone(), NO_SOURCE));
    }
}

fn source(found: &mut ErrorList, kind: &str, source: &Tree, path: &Path) {
    let fields = REQUIRED_FIELDS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| fields);
    for field in fields {
        required(found, path.child(field), source.text(field));
    }
    match kind {
        "emptyDir" => empty_dir(found, source, path),
        "hostPath" => host_path(found, source, path),
        "configMap" | "secret" => {
            mode(found, source, "defaultMode", path);
            keys_to_paths(found, source, path);
        }
        "downwardAPI" => {
            mode(found, source, "defaultMode", path);
            source.items("items").iter().for_each(|file| downward_file(found, file, path));
        }
        "projected" => projected(found, source, path),
        "nfs" if !source.text("path").is_empty() && !source.text("path").starts_with('/') => {
            found.push(Error::invalid(path.child("path"), source.text("path"), "must be an absolute path"));
        }
        "ephemeral" => match source.at("volumeClaimTemplate") {
            Tree::Null => found.push(Error::required(path.child("volumeClaimTemplate"), "")),
            template => claimspec::template(found, template, &path.child("volumeClaimTemplate")),
        },
        "image" if source.has("pullPolicy") => {
            let known = ["Always", "IfNotPresent", "Never"];
            known_word(found, path.child("pullPolicy"), source.text("pullPolicy"), &known);
        }
        _ => {}
    }
}

fn empty_dir(found: &mut ErrorList, source: &Tree, path: &Path) {
    if Quantity::from_tree(source.at("sizeLimit")).is_ok_and(|size| size.signum() < 0) {
        let why = "SizeLimit field must be a valid resource quantity";
        found.push(Error::forbidden(path.child("sizeLimit"), why));
    }
}

/// A directory of the node, whose `path` is not empty.
pub(crate) fn host_path(found: &mut ErrorList, source: &Tree, path: &Path) {
    const KINDS: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    no_steps_back(found, &path.child("path"), source.text("path"));
    known_word(found, path.child("type"), source.text("type"), &KINDS);
}

fn mode(found: &mut ErrorList, holder: &Tree, field: &str, path: &Path) {
    if let Some(mode) = holder.int(field).filter(|mode| !(0..=0o777).contains(mode)) {
        found.push(Error::invalid(path.child(field), mode, MODE));
    }
}

fn keys_to_paths(found: &mut ErrorList, source: &Tree, path: &Path) {
    for (index, item) in source.items("items").iter().enumerate() {
        let path = path.child("items").index(index);
        required(found, path.child("key"), item.text("key"));
        required(found, path.child("path"), item.text("path"));
        file_path(found, item.text("path"), &path.child("path"));
        mode(found, item, "mode", &path);
    }
}

/// The name of a file in a volume: names that start with two dots are the volume's own.
fn file_path(found: &mut ErrorList, value: &str, path: &Path) {
    local_path(found, path, value);
    if value.starts_with("..") && !value.starts_with("../") {
        found.push(Error::invalid(path.clone(), value, "must not start with '..'"));
    }
}

/// A file of the downward API; upstream reports its problems for the volume as a whole.
fn downward_file(found: &mut ErrorList, file: &Tree, path: &Path) {
    required(found, path.child("path"), file.text("path"));
    file_path(found, file.text("path"), &path.child("path"));
    match (file.has("fieldRef"), file.has("resourceFieldRef")) {
        (true, both) => {
            references::field(found, file.at("fieldRef"), &path.child("fieldRef"), Place::File);
            if both {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                found.push(Error::invalid(path.clone(), "resource", why));
            }
        }
        (false, true) => {
            let path = path.child("resourceFieldRef");
            references::resource(found, file.at("resourceFieldRef"), &path, Place::File);
        }
        (false, false) => {
            found.push(Error::required(path.clone(), "one of fieldRef and resourceFieldRef is required"));
        }
    }
    mode(found, file, "mode", path);
}

const PROJECTIONS: &[&str] =
    &["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];

fn projected(found: &mut ErrorList, source: &Tree, path: &Path) {
    mode(found, source, "defaultMode", path);
    let mut files = Seen::default();
    for (index, part) in source.items("sources").iter().enumerate() {
        let item = path.child("sources").index(index);
        one_source(found, part, PROJECTIONS, &item, projection);
        for kind in ["secret", "configMap", "downwardAPI"] {
            for file in part.at(kind).items("items").iter().map(|file| file.text("path")) {
                if !file.is_empty() && !files.first(file) {
                    let name = part.at(kind).text("name");
                    found.push(Error::invalid(path.clone(), name, "conflicting duplicate paths"));
                }
            }
        }
        for kind in ["serviceAccountToken", "clusterTrustBundle"] {
            let file = part.at(kind).text("path");
            if !file.is_empty() && !files.first(file) {
                found.push(Error::invalid(path.clone(), file, "conflicting duplicate paths"));
            }
        }
    }
}

fn projection(found: &mut ErrorList, kind: &str, source: &Tree, path: &Path) {
    match kind {
        "secret" | "configMap" => {
            required(found, path.child("name"), source.text("name"));
            keys_to_paths(found, source, path);
        }
        "downwardAPI" => source.items("items").iter().for_each(|file| downward_file(found, file, path)),
        "serviceAccountToken" => token(found, source, path),
        "clusterTrustBundle" => {
            required(found, path.child("path"), source.text("path"));
            local_path(found, &path.child("path"), source.text("path"));
        }
        _ => {}
    }
}

fn token(found: &mut ErrorList, source: &Tree, path: &Path) {
    let seconds = source.int("expirationSeconds").unwrap_or(0);
    if seconds < 600 {
        let why = "may not specify a duration less than 10 minutes";
        found.push(Error::invalid(path.child("expirationSeconds"), seconds, why));
    }
    if seconds > 1 << 32 {
        let why = "may not specify a duration larger than 2^32 seconds";
        found.push(Error::invalid(path.child("expirationSeconds"), seconds, why));
    }
    if required(found, path.child("path"), source.text("path")) {
        file_path(found, source.text("path"), &path.child("path"));
    }
}
