//! The group `networking.k8s.io`.

pub(crate) mod ingress;
pub(crate) mod ingressclass;
pub(crate) mod ipaddress;
pub(crate) mod networkpolicy;
pub(crate) mod servicecidr;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};
use steersman_apimachinery::names::path_segment_problems;

use crate::checks::{invalid, required, subdomain};
use crate::tree::Read;

/// The group, kind and name of a reference to an object of any kind.
fn typed_reference(found: &mut ErrorList, reference: &Tree, path: &Path) {
    if reference.has("apiGroup") {
        subdomain(found, &path.child("apiGroup"), reference.text("apiGroup"));
    }
    segment(found, path.child("kind"), reference.text("kind"));
    segment(found, path.child("name"), reference.text("name"));
}

/// A name that must be given and be one segment of a URL's path.
fn segment(found: &mut ErrorList, path: Path, name: &str) {
    if required(found, path.clone(), name) {
        invalid(found, &path, name, path_segment_problems(name, false));
    }
}
