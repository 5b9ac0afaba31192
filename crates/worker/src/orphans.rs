//! Objects that no record leads to are looked for in the store, and removed.
//!
//! Nothing of this is needed as long as all goes well: whatever is written is noted before (`store::reserve`). It is for what
//! Redis lost. So it is slow on purpose, never in doubt, and gives up at the first sign of trouble: a later look begins anew.
//! What is known, or may be anybody's living result, stays: `docs/decisions/0036-an-orphan-is-old-and-unknown.md`.

use std::error::Error;
use std::time::Duration;

use haul_shared::ids::WorkerId;
use haul_shared::storage::{Found, Storage, StorageError, Survey};
use haul_shared::store::{JobStore, Progressed, StoreError, Swept};
use jiff::Timestamp;
use rand::RngExt as _;
use tokio::time::{sleep, timeout};

/// For the store to list some objects, or to remove one; a turn lasts longer (`shared::store::TURN`).
const ANSWER: Duration = Duration::from_secs(60);
/// Between two pages, and between two removals.
const PAUSE: Duration = Duration::from_millis(250);
/// Removals that fail one after the other before the store counts as failing.
const FAILURES: u32 = 3;

/// When to look, and what is old.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Between the end of a look and the next, whichever worker looks.
    pub every: Duration,
    /// Anything younger may be somebody's result, whatever Redis knows: longer than a job and its result may live. From when it
    /// was put there by the store's clock to now by ours.
    pub age: Duration,
}

/// Why a look was given up.
#[derive(Debug, thiserror::Error)]
enum GivenUp {
    #[error("the queue could not be asked")]
    Queue(#[from] StoreError),
    #[error("the store of results could not be asked")]
    Storage(#[from] StorageError),
    #[error("the store of results did not answer in time")]
    Late,
    #[error("the store of results does not remove anything")]
    Failing,
    #[error("another worker looks by now")]
    TurnLost,
}

/// Looks now and then, until it is dropped.
pub async fn run(store: &JobStore, storage: &Storage, worker: &WorkerId, terms: Terms) {
    loop {
        // often enough for the next look to begin about in time, whichever worker is there by then
        let pause = terms.every.mul_f64(rand::rng().random_range(0.05..0.15));
        sleep(pause).await;
        match store.begin_sweep(worker, terms.every).await {
            Ok(true) => Look { store, storage, worker, news: Swept::default(), failures: 0 }.all(terms.age).await,
            Ok(false) => {}
            Err(error) => tracing::debug!(error = &error as &dyn Error, "could not ask whether to look for orphans"),
        }
    }
}

/// One look at all that there is.
struct Look<'a> {
    store: &'a JobStore,
    storage: &'a Storage,
    worker: &'a WorkerId,
    /// What was not reported yet.
    news: Swept,
    /// Removals that failed, one after the other.
    failures: u32,
}

impl Look<'_> {
    async fn all(mut self, age: Duration) {
        let Ok(oldest) = Timestamp::now().checked_sub(age) else { return };
        let to = match self.page_by_page(self.storage.survey(), oldest).await {
            Ok(()) => Progressed::Ended,
            Err(GivenUp::TurnLost) => return tracing::debug!("another worker looks for orphans by now"),
            Err(error) => {
                if matches!(error, GivenUp::Storage(_) | GivenUp::Late) {
                    self.news.failed += 1;
                }
                tracing::warn!(
                    error = &error as &dyn Error,
                    "the look for orphans was given up, and is begun anew later"
                );
                Progressed::GivenUp
            }
        };
        if let Err(error) = self.store.report_sweep(self.worker, self.news, to).await {
            tracing::debug!(error = &error as &dyn Error, "could not report a look for orphans");
        }
    }

    async fn page_by_page(&mut self, mut survey: Survey, oldest: Timestamp) -> Result<(), GivenUp> {
        while let Some(page) = timeout(ANSWER, survey.next()).await.map_err(|_| GivenUp::Late)?? {
            self.news.looked_at += page.len() as u64;
            let old: Vec<Found> = page.into_iter().filter(|found| found.modified < oldest).collect();
            for orphan in self.store.unknown(old).await? {
                self.remove(orphan).await?;
                self.report().await?;
                sleep(PAUSE).await;
            }
            self.report().await?;
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn remove(&mut self, orphan: Found) -> Result<(), GivenUp> {
        // right before: the answer of before may be as old as the page is long
        let Some(orphan) = self.store.unknown(vec![orphan]).await?.pop() else { return Ok(()) };
        match timeout(ANSWER, self.storage.remove(&orphan)).await.map_err(|_| GivenUp::Late)? {
            Ok(()) => {
                tracing::info!(object = %orphan.key, size_bytes = orphan.size_bytes, "an orphan was removed: {}", orphan.key);
                self.news.removed += 1;
                self.news.removed_bytes += orphan.size_bytes;
                self.failures = 0;
            }
            Err(error) => {
                tracing::warn!(object = %orphan.key, error = &error as &dyn Error, "an orphan could not be removed");
                self.news.failed += 1;
                self.failures += 1;
                if self.failures == FAILURES {
                    return Err(GivenUp::Failing);
                }
            }
        }
        Ok(())
    }

    async fn report(&mut self) -> Result<(), GivenUp> {
        let news = std::mem::take(&mut self.news);
        let keeps_turn = self.store.report_sweep(self.worker, news, Progressed::GoesOn).await?;
        if keeps_turn { Ok(()) } else { Err(GivenUp::TurnLost) }
    }
}
