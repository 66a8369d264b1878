//! Images: is one there, must it be pulled, with which credentials.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use steersman_cri as cri;
use tonic::Status;

pub mod credentials;
pub mod name;

use crate::runtime::Runtime;

/// A pull that takes longer than this has hung.
const PULL_LIMIT: Duration = Duration::from_secs(3600);

/// What a pull brought.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// How containers refer to it.
    pub image_ref: String,
    /// How long it took.
    pub took: Duration,
    /// Its size, bytes; 0 when the runtime does not say.
    pub bytes: u64,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Before every start.
    Always,
    /// When it is not on the node.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl Policy {
    /// Reads the field; the API has defaulted it.
    pub fn of(field: Option<&str>) -> Self {
        match field {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            _ => Self::IfNotPresent,
        }
    }
}

/// Pulls `image` with the first of the pod's credentials that works, or with none.
pub async fn pull(
    runtime: &Runtime,
    image: &str,
    secrets: &[Secret],
    sandbox: cri::PodSandboxConfig,
) -> Result<Pulled, Status> {
    let began = Instant::now();
    let candidates = credentials::candidates(secrets, image);
    let mut attempts: Vec<Option<cri::AuthConfig>> = candidates.into_iter().map(Some).collect();
    if attempts.is_empty() {
        attempts.push(None);
    }
    let mut outcome = Err(Status::unknown("no pull was tried"));
    for auth in attempts {
        let request = cri::PullImageRequest {
            image: Some(cri::ImageSpec { image: image.to_owned(), ..cri::ImageSpec::default() }),
            auth,
            sandbox_config: Some(sandbox.clone()),
        };
        outcome = crate::runtime::call(PULL_LIMIT, runtime.images.clone().pull_image(request)).await;
        if outcome.is_ok() {
            break;
        }
    }
    let image_ref = outcome?.image_ref;
    let took = began.elapsed();
    let bytes = runtime.image(&image_ref).await?.map_or(0, |image| image.size);
    Ok(Pulled { image_ref, took, bytes })
}
