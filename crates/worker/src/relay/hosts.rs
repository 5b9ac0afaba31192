//! How much of a host is taken at once, over all jobs of a worker.
//!
//! Who is refused a seat waits until another piece is there, of whichever job: that wait says nothing about the origin
//! ([`Turn`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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

    /// Waits until there is room for a connection that is at work.
    pub(super) async fn seat(&self, turn: &Turn) -> Seat {
        let waiting = Counted::one_more(turn, |counts| &counts.waiting);
        // of a host that is spared, half of the seats stay empty
        let seats = if self.is_spared() { 2 } else { 1 };
        // ours are never closed
        let permit = Arc::clone(&self.seats).acquire_many_owned(seats).await.ok();
        let seated = Counted::one_more(turn, |counts| &counts.seated);
        drop(waiting);
        Seat { _permit: permit, _seated: seated }
    }

    fn is_spared(&self) -> bool {
        self.patience.at_once(&self.name, 2) == 1
    }
}

/// Room for a connection; given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    _permit: Option<OwnedSemaphorePermit>,
    _seated: Counted,
}

/// How the connections of one file stand: who has a seat, and who waits for one. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    seated: AtomicUsize,
}

impl Turn {
    /// Nothing can arrive, for nobody has a seat, and somebody waits for one.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.seated.load(Ordering::Relaxed) == 0 && self.0.waiting.load(Ordering::Relaxed) > 0
    }
}

/// One of a number, until it is dropped.
#[derive(Debug)]
struct Counted {
    turn: Turn,
    of: fn(&Counts) -> &AtomicUsize,
}

impl Counted {
    fn one_more(turn: &Turn, of: fn(&Counts) -> &AtomicUsize) -> Self {
        of(&turn.0).fetch_add(1, Ordering::Relaxed);
        Self { turn: turn.clone(), of }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.of)(&self.turn.0).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn all_relays_share_the_seats_of_a_host_and_one_that_is_spared_has_half() {
        let hosts = Hosts::default();
        let turn = Turn::default();
        let take_all = |host: &Host| std::iter::from_fn(|| host.seat(&turn).now_or_never()).collect::<Vec<_>>();
        let (one, other) = (hosts.host("a.example"), hosts.host("a.example"));
        let taken = take_all(&one);
        assert_eq!((taken.len(), take_all(&other).len()), (SEATS, 0));
        assert_eq!(take_all(&hosts.host("b.example")).len(), SEATS);
        drop(taken);
        one.asked();
        assert_eq!((take_all(&other).len(), other.at_once(16)), (SEATS / 2, 8));
    }

    #[tokio::test]
    async fn a_turn_is_awaited_while_nobody_has_a_seat_and_somebody_wants_one() {
        let (host, mine, others) = (Hosts::default().host("a.example"), Turn::default(), Turn::default());
        let mut taken: Vec<_> = std::iter::from_fn(|| host.seat(&others).now_or_never()).collect();
        assert!(!mine.is_awaited() && !others.is_awaited());
        {
            let mut first = std::pin::pin!(host.seat(&mine));
            assert!(futures::poll!(&mut first).is_pending() && mine.is_awaited());
            taken.pop();
            let seat = first.await;
            assert!(!mine.is_awaited());
            assert!(host.seat(&mine).now_or_never().is_none());
            drop(seat);
        }
        assert!(!mine.is_awaited(), "given up");
    }
}
