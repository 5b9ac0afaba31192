//! What time does to jobs and objects: delays end, leases run out, results expire.
//!
//! Every process looks after it; the scripts make it harmless that several do. Who removes objects from the store
//! is the worker (`worker::sweep`).

use std::time::Duration;

use rand::RngExt as _;

use super::lease::encoded;
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, ms};
use crate::job::{Failure, FailureKind};
use crate::storage::ObjectKey;

/// Between two looks at the queue. Delays are this coarse.
const EVERY: Duration = Duration::from_secs(1);

/// Leases that may be lost before a job counts as one that takes workers down.
const POISON: u32 = 3;

/// Jobs looked after in one call of each kind of upkeep.
const UPKEEP_BATCH: u32 = 100;

impl JobStore {
    /// Looks after the queue until it is dropped, about once a second.
    pub async fn look_after(self) {
        loop {
            // Blurred, so that fifty processes started together do not look at the same moment.
            let pause = EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::time::sleep(pause).await;
            if let Err(error) = self.upkeep().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the queue could not be looked after");
            }
        }
    }

    /// Looks after what time does to jobs: delays end, leases run out, jobs expire. Any process may call it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn upkeep(&self) -> Result<(), StoreError> {
        let mut promote = invocation(&scripts::PROMOTE);
        self.run::<u64>(promote.arg(UPKEEP_BATCH)).await?;
        let mut reap = invocation(&scripts::REAP);
        let lost = Failure::new(FailureKind::WorkerLost, "the lease ran out");
        reap.arg(UPKEEP_BATCH).arg(POISON).arg(encoded(&lost)?).arg(ms(self.0.settings.lease));
        let reaped: u64 = self.run(&reap).await?;
        if reaped > 0 {
            tracing::warn!(reaped, "{reaped} leases ran out: their workers are gone or cut off");
        }
        let mut expire = invocation(&scripts::EXPIRE);
        self.run::<u64>(expire.arg(UPKEEP_BATCH)).await?;
        Ok(())
    }

    /// Names objects that are to be removed from the store, and takes those of `removed` off the list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn collect(&self, removed: &[Garbage], limit: u32) -> Result<Vec<Garbage>, StoreError> {
        let mut call = invocation(&scripts::COLLECT);
        call.arg(limit);
        for garbage in removed {
            call.arg(&garbage.entry);
        }
        let due: Vec<String> = self.run_surely(&call).await?;
        due.into_iter().map(Garbage::read).collect()
    }
}

/// An object whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    entry: String,
    /// Where it is.
    pub object: ObjectKey,
}

impl Garbage {
    fn read(entry: String) -> Result<Self, StoreError> {
        let key = entry.split_once(':').map(|(_, key)| key).unwrap_or_default();
        let object = ObjectKey::parse(key).map_err(|_| StoreError::Unreadable("an object key"))?;
        Ok(Self { entry, object })
    }
}
