//! How workers come to jobs: they ask, are given some, and else wait for a token (`worker::claim`, `lease.lua`).

use std::time::Duration;

use rand::RngExt as _;

use super::watching::Loop;
use super::{Event, TICK, World, place};
use crate::sim::costs::Call;
use crate::sim::fleet::Claiming;

impl World<'_> {
    pub(super) fn ask(&mut self, worker: usize) {
        let now = self.agenda.now();
        let it = &mut self.workers[worker];
        it.claiming = match it.claiming {
            Claiming::ForWork(held) => Claiming::Asking(held),
            _ if it.free() == 0 => Claiming::ForSlot,
            _ => Claiming::Asking(it.free()),
        };
        if let Claiming::Asking(_) = it.claiming {
            self.outcome.ledger.add(now, Call::Lease, 1.0);
            self.agenda.after(self.plan.round_trip / 2, Event::Asked { worker, epoch: it.epoch });
        }
    }

    /// `lease`.
    pub(super) fn answer(&mut self, worker: usize, epoch: u32) {
        let it = &self.workers[worker];
        let Claiming::Asking(want) = it.claiming else { return };
        if it.epoch != epoch {
            return;
        }
        if self.agenda.now() >= self.tended + TICK {
            self.tend();
        }
        let (mut given, mut has_more) = self.give(worker, want);
        // who has nothing to do can look
        if given == 0 && !has_more && self.tend() > 0 {
            (given, has_more) = self.give(worker, want);
        }
        for lane in self.workers[worker].lanes.concat() {
            match (self.queue.has_work(lane), self.bells.has_token(lane)) {
                (true, false) => self.queue.wakes.push(lane),
                (false, true) => self.bells.clear(lane),
                _ => {}
            }
        }
        if given == want as usize {
            self.relieve(Loop::Downloads(worker));
        }
        if given > 0 || has_more {
            self.workers[worker].claiming = Claiming::ForSlot;
            self.ask(worker);
        } else {
            self.wait_for_work(worker, want);
        }
    }

    /// Gives jobs: how many, and whether there may be more.
    pub(super) fn give(&mut self, worker: usize, want: u32) -> (usize, bool) {
        let it = &self.workers[worker];
        let jobs = &self.jobs;
        let given = self.queue.lease(&it.lanes, (it.egress, it.turns, want as usize), |job| place(jobs, job));
        for (job, load) in given.put_off {
            self.leave_line(job);
            self.outcome.put_off += 1;
            self.outcome.ledger.add(self.agenda.now(), Call::Tended, 1.0);
            let crowd = (f64::from(load) / 32.0).max(1.0);
            let blur = self.random.random_range(1.0..3.0);
            self.delay(job, Duration::from_secs_f64(blur * crowd));
        }
        let count = given.jobs.len();
        self.workers[worker].turns += count as u64;
        for job in given.jobs {
            self.attempt(worker, job);
        }
        (count, given.has_more)
    }

    pub(super) fn wait_for_work(&mut self, worker: usize, held: u32) {
        let now = self.agenda.now();
        let it = &mut self.workers[worker];
        it.epoch += 1;
        it.claiming = Claiming::ForWork(held);
        self.outcome.ledger.add(now, Call::Pop, 1.0);
        if self.bells.wait(worker, it.epoch, &it.lanes) {
            return self.ask(worker);
        }
        let epoch = it.epoch;
        let quiet = self.quiet(Loop::Downloads(worker));
        self.agenda.after(quiet, Event::Waited { worker, epoch });
    }

    /// A worker has waited in vain, and asks; as a rule there is nothing, and it waits on.
    pub(super) fn waited(&mut self, worker: usize, epoch: u32) {
        let it = &self.workers[worker];
        if it.epoch != epoch || !matches!(it.claiming, Claiming::ForWork(_)) {
            return;
        }
        let now = self.agenda.now();
        let has_work = it.lanes.iter().flatten().any(|lane| self.queue.has_work(*lane));
        if has_work || self.is_due() {
            return self.ask(worker);
        }
        for call in [Call::Lease, Call::Pop] {
            self.outcome.ledger.add(now, call, 1.0);
        }
        let quiet = self.quiet(Loop::Downloads(worker));
        self.agenda.after(quiet, Event::Waited { worker, epoch });
    }

    pub(super) fn ring_bells(&mut self) {
        for lane in std::mem::take(&mut self.queue.wakes) {
            if let Some(worker) = self.bells.ring(lane, &self.workers) {
                self.ask(worker);
            }
        }
    }
}
