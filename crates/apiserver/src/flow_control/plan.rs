//! From the objects to what requests are judged by. Pure. What the cluster cannot do without is there whether or not
//! the objects are.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderValue;
use serde::Deserialize;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;

use super::defaults;
use super::queues::Mode;
use super::schema::{SchemaSpec, order};
use super::shares::Shares;
use crate::view::text;

/// Objects by name.
pub type Objects = BTreeMap<String, Arc<Tree>>;

/// A level as its object describes it.
#[derive(Clone, Debug)]
pub struct LevelPlan {
    /// Its name.
    pub name: String,
    /// Its object's UID; empty without an object.
    pub uid: HeaderValue,
    /// What happens to who finds no seat.
    pub mode: Mode,
    /// Its part of the seats.
    pub shares: Shares,
}

/// A schema as its object describes it.
#[derive(Clone, Debug)]
pub struct SchemaPlan {
    /// Its name.
    pub name: String,
    /// Its object's UID; empty without an object.
    pub uid: HeaderValue,
    /// What it matches.
    pub spec: SchemaSpec,
    /// Its level, as an index.
    pub level: usize,
}

/// All levels, by name, and the schemas that lead to them, in the order in which they are tried.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Plan {
    pub levels: Vec<LevelPlan>,
    pub schemas: Vec<SchemaPlan>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum LevelSpec {
    Limited {
        limited: Limited,
    },
    Exempt {
        #[serde(default)]
        exempt: Exempt,
    },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Exempt {
    nominal_concurrency_shares: u32,
    lendable_percent: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limited {
    #[serde(default = "default_shares")]
    nominal_concurrency_shares: u32,
    #[serde(default)]
    lendable_percent: u32,
    borrowing_limit_percent: Option<u32>,
    #[serde(default)]
    limit_response: Response,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    queuing: Option<Queuing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queuing {
    queues: u32,
    hand_size: u32,
    queue_length_limit: u32,
}

fn default_shares() -> u32 {
    30
}

/// The plan of these objects.
pub fn plan(schemas: &Objects, levels: &Objects) -> Plan {
    let levels = with_mandatory(levels, defaults::levels(), level);
    let mut found = with_mandatory(schemas, defaults::schemas(), |name, object| {
        let spec: SchemaSpec = read(name, object)?;
        let wanted = &spec.priority_level_configuration.name;
        // A schema whose level does not exist matches nothing; its condition tells.
        let level = levels.iter().position(|level| level.name == *wanted)?;
        Some(SchemaPlan { name: name.to_owned(), uid: uid(object), spec, level })
    });
    found.sort_by_cached_key(|schema| order(&schema.name, &schema.spec));
    Plan { levels, schemas: found }
}

/// What `read` makes of the objects, in order of name; mandatory ones come from the defaults where they are missing.
fn with_mandatory<T>(
    objects: &Objects,
    defaults: Vec<defaults::Default>,
    mut read: impl FnMut(&str, &Tree) -> Option<T>,
) -> Vec<T> {
    let mandatory = defaults.into_iter().filter(|default| default.mandatory);
    let mut made: BTreeMap<String, T> =
        objects.iter().filter_map(|(name, object)| Some((name.clone(), read(name, object)?))).collect();
    for default in mandatory {
        let name = default.object.name();
        if !made.contains_key(name)
            && let Some(imagined) = read(name, &default.object)
        {
            made.insert(name.to_owned(), imagined);
        }
    }
    made.into_values().collect()
}

fn level(name: &str, object: &Tree) -> Option<LevelPlan> {
    let (mode, shares) = match read(name, object)? {
        LevelSpec::Exempt { exempt } => {
            let shares = Shares {
                nominal: exempt.nominal_concurrency_shares,
                lendable_percent: exempt.lendable_percent,
                borrowing_percent: None,
            };
            (Mode::Exempt, shares)
        }
        LevelSpec::Limited { limited } => (mode(&limited), shares(&limited)),
    };
    Some(LevelPlan { name: name.to_owned(), uid: uid(object), mode, shares })
}

fn mode(limited: &Limited) -> Mode {
    limited.limit_response.queuing.as_ref().map_or(Mode::Reject, |queuing| Mode::Queue {
        queues: queuing.queues.max(1),
        hand_size: queuing.hand_size.max(1),
        length_limit: queuing.queue_length_limit,
    })
}

fn shares(limited: &Limited) -> Shares {
    Shares {
        nominal: limited.nominal_concurrency_shares,
        lendable_percent: limited.lendable_percent.min(100),
        borrowing_percent: limited.borrowing_limit_percent,
    }
}

fn read<'de, T: Deserialize<'de>>(name: &str, object: &'de Tree) -> Option<T> {
    match T::deserialize(object.get("spec").unwrap_or(&Tree::Null)) {
        Ok(spec) => Some(spec),
        Err(error) => {
            tracing::warn!(name, kind = object.kind(), %error, "cannot read an object of priority and fairness");
            None
        }
    }
}

fn uid(object: &Tree) -> HeaderValue {
    HeaderValue::from_str(text(object, "/metadata/uid")).unwrap_or_else(|_| HeaderValue::from_static(""))
}
