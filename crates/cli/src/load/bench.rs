//! What all users of a run have in common: the service, what they ask it for, and where it is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::mix::{Mix, Scenario};
use super::tally::{Outcome, Tallies};
use crate::client::Client;

/// Jobs that are asked for, of all that are made: as many as make every answer another one.
const MOST_KNOWN: usize = 1024;

/// A run's service, its words and its figures.
#[derive(Debug)]
pub struct Bench {
    /// The service.
    pub client: Client,
    /// What is done.
    pub mix: Mix,
    /// Does a journey fetch the bytes of its result?
    pub fetches: bool,
    /// What every job of this run can be found by.
    pub tag: String,
    addresses: Vec<String>,
    turns: AtomicU64,
    unfinished: AtomicU64,
    /// Orders that may have become a job.
    ordered: AtomicU64,
    /// Those of them of which nothing was heard that says what became of them.
    unanswered: AtomicU64,
    known: Mutex<Vec<Uuid>>,
    tallies: Mutex<Tallies>,
}

/// One thing to be done.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// What.
    pub scenario: Scenario,
    /// How many were before it in this run.
    pub number: u64,
}

impl Bench {
    /// A run that has not begun.
    #[must_use]
    pub fn new(client: Client, mix: Mix, addresses: Vec<String>, fetches: bool) -> Self {
        let tag = format!("haul-load-{:08x}", Uuid::new_v4().as_fields().0);
        let (known, tallies) = (Mutex::default(), Mutex::default());
        let [turns, unfinished, ordered, unanswered] = std::array::from_fn(|_| AtomicU64::new(0));
        Self { client, mix, fetches, tag, addresses, turns, unfinished, ordered, unanswered, known, tallies }
    }

    /// The next thing to be done, which is this.
    pub fn turn(&self, scenario: Scenario) -> Turn {
        Turn { scenario, number: self.turns.fetch_add(1, Ordering::Relaxed) }
    }

    /// Which media it is about: the addresses in turn, `{number}` in them the number of the turn.
    #[must_use]
    pub fn address(&self, turn: Turn) -> String {
        let at = turn.number as usize % self.addresses.len().max(1);
        self.addresses.get(at).map(|url| url.replace("{number}", &turn.number.to_string())).unwrap_or_default()
    }

    /// The order of a download that can be found again.
    #[must_use]
    pub fn order(&self, turn: Turn) -> Value {
        let external_id = format!("{}-{}", self.tag, turn.number);
        json!({ "url": self.address(turn), "tags": [self.tag], "external_id": external_id })
    }

    /// An order is sent: from now on it may become a job, heard of or not.
    pub fn orders(&self) {
        self.ordered.fetch_add(1, Ordering::Relaxed);
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of an order is known: it was answered, or never came to the service. Was it taken?
    pub fn order_ends(&self, is_taken: bool) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        self.ordered.fetch_sub(u64::from(!is_taken), Ordering::Relaxed);
    }

    /// How many jobs there may be of this run.
    #[must_use]
    pub fn ordered(&self) -> u64 {
        self.ordered.load(Ordering::Relaxed)
    }

    /// How many of them may only be made yet.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// How many jobs of this run are surely made, and are not among so many that were found and deleted.
    #[must_use]
    pub fn not_among(&self, deleted: u64) -> u64 {
        self.ordered().saturating_sub(self.unanswered()).saturating_sub(deleted)
    }

    /// There is this job from now on.
    pub fn knows(&self, id: Uuid, turn: Turn) {
        let mut known = self.known.lock().expect("no holder panics");
        if known.len() < MOST_KNOWN {
            known.push(id);
        } else {
            known[turn.number as usize % MOST_KNOWN] = id;
        }
    }

    /// A job that there is; before there is any, one that there is not.
    #[must_use]
    pub fn known(&self, turn: Turn) -> Uuid {
        let known = self.known.lock().expect("no holder panics");
        known.get(turn.number as usize % known.len().max(1)).copied().unwrap_or_default()
    }

    /// Counts what became of a request, and how long it took; `None`: it never began.
    pub fn count(&self, scenario: Scenario, took: Option<Duration>, outcome: &Outcome) {
        self.tallies().add(scenario, took, outcome);
    }

    /// Counts one that was under way when there was no more time for it.
    pub fn leaves(&self) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// The figures.
    pub fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.tallies.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_was_surely_made_and_is_in_no_list_is_told_and_what_may_still_come_is_not() {
        let global = Cli::parse_from(["haul", "stats"]).global;
        let mix = "submit".parse().unwrap();
        let bench = Bench::new(Client::new(&global).unwrap(), mix, Vec::new(), false);
        // three were taken, one was refused, of one nothing was heard
        (0..5).for_each(|_| bench.orders());
        [true, true, true, false].into_iter().for_each(|is_taken| bench.order_ends(is_taken));
        assert_eq!((bench.ordered(), bench.unanswered()), (4, 1));
        assert_eq!([0, 2, 3, 4].map(|deleted| bench.not_among(deleted)), [3, 1, 0, 0]);
    }
}
