//! The group `policy`.

pub(crate) mod poddisruptionbudget;
