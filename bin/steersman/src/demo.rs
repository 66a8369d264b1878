//! The demo: `up --demo` deploys it, `demo-page` is what runs in its pods.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use steersman_cli::demo::{self, DemoPage};
use steersman_image::ImageStore;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::control;

/// The demo's image. Nobody can pull it: it is made of this very binary.
const IMAGE: &str = concat!("steersman.invalid/demo:", env!("CARGO_PKG_VERSION"));
/// How long the demo may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Arguments {
    /// Where to serve the page.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
}

/// Serves the page until it is told to stop.
pub fn main(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(arguments.listen).await;
        let listener = listener.with_context(|| format!("could not listen on {}", arguments.listen))?;
        let (mut terminate, stop) = (signal(SignalKind::terminate())?, CancellationToken::new());
        let serving = demo::serve(listener, DemoPage::from_env(), stop.clone());
        let ending = async {
            terminate.recv().await;
            stop.cancel();
        };
        tokio::join!(serving, ending);
        Ok(())
    })
}

/// Makes the image, deploys the demo, and waits until all its replicas answer.
pub async fn deploy(client: kube::Client, images: Arc<ImageStore>) -> Result<()> {
    let imported = tokio::task::spawn_blocking(move || import(&images)).await;
    imported.context("making the demo's image panicked")?.context("could not make the demo's image")?;
    demo::deploy(client, IMAGE, PATIENCE, |_| {}).await.context("could not deploy the demo")
}

fn import(images: &ImageStore) -> Result<()> {
    let dir = images.root().join("downloads");
    let archive = dir.join("demo.tar");
    demo::write_image_archive(Path::new("/proc/self/exe"), IMAGE, &archive)?;
    let imported = control::import(images, &archive, None);
    std::fs::remove_file(&archive).with_context(|| format!("could not remove {}", archive.display()))?;
    imported.map(drop)
}
