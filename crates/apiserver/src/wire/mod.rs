//! HTTP in Kubernetes's dialect: what a request asks, in which encoding, and how answers are made. Knows nothing of
//! stores or kinds.

pub mod body;
pub mod info;
pub mod negotiate;
pub mod query;
pub mod respond;
pub mod warning;
