//! The lane of what is coded anew. Copying costs next to nothing, coding takes whole cores: jobs that copy must not wait
//! for them, so only so many jobs code at a time, whatever the number of slots.

use std::num::NonZeroUsize;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Places for jobs that code anew.
#[derive(Debug)]
pub struct Lane(Semaphore);

/// A place in the lane; free again when dropped.
#[derive(Debug)]
pub struct Place<'a>(#[expect(dead_code, reason = "held, not looked at")] SemaphorePermit<'a>);

impl Lane {
    /// Half of the cores, so that the rest of the worker is never without.
    #[must_use]
    pub fn for_cores(cores: NonZeroUsize) -> Self {
        Self(Semaphore::new((cores.get() / 2).max(1)))
    }

    /// A place, in the order of asking. Waits as long as it takes: given up by dropping.
    ///
    /// # Panics
    /// Never: the lane is not closed.
    pub async fn enter(&self) -> Place<'_> {
        Place(self.0.acquire().await.expect("a lane is never closed"))
    }

    /// Would [`Self::enter`] wait?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.available_permits() == 0
    }
}
