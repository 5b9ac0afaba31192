//! How often results are handed out: counted behind the answer, which does not wait for it.
//!
//! A count may be lost, when Redis does not answer or too many are on their way; an answer never is for its sake.

use std::sync::Arc;

use haul_shared::ids::Ticket;
use haul_shared::store::JobStore;
use tokio::sync::Semaphore;

/// Counts on their way to Redis at once.
const MOST: usize = 256;

/// Places for counts that are on their way.
#[derive(Debug, Clone)]
pub struct Tally(Arc<Semaphore>);

impl Default for Tally {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Tally {
    /// Counts that the holder of a ticket was handed its result.
    pub fn fetched(&self, jobs: &JobStore, ticket: Ticket) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            return tracing::debug!("a fetch was not counted: too many are on their way");
        };
        let jobs = jobs.clone();
        tokio::spawn(async move {
            // bounded by the time that the store waits for an answer
            if let Err(error) = jobs.fetched(ticket).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a fetch was not counted");
            }
            drop(place);
        });
    }
}
