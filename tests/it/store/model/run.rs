//! The model's run: what is known of one, and what a ticket is shown of it.

use super::line::Client;
use super::shown::Shown;
use super::*;

/// One run and its result.
#[derive(Debug)]
pub(super) struct Run {
    /// What the store calls it; told by the store when it begins.
    pub(super) job: Option<JobId>,
    pub(super) state: StateKind,
    pub(super) fence: Fence,
    /// The last ticket has been given back while it ran.
    pub(super) is_stopping: bool,
    pub(super) order: Fingerprint,
    pub(super) owner: Client,
    /// Whose turn it was.
    pub(super) charged: Client,
    pub(super) lane: Lane,
    pub(super) tickets: u32,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) crashes: u32,
    pub(super) worker: Option<WorkerId>,
    pub(super) failure: Option<FailureKind>,
    pub(super) percent: Option<u8>,
    /// The number of an attempt that did not count: the next one goes on from where it came.
    pub(super) uncounted: Option<u32>,
    /// Who let go of it last, and what they were told.
    pub(super) told: Option<(Action, Fence, StateKind)>,
    pub(super) result: Option<ObjectKey>,
    /// Its result has been kept as long as it was to be.
    pub(super) is_outlived: bool,
}

/// A job as a lease is to give it.
#[derive(Debug, PartialEq)]
pub(super) struct Given {
    pub(super) job: Option<JobId>,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) reached: Option<u8>,
}

impl Run {
    pub(super) fn new(order: &Submission, fingerprint: Fingerprint, client: Client) -> Self {
        Self {
            job: None,
            state: StateKind::Queued,
            fence: Fence(0),
            is_stopping: false,
            order: fingerprint,
            owner: client.clone(),
            charged: client,
            lane: lane_of(order),
            tickets: 1,
            attempt: 0,
            max_attempts: order.max_attempts,
            crashes: 0,
            worker: None,
            failure: None,
            percent: None,
            uncounted: None,
            told: None,
            result: None,
            is_outlived: false,
        }
    }

    /// Another attempt begins; the store draws its fence.
    pub(super) fn start(&mut self, client: Client, worker: &WorkerId) -> Given {
        self.state = StateKind::Running;
        self.attempt += 1;
        self.charged = client;
        self.worker = Some(worker.clone());
        if self.uncounted != Some(self.attempt) {
            self.percent = None;
        }
        Given { job: self.job, attempt: self.attempt, max_attempts: self.max_attempts, reached: self.percent }
    }

    /// The attempt that ends here did not count.
    pub(super) fn unspend(&mut self) {
        self.uncounted = Some(self.attempt);
        self.attempt -= 1;
    }

    pub(super) fn shown(&self, ticket: Ticket) -> Shown {
        Shown {
            ticket,
            region: self.lane.region.clone(),
            state: if self.is_outlived { StateKind::Expired } else { self.state },
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            has_started: self.worker.is_some(),
            worker: self.worker.clone().filter(|_| self.state == StateKind::Running),
            failure: self.failure.filter(|_| matches!(self.state, StateKind::Waiting | StateKind::Failed)),
            percent: self.percent,
            result: self.result.clone(),
        }
    }
}
