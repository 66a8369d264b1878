//! From an allowed request to its handler: by path for discovery, health and the like, by the resource table for
//! resources.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use steersman_apimachinery::status::ApiError;
use steersman_registry::Verb;

use crate::call::Call;
use crate::chain::Exchange;
use crate::request::User;
use crate::routes::Entry;
use crate::row::{Row, Subresource};
use crate::server::Inner;
use crate::wire::body::{self, Body, Response};
use crate::wire::info::RequestInfo;
use crate::wire::negotiate::{Offers, Wanted};
use crate::wire::respond;
use crate::{connect, creation, documents, subresources, verbs};

/// Answers an allowed request.
pub async fn dispatch(
    server: &Arc<Inner>,
    exchange: &mut Exchange,
    user: &Arc<User>,
    body: Body,
) -> Result<Response, ApiError> {
    if !exchange.info.is_resource {
        return documents::answer(server, exchange).await;
    }
    let Some(entry) = find_newest(server, exchange).await? else {
        return Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found\n"));
    };
    let subresource = find_subresource(&entry, exchange)?;
    if let Some(connector) = subresource.and_then(|s| connect::find(&entry, s)) {
        return connector.connect(server, exchange, user, body).await;
    }
    let Exchange { info, query, warnings, parts, trail, .. } = exchange;
    check_verb(&entry, subresource, info)?;
    let call = Call {
        server,
        entry: &entry,
        subresource,
        info,
        query,
        headers: &parts.headers,
        user,
        warnings,
        now: Timestamp::now(),
        wanted: Wanted::negotiate(&parts.headers, query, offers(&entry, subresource))?,
    };
    if let Some(deprecation) = &entry.resource.deprecation {
        warnings.add(deprecation.clone());
    }
    let body = body::read(body).await?;
    if let Some(trail) = trail {
        trail.request(info, &body, call.definition());
    }
    if let Some(creator) = creation::creator(&call).filter(|_| info.verb == "create") {
        return creation::create(&call, body, &**creator).await;
    }
    if info.verb == "create"
        && let Some(done) = subresources::act(&call, &body).await
    {
        return done;
    }
    match subresource {
        Some(_) => subresources::answer(&call, body).await,
        None => verbs::answer(&call, body).await,
    }
}

/// The resource, by the newest definitions where it is not known: nobody is refused on old news.
async fn find_newest(server: &Inner, exchange: &Exchange) -> Result<Option<Arc<Entry>>, ApiError> {
    match find(server, exchange) {
        Ok(Some(entry)) => Ok(Some(entry)),
        _ => {
            server.definitions.catch_up().await;
            find(server, exchange)
        }
    }
}

/// The resource; `None` if nothing built in of its group and version is served: upstream then answers as for any path.
fn find(server: &Inner, exchange: &Exchange) -> Result<Option<Arc<Entry>>, ApiError> {
    let info = &exchange.info;
    let routes = server.storage.routes();
    let Some(entry) = routes.find(&info.group, &info.version, &info.resource) else {
        return if routes.has_built_in_version(&info.group, &info.version) {
            Err(ApiError::resource_not_served())
        } else {
            Ok(None)
        };
    };
    let misplaced = match entry.is_namespaced() {
        true => info.named_in_path && !info.in_namespace,
        false => info.in_namespace,
    };
    match (misplaced, entry.is_custom()) {
        (false, _) => Ok(Some(entry)),
        (true, true) => Ok(None),
        (true, false) => Err(ApiError::resource_not_served()),
    }
}

fn find_subresource<'e>(entry: &'e Entry, exchange: &Exchange) -> Result<Option<&'e Subresource>, ApiError> {
    let name = &exchange.info.subresource;
    if name.is_empty() {
        return Ok(None);
    }
    let found = entry.subresource(name).ok_or_else(|| {
        let Row { group, plural, .. } = &entry.resource;
        match entry.is_custom() {
            true => ApiError::not_found(group, plural, &exchange.info.name),
            false => ApiError::resource_not_served(),
        }
    })?;
    if !exchange.info.rest.is_empty() && name != "proxy" {
        return Err(ApiError::resource_not_served());
    }
    Ok(Some(found))
}

/// The forms in which the answer exists.
fn offers(entry: &Entry, subresource: Option<&Subresource>) -> Offers {
    let definition = subresource.map_or(&entry.resource.definition, |s| &s.definition);
    if definition.custom().is_some() { Offers::Custom } else { Offers::Objects }
}

/// 405 unless the table allows the verb.
fn check_verb(entry: &Entry, subresource: Option<&Subresource>, info: &RequestInfo) -> Result<(), ApiError> {
    let verb = match info.verb.as_str() {
        "get" => Verb::Get,
        "list" => Verb::List,
        "watch" => Verb::Watch,
        "create" => Verb::Create,
        "update" => Verb::Update,
        "patch" => Verb::Patch,
        "delete" => Verb::Delete,
        "deletecollection" => Verb::DeleteCollection,
        _ => return Err(ApiError::method_not_allowed()),
    };
    let allowed = subresource.map_or(entry.resource.verbs, |s| s.verbs).contains(&verb);
    // Lists and watches reach over all namespaces; everything else happens inside one.
    let placed = matches!(verb, Verb::List | Verb::Watch) || info.in_namespace == entry.is_namespaced();
    let on_collection = matches!(verb, Verb::List | Verb::Create | Verb::DeleteCollection);
    let fits = subresource.is_some() || verb == Verb::Watch || on_collection != info.named_in_path;
    match (allowed && placed && fits, entry.is_custom()) {
        (true, _) => Ok(()),
        (false, true) => {
            let Row { group, plural, .. } = &entry.resource;
            Err(ApiError::method_not_supported(group, plural, &info.verb))
        }
        (false, false) => Err(ApiError::method_not_allowed()),
    }
}
