//! Whether the store of results takes what is made: what it answered last.
//!
//! A store that is away for a minute must cost no job more than the attempt in which that was found out: who takes one after
//! another meanwhile spends all the attempts of each on it. So none is taken until the store has answered again. Nothing is asked
//! for the sake of it as long as all goes well: attempts and probes tell.

use std::time::{Duration, Instant};

use haul_shared::storage::Storage;
use tokio::sync::Mutex;

/// Between two questions to the store: in a bucket each is a write that is paid for.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// What the store of results answered last.
#[derive(Default)]
pub struct StorageWatch(Mutex<Option<Last>>);

struct Last {
    is_ready: bool,
    /// When it was asked; `None`: an attempt found out.
    asked: Option<Instant>,
}

impl StorageWatch {
    /// Is the store ready? Asks it, unless it has answered within the last five seconds. Answers within five more.
    pub async fn is_ready(&self, storage: &Storage) -> bool {
        let mut last = self.0.lock().await;
        let fresh = last.as_ref().filter(|last| last.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY));
        if let Some(fresh) = fresh {
            return fresh.is_ready;
        }
        // boxed: it is deep in the future of a claim
        let answer = Box::pin(storage.ready()).await;
        if let Err(error) = &answer {
            tracing::warn!(error = error as &dyn std::error::Error, "the store of results is not ready");
        }
        *last = Some(Last { is_ready: answer.is_ok(), asked: Some(Instant::now()) });
        answer.is_ok()
    }

    /// May a download be taken? Asks a store that failed last whether it is back, as [`Self::is_ready`] does; no other.
    pub async fn takes_results(&self, storage: &Storage) -> bool {
        let failed = self.0.lock().await.as_ref().is_some_and(|last| !last.is_ready);
        !failed || self.is_ready(storage).await
    }

    /// An attempt found that the store does not answer.
    pub async fn failed(&self) {
        *self.0.lock().await = Some(Last { is_ready: false, asked: None });
    }
}
