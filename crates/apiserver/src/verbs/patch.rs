//! PATCH: JSON patch, merge patch, strategic merge patch and apply.

use bytes::Bytes;
use http::StatusCode;
use steersman_api::schema_of;
use steersman_apimachinery::Tree;
use steersman_apimachinery::patch::{apply_json, apply_merge, apply_strategic};
use steersman_apimachinery::status::ApiError;

use super::options::WriteOptions;
use super::update::{Source, change};
use super::{report_problems, undecodable};
use crate::call::Call;
use crate::codec;
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
    let kind = Kind::of(&media)?;
    let patch: Tree = serde_json::from_slice(&body)
        .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    let shown = change(call, &options, Source::Patch, |old| {
        let new = kind.apply(call, old, &patch)?;
        retyped(call, new, &options)
    })
    .await?;
    call.show(StatusCode::OK, &shown)
}

/// The kinds of patches that start from the stored object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
}

impl Kind {
    fn of(media: &str) -> Result<Self, ApiError> {
        match media {
            JSON => Ok(Self::Json),
            MERGE => Ok(Self::Merge),
            STRATEGIC => Ok(Self::Strategic),
            _ => Err(negotiate::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY])),
        }
    }

    fn apply(self, call: &Call<'_>, old: &Tree, patch: &Tree) -> Result<Tree, ApiError> {
        match self {
            Self::Json => apply_json(old, patch),
            Self::Merge => apply_merge(old, patch),
            Self::Strategic => {
                let schema = schema_of(call.definition())
                    .ok_or_else(|| negotiate::unsupported_media_type(&[JSON, MERGE, APPLY]))?;
                apply_strategic(old, patch, &schema)
            }
        }
    }
}

/// Brings a patched tree back to its type: unknown fields go, wrong types are refused.
fn retyped(call: &Call<'_>, tree: Tree, options: &WriteOptions) -> Result<Tree, ApiError> {
    let decoded = codec::decode_tree(call.definition(), tree)
        .map_err(|failure| undecodable(call.kind(), call.version(), b"{}", failure))?;
    report_problems(call, &decoded.problems, options.validation)?;
    Ok(decoded.tree)
}
