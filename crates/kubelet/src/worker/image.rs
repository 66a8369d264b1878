//! Gets the image of a container: already there, pulled, or on its way. Pulls run beside the worker, so that
//! nothing waits for them.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Secret};
use steersman_controller_runtime::EventType;
use tokio::task::JoinError;

use super::start::{Ground, Refusal, inspect_failed};
use super::{PodWorker, PullDone, now};
use crate::cri_config::security::ImageUser;
use crate::images::{self, Policy, name};
use crate::pod::PodExt;
use crate::text::{go_duration, rpc_error};

/// Where the image of a container is.
pub(super) enum Image {
    /// On the node.
    Ready { image_ref: String, user: ImageUser },
    /// Being pulled.
    Coming,
}

impl PodWorker {
    /// The image of `container`, or the start of its pull.
    pub(super) async fn image(&mut self, container: &Container, ground: &Ground) -> Result<Image, Refusal> {
        let wanted = container.image.clone().unwrap_or_default();
        let full = name::with_default_tag(&wanted).map_err(|error| {
            let message = format!("Failed to apply default image tag \"{wanted}\": {error}");
            self.event(container, EventType::Warning, "InspectFailed", message.clone());
            refusal("InvalidImageName", message)
        })?;
        if self.pulling.contains(&full) {
            return Ok(Image::Coming);
        }
        let asked = self.pulled.get(&container.name).cloned().unwrap_or_else(|| full.clone());
        let found = self.shared.runtime.image(&asked).await.map_err(|status| {
            let message = inspect_failed(&wanted, &status);
            self.event(container, EventType::Warning, "InspectFailed", message.clone());
            refusal("ImageInspectError", message)
        })?;
        let policy = Policy::of(container.image_pull_policy.as_deref());
        let just_pulled = self.pulled.contains_key(&container.name);
        match (found, policy) {
            (Some(image), policy) if policy != Policy::Always || just_pulled => {
                if !just_pulled {
                    let message = format!(
                        "Container image \"{wanted}\" already present on machine and can be accessed by the pod"
                    );
                    self.event(container, EventType::Normal, "Pulled", message);
                }
                let user = ImageUser { uid: image.uid.map(|uid| uid.value), name: image.username };
                Ok(Image::Ready { image_ref: image.id, user })
            }
            (None, Policy::Never) => {
                let message =
                    format!("Container image \"{wanted}\" is not present with pull policy of Never");
                self.event(container, EventType::Warning, "ErrImageNeverPull", message.clone());
                Err(refusal("ErrImageNeverPull", message))
            }
            _ => self.begin_pull(container, &wanted, full, ground),
        }
    }

    /// Whether a container waits for a pull.
    pub(super) fn awaits_pull(&self, name: &str) -> bool {
        let image = self.pod.find_container(name).and_then(|(_, container)| container.image);
        let full = image.and_then(|image| name::with_default_tag(&image).ok());
        full.is_some_and(|full| self.pulling.contains(&full))
    }

    fn begin_pull(
        &mut self,
        container: &Container,
        wanted: &str,
        full: String,
        ground: &Ground,
    ) -> Result<Image, Refusal> {
        if let Some(left) = self.pull_backoff.remaining_since_update(&full, now()) {
            return Err(self.pull_refused(container, wanted, &full, left));
        }
        self.event(container, EventType::Normal, "Pulling", format!("Pulling image \"{wanted}\""));
        let secrets = self.pull_secrets(ground);
        let (runtime, sandbox, image) = (self.shared.runtime.clone(), ground.sandbox.clone(), full.clone());
        self.pulls.spawn(async move {
            let outcome = images::pull(&runtime, &image, &secrets, sandbox).await;
            PullDone { image, outcome }
        });
        self.pulling.insert(full);
        Ok(Image::Coming)
    }

    fn pull_refused(&self, container: &Container, wanted: &str, full: &str, left: Duration) -> Refusal {
        let back_off = format!("Back-off pulling image \"{wanted}\"");
        let message = match self.pull_errors.get(full) {
            Some(error) => format!("{back_off}: ErrImagePull: {error}"),
            None => back_off.clone(),
        };
        let told = self.waiting.get(&container.name).is_some_and(|told| told.reason == "ImagePullBackOff");
        if !told {
            self.event(container, EventType::Normal, "BackOff", back_off);
        }
        let event = (!told).then(|| "Error: ImagePullBackOff".to_owned());
        Refusal { reason: "ImagePullBackOff", message, event, retry: Some(left) }
    }

    fn pull_secrets(&self, ground: &Ground) -> Vec<Secret> {
        let (mut secrets, mut missing) = (Vec::new(), Vec::new());
        for name in &ground.pull_secrets {
            match ground.objects.secret(name, true) {
                Ok(Some(secret)) => secrets.push((*secret).clone()),
                Ok(None) | Err(_) => missing.push(name.as_str()),
            }
        }
        if !missing.is_empty() {
            let message = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            let reason = "FailedToRetrieveImagePullSecret";
            self.shared.pod_event(&self.pod, EventType::Warning, reason, message);
        }
        secrets
    }

    /// Takes the end of a pull; always a reason to look again.
    pub(super) fn pull_ended(&mut self, done: Result<PullDone, JoinError>) -> bool {
        let Ok(PullDone { image, outcome }) = done else { return true };
        self.pulling.remove(&image);
        let users: Vec<Container> = self
            .pod
            .every_container()
            .into_iter()
            .map(|(_, container)| container)
            .filter(|c| name::with_default_tag(c.image.as_deref().unwrap_or_default()).as_ref() == Ok(&image))
            .collect();
        match outcome {
            Ok(pulled) => {
                self.pull_backoff.forget(&image);
                self.pull_errors.remove(&image);
                let took = go_duration(Duration::from_millis(
                    u64::try_from(pulled.took.as_millis()).unwrap_or(u64::MAX),
                ));
                for container in users {
                    let wanted = container.image.as_deref().unwrap_or_default();
                    let message = format!(
                        "Successfully pulled image \"{wanted}\" in {took} ({took} including waiting). Image size: {} bytes.",
                        pulled.bytes
                    );
                    self.event(&container, EventType::Normal, "Pulled", message);
                    self.pulled.insert(container.name, pulled.image_ref.clone());
                }
            }
            Err(status) => self.pull_failed(&image, &users, &rpc_error(&status)),
        }
        true
    }

    fn pull_failed(&mut self, image: &str, users: &[Container], error: &str) {
        self.pull_backoff.next(image, now());
        self.pull_errors.insert(image.to_owned(), error.to_owned());
        for container in users {
            let wanted = container.image.as_deref().unwrap_or_default();
            let message = format!("Failed to pull image \"{wanted}\": {error}");
            self.event(container, EventType::Warning, "Failed", message);
            self.event(container, EventType::Warning, "Failed", "Error: ErrImagePull".to_owned());
            let waiting =
                crate::status::Waiting { reason: "ErrImagePull".to_owned(), message: error.to_owned() };
            self.waiting.insert(container.name.clone(), waiting);
        }
        // Seen by the API before the back-off takes its place.
        self.report(false);
    }

    fn event(&self, container: &Container, kind: EventType, reason: &str, message: String) {
        self.shared.container_event(&self.pod, &container.name, kind, reason, message);
    }
}

fn refusal(reason: &'static str, message: String) -> Refusal {
    Refusal { reason, message, event: Some(format!("Error: {reason}")), retry: Some(Duration::from_secs(10)) }
}
