//! The embedded store passes the suite, on a real disk.

use futures::FutureExt;
use steersman_store::suite::Subject;
use steersman_store::{BoxFuture, ViewLimits};
use steersman_store_wal::{WalOptions, WalStore};

fn make() -> BoxFuture<'static, Subject> {
    async {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let limits = ViewLimits { watch_queue: 500, ..ViewLimits::default() };
        // Small segments, so that they end and are cleaned during the tests.
        let options =
            WalOptions { limits, segment_bytes: 16 << 10, slack_bytes: 64 << 10, ..WalOptions::default() };
        Subject::new(WalStore::open(dir.path(), options).expect("the store opens"), dir)
    }
    .boxed()
}

steersman_store::store_suite!(make);
