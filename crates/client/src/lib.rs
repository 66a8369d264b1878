//! Makes a `kube::Client` over HTTP or over an in-process handler.
