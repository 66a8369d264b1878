//! Where the data of a persistent volume is: one of many sources, most of which are no longer served by anything but
//! may still be written.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_label_problems, dns1123_subdomain_problems, range_problems};

use super::iscsi;
use crate::checks::{driver_name, known_word, label, required, required_name};
use crate::core::podspec::validation::host_path;
use crate::tree::{Read, same};

const ONE_SOURCE: &str = "may not specify more than 1 volume type";

/// A kind of source.
struct Source {
    field: &'static str,
    /// How upstream spells the field when it is one too many.
    refused: &'static str,
    /// How upstream spells the field before its own fields.
    shown: &'static str,
    /// Fields that it cannot do without.
    required: &'static [&'static str],
    /// What else there is to check.
    check: fn(&mut ErrorList, &Tree, &Path),
}

fn nothing(_: &mut ErrorList, _: &Tree, _: &Path) {}

const fn source(
    field: &'static str,
    required: &'static [&'static str],
    check: fn(&mut ErrorList, &Tree, &Path),
) -> Source {
    Source { field, refused: field, shown: field, required, check }
}

/// In the order in which a second one is refused.
const SOURCES: &[Source] = &[
    source("hostPath", &["path"], host_path),
    Source { shown: "persistentDisk", ..source("gcePersistentDisk", &["pdName"], partition) },
    source("awsElasticBlockStore", &["volumeID"], partition),
    source("glusterfs", &["endpoints", "path"], glusterfs),
    source("flocker", &[], flocker),
    source("nfs", &["server", "path"], nfs),
    source("rbd", &["monitors", "image"], nothing),
    source("quobyte", &[], quobyte),
    Source { refused: "cephFS", ..source("cephfs", &["monitors"], nothing) },
    source("iscsi", &["targetPortal"], nothing),
    source("cinder", &["volumeID"], secret_parts),
    source("fc", &[], fc),
    source("flexVolume", &["driver"], flex),
    source("azureFile", &["secretName", "shareName"], azure_file),
    source("vsphereVolume", &["volumePath"], nothing),
    source("photonPersistentDisk", &["pdID"], nothing),
    source("portworxVolume", &["volumeID"], nothing),
    source("azureDisk", &["diskName", "diskURI"], azure_disk),
    source("scaleIO", &["gateway", "system", "volumeName"], nothing),
    source("local", &["path"], local),
    source("storageos", &["volumeName"], storageos),
    source("csi", &[], csi),
];

/// Checks that there is exactly one source, and that one. `name` is the volume's.
pub(super) fn one(found: &mut ErrorList, spec: &Tree, name: &str, path: &Path) {
    let mut count = 0;
    for source in SOURCES.iter().filter(|source| spec.has(source.field)) {
        count += 1;
        // Upstream lets this one come second.
        if count > 1 && source.field != "flexVolume" {
            found.push(Error::forbidden(path.child(source.refused), ONE_SOURCE));
            continue;
        }
        let (given, at) = (spec.at(source.field), path.child(source.shown));
        for field in source.required.iter().filter(|field| same(given.at(field), &Tree::Null)) {
            found.push(Error::required(at.child(field), ""));
        }
        (source.check)(found, given, &at);
        match source.field {
            "iscsi" => iscsi::check(found, given, name, &at),
            "local" if !spec.has("nodeAffinity") => {
                let why = "Local volume requires node affinity";
                found.push(Error::required(path.child("nodeAffinity"), why));
            }
            _ => {}
        }
    }
    if count == 0 {
        found.push(Error::required(path.clone(), "must specify a volume type"));
    }
}

/// Whether the data is somewhere else than before.
pub(super) fn differ(new: &Tree, old: &Tree) -> bool {
    SOURCES.iter().any(|source| !same(new.at(source.field), old.at(source.field)))
}

fn partition(found: &mut ErrorList, disk: &Tree, path: &Path) {
    if let Some(number) = disk.int("partition").filter(|number| !(0..=255).contains(number)) {
        found.push(Error::invalid(path.child("partition"), number, "must be between 1 and 255, inclusive"));
    }
}

fn glusterfs(found: &mut ErrorList, volume: &Tree, path: &Path) {
    let path = path.child("endpointsNamespace");
    match volume.at("endpointsNamespace").as_str() {
        None => {}
        Some("") => {
            let why = "if the endpointnamespace is set, it must be a valid namespace name";
            found.push(Error::invalid(path, "", why));
        }
        Some(namespace) => label(found, &path, namespace),
    }
}

fn flocker(found: &mut ErrorList, volume: &Tree, path: &Path) {
    match (volume.text("datasetName"), volume.text("datasetUUID")) {
        ("", "") => {
            found.push(Error::required(path.clone(), "one of datasetName and datasetUUID is required"));
        }
        ("", _) | (_, "") => {}
        _ => {
            let why = "datasetName and datasetUUID can not be specified simultaneously";
            found.push(Error::invalid(path.clone(), "resource", why));
        }
    }
    let name = volume.text("datasetName");
    if name.contains('/') {
        found.push(Error::invalid(path.child("datasetName"), name, "must not contain '/'"));
    }
}

fn nfs(found: &mut ErrorList, volume: &Tree, path: &Path) {
    let place = volume.text("path");
    if !place.starts_with('/') {
        found.push(Error::invalid(path.child("path"), place, "must be an absolute path"));
    }
}

fn quobyte(found: &mut ErrorList, volume: &Tree, path: &Path) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = volume.text("registry");
    if registry.is_empty() {
        found.push(Error::required(path.child("registry"), PAIRS));
    } else if volume.text("tenant").len() > 64 {
        let why = "must be a UUID and may not exceed a length of 64 characters";
        found.push(Error::required(path.child("tenant"), why));
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            found.push(Error::invalid(path.child("registry"), registry, PAIRS));
        }
    }
    required(found, path.child("volume"), volume.text("volume"));
}

fn is_host_and_port(pair: &str) -> bool {
    match pair.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").is_some_and(|(_, port)| !port.contains([':', '[', ']'])),
        None => pair.split(':').count() == 2 && !pair.contains(['[', ']']),
    }
}

/// A secret in another namespace: both parts of its name are needed.
fn secret_parts(found: &mut ErrorList, volume: &Tree, path: &Path) {
    if volume.has("secretRef") {
        let (secret, path) = (volume.at("secretRef"), path.child("secretRef"));
        required(found, path.child("name"), secret.text("name"));
        required(found, path.child("namespace"), secret.text("namespace"));
    }
}

fn fc(found: &mut ErrorList, volume: &Tree, path: &Path) {
    let (targets, ids) = (volume.items("targetWWNs"), volume.items("wwids"));
    let at = path.child("targetWWNs");
    if targets.is_empty() && ids.is_empty() {
        found.push(Error::required(at.clone(), "must specify either targetWWNs or wwids, but not both"));
    }
    if !targets.is_empty() && !ids.is_empty() {
        let why = "targetWWNs and wwids can not be specified simultaneously";
        found.push(Error::invalid(at, volume.at("targetWWNs").clone(), why));
    }
    if targets.is_empty() {
        return;
    }
    match volume.int("lun") {
        None => {
            found.push(Error::required(path.child("lun"), "lun is required if targetWWNs is specified"));
        }
        Some(lun) => unit_number(found, lun, path),
    }
}

/// The number of a logical unit.
pub(super) fn unit_number(found: &mut ErrorList, number: i64, path: &Path) {
    for why in range_problems(number, 0, 255) {
        found.push(Error::invalid(path.child("lun"), number, why));
    }
}

fn flex(found: &mut ErrorList, volume: &Tree, path: &Path) {
    for (option, _) in volume.entries("options") {
        let domain = option.split_once('/').map_or(option, |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            found.push(Error::invalid(path.child("options").key(option), option, why));
        }
    }
}

fn azure_file(found: &mut ErrorList, volume: &Tree, path: &Path) {
    if volume.at("secretNamespace").as_str() == Some("") {
        found.push(Error::required(path.child("secretNamespace"), ""));
    }
}

fn azure_disk(found: &mut ErrorList, disk: &Tree, path: &Path) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    let uri = disk.text("diskURI");
    if disk.has("cachingMode") {
        let known = ["None", "ReadOnly", "ReadWrite"];
        known_word(found, path.child("cachingMode"), disk.text("cachingMode"), &known);
    }
    let Some(kind) = disk.at("kind").as_str() else { return };
    known_word(found, path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let (start, form) = if kind == "Managed" { ("/subscriptions/", MANAGED) } else { ("https://", BLOB) };
    if !uri.starts_with(start) {
        found.push(Error::not_supported(path.child("diskURI"), uri, &[form]));
    }
}

fn local(found: &mut ErrorList, volume: &Tree, path: &Path) {
    let place = volume.text("path");
    if place.split('/').any(|part| part == "..") {
        found.push(Error::invalid(path.child("path"), place, "must not contain '..'"));
    }
}

fn storageos(found: &mut ErrorList, volume: &Tree, path: &Path) {
    for field in ["volumeName", "volumeNamespace"].into_iter().filter(|field| !volume.text(field).is_empty())
    {
        label(found, &path.child(field), volume.text(field));
    }
    secret_parts(found, volume, path);
}

fn csi(found: &mut ErrorList, volume: &Tree, path: &Path) {
    driver_name(found, &path.child("driver"), volume.text("driver"), Error::too_long);
    required(found, path.child("volumeHandle"), volume.text("volumeHandle"));
    let secrets = [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ];
    for field in secrets.into_iter().filter(|field| volume.has(field)) {
        let (secret, path) = (volume.at(field), path.child(field));
        required_name(found, path.child("name"), secret.text("name"), dns1123_subdomain_problems);
        required_name(found, path.child("namespace"), secret.text("namespace"), dns1123_label_problems);
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
