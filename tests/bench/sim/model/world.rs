//! What happens: orders come, workers ask, attempts end, workers die, time goes on.

mod attempts;
mod claiming;
mod keeping;
mod watching;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::RngExt as _;

use super::arrivals::{Order, Orders};
use super::clock::Agenda;
use super::costs::Call;
use super::draw::{Random, random};
use super::fleet::{Bells, Worker};
use super::outcome::Outcome;
use super::plan::Plan;
use super::queue::{JobId, LaneId, Place, Queue};
use watching::Sentry;

/// Between two looks of an API at what is due, between two at how a new yt-dlp does, and between two at regions without workers.
const TICK: Duration = Duration::from_secs(1);
const TRIAL_EVERY: Duration = Duration::from_secs(2);
const LANES_EVERY: Duration = Duration::from_millis(2500);

/// How long a turn of looking at what is due lasts, in which nobody else does. A turn of looking at a trial lasts as long as the
/// pause between two, which is blurred: a lone API comes too early one time in three, and has a turn every three seconds.
const TEND_TURN: Duration = Duration::from_millis(500);
const LONE_TRIAL: Duration = Duration::from_secs(3);

/// Jobs of a page of the audit, and how often one is turned.
const PAGE: u64 = 50;
const AUDIT_EVERY: Duration = Duration::from_secs(10);

/// Between two renewals of leases.
const HEARTBEAT: f64 = 1.0;

#[derive(Debug, Clone, Copy)]
enum Event {
    Order,
    /// A worker's call has come to Redis.
    Asked {
        worker: usize,
        epoch: u32,
    },
    /// A worker has waited for a token in vain.
    Waited {
        worker: usize,
        epoch: u32,
    },
    /// A loop for metadata that was a sentry has waited.
    Looks {
        number: u32,
    },
    /// The medium of a job is there, to be coded.
    Fetched {
        job: JobId,
        run: u32,
    },
    Coded {
        job: JobId,
        run: u32,
    },
    Ended {
        job: JobId,
        run: u32,
    },
    Tick,
    Dies(usize),
    Rises(usize),
}

#[derive(Debug, Clone)]
struct Job {
    order: Order,
    state: State,
    /// Of which attempt an event speaks; it never falls, also when the place is another job's by then.
    run: u32,
    attempts: u32,
    crashes: u32,
    line_since: Duration,
    has_begun: bool,
    never: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Gone,
    Waiting,
    InLine,
    Running { worker: usize, egress: usize, fails: Option<f64>, coding: Duration },
}

/// Why a job waits for its time, in the order of the times.
type Due = Reverse<(Duration, JobId, u32)>;

struct World<'a> {
    plan: &'a Plan,
    agenda: Agenda<Event>,
    orders: Orders,
    next: Option<Order>,
    random: Random,
    queue: Queue,
    workers: Vec<Worker>,
    bells: Bells,
    jobs: Vec<Job>,
    vacant: Vec<JobId>,
    delays: BinaryHeap<Due>,
    leases: BinaryHeap<Due>,
    tended: Duration,
    sentry: Option<Sentry>,
    /// How many loops for metadata were sentries until now.
    called: u32,
    open: u64,
    in_line: u64,
    at_work: u64,
    since: Duration,
    areas: (f64, f64),
    outcome: Outcome,
}

/// Simulates a fleet that is given these orders.
///
/// # Panics
/// Never: what a plan can ask for has a place.
#[must_use]
pub fn simulate(plan: &Plan, orders: Orders) -> Outcome {
    let lanes = 2 * plan.workers.iter().flat_map(|worker| &worker.regions).max().map_or(1, |last| last + 1);
    let mut world = World {
        plan,
        agenda: Agenda::new(),
        orders,
        next: None,
        random: random(plan.seed),
        queue: Queue::new(lanes, plan.limits.client_running, plan.limits.site_running),
        workers: plan.workers.iter().map(Worker::of).collect(),
        bells: Bells::new(lanes),
        jobs: Vec::new(),
        vacant: Vec::new(),
        delays: BinaryHeap::new(),
        leases: BinaryHeap::new(),
        tended: Duration::ZERO,
        sentry: None,
        called: 0,
        open: 0,
        in_line: 0,
        at_work: 0,
        since: Duration::ZERO,
        areas: (0.0, 0.0),
        outcome: Outcome::default(),
    };
    world.begin();
    world.run();
    world.end()
}

impl World<'_> {
    fn begin(&mut self) {
        for worker in 0..self.workers.len() {
            self.rise(worker);
        }
        for (at, worker) in &self.plan.faults.kills {
            self.agenda.at(*at, Event::Dies(*worker));
        }
        let apis = f64::from(self.plan.apis);
        for (call, every) in [(Call::Audit, TICK), (Call::Lanes, LANES_EVERY)] {
            self.outcome.ledger.change_rate(Duration::ZERO, call, apis / every.as_secs_f64());
        }
        for (call, every, turn, lone) in
            [(Call::Tend, TICK, TEND_TURN, TICK), (Call::Trial, TRIAL_EVERY, TRIAL_EVERY, LONE_TRIAL)]
        {
            let (turn, lone) = (turn.as_secs_f64(), lone.as_secs_f64());
            // with two or three of them up to a quarter too many
            let looks = 1.0 / (turn + (lone - turn) / apis);
            let asks = apis / every.as_secs_f64();
            self.outcome.ledger.change_rate(Duration::ZERO, call, looks);
            self.outcome.ledger.change_rate(Duration::ZERO, Call::Turn, (asks - looks).max(0.0));
        }
        self.agenda.after(TICK, Event::Tick);
        self.expect_order();
    }

    fn run(&mut self) {
        while let Some(event) = self.agenda.advance() {
            let is_over = self.plan.horizon.is_some_and(|end| self.agenda.now() >= end);
            if is_over || (self.open == 0 && self.next.is_none()) {
                break;
            }
            self.happen(event);
            self.ring_bells();
        }
    }

    fn end(mut self) -> Outcome {
        let now = self.plan.horizon.unwrap_or(self.outcome.makespan);
        self.account(now);
        for worker in &mut self.workers {
            self.outcome.ledger.add(now, Call::Announce, worker.announcements(now));
        }
        self.outcome.ledger.settle(now);
        // an API hears of all changes from the first time on that somebody waited for one
        self.outcome.ledger.hear(f64::from(self.plan.apis));
        self.outcome.unfinished = self.open;
        self.outcome.looked_at = now.saturating_sub(self.plan.warm_up);
        let seconds = self.outcome.looked_at.as_secs_f64();
        self.outcome.mean_in_line = self.areas.0 / seconds;
        self.outcome.mean_at_work = self.areas.1 / seconds;
        self.outcome.waits.close();
        self.outcome
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Order => self.take_in(),
            Event::Asked { worker, epoch } => self.answer(worker, epoch),
            Event::Waited { worker, epoch } => self.waited(worker, epoch),
            Event::Looks { number } => self.look_when_due(number),
            Event::Fetched { job, run } => self.code(job, run),
            Event::Coded { job, run } => self.coded(job, run),
            Event::Ended { job, run } => self.settle(job, run),
            Event::Tick => {
                self.tend();
                self.call_sentry_if_none();
                let audited = self.open.min(PAGE) as f64 * TICK.as_secs_f64() / AUDIT_EVERY.as_secs_f64();
                self.outcome.ledger.add(self.agenda.now(), Call::Audited, audited);
                self.agenda.after(TICK, Event::Tick);
            }
            Event::Dies(worker) => self.die(worker),
            Event::Rises(worker) => self.rise(worker),
        }
    }

    fn expect_order(&mut self) {
        self.next = self.orders.next();
        if let Some(order) = &self.next {
            self.agenda.at(order.at, Event::Order);
        }
    }

    /// `submit`.
    fn take_in(&mut self) {
        let Some(order) = self.next.take() else { return };
        let now = self.agenda.now();
        self.outcome.ledger.add(now, Call::Submit, 1.0);
        let waiting = self.open - self.at_work;
        if self.plan.limits.queue.is_some_and(|limit| waiting >= limit) {
            self.outcome.refused += 1;
            return self.expect_order();
        }
        if order.is_followed {
            self.look(1.0);
        }
        let never = self.plan.faults.permanent > 0.0 && self.random.random_bool(self.plan.faults.permanent);
        let job = self.vacant.pop().unwrap_or(self.jobs.len());
        let run = self.jobs.get(job).map_or(0, |before| before.run + 1);
        let new = Job {
            order,
            state: State::Waiting,
            run,
            attempts: 0,
            crashes: 0,
            line_since: now,
            has_begun: false,
            never,
        };
        if job == self.jobs.len() {
            self.jobs.push(new);
        } else {
            self.jobs[job] = new;
        }
        self.open += 1;
        self.outcome.accepted += u64::from(now >= self.plan.warm_up);
        self.queue.wait(place(&self.jobs, job), order.weight);
        self.enter_line(job, false);
        self.expect_order();
    }

    fn enter_line(&mut self, job: JobId, at_head: bool) {
        self.account(self.agenda.now());
        self.in_line += 1;
        self.jobs[job].line_since = self.agenda.now();
        self.jobs[job].state = State::InLine;
        self.queue.enter(job, place(&self.jobs, job), at_head);
    }

    fn leave_line(&mut self, job: JobId) -> f64 {
        let now = self.agenda.now();
        self.account(now);
        self.in_line -= 1;
        let stood = (now - self.jobs[job].line_since).as_secs_f64();
        if now >= self.plan.warm_up {
            self.outcome.in_line.0 += stood;
            self.outcome.in_line.1 += 1;
        }
        stood
    }

    fn look(&mut self, times: f64) {
        let (now, follow) = (self.agenda.now(), self.plan.follow);
        self.outcome.ledger.add(now, Call::Look, times * follow.looks);
        self.outcome.ledger.add(now, Call::Peek, times * follow.peeks);
    }

    /// What jobs in line and slots at work come to, times how long they were.
    fn account(&mut self, now: Duration) {
        let since = self.since.max(self.plan.warm_up);
        let seconds = now.saturating_sub(since).as_secs_f64();
        self.areas.0 += self.in_line as f64 * seconds;
        self.areas.1 += self.at_work as f64 * seconds;
        self.since = now;
    }
}

fn due(heap: &mut BinaryHeap<Due>, now: Duration) -> Option<JobId> {
    let Reverse((at, job, _)) = heap.peek()?;
    let job = (*at <= now).then_some(*job)?;
    heap.pop();
    Some(job)
}

fn lane(order: &Order) -> LaneId {
    2 * order.region + usize::from(order.is_low)
}

fn place(jobs: &[Job], job: JobId) -> Place {
    let order = &jobs[job].order;
    Place { client: order.client, lane: lane(order), site: order.site }
}
