//! The shell: every request passes [`FlowControl::admit`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::CATCH_ALL;
use super::demand::Smoothed;
use super::plan::{LevelPlan, Objects, SchemaPlan, plan};
use super::queues::{Mode, Reason};
use super::schema::flow_hash;
use super::shares::{Limits, Need, lend, split};
use super::width::{self, Size};
use crate::authorization::Position;
use crate::config::HealthCheck;
use crate::request::User;
use crate::storage::Storage;
use crate::wire::info::RequestInfo;
use crate::wire::query::Query;

mod level;

pub use level::{Counts, LevelSeats, Permit, Waiting};

/// How long a request may wait: a quarter of the time that it may take.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long a measure of a resource serves.
const SIZE_LASTS: Duration = Duration::from_secs(60);
/// Objects whose sizes stand for those of all.
const SAMPLE: usize = 16;

/// Priority and fairness of one server.
pub struct FlowControl {
    total: u32,
    origin: Instant,
    current: ArcSwap<Current>,
    book: Mutex<Book>,
    sizes: Mutex<BTreeMap<String, (Size, Duration)>>,
    kept: AtomicBool,
    /// The objects have changed.
    pub(super) changed: Notify,
    /// How far levels and schemas have been read.
    pub(super) positions: [Arc<Position>; 2],
}

/// What is stored, and what levels needed of late.
#[derive(Default)]
pub(super) struct Book {
    pub schemas: Objects,
    pub levels: Objects,
    needs: BTreeMap<String, Smoothed>,
}

/// What requests are judged by.
pub(super) struct Current {
    pub schemas: Vec<Schema>,
    pub levels: Vec<Level>,
}

pub(super) struct Schema {
    pub plan: SchemaPlan,
    pub counts: Arc<Counts>,
}

pub(super) struct Level {
    pub plan: LevelPlan,
    pub limits: Limits,
    pub need: Smoothed,
    pub seats: Arc<LevelSeats>,
}

/// A request's schema and level, for the answer's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// `X-Kubernetes-PF-FlowSchema-UID`
    pub schema: HeaderValue,
    /// `X-Kubernetes-PF-PriorityLevel-UID`
    pub level: HeaderValue,
}

/// A request that may go on. Its seats are free again when this is dropped.
pub struct Admitted {
    /// Where it belongs; `None` for what is not subject to limits.
    pub matched: Option<Matched>,
    _permit: Option<Permit>,
}

/// A request that is turned away.
#[derive(Debug)]
pub struct Refused {
    /// Where it belongs.
    pub matched: Matched,
}

/// A request as it is looked at here.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// What is asked.
    pub info: &'a RequestInfo,
    /// The query.
    pub query: &'a Query,
    /// By whom.
    pub user: &'a User,
    /// Cancelled when the client leaves, where nobody drops the future.
    pub gone: Option<&'a CancellationToken>,
}

impl FlowControl {
    /// With `total` seats (upstream: 400 for reads and 200 for writes) for what is limited.
    pub fn new(total: u32) -> Self {
        let origin = Instant::now();
        let empty = Current { schemas: Vec::new(), levels: Vec::new() };
        let book = Book::default();
        let current = arranged(total, origin, &book, &empty);
        Self {
            total,
            origin,
            current: ArcSwap::from_pointee(current),
            book: Mutex::new(book),
            sizes: Mutex::default(),
            kept: AtomicBool::new(false),
            changed: Notify::new(),
            positions: Default::default(),
        }
    }

    /// What must be well for the server to be ready, by upstream's names.
    pub fn health(self: &Arc<Self>) -> Vec<HealthCheck> {
        let (consumer, producer) = (self.clone(), self.clone());
        let is_synced = move || consumer.positions.iter().all(|position| position.is_synced());
        let is_kept = move || producer.kept.load(Ordering::Relaxed);
        vec![
            crate::security::check(
                "poststarthook/priority-and-fairness-config-consumer",
                "not finished",
                is_synced,
            ),
            crate::security::check(
                "poststarthook/priority-and-fairness-config-producer",
                "not finished",
                is_kept,
            ),
        ]
    }

    /// Waits for a request's turn. Dropping the future leaves the line.
    pub async fn admit(&self, storage: &Storage, asked: Asked<'_>) -> Result<Admitted, Refused> {
        if asked.info.is_long_running() && asked.info.verb != "watch" {
            return Ok(Admitted { matched: None, _permit: None });
        }
        let current = self.current.load_full();
        let schema = current.schema_of(asked.info, asked.user);
        let level = &current.levels[schema.plan.level];
        let width = self.width(storage, asked, level).await;
        let matched = Matched { schema: schema.plan.uid.clone(), level: level.plan.uid.clone() };
        let distinguisher = schema.plan.spec.distinguisher(asked.info, asked.user);
        let waiting = |sender| Waiting {
            counts: schema.counts.clone(),
            distinguisher: distinguisher.to_owned(),
            arrived: Timestamp::now(),
            info: asked.info.clone(),
            user: asked.user.name.clone(),
            sender,
        };
        let hash = || flow_hash(&schema.plan.name, distinguisher);
        let admitted = match level.seats.offer(width, &schema.counts, hash, waiting) {
            level::Offered::Permit(permit) => Ok(permit),
            level::Offered::Wait(place) => place.wait(LONGEST_WAIT, asked.gone).await,
            level::Offered::Reject(reason) => Err(reason),
        };
        match admitted {
            Ok(permit) => Ok(Admitted { matched: Some(matched), _permit: Some(permit) }),
            Err(reason) => {
                schema.counts.rejected(reason);
                Err(Refused { matched })
            }
        }
    }

    /// What is known of levels and schemas now.
    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// The stored schemas and levels.
    pub(super) fn objects(&self) -> (Objects, Objects) {
        let book = self.book.lock();
        (book.schemas.clone(), book.levels.clone())
    }

    /// All objects are as they must be.
    pub(super) fn kept(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Changes the stored objects, and all that follows from them.
    pub(super) fn change(&self, work: impl FnOnce(&mut Book)) {
        let mut book = self.book.lock();
        work(&mut book);
        let next = arranged(self.total, self.origin, &book, &self.current.load());
        self.install(next);
        drop(book);
        self.changed.notify_one();
    }

    /// Ends a period of demand: seats are lent by what levels needed in it.
    pub(super) fn end_period(&self) {
        let mut book = self.book.lock();
        let current = self.current.load_full();
        for level in &current.levels {
            let before = book.needs.get(&level.plan.name).copied().unwrap_or_default();
            let need = level.seats.end_period(before);
            book.needs.insert(level.plan.name.clone(), need);
        }
        let next = arranged(self.total, self.origin, &book, &current);
        let needs: Vec<Need> = next.levels.iter().map(Level::need).collect();
        for (level, seats) in next.levels.iter().zip(lend(&needs)) {
            level.seats.set_limit(seats);
        }
        self.install(next);
    }

    fn install(&self, next: Current) {
        for level in &next.levels {
            level.seats.reconfigure(level.plan.mode);
        }
        self.current.store(Arc::new(next));
    }

    async fn width(&self, storage: &Storage, asked: Asked<'_>, level: &Level) -> u32 {
        if level.plan.mode == Mode::Exempt || !width::depends_on_size(asked.info, asked.query) {
            return 1;
        }
        let size = self.size(storage, asked.info).await;
        let limit = asked.query.integer("limit").ok().flatten().and_then(|limit| u64::try_from(limit).ok());
        width::of_list(size, limit, width::most(level.plan.mode, level.limits.nominal))
    }

    /// How much there is of a resource, as it was within the last minute.
    async fn size(&self, storage: &Storage, info: &RequestInfo) -> Size {
        let Some(entry) = storage.routes().find(&info.group, &info.version, &info.resource) else {
            return Size::default();
        };
        let now = self.origin.elapsed();
        let known = self.sizes.lock().get(&*entry.resource.storage).copied();
        if let Some((size, at)) = known
            && now.saturating_sub(at) < SIZE_LASTS
        {
            return size;
        }
        // A store that cannot say makes the request fail later on; it need not wait for that.
        let Ok(size) = storage.size(&entry, SAMPLE).await else { return Size::default() };
        self.sizes.lock().insert(entry.resource.storage.to_string(), (size, now));
        size
    }
}

impl Current {
    /// The schema that a request belongs to.
    pub fn schema_of(&self, info: &RequestInfo, user: &User) -> &Schema {
        let found = self.schemas.iter().find(|schema| schema.plan.spec.matches(info, user));
        // Everybody is in one of the groups of the catch-all schema, but for users that authenticators made badly.
        let catch_all = || self.schemas.iter().find(|schema| schema.plan.name == CATCH_ALL);
        found.or_else(catch_all).expect("mandatory schemas are always there")
    }
}

impl Level {
    fn need(&self) -> Need {
        Need {
            limits: self.limits,
            exempt: self.plan.mode == Mode::Exempt,
            high_watermark: self.need.high_watermark,
            smoothed: self.need.smoothed,
        }
    }
}

/// The objects as requests are judged by them; what `before` has of seats and counts is kept.
fn arranged(total: u32, origin: Instant, book: &Book, before: &Current) -> Current {
    let plan = plan(&book.schemas, &book.levels);
    let shares: Vec<_> = plan.levels.iter().map(|level| level.shares).collect();
    let levels: Vec<Level> = plan
        .levels
        .into_iter()
        .zip(split(total, &shares))
        .map(|(plan, limits)| {
            let need = book.needs.get(&plan.name).copied().unwrap_or_default();
            let old = before.levels.iter().find(|level| level.plan.name == plan.name);
            let seats = match old {
                Some(old) if old.limits == limits => old.seats.clone(),
                Some(old) => {
                    let within = old.seats.limit().clamp(limits.lower, limits.upper);
                    // A level that is new to its limits starts in their middle, an old one keeps what it has.
                    let seats = if old.need == Smoothed::default() { limits.at_start() } else { within };
                    old.seats.set_limit(seats);
                    old.seats.clone()
                }
                None => Arc::new(LevelSeats::new(plan.mode, limits.at_start(), origin)),
            };
            Level { plan, limits, need, seats }
        })
        .collect();
    let schemas = plan.schemas.into_iter().map(|plan| {
        let level = &levels[plan.level].plan.name;
        let same = |old: &&Schema| old.counts.schema == plan.name && old.counts.level == *level;
        let counts = before.schemas.iter().find(same).map(|old| old.counts.clone());
        let counts = counts.unwrap_or_else(|| Arc::new(Counts::new(&plan.name, level)));
        Schema { plan, counts }
    });
    Current { schemas: schemas.collect(), levels }
}

impl Reason {
    /// Upstream's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::QueueFull => "queue-full",
            Self::TimeOut => "time-out",
            Self::Cancelled => "cancelled",
        }
    }
}
