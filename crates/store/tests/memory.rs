//! The in-memory store passes the suite.

use futures::FutureExt;
use steersman_store::suite::Subject;
use steersman_store::{BoxFuture, MemoryStore, Retention, ViewLimits, system_clock};

fn make() -> BoxFuture<'static, Subject> {
    let limits = ViewLimits { watch_queue: 500, ..ViewLimits::default() };
    async { Subject::new(MemoryStore::new(limits, Retention::UPSTREAM, system_clock()), ()) }.boxed()
}

steersman_store::store_suite!(make);
