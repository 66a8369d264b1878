//! Sees to definitions: their status, and, when one is deleted, that its objects go before it.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_store::{RangeOptions, Revision};
use tokio_util::sync::CancellationToken;

use super::conditions::{self, Condition};
use super::{FINALIZER, GROUP, PLURAL, VERSION, rows, status};
use crate::call::Call;
use crate::object::form::Form;
use crate::request::User;
use crate::routes::Entry;
use crate::server::Inner;
use crate::storage::failure;
use crate::verbs::options::WriteOptions;
use crate::verbs::update::{Source, change};
use crate::verbs::{collection, options};
use crate::wire::info::RequestInfo;
use crate::wire::negotiate::Wanted;
use crate::wire::query::Query;
use crate::wire::warning::Warnings;

/// What remains to be done for a definition.
enum Next {
    /// Nothing, until it changes.
    Wait,
    /// Its objects are still going.
    LookAgain,
}

/// Works until `stop`.
pub async fn run(server: &Inner, stop: CancellationToken) {
    let definitions = &server.definitions;
    let queue = &definitions.queue;
    let keeper = Keeper::new(server);
    while let Some(name) = queue.get(&stop).await {
        // A unit of work is not cut: it is a few writes, each of them whole.
        match keeper.see_to(&name).await {
            Ok(Next::Wait) => queue.forget(&name),
            Ok(Next::LookAgain) => queue.add_rate_limited(name.clone()),
            Err(error) => {
                tracing::warn!(definition = name, message = error.message, "cannot see to a definition");
                queue.add_rate_limited(name.clone());
            }
        }
        queue.done(&name);
    }
}

/// The server as a writer of its own objects.
struct Keeper<'s> {
    server: &'s Inner,
    user: User,
    headers: HeaderMap,
    query: Query,
}

impl<'s> Keeper<'s> {
    fn new(server: &'s Inner) -> Self {
        let user = User {
            name: "system:apiserver".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            ..User::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("kube-apiserver/"));
        Self { server, user, headers, query: Query::default() }
    }

    async fn see_to(&self, name: &str) -> Result<Next, ApiError> {
        let Some(tree) = self.server.definitions.get(name) else { return Ok(Next::Wait) };
        if tree.is_deleting() {
            return self.finish(&tree).await;
        }
        let definitions = &self.server.definitions;
        let taken = definitions.taken(tree.str_at("spec.group"));
        self.change(&tree, true, |old| {
            let served = definitions.serves(old);
            Ok(status::settle(old, &taken, served, rows::non_structural(old), Timestamp::now()))
        })
        .await?;
        Ok(Next::Wait)
    }

    /// Deletes the objects of a definition, and then lets it go.
    async fn finish(&self, tree: &Tree) -> Result<Next, ApiError> {
        if !tree.has_finalizer(FINALIZER) {
            return Ok(Next::Wait);
        }
        if conditions::holds(tree, "Established") && !self.is_built_in(tree) {
            self.terminating(tree, "InstanceDeletionInProgress", "CustomResource deletion is in progress")
                .await?;
            let entry = Arc::new(rows::storage_entry(tree).map_err(ApiError::internal)?);
            match self.delete_objects(&entry).await {
                Ok(0) => {}
                Ok(_) => return Ok(Next::LookAgain),
                Err(error) => {
                    let why = format!("could not issue all deletes: {}", error.message);
                    self.terminating(tree, "InstanceDeletionFailed", &why).await?;
                    return Err(error);
                }
            }
        }
        self.change(tree, false, |old| {
            let mut new = old.clone();
            new.remove_finalizer(FINALIZER);
            Ok(new)
        })
        .await?;
        Ok(Next::Wait)
    }

    /// Whether the objects in the definition's place are those of a built-in resource.
    fn is_built_in(&self, tree: &Tree) -> bool {
        let (group, plural) = (tree.str_at("spec.group"), tree.str_at("spec.names.plural"));
        let found = self.server.storage.routes().find_any_version(group, plural);
        found.is_some_and(|entry| !entry.is_custom())
    }

    async fn terminating(&self, tree: &Tree, reason: &'static str, message: &str) -> Result<(), ApiError> {
        let condition = Condition { kind: "Terminating", holds: true, reason, message: message.to_owned() };
        self.change(tree, true, |old| {
            let mut new = old.clone();
            conditions::set(&mut new, condition.clone(), Timestamp::now());
            Ok(new)
        })
        .await
    }

    /// Deletes every object that there is; gives how many are still there.
    async fn delete_objects(&self, entry: &Arc<Entry>) -> Result<usize, ApiError> {
        for namespace in self.namespaces(entry).await? {
            let info = RequestInfo {
                in_namespace: !namespace.is_empty(),
                namespace,
                ..info(entry, "deletecollection")
            };
            let warnings = Warnings::default();
            collection::delete_all(
                &self.call(entry, &info, &warnings, false),
                &options::DeleteOptions::default(),
            )
            .await?;
        }
        let left = self.server.storage.range(entry, "", RangeOptions::default()).await;
        Ok(left.map_err(failure::of_store)?.records.len())
    }

    /// The namespaces with objects; of a cluster-wide resource the empty one.
    async fn namespaces(&self, entry: &Entry) -> Result<BTreeSet<String>, ApiError> {
        let page =
            self.server.storage.range(entry, "", RangeOptions::default()).await.map_err(failure::of_store)?;
        let of = |record| Ok(Form::of(record, entry)?.tree().namespace().to_owned());
        page.records.iter().map(of).collect()
    }

    /// Changes a definition or its status, and waits until the change is known here: who comes next must not take a
    /// name that was just accepted.
    async fn change(
        &self,
        tree: &Tree,
        status: bool,
        make: impl FnMut(&Tree) -> Result<Tree, ApiError> + Send,
    ) -> Result<(), ApiError> {
        let Some(entry) = self.server.storage.routes().find(GROUP, VERSION, PLURAL) else { return Ok(()) };
        let info =
            RequestInfo { name: tree.name().to_owned(), named_in_path: true, ..info(&entry, "update") };
        let warnings = Warnings::default();
        let call = self.call(&entry, &info, &warnings, status);
        let options = WriteOptions::parse(call.query, "UpdateOptions")?;
        let mut make = make;
        let uid = tree.uid();
        let same = |old: &Tree| if old.uid() == uid { make(old) } else { Ok(old.clone()) };
        match change(&call, &options, Source::Patch, same).await {
            Ok(shown) => {
                let written = shown.tree().resource_version().parse().map(Revision);
                if let Ok(written) = written {
                    self.server.definitions.reach(written).await;
                }
                Ok(())
            }
            // It is gone, and the follower will say so.
            Err(error) if error.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn call<'c>(
        &'c self,
        entry: &'c Arc<Entry>,
        info: &'c RequestInfo,
        warnings: &'c Warnings,
        status: bool,
    ) -> Call<'c> {
        Call {
            server: self.server,
            entry,
            subresource: if status { entry.subresource("status") } else { None },
            info,
            query: &self.query,
            headers: &self.headers,
            user: &self.user,
            warnings,
            now: Timestamp::now(),
            wanted: Wanted::JSON,
        }
    }
}

fn info(entry: &Entry, verb: &str) -> RequestInfo {
    RequestInfo {
        is_resource: true,
        verb: verb.to_owned(),
        group: entry.resource.group.to_string(),
        version: entry.resource.version.to_string(),
        resource: entry.resource.plural.to_string(),
        ..RequestInfo::default()
    }
}
