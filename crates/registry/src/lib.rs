//! What differs between kinds: the resource table, and per resource its strategy (defaulting, validation, update
//! rules) and its printer columns. Pure: no store, no HTTP, no clock of its own.

pub mod cron;
mod resource;
mod scale;
mod strategy;
mod table;

mod admissionregistration;
mod apiextensions;
mod apiregistration;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod coordination;
mod core;
mod discovery;
mod dra;
mod flowcontrol;
mod networking;
mod node;
mod policy;
mod rbac;
mod review;
mod scheduling;
mod storage;
mod storagemigration;

mod addresses;
mod checks;
mod conditions;
mod print;
mod rules;
mod tree;
mod webhook;

pub use apiextensions::schema;
pub use core::pod::binding::assign_pod;
pub use resource::{Column, ColumnKind, Conversion, Resource, Scope, SelectableField, Subresource, Verb};
pub use scale::{scale_of, set_scale, validate_scale};
pub use scheduling::priorityclass::system_priority_classes;
pub use steersman_apimachinery::time::human_duration;
pub use strategy::{Context, Dependents, Strategy};
pub use table::resources;
