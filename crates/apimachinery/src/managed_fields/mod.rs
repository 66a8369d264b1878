//! Server-side apply and the tracking of who owns which field, as structured-merge-diff and upstream's field manager
//! do it.
//!
//! Every write goes through [`FieldManager::update`] or [`FieldManager::apply`]. Both compare the object before and
//! after as sets of fields ([`FieldSet`]) and move ownership: whoever changes a field owns it, alone; several own it
//! together only by applying the same value. An applier that stops applying a field gives it up, and when nobody else
//! owns it the field goes.

mod compare;
mod element;
mod entries;
mod extract;
mod merge;
mod set;
mod shape;
mod updater;
mod validate;

use jiff::Timestamp;

use self::entries::{Manager, Managers, Operation, Owned, decode, encode, is_reset};
use self::updater::{Conflict, Refused, Updater};
use crate::Tree;
use crate::gvk::GroupVersionKind;
use crate::meta::{Object, ObjectMut};
use crate::schema::Schema;
use crate::status::{ApiError, StatusCause};
use crate::time;

pub use compare::{Comparison, compare};
pub use element::{InvalidElement, PathElement, print_path};
pub use extract::fields_of;
pub use merge::merge;
pub use set::{FieldSet, InvalidFields};

/// The annotation in which `kubectl apply` without `--server-side` keeps what it applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const KUBECTL: &str = "kubectl";
const UNKNOWN: &str = "unknown";
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
const ANCIENT_CHANGES: &str = "ancient-changes";
const MAX_UPDATE_MANAGERS: usize = 10;
const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;
/// Fields that the server sets and nobody owns.
const NEVER_OWNED: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
];

/// Other versions of a kind, for managers that wrote through them.
pub trait Versions {
    /// The object in another version and that version's schema; `None` if it is not served (any more), whose managers
    /// are then forgotten.
    fn convert(&self, object: &Tree, api_version: &str) -> Option<(Tree, Schema)>;
}

/// Tracks ownership for one endpoint: a resource, or a subresource of it.
pub struct FieldManager<'a> {
    /// The schema of the kind.
    pub schema: &'a Schema,
    /// The kind and the version of the request.
    pub kind: &'a GroupVersionKind,
    /// The subresource that is written; empty for the object itself.
    pub subresource: &'a str,
    /// Dotted paths that a write through this endpoint cannot change, and so cannot own: `status` on the object,
    /// `spec` on its `status`.
    pub reset_fields: &'a [&'a str],
    /// Where a kind has several versions of different shape. Without it, all versions are taken for alike.
    pub versions: Option<&'a dyn Versions>,
    /// The time of the request.
    pub now: Timestamp,
}

impl FieldManager<'_> {
    /// Writes into `new` who owns its fields after a create (`live` is `None`), an update or a patch by `manager`
    /// (the `fieldManager` option, or the user agent up to its first `/`). `new` is the object as it will be stored.
    ///
    /// Never fails: where ownership cannot be told, that of the live object is kept.
    pub fn update(&self, live: Option<&Tree>, new: &mut Tree, manager: &str) {
        let managed = live.map(|live| live.items_at("metadata.managedFields").to_vec()).unwrap_or_default();
        let mut managers = self.managers_for_update(&managed, new);
        new.remove("metadata.managedFields");
        let creates = live.is_none_or(|live| live.uid().is_empty());
        if !creates && managers.is_empty() {
            return;
        }
        let before = without_managed_fields(live);
        match self.track(&before, new, &mut managers, manager) {
            Ok(()) => encode(new, &managers),
            Err(_) if managed.is_empty() => {}
            Err(_) => new.set("metadata.managedFields", managed),
        }
    }

    /// A client may set the owners itself, but not through a subresource, and not by leaving them out.
    fn managers_for_update(&self, live: &[Tree], new: &Tree) -> Managers {
        let of_live = || decode(live).unwrap_or_default();
        if !self.subresource.is_empty() {
            return of_live();
        }
        if is_reset(new) {
            return Managers::new();
        }
        match decode(new.items_at("metadata.managedFields")) {
            Ok(managers) if !managers.is_empty() => managers,
            _ => of_live(),
        }
    }

    fn track(&self, live: &Tree, new: &Tree, managers: &mut Managers, name: &str) -> Result<(), Refused> {
        // The write gets an entry of its own first, so that it is seen whether it changed anything.
        let this_write = Manager::new("", Operation::Update, "", "");
        self.updater().update(live, new, managers, &this_write)?;
        strip_never_owned(managers, &this_write);
        if let Some(mut owned) = managers.remove(&this_write) {
            let manager = self.manager(name, Operation::Update);
            if let Some(previous) = managers.get(&manager) {
                owned.set.unite(&previous.set);
            }
            owned.time = Some(time::format(self.now));
            managers.insert(manager, owned);
        }
        cap_update_managers(managers);
        Ok(())
    }

    /// The object after `manager` applies `config`, with its owners; to be checked and stored like an update, or like
    /// a create if `live` is `None`. Fails with 409 if others own what the configuration changes, unless `force`; with
    /// 400 if it is of another kind or says who owns what; with 500 if it does not fit the schema (upstream's choice).
    pub fn apply(
        &self,
        live: Option<&Tree>,
        config: &Tree,
        manager: &str,
        force: bool,
    ) -> Result<Tree, ApiError> {
        self.check_config(config)?;
        let managed = live.map(|live| live.items_at("metadata.managedFields")).unwrap_or_default();
        let managers = decode(managed)
            .map_err(|why| ApiError::new(500, "", format!("failed to decode managed fields: {why}")))?;
        let live = without_managed_fields(live);
        let managers = self.with_first_owner(&live, managers);
        let request = Apply { live: &live, config, managers: &managers, name: manager };
        let (mut applied, managers) = match self.attempt(&request, force) {
            Err(Refused::Conflicts(conflicts)) if manager == KUBECTL => {
                self.settle_with_client_side_apply(&request, conflicts)
            }
            outcome => outcome,
        }
        .map_err(|refused| self.error(config, refused))?;
        if manager == KUBECTL && applied.annotation(LAST_APPLIED).is_some_and(|text| !text.is_empty()) {
            remember_last_applied(&mut applied, config);
        }
        encode(&mut applied, &managers);
        Ok(applied)
    }

    fn check_config(&self, config: &Tree) -> Result<(), ApiError> {
        let given = config.gvk().unwrap_or_default();
        if given != *self.kind {
            return Err(ApiError::bad_request(format!("invalid object type: {given}")));
        }
        if config.at("metadata.managedFields").is_some() {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        match validate::problems(config, self.schema) {
            None => Ok(()),
            Some(problems) => {
                let what = self.describe(config);
                let message = format!("failed to create typed patch object ({what}): {problems}");
                Err(ApiError::new(500, "", message))
            }
        }
    }

    fn describe(&self, object: &Tree) -> String {
        format!("{}/{}; {}", object.namespace(), object.name(), self.kind)
    }

    /// An object that nobody owned gets an owner of all it has before the first apply, so that applying shows what it
    /// would change.
    fn with_first_owner(&self, live: &Tree, mut managers: Managers) -> Managers {
        if managers.is_empty() {
            // What cannot be tracked is not owned; the apply itself reports what is wrong.
            let empty = Tree::Object(serde_json::Map::new());
            if self.track(&empty, live, &mut managers, BEFORE_FIRST_APPLY).is_err() {
                managers.clear();
            }
        }
        managers
    }

    fn attempt(&self, request: &Apply<'_>, force: bool) -> Result<(Tree, Managers), Refused> {
        let manager = self.manager(request.name, Operation::Apply);
        let mut managers = request.managers.clone();
        let applied = self.updater().apply(request.live, request.config, &mut managers, &manager, force)?;
        strip_never_owned(&mut managers, &manager);
        if let (Some(_), Some(owned)) = (&applied, managers.get_mut(&manager)) {
            owned.time = Some(time::format(self.now));
        }
        Ok((applied.unwrap_or_else(|| request.live.clone()), managers))
    }

    /// Who moves from client-side to server-side apply owns already, by the annotation, what the object still has as
    /// it was applied: conflicts on that are none.
    fn settle_with_client_side_apply(
        &self,
        request: &Apply<'_>,
        conflicts: Vec<Conflict>,
    ) -> Result<(Tree, Managers), Refused> {
        let Some(allowed) = self.owned_by_client_side_apply(request.live) else {
            return Err(Refused::Conflicts(conflicts));
        };
        let left: Vec<Conflict> =
            conflicts.into_iter().filter(|conflict| !allowed.has(&conflict.path)).collect();
        if left.is_empty() { self.attempt(request, true) } else { Err(Refused::Conflicts(left)) }
    }

    fn owned_by_client_side_apply(&self, live: &Tree) -> Option<FieldSet> {
        let last: Tree = serde_json::from_str(live.annotation(LAST_APPLIED)?).ok()?;
        if last.api_version() != self.kind.group_version().to_string() {
            return None;
        }
        let changes = compare(&last, live, self.schema).ok()?;
        let owned = fields_of(&last, self.schema);
        Some(owned.difference(&changes.written()).difference(&changes.removed))
    }

    fn error(&self, config: &Tree, refused: Refused) -> ApiError {
        match refused {
            Refused::Conflicts(conflicts) => conflict_error(&conflicts),
            Refused::Unfit(why) => {
                let what = self.describe(config);
                ApiError::new(500, "", format!("failed to create typed live object ({what}): {why}"))
            }
        }
    }

    fn manager(&self, name: &str, operation: Operation) -> Manager {
        let name = if name.is_empty() { UNKNOWN } else { name };
        Manager::new(name, operation, &self.kind.group_version().to_string(), self.subresource)
    }

    fn updater(&self) -> Updater<'_> {
        Updater {
            schema: self.schema,
            api_version: self.kind.group_version().to_string(),
            reset: FieldSet::of_fields(self.reset_fields),
            versions: self.versions,
        }
    }
}

struct Apply<'a> {
    live: &'a Tree,
    config: &'a Tree,
    managers: &'a Managers,
    name: &'a str,
}

fn without_managed_fields(object: Option<&Tree>) -> Tree {
    let mut object = object.cloned().unwrap_or_else(|| Tree::Object(serde_json::Map::new()));
    object.remove("metadata.managedFields");
    object
}

fn strip_never_owned(managers: &mut Managers, manager: &Manager) {
    if let Some(owned) = managers.get_mut(manager) {
        owned.set = owned.set.difference(&FieldSet::of_fields(&NEVER_OWNED));
        if owned.set.is_empty() {
            managers.remove(manager);
        }
    }
}

/// Of those that own by updates only the latest are told apart; the oldest are joined to one of each version.
fn cap_update_managers(managers: &mut Managers) {
    let mut updaters: Vec<(i64, Manager)> = managers
        .iter()
        .filter(|(manager, _)| manager.operation == Operation::Update)
        .map(|(manager, owned)| (owned.seconds(), manager.clone()))
        .collect();
    updaters.sort();
    let mut count = updaters.len();
    let mut first_of_version: Vec<(String, Manager)> = Vec::new();
    for (_, manager) in updaters {
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        let version = manager.api_version.clone();
        let Some((_, first)) = first_of_version.iter().find(|(seen, _)| *seen == version) else {
            first_of_version.push((version, manager));
            continue;
        };
        let bucket = Manager::new(ANCIENT_CHANGES, Operation::Update, &version, "");
        if !managers.contains_key(&bucket) {
            let oldest = managers.remove(first);
            managers.extend(oldest.map(|oldest| (bucket.clone(), oldest)));
        }
        if manager != bucket {
            join(managers, &manager, &bucket);
            count -= 1;
        }
    }
}

/// The newer entry goes into the bucket, which takes its time.
fn join(managers: &mut Managers, newer: &Manager, bucket: &Manager) {
    let Some(newer) = managers.remove(newer) else { return };
    let older = managers.remove(bucket);
    let mut set = newer.set;
    if let Some(older) = older {
        set.unite(&older.set);
    }
    managers.insert(bucket.clone(), Owned { set, ..newer });
}

fn conflict_error(conflicts: &[Conflict]) -> ApiError {
    let causes = conflicts
        .iter()
        .map(|conflict| StatusCause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", conflict.manager.describe()),
            field: print_path(&conflict.path),
        })
        .collect();
    ApiError::apply_conflict(conflict_message(conflicts), causes)
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        let (manager, path) = (one.manager.describe(), print_path(&one.path));
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut lines = Vec::new();
    let mut last: Option<&Manager> = None;
    for conflict in conflicts {
        if last != Some(&conflict.manager) {
            lines.push(format!("conflicts with {}:", conflict.manager.describe()));
            last = Some(&conflict.manager);
        }
        lines.push(format!("- {}", print_path(&conflict.path)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// Keeps the annotation of client-side apply in step for users who switch back and forth; it goes if it would make
/// the annotations too large.
fn remember_last_applied(applied: &mut Tree, config: &Tree) {
    let mut remembered = config.clone();
    remembered.remove_entry("metadata.annotations", LAST_APPLIED);
    let text = format!("{remembered}\n");
    let others = applied.annotations().filter(|(key, _)| *key != LAST_APPLIED);
    let bytes: usize = others.map(|(key, value)| key.len() + value.len()).sum();
    if bytes + LAST_APPLIED.len() + text.len() > ANNOTATIONS_MAX_BYTES {
        applied.remove_entry("metadata.annotations", LAST_APPLIED);
    } else {
        applied.set_annotation(LAST_APPLIED, &text);
    }
}

/// Makes a write that changed nothing but the times of its owners' entries no change at all: `new` gets the entries
/// of `old` back.
pub fn keep_times_if_unchanged(new: &mut Tree, old: &Tree) {
    let timeless = |object: &Tree| {
        let mut object = object.clone();
        object.remove("metadata.resourceVersion");
        if let Some(Tree::Array(entries)) = object.pointer_mut("/metadata/managedFields") {
            entries.iter_mut().for_each(|entry| drop(entry.remove("time")));
            entries.sort_by_cached_key(Tree::to_string);
        }
        object
    };
    if crate::meta::equivalent(Some(&timeless(new)), Some(&timeless(old))) {
        new.copy_from(old, "metadata.managedFields");
    }
}

#[cfg(test)]
mod tests;
