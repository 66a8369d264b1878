//! The group `resource.k8s.io`: devices that are allocated to claims (dynamic resource allocation).
//!
//! What upstream puts behind gates that are off by default in 1.37 is dropped here too, where dropping is what a server
//! with the gate off does: node-allocatable resources, compatibility groups, derived attributes, partition types and
//! skipped node operations.

mod admin;
mod checks;
mod claimspec;
pub(crate) mod deviceclass;
pub(crate) mod devicetaintrule;
pub(crate) mod resourceclaim;
pub(crate) mod resourceclaimtemplate;
pub(crate) mod resourceslice;

use crate::resource::Resource;
use crate::table;

const GROUP: Resource = Resource { group: "resource.k8s.io", ..table::BASE };
