//! Cluster DNS: authoritative for the cluster domain, forwarding with a cache.
