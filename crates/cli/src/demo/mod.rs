//! The demo: a web page that shows which pod on which node answered, and what a ConfigMap says. Its image is made
//! from Steersman's own static binary, so that it needs no network.

mod deploy;
mod image;
mod manifests;
mod page;
mod serve;

pub use deploy::{DeployError, Progress, deploy};
pub use image::{ImageError, write_image_archive};
pub use manifests::{NAME, NAMESPACE, NODE_PORT, manifests};
pub use page::DemoPage;
pub use serve::serve;
