//! The group `autoscaling`.

pub(crate) mod horizontalpodautoscaler;
