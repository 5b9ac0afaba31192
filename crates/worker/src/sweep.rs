//! Objects whose time is over are removed from the store.
//!
//! First removed and then taken off the list, so that a death in between only repeats the removal. Several workers
//! may do it at once. Not here: which objects are due, and since when (`shared::store`).

use haul_shared::storage::Storage;
use haul_shared::store::{JobStore, StoreError};
use tokio::sync::Notify;

/// Objects removed in one go.
const BATCH: u32 = 50;

/// Removes objects whose time is over, whenever told that there are some, until it is dropped.
pub async fn run(store: &JobStore, storage: &Storage, due: &Notify) {
    loop {
        due.notified().await;
        if let Err(error) = sweep(store, storage).await {
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
