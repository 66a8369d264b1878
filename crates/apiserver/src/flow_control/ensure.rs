//! Brings the stored objects to what they must be, through the server itself. What others write at the same time is
//! seen by the follower, and looked at again.

use http::Method;
use jiff::Timestamp;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use super::defaults::{self, Default};
use super::plan::Objects;
use super::status::with_dangling;
use super::{API_VERSION, LEVELS, SCHEMAS};
use crate::bootstrap::ask;
use crate::server::ApiServer;
use crate::view::text;

/// The names under which upstream writes its defaults and the conditions.
const PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
const CONSUMER: &str = "api-priority-and-fairness-config-consumer-v1";

/// Creates missing defaults, corrects those that the server keeps, removes those of other versions, and writes the
/// conditions of schemas. One failure does not keep the rest from being written; the first is told.
pub async fn ensure(server: &ApiServer, schemas: &Objects, levels: &Objects) -> Result<(), ApiError> {
    let mut outcome = Ok(());
    let all = [(LEVELS, levels, defaults::levels()), (SCHEMAS, schemas, defaults::schemas())];
    for (resource, found, defaults) in all {
        for default in &defaults {
            let existing = found.get(default.object.name());
            outcome = outcome.and(one(server, resource, default, existing.map(|found| &**found)).await);
        }
        let is_default = |name: &str| defaults.iter().any(|default| default.object.name() == name);
        for (name, _) in
            found.iter().filter(|(name, found)| !is_default(name) && defaults::is_left_over(found))
        {
            outcome = outcome.and(write(server, Method::DELETE, &object(resource, name), None).await);
        }
    }
    for (name, schema) in schemas {
        let level = text(schema, "/spec/priorityLevelConfiguration/name");
        if let Some(revised) = with_dangling(schema, levels.contains_key(level), Timestamp::now()) {
            let uri = format!("{}/status?fieldManager={CONSUMER}", object(SCHEMAS, name));
            outcome = outcome.and(write(server, Method::PUT, &uri, Some(revised)).await);
        }
    }
    outcome
}

async fn one(
    server: &ApiServer,
    resource: &str,
    default: &Default,
    found: Option<&Tree>,
) -> Result<(), ApiError> {
    let Some(found) = found else {
        let uri = format!("/apis/{API_VERSION}/{resource}?fieldManager={PRODUCER}");
        return write(server, Method::POST, &uri, Some(default.object.clone())).await;
    };
    let Some(revised) = defaults::revised(found, default) else { return Ok(()) };
    let uri = format!("{}?fieldManager={PRODUCER}", object(resource, default.object.name()));
    write(server, Method::PUT, &uri, Some(revised)).await
}

fn object(resource: &str, name: &str) -> String {
    format!("/apis/{API_VERSION}/{resource}/{name}")
}

/// Writes. Somebody else's having been faster is no failure: the follower tells when their write is known.
async fn write(server: &ApiServer, method: Method, uri: &str, body: Option<Tree>) -> Result<(), ApiError> {
    match ask(server, method, uri, body).await {
        Err(error) if matches!(error.code, 404 | 409) => Ok(()),
        other => other.map(drop),
    }
}
