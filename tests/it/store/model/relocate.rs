//! The model of a region that nobody serves: what waits there goes to another one, client by client.

use super::line::{Client, Lines};
use super::part::{Part, RunId};
use super::*;

/// Calls of the store in one look at a shard.
const MOST_CALLS: usize = 50;

/// Places of one client that one call looks at.
const PLACES: usize = 32;

impl Part {
    /// Every job has waited for long enough, and only `to` has a worker.
    pub(super) fn relocate(&mut self, from: &Region, to: &Region) {
        for _ in 0..MOST_CALLS {
            let moved = [Priority::Normal, Priority::Low]
                .map(|priority| self.move_lane(&lane(from.as_str(), priority), &lane(to.as_str(), priority)));
            if moved == [0, 0] {
                return;
            }
        }
    }

    /// Owners of jobs first, since one that stands aside has no turn; then whoever has one.
    fn move_lane(&mut self, from: &Lane, to: &Lane) -> usize {
        let mut waiting: Vec<RunId> = self.runs.keys().copied().filter(|id| self.is_in(*id, from)).collect();
        waiting.sort_by_key(|id| self.runs[id].job.map(|job| job.to_string()));
        let mut clients: Vec<Client> = Vec::new();
        for client in waiting.iter().map(|id| self.runs[id].owner.clone()).chain(self.lines.turns(from)) {
            if !clients.contains(&client) {
                clients.push(client);
            }
        }
        clients.iter().map(|client| self.move_client(client, from, to)).sum()
    }

    /// A client's own jobs go; its shares in those of others follow them.
    fn move_client(&mut self, client: &Client, from: &Lane, to: &Lane) -> usize {
        let places: Vec<RunId> = self.lines.places(from, client).take(PLACES).collect();
        let is_own = |part: &Self, id: RunId| part.is_in(id, from) && part.runs[&id].owner == *client;
        let goes = places.iter().filter(|id| is_own(self, **id)).count();
        if goes > 0 {
            self.lines.keep_turn(client, from, to);
        }
        for id in places {
            if is_own(self, id) {
                self.change_lane(id, to.clone());
            } else if !self.is_in(id, from) {
                self.lines.leave(from, client, id);
                self.give_place(id, client);
            }
        }
        if self.lines.places(from, client).next().is_none() {
            self.lines.retire(from, client);
        }
        goes
    }

    /// Does it wait in this lane?
    pub(super) fn is_in(&self, id: RunId, lane: &Lane) -> bool {
        self.runs.get(&id).is_some_and(|run| run.state == StateKind::Queued && run.lane == *lane)
    }

    /// Its owner's place goes along, behind its others there.
    pub(super) fn change_lane(&mut self, id: RunId, to: Lane) {
        let run = self.run(id);
        let from = std::mem::replace(&mut run.lane, to);
        if run.state == StateKind::Queued {
            let run = &self.runs[&id];
            self.lines.leave(&from, &run.owner, id);
            self.lines.leave(&run.lane, &run.owner, id);
            self.lines.enter(&run.lane, &run.owner, id, false);
        }
    }

    /// A place in line for a client that shares a job.
    pub(super) fn give_place(&mut self, id: RunId, client: &Client) {
        let Some(run) = self.runs.get(&id).filter(|run| run.state == StateKind::Queued) else { return };
        if run.owner != *client && !self.lines.places(&run.lane, client).any(|other| other == id) {
            self.lines.enter(&run.lane, client, id, false);
        }
    }
}

impl Lines {
    /// Whoever has had more than its turns lately has had them in the other lane, too.
    fn keep_turn(&mut self, client: &Client, from: &Lane, to: &Lane) {
        let Some(at) = self.turn(from, client) else { return };
        let ahead = (at - self.now(from)).max(0.0);
        let at = self.now(to) + ahead;
        self.join(to, client, at);
    }
}
