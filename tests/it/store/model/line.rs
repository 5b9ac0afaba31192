//! The model's lines: who is served next. Clients take turns by virtual time, one that runs as much as it may stands aside.
//!
//! Not here: whether a job that comes to the front may start ([`super::part`]).

use std::collections::{BTreeMap, HashMap, VecDeque};

use haul_shared::store::Lane;

use super::part::RunId;

/// What a client is called in the store. Of two clients with the same virtual time the lesser name is first.
pub(super) type Client = String;

/// The lines of one shard.
#[derive(Default)]
pub(super) struct Lines {
    /// Places of jobs. One may be stale: its job is running, gone, or in another lane by now.
    places: HashMap<(Lane, Client), VecDeque<RunId>>,
    ring: HashMap<Lane, BTreeMap<Client, f64>>,
    aside: HashMap<Client, HashMap<Lane, f64>>,
    now: HashMap<Lane, f64>,
}

impl Lines {
    /// A job gets a place, in front of its client's others or behind them, and its client a turn.
    pub(super) fn enter(&mut self, lane: &Lane, client: &Client, run: RunId, at_head: bool) {
        let places = self.places.entry((lane.clone(), client.clone())).or_default();
        match at_head {
            true => places.push_front(run),
            false => places.push_back(run),
        }
        self.join(lane, client, self.now(lane));
    }

    /// A client has a turn from now on, unless it has one, or stands aside.
    pub(super) fn join(&mut self, lane: &Lane, client: &Client, at: f64) {
        if !self.aside.get(client).is_some_and(|lanes| lanes.contains_key(lane)) {
            self.ring.entry(lane.clone()).or_default().entry(client.clone()).or_insert(at);
        }
    }

    /// A client's places, next first.
    pub(super) fn places(&self, lane: &Lane, client: &Client) -> impl Iterator<Item = RunId> {
        self.places.get(&(lane.clone(), client.clone())).into_iter().flatten().copied()
    }

    /// A job gives up a place.
    pub(super) fn leave(&mut self, lane: &Lane, client: &Client, run: RunId) {
        if let Some(places) = self.places.get_mut(&(lane.clone(), client.clone()))
            && let Some(at) = places.iter().position(|other| *other == run)
        {
            places.remove(at);
        }
    }

    /// Who has a turn, next first.
    pub(super) fn turns(&self, lane: &Lane) -> Vec<Client> {
        let mut turns: Vec<_> = self.ring.get(lane).into_iter().flatten().collect();
        turns.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        turns.into_iter().map(|(client, _)| client.clone()).collect()
    }

    /// The virtual time of a client.
    pub(super) fn turn(&self, lane: &Lane, client: &Client) -> Option<f64> {
        self.ring.get(lane)?.get(client).copied()
    }

    /// The next place of a client.
    pub(super) fn pop(&mut self, lane: &Lane, client: &Client) -> Option<RunId> {
        self.places.get_mut(&(lane.clone(), client.clone()))?.pop_front()
    }

    /// A client had its turn; the next one comes sooner the more it weighs.
    pub(super) fn served(&mut self, lane: &Lane, client: &Client, weight: u32) {
        let ring = self.ring.get_mut(lane).expect("a ring that somebody stands in");
        let at = ring.get_mut(client).expect("a client that stands in the ring");
        self.now.insert(lane.clone(), *at);
        *at += 1.0 / f64::from(weight);
    }

    /// A client has nothing more in this lane.
    pub(super) fn retire(&mut self, lane: &Lane, client: &Client) {
        self.ring.get_mut(lane).and_then(|ring| ring.remove(client));
    }

    /// A client runs as much as it may: until a job of its ends, or its limit changes.
    pub(super) fn stand_aside(&mut self, lane: &Lane, client: &Client) {
        let at = self.ring.get_mut(lane).and_then(|ring| ring.remove(client)).expect("a client in the ring");
        self.aside.entry(client.clone()).or_default().insert(lane.clone(), at);
    }

    /// A client takes its turns again. It kept its virtual time, but nobody saves up turns.
    pub(super) fn come_back(&mut self, client: &Client) {
        for (lane, at) in self.aside.remove(client).unwrap_or_default() {
            let at = at.max(self.now(&lane));
            self.ring.entry(lane).or_default().insert(client.clone(), at);
        }
    }

    /// Virtual time of a lane: that of the last one who was served.
    pub(super) fn now(&self, lane: &Lane) -> f64 {
        self.now.get(lane).copied().unwrap_or(0.0)
    }
}
