//! What may be done to a resource, for every resource alike.

pub mod collection;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod options;
pub mod patch;
pub mod update;
pub mod watch;

use bytes::Bytes;
use steersman_api::decode::cannot_be_handled;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;

use crate::call::Call;
use crate::codec::{self, Failure};
use crate::computed;
use crate::wire::body::Response;
use crate::wire::negotiate;
use options::{FieldValidation, WriteOptions};

/// Where upstream's table of kinds is made; its messages name the place.
const LEGACY_SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// Does what is asked of a resource.
pub async fn answer(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    if let Some(computed) = computed::find(call.entry) {
        return computed::answer(call, computed).await;
    }
    match call.info.verb.as_str() {
        "get" => get::get(call).await,
        "list" => list::list(call).await,
        "watch" => watch::watch(call).await,
        "create" => create::create(call, body).await,
        "update" => update::put(call, body).await,
        "patch" => patch::patch(call, body).await,
        "delete" => delete::delete(call, body).await,
        _ => collection::delete(call, body).await,
    }
}

/// Reads a body that must be of the resource's (or subresource's) kind, and handles unknown fields as asked.
pub fn decode(call: &Call<'_>, body: &[u8], options: &WriteOptions) -> Result<Tree, ApiError> {
    let encoding = negotiate::body_encoding(call.headers)?;
    let decoded = call.definition().decode(body, encoding);
    let decoded = decoded.map_err(|failure| undecodable(call.kind(), call.version(), body, failure))?;
    report_problems(call, &decoded.problems, options.validation)?;
    let mut tree = decoded.tree;
    check_type(call, &mut tree)?;
    Ok(tree)
}

/// The 400 of a body that cannot be decoded as a `kind`, in upstream's words.
pub fn undecodable(kind: &str, version: &str, body: &[u8], failure: Failure) -> ApiError {
    match failure {
        Failure::Refused(error) => error,
        Failure::Untyped(why) => ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({})",
            summary(body)
        )),
        Failure::Unrecognized(why) => ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): \
             couldn't get version/kind; json parse error: {why} ({})",
            summary(body)
        )),
        Failure::Misfit(why) => {
            let sent: Tree = serde_json::from_slice(body).unwrap_or_default();
            let sent_kind = if sent.kind().is_empty() { kind } else { sent.kind() };
            let sent_version = sent.api_version().rsplit('/').next().filter(|v| !v.is_empty());
            let sent_version = sent_version.unwrap_or(version);
            ApiError::bad_request(cannot_be_handled(sent_kind, sent_version, kind, &why))
        }
    }
}

/// The beginning of a body, as text if it looks like JSON, else in hexadecimal.
fn summary(body: &[u8]) -> String {
    const LENGTH: usize = 30;
    let (shown, more) = (&body[..body.len().min(LENGTH)], body.len() > LENGTH);
    let text = match shown.first() {
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        None => return "empty".to_owned(),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if more { format!("{text} ...") } else { text }
}

/// 400 or warnings for what strict decoding objects to.
pub fn report_problems(
    call: &Call<'_>,
    problems: &[String],
    validation: FieldValidation,
) -> Result<(), ApiError> {
    match validation {
        FieldValidation::Strict if !problems.is_empty() => {
            let why = format!("strict decoding error: {}", problems.join(", "));
            Err(ApiError::bad_request(cannot_be_handled(call.kind(), call.version(), call.kind(), &why)))
        }
        FieldValidation::Warn => {
            problems.iter().for_each(|problem| call.warnings.add(problem.as_str()));
            Ok(())
        }
        FieldValidation::Strict | FieldValidation::Ignore => Ok(()),
    }
}

/// `apiVersion` and `kind` may be left out; if they are there they must fit.
fn check_type(call: &Call<'_>, tree: &mut Tree) -> Result<(), ApiError> {
    let expected = call.api_version();
    if !tree.is_object() {
        return Err(ApiError::bad_request(
            "couldn't get version/kind; json parse error: json: cannot unmarshal a value that is no object into Go value",
        ));
    }
    let (sent_version, sent_kind) = (tree.api_version().to_owned(), tree.kind().to_owned());
    let custom = call.definition().custom().is_some();
    if custom && sent_kind != call.kind() && sent_version == expected {
        let why = format!("must be {}", call.kind());
        let problem = Error::invalid(Path::new("kind"), sent_kind, why);
        return Err(ApiError::invalid(call.group(), call.kind(), tree.name(), &vec![problem]));
    }
    if !sent_kind.is_empty() && sent_kind != call.kind() && !custom {
        let sent_version = if sent_version.is_empty() { expected } else { sent_version };
        let version = sent_version.rsplit('/').next().unwrap_or_default();
        let why = not_convertible(&sent_version, &sent_kind, call);
        return Err(ApiError::bad_request(cannot_be_handled(&sent_kind, version, call.kind(), &why)));
    }
    if !sent_version.is_empty() && sent_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({sent_version}) does not match the expected API version ({expected})"
        )));
    }
    tree.set("apiVersion", expected);
    tree.set("kind", call.kind());
    Ok(())
}

/// Why an object of another kind is not taken, as upstream's scheme says it: with the Go packages of the kinds.
fn not_convertible(sent_version: &str, sent_kind: &str, call: &Call<'_>) -> String {
    let (group, version) = sent_version.split_once('/').unwrap_or(("", sent_version));
    if codec::definition_of(group, version, sent_kind).is_empty() {
        return format!(
            "no kind {sent_kind:?} is registered for version {sent_version:?} in scheme \"{LEGACY_SCHEME}\""
        );
    }
    let package = match call.group() {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    format!("converting ({version}.{sent_kind}) to ({package}.{}): unknown conversion", call.kind())
}

/// Puts the object into the request's namespace; 400 if it says another one.
pub fn settle_namespace(call: &Call<'_>, tree: &mut Tree) -> Result<(), ApiError> {
    if !call.entry.is_namespaced() {
        if tree.namespace().is_empty() {
            tree.remove("metadata.namespace");
        }
        return Ok(());
    }
    let (said, asked) = (tree.namespace(), call.info.namespace.as_str());
    if said.is_empty() {
        tree.set("metadata.namespace", asked);
    } else if said != asked {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}
