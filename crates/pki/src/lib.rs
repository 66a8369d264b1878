//! The cluster's certificate authority, certificates, keys and kubeconfigs.
