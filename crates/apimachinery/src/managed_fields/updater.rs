//! Who owns what after a write, and what an apply takes away (structured-merge-diff's updater).

use super::compare::{Comparison, compare};
use super::entries::{Manager, Managers, Owned};
use super::extract::{fields_of, reconciled, with_named_parents};
use super::merge::{Emptied, merge, without};
use super::set::FieldSet;
use super::{Versions, element::PathElement};
use crate::Tree;
use crate::schema::Schema;

/// A field that another manager owns and that the configuration wants otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) manager: Manager,
    pub(super) path: Vec<PathElement>,
}

/// Why an apply failed.
pub(super) enum Refused {
    /// Others own what it wants to change; one of each path.
    Conflicts(Vec<Conflict>),
    /// The objects do not fit the schema.
    Unfit(String),
}

/// What the updater works with.
pub(super) struct Updater<'a> {
    pub(super) schema: &'a Schema,
    pub(super) api_version: String,
    /// Never owned through this endpoint.
    pub(super) reset: FieldSet,
    pub(super) versions: Option<&'a dyn Versions>,
}

impl Updater<'_> {
    /// The object and its schema in a version; `None` if that version is not served any more.
    fn view(&self, object: &Tree, api_version: &str) -> Option<(Tree, Schema)> {
        match self.versions {
            Some(versions) if api_version != self.api_version => versions.convert(object, api_version),
            _ => Some((object.clone(), self.schema.clone())),
        }
    }

    /// Takes from everyone but `writer` what changed between two objects, and says what that was.
    fn settle(
        &self,
        old: &Tree,
        new: &Tree,
        managers: &mut Managers,
        writer: &Manager,
        force: bool,
    ) -> Result<Comparison, Refused> {
        let own =
            compare(old, new, self.schema).map_err(unfit("failed to compare objects"))?.without(&self.reset);
        let mut conflicts = Vec::new();
        let mut settled = Managers::new();
        for (manager, owned) in std::mem::take(managers) {
            if manager == *writer {
                settled.insert(manager, owned);
                continue;
            }
            let Some(changes) = self.changes(old, new, &owned.api_version, &own)? else { continue };
            let taken = owned.set.intersection(&changes.written());
            let paths = taken.paths().into_iter();
            conflicts.extend(paths.map(|path| Conflict { manager: manager.clone(), path }));
            let set = owned.set.difference(&taken).difference(&changes.removed);
            settled.insert(manager, Owned { set, ..owned });
        }
        if !force && !conflicts.is_empty() {
            return Err(Refused::Conflicts(conflicts));
        }
        settled.retain(|_, owned| !owned.set.is_empty());
        *managers = settled;
        Ok(own)
    }

    /// The comparison in a manager's version; `None` if that version is not served any more.
    fn changes(
        &self,
        old: &Tree,
        new: &Tree,
        api_version: &str,
        own: &Comparison,
    ) -> Result<Option<Comparison>, Refused> {
        let Some(versions) = self.versions.filter(|_| api_version != self.api_version) else {
            return Ok(Some(own.clone()));
        };
        let Some((old, schema)) = versions.convert(old, api_version) else { return Ok(None) };
        let Some((new, _)) = versions.convert(new, api_version) else { return Ok(None) };
        compare(&old, &new, &schema).map(Some).map_err(unfit("failed to compare objects"))
    }

    fn reconcile(&self, live: &Tree, managers: &mut Managers) {
        managers.retain(|_, owned| match self.versions.filter(|_| owned.api_version != self.api_version) {
            None => {
                owned.set = reconciled(&owned.set, self.schema);
                true
            }
            Some(versions) => match versions.convert(live, &owned.api_version) {
                Some((_, schema)) => {
                    owned.set = reconciled(&owned.set, &schema);
                    true
                }
                None => false,
            },
        });
    }

    /// Ownership after a write that is no apply: the writer owns what it changed, and nobody else does.
    pub(super) fn update(
        &self,
        live: &Tree,
        new: &Tree,
        managers: &mut Managers,
        writer: &Manager,
    ) -> Result<(), Refused> {
        self.reconcile(live, managers);
        let changes = self.settle(live, new, managers, writer, true)?;
        let mut set = managers.remove(writer).map(|owned| owned.set).unwrap_or_default();
        set = set.difference(&changes.removed);
        set.unite(&changes.written());
        self.own(managers, writer, set.recursive_difference(&self.reset));
        Ok(())
    }

    fn own(&self, managers: &mut Managers, writer: &Manager, set: FieldSet) {
        if !set.is_empty() {
            let time = None;
            managers.insert(writer.clone(), Owned { set, api_version: self.api_version.clone(), time });
        }
    }

    /// The object after an apply, and in `managers` who owns what then; `None` if nothing in the object changes.
    pub(super) fn apply(
        &self,
        live: &Tree,
        config: &Tree,
        managers: &mut Managers,
        writer: &Manager,
        force: bool,
    ) -> Result<Option<Tree>, Refused> {
        self.reconcile(live, managers);
        let merged = merge(live, config, self.schema).map_err(unfit("failed to merge config"))?;
        let set = fields_of(config, self.schema).recursive_difference(&self.reset);
        let last = managers.remove(writer);
        let time = last.as_ref().and_then(|last| last.time.clone());
        let owned = Owned { set, api_version: self.api_version.clone(), time };
        managers.insert(writer.clone(), owned);
        let pruned =
            last.filter(|last| !last.set.is_empty()).and_then(|last| self.prune(&merged, managers, &last));
        let (new, settled) = pruned.unwrap_or_else(|| (merged.clone(), merged));
        self.settle(live, &settled, managers, writer, force)?;
        Ok((!super::shape::same(live, &new)).then_some(new))
    }

    /// Takes out what the applier owned and does not apply any more, except what someone else owns. Gives the object,
    /// and the object as owners see it, in which a map that was emptied is null; `None` if nothing can be taken out.
    fn prune(&self, merged: &Tree, managers: &Managers, last: &Owned) -> Option<(Tree, Tree)> {
        let (versioned, schema) = self.view(merged, &last.api_version)?;
        let gone = with_named_parents(&last.set, &schema);
        let removed =
            |object: &Tree, set: &FieldSet, schema: &Schema| removed(object, set, schema, Emptied::Null);
        let mut pruned = removed(&versioned, &gone, &schema);
        for (api_version, managed) in managed_by_version(managers, &last.api_version) {
            let Some((all, schema)) = self.view(merged, &api_version) else { continue };
            let Some(kept) = self.convert(&pruned, &last.api_version, &api_version) else { continue };
            let mut stays = with_named_parents(&fields_of(&kept, &schema), &schema);
            stays.unite(&with_named_parents(&managed, &schema));
            let fields = with_named_parents(&fields_of(&all, &schema), &schema);
            let kept = removed(&all, &fields.difference(&stays), &schema);
            pruned = self.convert(&kept, &api_version, &last.api_version).unwrap_or(pruned);
        }
        // What this applier never owned goes only with what held it.
        let left = with_named_parents(&fields_of(&pruned, &schema), &schema);
        let fields = with_named_parents(&fields_of(&versioned, &schema), &schema);
        let gone = fields.difference(&left).intersection(&gone);
        let of = |emptied| {
            let pruned = self::removed(&versioned, &gone, &schema, emptied);
            self.convert(&pruned, &last.api_version, &self.api_version)
        };
        Some((of(Emptied::Gone)?, of(Emptied::Null)?))
    }

    fn convert(&self, object: &Tree, from: &str, to: &str) -> Option<Tree> {
        match self.versions {
            Some(versions) if from != to => versions.convert(object, to).map(|(object, _)| object),
            _ => Some(object.clone()),
        }
    }
}

/// What all managers own together, in each version, the given one first.
fn managed_by_version(managers: &Managers, first: &str) -> Vec<(String, FieldSet)> {
    let mut all: Vec<(String, FieldSet)> = vec![(first.to_owned(), FieldSet::default())];
    for owned in managers.values() {
        match all.iter_mut().find(|(version, _)| *version == owned.api_version) {
            Some((_, set)) => set.unite(&owned.set),
            None => all.push((owned.api_version.clone(), owned.set.clone())),
        }
    }
    all
}

fn removed(object: &Tree, set: &FieldSet, schema: &Schema, emptied: Emptied) -> Tree {
    without(object, set, schema, emptied).unwrap_or_else(|| Tree::Object(serde_json::Map::new()))
}

fn unfit(what: &'static str) -> impl Fn(String) -> Refused {
    move |why| Refused::Unfit(format!("{what}: {why}"))
}
