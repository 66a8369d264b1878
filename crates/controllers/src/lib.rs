//! The controllers of kube-controller-manager, a folder each.
