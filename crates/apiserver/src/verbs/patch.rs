//! PATCH: JSON patch, merge patch, strategic merge patch and apply.

use bytes::Bytes;
use http::StatusCode;
use steersman_api::yaml;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::patch::{apply_json, apply_merge, apply_strategic};
use steersman_apimachinery::status::ApiError;

use super::options::WriteOptions;
use super::update::{Source, change};
use super::{create, report_problems, settle_namespace, undecodable};
use crate::call::Call;
use crate::managers;
use crate::wire::body::Response;
use crate::wire::negotiate;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// Changes the object as the body says.
pub async fn patch(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    let options = WriteOptions::parse(call.query, "PatchOptions")?;
    let media = negotiate::media_type(call.headers);
    if media == APPLY {
        return apply(call, &body, &options).await;
    }
    check_no_force(&options)?;
    let patch = Patch::read(call, &body)?;
    let shown = change(call, &options, Source::Patch, |old| patch.apply(call, old, &options)).await?;
    call.show(StatusCode::OK, &shown)
}

fn check_no_force(options: &WriteOptions) -> Result<(), ApiError> {
    if options.force.is_none() {
        return Ok(());
    }
    let problem = Error::forbidden(Path::new("force"), "may not be specified for non-apply patch");
    Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &vec![problem]))
}

/// A patch that starts from the stored object.
pub struct Patch {
    kind: Kind,
    body: Tree,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
}

impl Patch {
    /// Reads a patch; 415 if its kind is unknown.
    pub fn read(call: &Call<'_>, body: &[u8]) -> Result<Self, ApiError> {
        let kind = match negotiate::media_type(call.headers).as_str() {
            JSON => Kind::Json,
            MERGE => Kind::Merge,
            STRATEGIC => Kind::Strategic,
            _ => return Err(negotiate::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY])),
        };
        if kind == Kind::Strategic && call.definition().custom().is_some() {
            return Err(negotiate::unsupported_media_type(&[JSON, MERGE, APPLY]));
        }
        let body = serde_json::from_slice(body)
            .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
        Ok(Self { kind, body })
    }

    /// The object after the patch, in its type's form: unknown fields go, wrong types are refused.
    pub fn apply(&self, call: &Call<'_>, old: &Tree, options: &WriteOptions) -> Result<Tree, ApiError> {
        let decoded = call.definition().decode_tree(self.patched(call, old)?).map_err(|failure| {
            let why = undecodable(call.kind(), call.version(), b"{}", failure);
            self.patched(call, old).map_or_else(|error| error, |patched| misfit(&why, &patched))
        })?;
        report_problems(call, &decoded.problems, options.validation)?;
        Ok(decoded.tree)
    }

    fn patched(&self, call: &Call<'_>, old: &Tree) -> Result<Tree, ApiError> {
        match self.kind {
            Kind::Json => apply_json(old, &self.body),
            Kind::Merge => apply_merge(old, &self.body),
            Kind::Strategic => {
                let schema = call
                    .definition()
                    .schema()
                    .ok_or_else(|| negotiate::unsupported_media_type(&[JSON, MERGE, APPLY]))?;
                apply_strategic(old, &self.body, &schema)
            }
        }
    }
}

/// 422 for a patch whose result is no object of the type: the patch was fine as such.
fn misfit(why: &ApiError, patched: &Tree) -> ApiError {
    let problem = Error::invalid(Path::new("patch"), patched.to_string(), why.message.as_str());
    ApiError::invalid("", "", "", &vec![problem])
}

/// Server-side apply: the body is the part of the object that the manager wants.
async fn apply(call: &Call<'_>, body: &[u8], options: &WriteOptions) -> Result<Response, ApiError> {
    if call.query.non_empty("fieldManager").is_none() {
        let problem = Error::required(Path::new("fieldManager"), "is required for apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &vec![problem]));
    }
    let document =
        yaml::parse(body).map_err(|why| ApiError::bad_request(format!("error decoding YAML: {why}")))?;
    let problems: Vec<String> = document.problems.iter().map(ToString::to_string).collect();
    report_problems(call, &problems, options.validation)?;
    let mut config = document.tree;
    settle_namespace(call, &mut config)?;
    if config.name().is_empty() {
        config.set("metadata.name", call.info.name.as_str());
    }
    let force = options.force.unwrap_or(false);
    let exists = call.server.storage.get(call.entry, &call.info.namespace, &call.info.name).await?.is_some();
    if !exists && call.subresource.is_none() {
        let tree = managers::apply(call, None, &config, force)?;
        let shown = create::create_applied(call, tree, options).await?;
        return call.show(StatusCode::CREATED, &shown);
    }
    let shown =
        change(call, options, Source::Apply, |old| managers::apply(call, Some(old), &config, force)).await?;
    call.show(StatusCode::OK, &shown)
}
