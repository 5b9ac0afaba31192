//! Attempts: how long each takes, how it ends, and what is asked of Redis for it.

use std::time::Duration;

use rand::RngExt as _;

use super::{Event, HEARTBEAT, State, World, place};
use crate::sim::costs::Call;
use crate::sim::fleet::Claiming;
use crate::sim::outcome::puts;
use crate::sim::queue::JobId;

impl World<'_> {
    /// Begins an attempt.
    pub(super) fn attempt(&mut self, worker: usize, id: JobId) {
        let now = self.agenda.now();
        let stood = self.leave_line(id);
        self.outcome.ledger.add(now, Call::Leased, 1.0);
        let job = &mut self.jobs[id];
        let (client, is_first) = (job.order.client, !job.has_begun);
        job.attempts += 1;
        if is_first {
            job.has_begun = true;
            if now >= self.plan.warm_up {
                self.outcome.waits.add((now - job.order.at).as_secs_f64());
            }
            if job.order.is_followed {
                let looks = stood / self.plan.follow.in_line.as_secs_f64();
                self.look(looks);
            }
        }
        if self.outcome.begun_by_client.len() <= client {
            self.outcome.begun_by_client.resize(client + 1, 0);
            self.outcome.waited_by_client.resize(client + 1, 0.0);
        }
        if is_first {
            self.outcome.waited_by_client[client] += stood;
        }
        self.outcome.begun_by_client[client] += 1;
        self.outcome.attempts += 1;
        self.account(now);
        self.at_work += 1;
        self.works(worker, id, true);

        let service = &self.plan.service;
        let fixed = service.fixed_seconds.draw(&mut self.random).max(0.0);
        let job = &mut self.jobs[id];
        let fetching = job.order.bytes as f64 / service.bytes_per_second.draw(&mut self.random);
        let faults = &self.plan.faults;
        let fails = if job.never {
            Some(0.0)
        } else if faults.transient > 0.0 && self.random.random_bool(faults.transient) {
            Some(self.random.random::<f64>())
        } else {
            None
        };
        let seconds = fixed + fetching * fails.unwrap_or(1.0);
        let is_coded = job.order.is_coded && fails.is_none();
        let coding = Duration::from_secs_f64(if is_coded { fetching * service.coding_ratio } else { 0.0 });
        job.run += 1;
        job.state = State::Running { worker, egress: self.workers[worker].egress, fails, coding };
        let run = job.run;
        let event = if coding.is_zero() { Event::Ended { job: id, run } } else { Event::Fetched { job: id, run } };
        self.agenda.after(Duration::from_secs_f64(seconds), event);
    }

    /// A job is taken up, or let go, by a worker that lives.
    pub(super) fn works(&mut self, worker: usize, job: JobId, begins: bool) {
        let now = self.agenda.now();
        let it = &mut self.workers[worker];
        self.outcome.ledger.add(now, Call::Announce, it.announcements(now));
        let (was_idle, sign) = (it.jobs.is_empty(), if begins { 1.0 } else { -1.0 });
        if begins {
            it.jobs.push(job);
        } else {
            it.jobs.retain(|other| *other != job);
        }
        if was_idle || it.jobs.is_empty() {
            self.outcome.ledger.change_rate(now, Call::Beat, sign / HEARTBEAT);
        }
        self.outcome.ledger.change_rate(now, Call::Beaten, sign / HEARTBEAT);
        if self.jobs[job].order.is_followed {
            self.look(1.0);
            let follow = self.plan.follow;
            self.outcome.ledger.change_rate(now, Call::Look, sign * follow.looks / HEARTBEAT);
            self.outcome.ledger.change_rate(now, Call::Peek, sign * follow.peeks / HEARTBEAT);
        }
    }

    pub(super) fn running(&self, job: JobId, run: u32) -> Option<(usize, usize, Option<f64>, Duration)> {
        match self.jobs[job].state {
            State::Running { worker, egress, fails, coding } if self.jobs[job].run == run => {
                self.workers[worker].jobs.contains(&job).then_some((worker, egress, fails, coding))
            }
            _ => None,
        }
    }

    pub(super) fn code(&mut self, job: JobId, run: u32) {
        let Some((worker, _, _, coding)) = self.running(job, run) else { return };
        let lane = &mut self.workers[worker].coding;
        if lane.free == 0 {
            lane.waiting.push_back((job, run));
        } else {
            lane.free -= 1;
            self.agenda.after(coding, Event::Coded { job, run });
        }
    }

    pub(super) fn coded(&mut self, job: JobId, run: u32) {
        let Some((worker, ..)) = self.running(job, run) else { return };
        self.workers[worker].coding.free += 1;
        if let Some((next, its_run)) = self.workers[worker].coding.waiting.pop_front() {
            self.code(next, its_run);
        }
        self.settle(job, run);
    }

    /// `complete` or `fail`.
    pub(super) fn settle(&mut self, job: JobId, run: u32) {
        let Some((worker, egress, fails, _)) = self.running(job, run) else { return };
        let now = self.agenda.now();
        self.works(worker, job, false);
        self.stop_running(job, egress);
        let (order, never) = (self.jobs[job].order, self.jobs[job].never);
        let is_counted = now >= self.plan.warm_up;
        let fetched = order.bytes as f64 * fails.unwrap_or(1.0);
        self.outcome.fetched_bytes += if is_counted { fetched } else { 0.0 };
        if fails.is_none() {
            for call in [Call::Reserve, Call::Beat, Call::Beaten, Call::Complete, Call::Thumbnail] {
                self.outcome.ledger.add(now, call, 1.0);
            }
            if order.is_followed {
                self.look(1.0);
            }
            if is_counted {
                self.outcome.completed += 1;
                self.outcome.stored_bytes += order.bytes as f64;
                self.outcome.puts += puts(order.bytes, self.plan.service.relayed) + 1.0;
            }
            self.close(job);
        } else {
            self.outcome.ledger.add(now, Call::Fail, 1.0);
            if never || self.jobs[job].attempts >= self.plan.limits.attempts {
                self.outcome.failed += u64::from(is_counted);
                self.close(job);
            } else {
                let ceiling = self.plan.limits.retry.ceiling(self.jobs[job].attempts);
                let delay = ceiling.mul_f64(self.random.random());
                self.queue.wait(place(&self.jobs, job), order.weight);
                self.delay(job, delay);
            }
        }
        if self.workers[worker].claiming == Claiming::ForSlot {
            self.ask(worker);
        }
    }

    pub(super) fn stop_running(&mut self, job: JobId, egress: usize) {
        self.account(self.agenda.now());
        self.at_work -= 1;
        self.queue.leave(place(&self.jobs, job), egress);
    }

    /// A job has ended.
    pub(super) fn close(&mut self, job: JobId) {
        let now = self.agenda.now();
        if self.jobs[job].order.is_told {
            for (call, count) in [(Call::Tell, 2.0), (Call::Told, 1.0), (Call::Pop, 1.0)] {
                self.outcome.ledger.add(now, call, count);
            }
        }
        self.jobs[job].state = State::Gone;
        self.vacant.push(job);
        self.open -= 1;
        self.outcome.makespan = now;
    }
}
