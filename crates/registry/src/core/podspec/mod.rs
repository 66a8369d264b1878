//! What pods and the pod templates of every workload share.

pub(crate) mod defaults;
pub(crate) mod sums;
pub(crate) mod validation;
pub(crate) mod warnings;
