//! The service proxy: nftables verdict maps from Services and EndpointSlices.
