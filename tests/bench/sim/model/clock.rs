//! Logical time: what is to happen, in order. Nobody waits for it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What is planned, the earliest first; what is planned for the same moment happens in the order in which it was planned.
#[derive(Debug)]
pub struct Agenda<E> {
    planned: BinaryHeap<Planned<E>>,
    count: u64,
    now: Duration,
}

#[derive(Debug)]
struct Planned<E> {
    at: Duration,
    number: u64,
    event: E,
}

impl<E> Agenda<E> {
    /// Nothing is planned, and it is the beginning of time.
    #[must_use]
    pub fn new() -> Self {
        Self { planned: BinaryHeap::new(), count: 0, now: Duration::ZERO }
    }

    /// The time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Plans an event for so much later.
    pub fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now + delay, event);
    }

    /// Plans an event for a time; one that is over is now.
    pub fn at(&mut self, at: Duration, event: E) {
        self.count += 1;
        self.planned.push(Planned { at: at.max(self.now), number: self.count, event });
    }

    /// The next event, at whose time it is now.
    pub fn advance(&mut self) -> Option<E> {
        let next = self.planned.pop()?;
        self.now = next.at;
        Some(next.event)
    }
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Ord for Planned<E> {
    // a heap gives the greatest first
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Planned<E> {}
