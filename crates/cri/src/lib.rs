//! The runtime and image service contract between kubelet and runtime (CRI v1).
