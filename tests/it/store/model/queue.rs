//! The model of the whole queue: its shards, what was promised to clients, and which worker asks where next.

use std::collections::HashMap;

use super::part::{Part, RunId};
use super::run::Given;
use super::shown::{Answer, Shown};
use super::*;

/// The queue as plain data.
pub(super) struct Queue {
    shards: Shards,
    most: Option<u32>,
    pub(super) parts: Vec<Part>,
    promises: HashMap<(ClientKey, String), (String, Ticket)>,
    workers: Vec<Worker>,
}

/// One that takes jobs: it asks another shard first each time, and counts its turns over all of them.
struct Worker {
    id: WorkerId,
    first: usize,
    turns: u64,
}

impl Queue {
    pub(super) fn new(shards: Shards, most: Option<u32>, workers: &[WorkerId]) -> Self {
        let worker = |id: &WorkerId| Worker { id: id.clone(), first: 0, turns: 0 };
        Self {
            shards,
            most,
            parts: shards.all().map(|_| Part::default()).collect(),
            promises: HashMap::new(),
            workers: workers.iter().map(worker).collect(),
        }
    }

    pub(super) fn submit(&mut self, new: &Submission) -> Answer {
        let Some(promise) = &new.idempotency else { return self.enter(new, new.ticket, false) };
        let name = (new.client.clone(), promise.key.clone());
        let (body, ticket) =
            self.promises.entry(name).or_insert_with(|| (promise.body_sha256.clone(), new.ticket)).clone();
        if body != promise.body_sha256 {
            return Answer::Conflict;
        }
        match self.enter(new, ticket, false) {
            Answer::Accepted(shown) | Answer::Reused(shown) if ticket != new.ticket => Answer::Replayed(shown),
            answer => answer,
        }
    }

    pub(super) fn resubmit(&mut self, new: &Submission) -> Answer {
        self.enter(new, new.ticket, true)
    }

    fn enter(&mut self, new: &Submission, ticket: Ticket, is_retry: bool) -> Answer {
        let most = self.most;
        self.of(ticket).submit(new, ticket, is_retry, most)
    }

    pub(super) fn lease(&mut self, worker: usize, most: usize) -> Vec<Given> {
        let lanes = REGIONS.map(|region| [Priority::Normal, Priority::Low].map(|priority| lane(region, priority)));
        let worker = &mut self.workers[worker];
        let shards = self.parts.len();
        worker.first = (worker.first + 1) % shards;
        let mut given = Vec::new();
        for at in (worker.first..shards).chain(0..worker.first) {
            if given.len() == most {
                break;
            }
            let more = self.parts[at].lease(&worker.id, &lanes, worker.turns, most - given.len());
            worker.turns += more.len() as u64;
            given.extend(more);
        }
        given
    }

    pub(super) fn of(&mut self, ticket: Ticket) -> &mut Part {
        &mut self.parts[number(ticket.shard(self.shards))]
    }

    pub(super) fn around(&mut self, job: JobId) -> &mut Part {
        &mut self.parts[number(job.shard(self.shards))]
    }

    pub(super) fn shown(&mut self, ticket: Ticket) -> Option<Shown> {
        self.of(ticket).shown(ticket)
    }

    /// Jobs in these states, on which shard they are and what they are called, in the order in which they began.
    pub(super) fn jobs(&self, states: &[StateKind]) -> Vec<(usize, RunId, JobId)> {
        let all = self.parts.iter().enumerate().flat_map(|(at, part)| part.runs.iter().map(move |run| (at, run)));
        all.filter(|(_, (_, run))| states.contains(&run.state))
            .map(|(at, (id, run))| (at, *id, run.job.expect("a run that the store named")))
            .collect()
    }
}

pub(super) fn number(shard: Shard) -> usize {
    shard.to_string().parse().expect("a number")
}
