//! `steersman image`: the node's images.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use steersman_cri as cri;

use crate::control::{self, Request, Response};
use crate::data_dir::DataDir;
use crate::settings::DataDirArgument;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Import the images of a docker-archive or OCI archive.
    Import {
        /// The archive, plain or compressed with gzip.
        archive: PathBuf,
        /// Name for an image that has none in the archive.
        #[arg(long)]
        name: Option<String>,
    },
    /// Pull an image from its registry.
    Pull {
        /// Name, as in a pod.
        image: String,
        /// `user:password` for the registry.
        #[arg(
            long,
            value_name = "USER:PASSWORD",
            env = "STEERSMAN_REGISTRY_CREDENTIALS",
            hide_env_values = true
        )]
        credentials: Option<String>,
    },
    /// List images.
    List,
    /// Remove an image.
    Remove {
        /// Name, digest or id.
        image: String,
    },
}

/// Runs the subcommand against the cluster of the data directory.
pub fn main(arguments: Arguments) -> Result<()> {
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Import { archive, name } => import(&data_dir, archive, name).await,
            Command::Pull { image, credentials } => pull(&data_dir, image, credentials).await,
            Command::List => list(&data_dir).await,
            Command::Remove { image } => remove(&data_dir, image).await,
        }
    })
}

async fn import(data_dir: &DataDir, archive: PathBuf, name: Option<String>) -> Result<()> {
    let path = archive.canonicalize().with_context(|| format!("could not find {}", archive.display()))?;
    match control::call(&data_dir.control_socket(), &Request::Import { path, name }).await? {
        Response::Imported(names) => names.iter().for_each(|name| println!("imported {name}")),
        Response::Failed(why) => bail!("{why}"),
    }
    Ok(())
}

type Images = cri::client::ImageServiceClient<tonic::transport::Channel>;

async fn connect(data_dir: &DataDir) -> Result<Images> {
    let socket = data_dir.cri_socket();
    let connected = cri::connect(&socket).await;
    let (_, images) = connected.with_context(|| {
        format!("no cluster listens on {}; start one with: steersman up", socket.display())
    })?;
    Ok(images)
}

async fn pull(data_dir: &DataDir, image: String, credentials: Option<String>) -> Result<()> {
    let auth = match credentials.as_deref().map(|text| text.split_once(':')) {
        None => None,
        Some(Some((username, password))) => Some(cri::AuthConfig {
            username: username.to_owned(),
            password: password.to_owned(),
            ..cri::AuthConfig::default()
        }),
        Some(None) => bail!("--credentials must be USER:PASSWORD"),
    };
    let spec = cri::ImageSpec { image: image.clone(), ..cri::ImageSpec::default() };
    let request = cri::PullImageRequest { image: Some(spec), auth, ..cri::PullImageRequest::default() };
    let answer = connect(data_dir).await?.pull_image(request).await.map_err(message)?;
    println!("pulled {image} ({})", answer.into_inner().image_ref);
    Ok(())
}

async fn list(data_dir: &DataDir) -> Result<()> {
    let answer =
        connect(data_dir).await?.list_images(cri::ListImagesRequest::default()).await.map_err(message)?;
    println!("{:<60} {:<14} {:>10}", "IMAGE", "ID", "SIZE");
    for image in answer.into_inner().images {
        let id: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
        let names = if image.repo_tags.is_empty() { image.repo_digests } else { image.repo_tags };
        let size = format!("{:.1} MB", image.size as f64 / 1e6);
        for name in names.iter().map(String::as_str).chain(names.is_empty().then_some("<none>")) {
            println!("{name:<60} {id:<14} {size:>10}");
        }
    }
    Ok(())
}

async fn remove(data_dir: &DataDir, image: String) -> Result<()> {
    let mut images = connect(data_dir).await?;
    let spec = cri::ImageSpec { image: image.clone(), ..cri::ImageSpec::default() };
    let status = cri::ImageStatusRequest { image: Some(spec.clone()), ..cri::ImageStatusRequest::default() };
    if images.image_status(status).await.map_err(message)?.into_inner().image.is_none() {
        bail!("image {image:?} not found");
    }
    images.remove_image(cri::RemoveImageRequest { image: Some(spec) }).await.map_err(message)?;
    println!("removed {image}");
    Ok(())
}

/// What people need of a gRPC status.
fn message(status: tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{}", status.message())
}
