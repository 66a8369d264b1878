//! Pod networks, links and addresses, and nftables over raw netlink.
