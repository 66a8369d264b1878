//! The kubelet: pod workers, probes, volumes, status, and its HTTPS server.
