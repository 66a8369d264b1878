//! Gets the image of a container: already there, pulled, or on its way. Pulls run beside the worker, so that
//! nothing waits for them.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Secret};
use steersman_controller_runtime::EventType;
use tokio::task::JoinError;

use super::start::{BACKOFF_NEWS, Ground, Refusal, inspect_failed};
use super::{PodWorker, PullDone, now};
use crate::cri_config::security::ImageUser;
use crate::images::{self, Policy, name};
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
        if let Some(waiting) = self.pulling.get_mut(&full) {
            waiting.insert(container.name.clone());
            return Ok(Image::Coming);
        }
        // A pull serves one start; the next one asks its policy again.
        let pulled = self.pulled.remove(&container.name).flatten();
        let just_pulled = pulled.is_some();
        let asked = pulled.unwrap_or_else(|| full.clone());
        let found = self.shared.runtime.image(&asked).await.map_err(|status| {
            let message = inspect_failed(&wanted, &status);
            self.event(container, EventType::Warning, "InspectFailed", message.clone());
            refusal("ImageInspectError", message)
        })?;
        let policy = Policy::of(container.image_pull_policy.as_deref());
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
        self.pulling.values().any(|waiting| waiting.contains(name))
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
        let asker = container.clone();
        self.pulls.spawn(async move {
            let outcome = images::pull(&runtime, &image, &secrets, sandbox).await;
            PullDone { image, asker, outcome }
        });
        self.pulling.insert(full, HashSet::from([container.name.clone()]));
        Ok(Image::Coming)
    }

    fn pull_refused(&self, container: &Container, wanted: &str, full: &str, left: Duration) -> Refusal {
        let back_off = format!("Back-off pulling image \"{wanted}\"");
        let message = match self.pull_errors.get(full) {
            Some(error) => format!("{back_off}: ErrImagePull: {error}"),
            None => back_off.clone(),
        };
        self.event(container, EventType::Normal, "BackOff", back_off);
        let event = Some("Error: ImagePullBackOff".to_owned());
        Refusal { reason: "ImagePullBackOff", message, event, retry: Some(left.min(BACKOFF_NEWS)) }
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
        let Ok(PullDone { image, asker, outcome }) = done else { return true };
        // Those who waited beside the one that asked find the image there, or the back-off.
        for waiting in self.pulling.remove(&image).unwrap_or_default() {
            self.pulled.insert(waiting, None);
        }
        match outcome {
            Ok(pulled) => self.image_came(&image, &asker, pulled),
            Err(status) => self.pull_failed(&image, &asker, &rpc_error(&status)),
        }
        true
    }

    fn image_came(&mut self, image: &str, asker: &Container, pulled: images::Pulled) {
        self.pull_backoff.forget(image);
        self.pull_errors.remove(image);
        let took = u64::try_from(pulled.took.as_millis()).unwrap_or(u64::MAX);
        let took = go_duration(Duration::from_millis(took));
        let wanted = asker.image.as_deref().unwrap_or_default();
        let message = format!(
            "Successfully pulled image \"{wanted}\" in {took} ({took} including waiting). Image size: {} bytes.",
            pulled.bytes
        );
        self.event(asker, EventType::Normal, "Pulled", message);
        self.pulled.insert(asker.name.clone(), Some(pulled.image_ref));
    }

    fn pull_failed(&mut self, image: &str, asker: &Container, error: &str) {
        self.pull_backoff.next(image, now());
        self.pull_errors.insert(image.to_owned(), error.to_owned());
        let wanted = asker.image.as_deref().unwrap_or_default();
        let message = format!("Failed to pull image \"{wanted}\": {error}");
        self.event(asker, EventType::Warning, "Failed", message);
        self.event(asker, EventType::Warning, "Failed", "Error: ErrImagePull".to_owned());
        let waiting = crate::status::Waiting { reason: "ErrImagePull".to_owned(), message: error.to_owned() };
        self.waiting.insert(asker.name.clone(), waiting);
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
