//! The memory of relays: each has some of its own, and some more is for whoever needs it first.
//!
//! With that of its own alone a relay comes to its end, if not with all of its connections at work.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is taken at once, in bytes.
pub(super) const UNIT: usize = 1024 * 1024;
/// Of a relay's own, in bytes: with the buffers of its connections, 32 MiB.
const OWN: usize = 30 * UNIT;
/// Of all relays of a worker together, in bytes: enough for one that has 16 connections and four parts on their way.
const SHARED: usize = 28 * UNIT;
/// Of one relay at most, in bytes.
pub(super) const MOST: usize = OWN + SHARED;

/// What all relays of a worker share.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Semaphore>);

impl Default for Shared {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SHARED)))
    }
}

impl Shared {
    /// For one relay.
    pub(super) fn room(&self) -> Room {
        Room { own: Arc::new(Semaphore::new(OWN)), shared: self.clone() }
    }
}

/// What one relay may take.
#[derive(Debug)]
pub(super) struct Room {
    own: Arc<Semaphore>,
    shared: Shared,
}

/// Room that is taken; given back on drop.
#[derive(Debug)]
pub(super) struct Taken(OwnedSemaphorePermit);

impl Taken {
    /// In bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.0.num_permits() as u64
    }

    /// Gives back what a piece of so many bytes does not need.
    pub(super) fn keep(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes);
        drop(self.0.split(surplus));
    }
}

impl Room {
    /// Takes so many units if they are free, else waits for one; `None` never happens.
    pub(super) async fn take(&self, units: u32) -> Option<Taken> {
        if let Some(taken) = self.try_take(units) {
            return Some(taken);
        }
        let (own, shared) = (Arc::clone(&self.own), Arc::clone(&self.shared.0));
        let one = tokio::select! {
            one = own.acquire_many_owned(UNIT as u32) => one,
            one = shared.acquire_many_owned(UNIT as u32) => one,
        };
        one.ok().map(Taken)
    }

    /// Takes so many units if they are free.
    pub(super) fn try_take(&self, units: u32) -> Option<Taken> {
        let mut pools = [&self.own, &self.shared.0].into_iter();
        pools.find_map(|pool| Arc::clone(pool).try_acquire_many_owned(units * UNIT as u32).ok()).map(Taken)
    }

    /// Whether there is a unit.
    pub(super) fn is_free(&self) -> bool {
        self.own.available_permits().max(self.shared.0.available_permits()) >= UNIT
    }
}
