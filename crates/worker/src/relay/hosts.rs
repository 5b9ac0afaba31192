//! How much of a host is taken at once, over all jobs of a worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::origin::Patience;

/// Connections to one host at the same time.
const SEATS: usize = 32;
/// Hosts that are kept although nobody is at them.
const MOST: usize = 1000;

/// The hosts that relays are at.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    patience: Patience,
    seats: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Hosts {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, seats: Arc::default() }
    }

    pub(super) fn host(&self, name: &str) -> Host {
        let mut all = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, seats| Arc::strong_count(seats) > 1);
        }
        let seats = all.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(SEATS)));
        Host { name: name.to_owned(), seats: Arc::clone(seats), patience: self.patience.clone() }
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Host {
    name: String,
    seats: Arc<Semaphore>,
    patience: Patience,
}

impl Host {
    /// It has asked for fewer requests.
    pub(super) fn asked(&self) {
        self.patience.asked(self.name.clone());
    }

    /// How many connections a relay may have, of so many.
    pub(super) fn at_once(&self, most: usize) -> usize {
        if self.is_spared() { (most / 2).max(1) } else { most }
    }

    /// Waits until there is room for a connection that is at work; `None` never happens.
    pub(super) async fn seat(&self) -> Option<OwnedSemaphorePermit> {
        // of a host that is spared, half of the seats stay empty
        let seats = if self.is_spared() { 2 } else { 1 };
        Arc::clone(&self.seats).acquire_many_owned(seats).await.ok()
    }

    fn is_spared(&self) -> bool {
        self.patience.at_once(&self.name, 2) == 1
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn all_relays_share_the_seats_of_a_host_and_one_that_is_spared_has_half() {
        let hosts = Hosts::default();
        let take_all = |host: &Host| std::iter::from_fn(|| host.seat().now_or_never()).collect::<Vec<_>>();
        let (one, other) = (hosts.host("a.example"), hosts.host("a.example"));
        let taken = take_all(&one);
        assert_eq!((taken.len(), take_all(&other).len()), (SEATS, 0));
        assert_eq!(take_all(&hosts.host("b.example")).len(), SEATS);
        drop(taken);
        one.asked();
        assert_eq!((take_all(&other).len(), other.at_once(16)), (SEATS / 2, 8));
    }
}
