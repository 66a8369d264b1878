//! Implements CRI: sandboxes, namespaces, cgroups, container lifecycle, shims.
