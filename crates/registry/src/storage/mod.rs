//! The group `storage.k8s.io`.

pub(crate) mod csidriver;
pub(crate) mod csinode;
pub(crate) mod csistoragecapacity;
pub(crate) mod storageclass;
pub(crate) mod volumeattachment;
pub(crate) mod volumeattributesclass;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{qualified, required};
use crate::resource::Resource;
use crate::table;
use crate::tree::Read;

const GROUP: Resource = Resource { group: "storage.k8s.io", ..table::BASE };

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 * 1024;

/// Who makes the volumes of a class: a qualified name in any case.
fn provisioner(found: &mut ErrorList, path: Path, name: &str) {
    if required(found, path.clone(), name) {
        qualified(found, &path, &name.to_lowercase());
    }
}

/// The field `parameters` of a class.
fn parameters(found: &mut ErrorList, class: &Tree, may_be_empty: bool) {
    let path = Path::new("parameters");
    let (mut count, mut bytes) = (0, 0);
    for (key, value) in class.entries("parameters") {
        count += 1;
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if count > MAX_PARAMETERS {
        found.push(Error::too_long(path, MAX_PARAMETERS));
        return;
    }
    if class.at("parameters").get("").is_some() {
        found.push(Error::invalid(path.clone(), "", "field can not be empty."));
    }
    if bytes > MAX_PARAMETER_BYTES {
        found.push(Error::too_long(path.clone(), MAX_PARAMETER_BYTES));
    }
    if count == 0 && !may_be_empty {
        found.push(Error::required(path, "must contain at least one key/value pair"));
    }
}
