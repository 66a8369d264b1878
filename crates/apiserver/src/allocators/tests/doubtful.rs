//! A store that does what it is told and says that it does not know.

use parking_lot::Mutex;
use steersman_store::{
    BoxFuture, Change, Expect, Key, Page, Prefix, RangeOptions, Revision, StoreError, Versioned, Watch,
};

use super::*;

/// What happens to the next commit of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It is done, and nobody knows.
    Done,
    /// It is not done, and nobody knows.
    Lost,
}

struct Doubtful {
    store: Arc<dyn Store>,
    next: Mutex<Option<(String, Doubt)>>,
}

impl Store for Doubtful {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        self.store.get(key)
    }

    fn range<'a>(
        &'a self,
        prefix: &'a Prefix,
        options: RangeOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.store.range(prefix, options)
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'a, Result<Versioned, StoreError>> {
        let doubt = {
            let mut next = self.next.lock();
            let hit = next.as_ref().is_some_and(|(wanted, _)| wanted == key.as_str());
            if hit { next.take().map(|(_, doubt)| doubt) } else { None }
        };
        Box::pin(async move {
            let unknown = Err(StoreError::Uncertain("the link broke".to_owned()));
            match doubt {
                None => self.store.commit(key, expect, change).await,
                Some(Doubt::Lost) => unknown,
                Some(Doubt::Done) => self.store.commit(key, expect, change).await.and(unknown),
            }
        })
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> BoxFuture<'a, Result<Watch, StoreError>> {
        self.store.watch(prefix, after)
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.store.revision()
    }

    fn compact(&self, through: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.compact(through)
    }
}

const KEY: &str = "/registry/services/specs/default/web";

async fn doubting() -> (Arc<Doubtful>, Harness) {
    let store = Arc::new(Doubtful { store: memory(), next: Mutex::default() });
    let shared: Arc<dyn Store> = store.clone();
    (store, server(&shared).await)
}

impl Doubtful {
    fn doubt(&self, doubt: Doubt) {
        *self.next.lock() = Some((KEY.to_owned(), doubt));
    }
}

fn web() -> Value {
    service(
        "web",
        json!({"type": "NodePort", "clusterIP": "10.0.0.9", "ports": [{"port": 1, "nodePort": 30001}]}),
    )
}

/// Whether nobody else can have what `web` has or had.
async fn is_held(h: &Harness) -> bool {
    let address = service("thief", json!({"clusterIP": "10.0.0.9"}));
    let port = service("thief", json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}]}));
    h.post(SERVICES, &address).await.code == 422 && h.post(SERVICES, &port).await.code == 422
}

#[tokio::test]
async fn what_may_be_in_use_is_not_given_back() {
    for doubt in [Doubt::Done, Doubt::Lost] {
        let (store, h) = doubting().await;
        store.doubt(doubt);
        assert_eq!(h.post(SERVICES, &web()).await.code, 504, "{doubt:?}");
        assert_eq!(h.get(&format!("{SERVICES}/web")).await.code == 200, doubt == Doubt::Done);
        assert!(is_held(&h).await, "{doubt:?}");
    }
}

#[tokio::test]
async fn what_may_be_given_up_is_not_given_back() {
    for doubt in [Doubt::Done, Doubt::Lost] {
        let (store, h) = doubting().await;
        h.post(SERVICES, &web()).await.ok();
        store.doubt(doubt);
        assert_eq!(h.delete(&format!("{SERVICES}/web")).await.code, 504, "{doubt:?}");
        assert!(is_held(&h).await, "{doubt:?}");

        let (store, h) = doubting().await;
        h.post(SERVICES, &web()).await.ok();
        store.doubt(doubt);
        let inside = json!({"spec": {"type": "ClusterIP"}});
        assert_eq!(h.patch(&format!("{SERVICES}/web"), MERGE, &inside).await.code, 504, "{doubt:?}");
        assert!(is_held(&h).await, "{doubt:?}");
    }
}
