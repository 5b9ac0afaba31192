//! Objects whose time is over are removed from the store.
//!
//! First removed and then taken off the list, so that a death in between only repeats the removal. Several workers
//! may do it at once. Not here: which objects are due, and since when (`shared::store`).

use std::sync::Arc;
use std::time::Duration;

use haul_shared::storage::Storage;
use haul_shared::store::{JobStore, StoreError};
use rand::RngExt as _;

/// Between two looks at objects whose time is over.
const EVERY: Duration = Duration::from_secs(10);

/// Objects removed in one go.
const BATCH: u32 = 50;

/// Removes objects whose time is over until it is dropped.
pub async fn run(store: JobStore, storage: Arc<Storage>) {
    loop {
        // Blurred, so that fifty workers started together do not look at the same moment.
        let pause = EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
        tokio::time::sleep(pause).await;
        if let Err(error) = sweep(&store, &storage).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the list of old objects could not be read");
        }
    }
}

/// Removes all that is due now.
async fn sweep(store: &JobStore, storage: &Storage) -> Result<(), StoreError> {
    let mut removed = Vec::new();
    loop {
        let due = store.collect(&removed, BATCH).await?;
        removed.clear();
        for garbage in due {
            match storage.delete(&garbage.object).await {
                Ok(()) => removed.push(garbage),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "an old object could not be removed; it stays on the list"
                    );
                }
            }
        }
        if removed.is_empty() {
            return Ok(());
        }
    }
}
