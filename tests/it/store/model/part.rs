//! The model of one shard: what the jobs on it are, and what each action makes of them.
//!
//! Written from the state machine (`job::state`), not from the scripts: counts are counted, not kept. Every `match` on
//! states says whence an action may come.

use std::collections::{BTreeMap, HashMap};

use super::line::{Client, Lines};
use super::run::{Given, Run};
use super::shown::{Answer, Shown};
use super::*;

/// What a run is called in the model: they are numbered as they begin.
pub(super) type RunId = usize;

/// Stale places and clients that stand aside, passed over in one call at most.
const STEPS: u32 = 64;

/// What a ticket stands for.
#[derive(Debug)]
enum Held {
    Run {
        run: RunId,
        client: Client,
        is_reused: bool,
    },
    /// It was given back while others held the same.
    Left(Shown),
}

/// One shard.
#[derive(Default)]
pub(super) struct Part {
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) lines: Lines,
    /// Objects to be removed some day, and whether that has come.
    pub(super) garbage: HashMap<ObjectKey, bool>,
    tickets: HashMap<Ticket, Held>,
    pub(super) flights: HashMap<Fingerprint, RunId>,
    limits: HashMap<Client, (Option<u32>, u32)>,
    charged: HashMap<Client, u32>,
    begun: usize,
}

impl Part {
    pub(super) fn submit(&mut self, new: &Submission, ticket: Ticket, is_retry: bool, most: Option<u32>) -> Answer {
        let client = new.client.as_str().to_owned();
        let mut old = None;
        match self.tickets.get(&ticket) {
            None if is_retry => return Answer::Gone,
            None => {}
            Some(_) if !is_retry => return self.given(ticket),
            Some(Held::Left(_)) => {}
            Some(Held::Run { run, .. }) => match self.runs[run].state {
                StateKind::Failed | StateKind::Cancelled => old = Some(*run),
                _ => return Answer::NotRetryable,
            },
        }
        let charged = self.charged.get(&client).copied().unwrap_or(0);
        if new.limits.rate.is_some_and(|rate| charged >= rate.count.get()) {
            return Answer::RateLimited;
        }
        let order = Fingerprint::of(&new.spec, &new.region);
        let shared = self.flights.get(&order).copied().filter(|id| {
            let run = &self.runs[id];
            match run.state {
                StateKind::Queued | StateKind::Waiting | StateKind::Running => !run.is_stopping,
                StateKind::Completed => true,
                StateKind::Failed => !is_retry,
                StateKind::Cancelled | StateKind::Expired => false,
            }
        });
        if shared.is_none() {
            if most.is_some_and(|most| self.waiting(None) >= most) {
                return Answer::QueueFull;
            }
            if new.limits.max_queued.is_some_and(|most| self.waiting(Some(&client)) >= most) {
                return Answer::ClientQueueFull;
            }
        }

        if new.limits.rate.is_some() {
            self.charged.insert(client.clone(), charged + 1);
        }
        if let Some(old) = old {
            self.let_go(old);
        }
        let limits = (new.limits.max_running, new.limits.weight);
        if self.limits.insert(client.clone(), limits) != Some(limits) {
            self.lines.come_back(&client);
        }
        let run = match shared {
            Some(run) => self.share(run, new, &client),
            None => self.begin(order, new, client.clone()),
        };
        let is_reused = self.runs[&run].state == StateKind::Completed;
        self.tickets.insert(ticket, Held::Run { run, client, is_reused });
        self.given(ticket)
    }

    fn given(&self, ticket: Ticket) -> Answer {
        let shown = self.shown(ticket).expect("a ticket that was given out");
        match self.tickets[&ticket] {
            Held::Run { is_reused: true, .. } => Answer::Reused(shown),
            _ => Answer::Accepted(shown),
        }
    }

    fn begin(&mut self, order: Fingerprint, new: &Submission, client: Client) -> RunId {
        let id = self.begun;
        self.begun += 1;
        let run = Run::new(new, order.clone(), client.clone());
        self.lines.enter(&run.lane, &client, id, false);
        self.flights.insert(order, id);
        self.runs.insert(id, run);
        id
    }

    fn share(&mut self, id: RunId, new: &Submission, client: &Client) -> RunId {
        let run = self.runs.get_mut(&id).expect("a run");
        run.tickets += 1;
        if run.state.is_end() {
            return id;
        }
        // who is in a hurry takes the others along
        let lane = lane_of(new);
        if lane.priority == Priority::Normal && (Lane { priority: Priority::Low, ..lane.clone() }) == run.lane {
            self.change_lane(id, lane);
        }
        self.give_place(id, client);
        id
    }

    pub(super) fn cancel(&mut self, ticket: Ticket) -> Cancelled {
        let Some(held) = self.tickets.get(&ticket) else { return Cancelled::Gone };
        let Held::Run { run: id, client, .. } = held else { return Cancelled::AlreadyEnded };
        let (id, client) = (*id, client.clone());
        let run = &self.runs[&id];
        if run.state.is_end() {
            Cancelled::AlreadyEnded
        } else if run.is_stopping {
            Cancelled::Stopping
        } else if run.tickets > 1 {
            let left = Shown { state: StateKind::Cancelled, failure: None, worker: None, ..run.shown(ticket) };
            self.tickets.insert(ticket, Held::Left(left));
            self.run(id).tickets -= 1;
            self.depart(id, client);
            Cancelled::Now
        } else if run.state == StateKind::Running {
            self.run(id).is_stopping = true;
            self.stop_sharing(id);
            Cancelled::Stopping
        } else {
            self.run(id).fence.0 += 1;
            self.end(id, StateKind::Cancelled);
            Cancelled::Now
        }
    }

    /// A client that holds no more tickets of a run has no place in it. Its owner leaves it to another one.
    fn depart(&mut self, id: RunId, client: Client) {
        let holders = self.tickets.values().filter_map(|held| match held {
            Held::Run { run, client, .. } if *run == id => Some(client),
            _ => None,
        });
        let heir = holders.clone().min().expect("others hold it").clone();
        if holders.clone().any(|holder| *holder == client) {
            return;
        }
        let run = self.runs.get_mut(&id).expect("a run");
        let (lane, is_queued) = (run.lane.clone(), run.state == StateKind::Queued);
        if run.owner != client {
            return self.lines.leave(&lane, &client, id);
        }
        run.owner = heir.clone();
        if !is_queued {
            self.lines.leave(&lane, &heir, id);
        } else {
            if !self.lines.places(&lane, &heir).any(|other| other == id) {
                self.lines.enter(&lane, &heir, id, false);
            }
            self.lines.leave(&lane, &client, id);
        }
    }

    pub(super) fn forget(&mut self, ticket: Ticket) -> bool {
        let run = match self.tickets.get(&ticket) {
            None => return false,
            Some(Held::Left(_)) => None,
            Some(Held::Run { run, .. }) if !self.runs[run].state.is_end() => return false,
            Some(Held::Run { run, .. }) => Some(*run),
        };
        self.tickets.remove(&ticket);
        if let Some(object) = run.and_then(|run| self.let_go(run)).and_then(|run| run.result)
            && let Some(is_due) = self.garbage.get_mut(&object)
        {
            *is_due = true;
        }
        true
    }

    /// One ticket less; with the last one the record of an ended run goes.
    fn let_go(&mut self, id: RunId) -> Option<Run> {
        let run = self.run(id);
        run.tickets -= 1;
        if run.tickets > 0 {
            return None;
        }
        self.stop_sharing(id);
        self.runs.remove(&id)
    }

    /// The next jobs, lane by lane; one turn in `low_every`, less urgent jobs go first.
    pub(super) fn lease(&mut self, worker: &WorkerId, lanes: &[[Lane; 2]], turns: u64, most: usize) -> Vec<Given> {
        let (mut given, mut steps) = (Vec::new(), 0);
        while given.len() < most {
            let is_low_first = (turns + given.len() as u64 + 1).is_multiple_of(8);
            let next = lanes.iter().find_map(|[normal, low]| {
                let (one, other) = if is_low_first { (low, normal) } else { (normal, low) };
                self.take(one, worker, &mut steps).or_else(|| self.take(other, worker, &mut steps))
            });
            let Some(next) = next else { break };
            given.push(next);
        }
        given
    }

    fn take(&mut self, lane: &Lane, worker: &WorkerId, steps: &mut u32) -> Option<Given> {
        while *steps < STEPS {
            let client = self.lines.turns(lane).into_iter().next()?;
            let (most, weight) = self.limits[&client];
            let running = self.runs.values().filter(|run| run.state == StateKind::Running && run.charged == client);
            if most.is_some_and(|most| running.count() >= most as usize) {
                self.lines.stand_aside(lane, &client);
            } else {
                match self.lines.pop(lane, &client) {
                    None => self.lines.retire(lane, &client),
                    Some(id) if self.is_in(id, lane) => {
                        self.lines.served(lane, &client, weight);
                        let owner = self.runs[&id].owner.clone();
                        if owner != client {
                            self.lines.leave(lane, &owner, id);
                        }
                        return Some(self.run(id).start(client, worker));
                    }
                    Some(_) => {}
                }
            }
            *steps += 1;
        }
        None
    }

    /// What the holder of a ticket is to see.
    pub(super) fn shown(&self, ticket: Ticket) -> Option<Shown> {
        match self.tickets.get(&ticket)? {
            Held::Left(shown) => Some(shown.clone()),
            Held::Run { run, .. } => Some(self.runs[run].shown(ticket)),
        }
    }

    /// The run behind a ticket.
    pub(super) fn behind(&mut self, ticket: Ticket) -> Option<&mut Run> {
        match self.tickets.get(&ticket)? {
            Held::Left(_) => None,
            Held::Run { run, .. } => self.runs.get_mut(run),
        }
    }

    /// Jobs that wait, of everybody or of one client.
    fn waiting(&self, client: Option<&Client>) -> u32 {
        let waits = |run: &&Run| matches!(run.state, StateKind::Queued | StateKind::Waiting);
        let is_theirs = |run: &&Run| client.is_none_or(|client| run.owner == *client);
        u32::try_from(self.runs.values().filter(waits).filter(is_theirs).count()).expect("a small model")
    }

    pub(super) fn run(&mut self, id: RunId) -> &mut Run {
        self.runs.get_mut(&id).expect("a run")
    }

    pub(super) fn stop_sharing(&mut self, id: RunId) {
        self.flights.retain(|_, run| *run != id);
    }
}
