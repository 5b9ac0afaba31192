//! Whether the store of results takes what is made: what it answered last.
//!
//! A store that is away for a minute must cost no job more than the attempt in which that was found out: who takes one after
//! another meanwhile spends all the attempts of each on it. So none is taken until the store has answered again. Nothing is asked
//! for the sake of it as long as all goes well: attempts and probes tell.

use std::time::{Duration, Instant};

use haul_shared::storage::Storage;
use tokio::sync::Mutex;

/// Between two questions to the store.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long a write to it is believed while it answers. In a bucket each is paid for, and health is asked for every ten
/// seconds: in a small service that would be more writes than results are.
const WRITE_EVERY: Duration = Duration::from_secs(300);

/// What the store of results answered last.
#[derive(Default)]
pub struct StorageWatch(Mutex<Option<Last>>);

struct Last {
    is_ready: bool,
    /// When it was asked; `None`: an attempt found out.
    asked: Option<Instant>,
    /// When it was written to, and has been ready since.
    written: Option<Instant>,
}

impl StorageWatch {
    /// Is the store ready? Asks it, unless it has answered within the last five seconds. Answers within five more.
    pub async fn is_ready(&self, storage: &Storage) -> bool {
        let mut last = self.0.lock().await;
        let fresh = last.as_ref().filter(|last| last.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY));
        if let Some(fresh) = fresh {
            return fresh.is_ready;
        }
        let written = last.as_ref().and_then(|last| last.written).filter(|written| written.elapsed() < WRITE_EVERY);
        // boxed: they are deep in the future of a claim
        let answer = match written {
            Some(_) => Box::pin(storage.answers()).await,
            None => Box::pin(storage.ready()).await,
        };
        if let Err(error) = &answer {
            tracing::warn!(error = error as &dyn std::error::Error, "the store of results is not ready");
        }
        let now = Instant::now();
        let written = answer.is_ok().then(|| written.unwrap_or(now));
        *last = Some(Last { is_ready: answer.is_ok(), asked: Some(now), written });
        answer.is_ok()
    }

    /// May a download be taken? Asks a store that failed last whether it is back, as [`Self::is_ready`] does; no other.
    pub async fn takes_results(&self, storage: &Storage) -> bool {
        let failed = self.0.lock().await.as_ref().is_some_and(|last| !last.is_ready);
        !failed || self.is_ready(storage).await
    }

    /// An attempt found that the store does not answer.
    pub async fn failed(&self) {
        *self.0.lock().await = Some(Last { is_ready: false, asked: None, written: None });
    }
}
