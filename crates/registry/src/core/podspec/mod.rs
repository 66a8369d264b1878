//! What pods and the pod templates of every workload share.

pub(crate) mod defaults;
