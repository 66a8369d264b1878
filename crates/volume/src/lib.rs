//! Volumes: files made from objects, host paths, empty dirs, mounts.
