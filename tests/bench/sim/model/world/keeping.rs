//! What time does (`tending.lua`): delays end, leases run out, workers die and come back.

use std::cmp::Reverse;
use std::time::Duration;

use rand::RngExt as _;

use super::{Event, HEARTBEAT, State, World, due, lane, place};
use crate::sim::costs::Call;
use crate::sim::draw::Draw;
use crate::sim::fleet::Claiming;
use crate::sim::queue::JobId;

impl World<'_> {
    pub(super) fn delay(&mut self, job: JobId, delay: Duration) {
        self.jobs[job].state = State::Waiting;
        self.delays.push(Reverse((self.agenda.now() + delay, job, self.jobs[job].run)));
        let is_first = self.delays.peek().is_some_and(|Reverse((_, first, _))| *first == job);
        if is_first {
            self.queue.wakes.push(lane(&self.jobs[job].order));
        }
    }

    /// `tending`: delays that are over, leases that ran out. How many came back into line.
    pub(super) fn tend(&mut self) -> usize {
        let now = self.agenda.now();
        self.tended = now;
        let mut promoted = 0;
        while let Some(job) = due(&mut self.delays, now) {
            self.outcome.ledger.add(now, Call::Tended, 1.0);
            self.enter_line(job, true);
            promoted += 1;
        }
        while let Some(job) = due(&mut self.leases, now) {
            self.outcome.ledger.add(now, Call::Tended, 1.0);
            let State::Running { egress, .. } = self.jobs[job].state else { continue };
            self.stop_running(job, egress);
            self.outcome.lost += 1;
            let it = &mut self.jobs[job];
            it.crashes += 1;
            if it.crashes >= self.plan.limits.poison {
                self.outcome.failed += u64::from(now >= self.plan.warm_up);
                self.close(job);
                continue;
            }
            // a lost worker is not a failed attempt
            it.attempts -= 1;
            let (wait, weight) = (500 * 2_u64.pow(it.crashes), it.order.weight);
            self.queue.wait(place(&self.jobs, job), weight);
            self.delay(job, Duration::from_millis(wait.min(60_000)));
        }
        promoted
    }

    pub(super) fn die(&mut self, worker: usize) {
        if !self.workers[worker].is_alive() {
            return;
        }
        let now = self.agenda.now();
        for job in self.workers[worker].jobs.clone() {
            self.works(worker, job, false);
            let since_beat = HEARTBEAT * self.random.random::<f64>();
            let deadline = now + self.plan.limits.lease - Duration::from_secs_f64(since_beat);
            self.leases.push(Reverse((deadline, job, self.jobs[job].run)));
        }
        self.ask_for_metadata(false);
        let it = &mut self.workers[worker];
        it.claiming = Claiming::Not;
        it.epoch += 1;
        it.coding.waiting.clear();
        it.coding.free = self.plan.workers[worker].coding;
        if self.plan.faults.mean_life.is_some() {
            self.agenda.after(self.plan.faults.down, Event::Rises(worker));
        }
    }

    pub(super) fn rise(&mut self, worker: usize) {
        let it = &mut self.workers[worker];
        it.epoch += 1;
        it.claiming = Claiming::ForSlot;
        if let Some(mean) = self.plan.faults.mean_life {
            let life = Draw::Exponential(mean.as_secs_f64()).draw(&mut self.random);
            self.agenda.after(Duration::from_secs_f64(life), Event::Dies(worker));
        }
        self.ask_for_metadata(true);
        self.ask(worker);
    }
}
