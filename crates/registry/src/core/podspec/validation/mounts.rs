//! Volume mounts and devices of a container.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::Whole;
use crate::checks::{Seen, known_word, required};
use crate::tree::Read;

/// The list `volumeMounts`. Some problems are reported for the list as a whole, as upstream does.
pub(super) fn files(found: &mut ErrorList, whole: &Whole, container: &Tree, list: &Path) {
    let devices = container.items("volumeDevices");
    let mut places = Seen::default();
    for (index, mount) in container.items("volumeMounts").iter().enumerate() {
        let path = list.index(index);
        let (name, place) = (mount.text("name"), mount.text("mountPath"));
        required(found, path.child("name"), name);
        if whole.volume(name).is_none() {
            found.push(Error::not_found(path.child("name"), name));
        }
        required(found, path.child("mountPath"), place);
        if !places.first(place) {
            found.push(Error::invalid(path.child("mountPath"), place, "must be unique"));
        }
        if devices.iter().any(|device| device.text("name") == name) {
            found.push(Error::invalid(path.child("name"), name, "must not already exist in volumeDevices"));
        }
        if devices.iter().any(|device| device.text("devicePath") == place) {
            let why = "must not already exist as a path in volumeDevices";
            found.push(Error::invalid(path.child("mountPath"), place, why));
        }
        sub_path(found, whole, mount, list, &path);
        propagation(found, mount, container, &list.child("mountPropagation"));
        recursive_read_only(found, mount, &list.child("recursiveReadOnly"));
    }
}

fn sub_path(found: &mut ErrorList, whole: &Whole, mount: &Tree, list: &Path, path: &Path) {
    let of_image = whole.volume(mount.text("name")).is_some_and(|volume| volume.has("image"));
    let given: Vec<&str> =
        ["subPath", "subPathExpr"].into_iter().filter(|field| !mount.text(field).is_empty()).collect();
    for field in &given {
        if of_image {
            let why = "not allowed in image volume sources";
            found.push(Error::invalid(path.child(field), mount.text(field), why));
        }
        local_path(found, &list.child(field), mount.text(field));
    }
    if given.len() == 2 {
        let why = "subPathExpr and subPath are mutually exclusive";
        found.push(Error::invalid(path.child("subPathExpr"), mount.text("subPathExpr"), why));
    }
}

/// A path below some directory that cannot lead out of it.
pub(super) fn local_path(found: &mut ErrorList, path: &Path, value: &str) {
    if value.starts_with('/') {
        found.push(Error::invalid(path.clone(), value, "must be a relative path"));
    }
    no_steps_back(found, path, value);
}

/// A path without `..`.
pub(super) fn no_steps_back(found: &mut ErrorList, path: &Path, value: &str) {
    if value.split('/').any(|part| part == "..") {
        found.push(Error::invalid(path.clone(), value, "must not contain '..'"));
    }
}

fn propagation(found: &mut ErrorList, mount: &Tree, container: &Tree, path: &Path) {
    if !mount.has("mountPropagation") {
        return;
    }
    let mode = mount.text("mountPropagation");
    known_word(found, path.clone(), mode, &["Bidirectional", "HostToContainer", "None"]);
    if mode == "Bidirectional" && !container.flag("securityContext.privileged") {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        found.push(Error::forbidden(path.clone(), why));
    }
}

fn recursive_read_only(found: &mut ErrorList, mount: &Tree, path: &Path) {
    if !mount.has("recursiveReadOnly") {
        return;
    }
    match mount.text("recursiveReadOnly") {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.flag("readOnly") {
                found.push(Error::forbidden(path.clone(), "may only be specified when readOnly is true"));
            }
            if !matches!(mount.text("mountPropagation"), "" | "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                found.push(Error::forbidden(path.clone(), why));
            }
        }
        other => known_word(found, path.clone(), other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

/// The list `volumeDevices`.
pub(super) fn devices(found: &mut ErrorList, whole: &Whole, container: &Tree, list: &Path) {
    let (mut names, mut places) = (Seen::default(), Seen::default());
    for (index, device) in container.items("volumeDevices").iter().enumerate() {
        let path = list.index(index);
        let (name, place) = (device.text("name"), device.text("devicePath"));
        if required(found, path.child("name"), name) && !names.first(name) {
            found.push(Error::invalid(path.child("name"), name, "must be unique"));
        }
        match whole.volume(name) {
            None => found.push(Error::not_found(path.child("name"), name)),
            Some(volume) if !volume.has("persistentVolumeClaim") && !volume.has("ephemeral") => {
                let why =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                found.push(Error::invalid(path.child("name"), name, why));
            }
            Some(_) => {}
        }
        required(found, path.child("devicePath"), place);
        if !places.first(place) {
            found.push(Error::invalid(path.child("devicePath"), place, "must be unique"));
        }
        if place.split('/').any(|part| part == "..") {
            let why = "can not contain backsteps ('..')";
            found.push(Error::invalid(path.child("devicePath"), place, why));
        }
    }
}
