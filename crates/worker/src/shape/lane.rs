//! The lane of what is coded anew. Copying costs next to nothing, coding takes whole cores: only so many jobs code at a
//! time, whatever the number of slots, so that those that copy find cores free.
//!
//! A job that waits for a place keeps its slot, because its files are in scratch: where the slots are full of jobs that
//! code or wait to, jobs that copy wait for a slot like any other. That there are more slots than those is the operator's
//! to see to.

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

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn half_of_the_cores_code_and_who_gives_up_waiting_holds_up_nobody() {
        for (cores, places) in [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)] {
            let lane = Lane::for_cores(NonZeroUsize::new(cores).unwrap());
            let mut taken = Vec::new();
            while !lane.is_full() {
                taken.push(lane.enter().await);
            }
            assert_eq!(taken.len(), places, "{cores}");
            let mut first = Box::pin(lane.enter());
            let mut second = Box::pin(lane.enter());
            assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
            drop(first);
            taken.pop();
            let place = second.now_or_never().expect("it is the next in line");
            assert!(lane.is_full());
            drop((place, taken));
            assert!(!lane.is_full());
        }
    }
}
