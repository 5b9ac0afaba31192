//! What callers have: counted when somebody asks, and kept for a moment, so that asking often costs little.
//!
//! To count takes a while where there are many jobs. So an answer is kept for twenty times as long as it took, 2 s at least:
//! of the time of Redis, a caller takes a twentieth at most by asking each API all the time. Those who ask at once wait for one
//! count. Not here: what is counted (`shared::store::usage`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use haul_shared::store::{JobStore, Scope, Usage};
use moka::Expiry;
use moka::future::Cache;

use crate::error::{ApiError, ApiResult, Code};

/// How long an answer is kept at least.
const SHORTEST_LIFE: Duration = Duration::from_secs(2);
/// Of an answer that took long, how many times that.
const LIFE_PER_COUNT: u32 = 20;
/// Answers that are kept.
const MOST: u64 = 1024;

/// What was counted last. Cheap to clone.
#[derive(Clone)]
pub struct UsageService {
    jobs: JobStore,
    counted: Cache<Scope, Arc<Counted>>,
}

struct Counted {
    usage: Usage,
    took: Duration,
}

impl UsageService {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(jobs: JobStore) -> Self {
        let counted = Cache::builder().max_capacity(MOST).expire_after(ByWhatItTook).build();
        Self { jobs, counted }
    }

    /// What a caller has, or all have together; a moment old, perhaps.
    ///
    /// # Errors
    /// `service_unavailable`.
    pub async fn get(&self, scope: Scope) -> ApiResult<Usage> {
        let Self { jobs, counted } = self.clone();
        // all of it in a task of its own: a count that was begun is kept, also when who asked for it has gone away
        let told = tokio::spawn(async move {
            let count = async {
                let begun = Instant::now();
                let usage = jobs.usage(&scope).await?;
                Ok::<_, ApiError>(Arc::new(Counted { usage, took: begun.elapsed() }))
            };
            counted.try_get_with_by_ref(&scope, count).await
        });
        let told = told.await.map_err(|ended| ApiError::new(Code::Internal).because(&ended))?;
        told.map(|counted| counted.usage.clone()).map_err(|error| ApiError::clone(&error))
    }
}

struct ByWhatItTook;

impl Expiry<Scope, Arc<Counted>> for ByWhatItTook {
    fn expire_after_create(&self, _: &Scope, counted: &Arc<Counted>, _: Instant) -> Option<Duration> {
        Some((counted.took * LIFE_PER_COUNT).max(SHORTEST_LIFE))
    }
}
