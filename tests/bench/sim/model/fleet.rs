//! Workers: their slots, what their claim loop does at the moment, and who waits for a wake token.

use std::collections::VecDeque;
use std::time::Duration;

use super::plan::WorkerPlan;
use super::queue::{JobId, LaneId};

/// Jobs taken at once at most.
const BATCH: u32 = 32;

/// Wake tokens that lie in a lane at most.
const TOKENS: u32 = 64;

/// Between two words of a worker about itself: when something has changed, and in any case.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(2);
const ANNOUNCE_ANYWAY: Duration = Duration::from_secs(8);

/// What a claim loop does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claiming {
    /// The worker is dead.
    Not,
    /// It waits for a slot.
    ForSlot,
    /// It asks, for so many slots.
    Asking(u32),
    /// It waits for a token, with so many slots in its hands.
    ForWork(u32),
}

/// A worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub lanes: Vec<[LaneId; 2]>,
    pub egress: usize,
    pub slots: u32,
    pub claiming: Claiming,
    /// Grows with each wait and each death: what was planned for an older one is void.
    pub epoch: u32,
    pub turns: u64,
    pub jobs: Vec<JobId>,
    pub coding: Lane,
    announced: Announced,
}

/// The lane in which media are coded.
#[derive(Debug)]
pub(super) struct Lane {
    pub free: u32,
    pub waiting: VecDeque<(JobId, u32)>,
}

#[derive(Debug, Default)]
struct Announced {
    running: usize,
    at: Duration,
    /// The moment at which it looks whether something has changed.
    look: Option<Duration>,
}

impl Worker {
    pub fn of(plan: &WorkerPlan) -> Self {
        Self {
            lanes: plan.regions.iter().map(|region| [2 * region, 2 * region + 1]).collect(),
            egress: plan.egress,
            slots: plan.slots,
            claiming: Claiming::Not,
            epoch: 0,
            turns: 0,
            jobs: Vec::new(),
            coding: Lane { free: plan.coding, waiting: VecDeque::new() },
            announced: Announced::default(),
        }
    }

    pub fn is_alive(&self) -> bool {
        self.claiming != Claiming::Not
    }

    /// Slots that a call may ask for.
    pub fn free(&self) -> u32 {
        (self.slots - self.jobs.len() as u32).min(BATCH)
    }

    /// How often it has said something since it was last asked; `jobs` are to change right after this.
    pub fn announcements(&mut self, now: Duration) -> f64 {
        let said = &mut self.announced;
        let mut count = 0;
        if let Some(look) = said.look.filter(|look| *look <= now) {
            said.look = None;
            if said.running != self.jobs.len() {
                count += said.anyway(look) + 1;
                (said.running, said.at) = (self.jobs.len(), look);
            }
        }
        if said.look.is_none() {
            count += said.anyway(now);
            said.look =
                Some(said.at + ANNOUNCE_EVERY * ((now - said.at).as_secs() / ANNOUNCE_EVERY.as_secs() + 1) as u32);
        }
        f64::from(count)
    }
}

impl Announced {
    /// Words without news until then.
    fn anyway(&mut self, until: Duration) -> u32 {
        let count = (until.saturating_sub(self.at).as_secs() / ANNOUNCE_ANYWAY.as_secs()) as u32;
        self.at += ANNOUNCE_ANYWAY * count;
        count
    }
}

/// Wake tokens, and who waits for them, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Bells(Vec<Bell>);

#[derive(Debug, Default, Clone)]
struct Bell {
    tokens: u32,
    waiting: VecDeque<(usize, u32)>,
}

impl Bells {
    pub fn new(lanes: usize) -> Self {
        Self(vec![Bell::default(); lanes])
    }

    /// A token for a lane: the worker that it wakes, or none, and it lies there.
    pub fn ring(&mut self, lane: LaneId, workers: &[Worker]) -> Option<usize> {
        let bell = &mut self.0[lane];
        while let Some((worker, epoch)) = bell.waiting.pop_front() {
            if workers[worker].epoch == epoch && matches!(workers[worker].claiming, Claiming::ForWork(_)) {
                return Some(worker);
            }
        }
        bell.tokens = (bell.tokens + 1).min(TOKENS);
        None
    }

    /// Takes a token that lies there; without one the worker stands in line for the next.
    pub fn wait(&mut self, worker: usize, epoch: u32, lanes: &[[LaneId; 2]]) -> bool {
        let mut all = lanes.iter().flatten();
        if let Some(lane) = all.find(|lane| self.0[**lane].tokens > 0) {
            self.0[*lane].tokens -= 1;
            return true;
        }
        for lane in lanes.iter().flatten() {
            self.0[*lane].waiting.push_back((worker, epoch));
        }
        false
    }

    pub fn has_token(&self, lane: LaneId) -> bool {
        self.0[lane].tokens > 0
    }

    /// Nobody needs to come for what is not there.
    pub fn clear(&mut self, lane: LaneId) {
        self.0[lane].tokens = 0;
    }
}
