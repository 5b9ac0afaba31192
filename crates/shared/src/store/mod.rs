//! Jobs in Redis: the queue is a state machine on one hash per job, moved by scripts only.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{ClientKey, Fence, JobId, Region, Ticket, WorkerId};
use crate::job::{Artifact, Failure, Job, JobSpec, Progress};
use crate::media::{MediaInfo, Priority};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer, or none in time. A call that changes something may have done so; all of them may be repeated.
    #[error("redis is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Redis has no memory for another job.
    #[error("redis is out of memory")]
    OutOfMemory,
    /// A record is not of a form that this version knows.
    #[error("a stored record cannot be read: {0}")]
    Unreadable(&'static str),
    /// The lease is not the newest any more: somebody else has the job, or it has ended.
    #[error("the lease was lost")]
    LeaseLost,
}

/// What one client may have in the queue; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Jobs waiting.
    pub max_queued: Option<u32>,
    /// Jobs running.
    pub max_running: Option<u32>,
    /// Share of the fair queue, from 1.
    pub weight: u32,
}

/// A client's promise that two requests are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The header as sent; hashed before it becomes part of a key.
    pub key: String,
    /// SHA-256 of the body, hex: what has to be the same.
    pub body_sha256: String,
}

/// A new job to be.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The handle to give out; of an earlier job for [`JobStore::resubmit`].
    pub ticket: Ticket,
    /// Who asks.
    pub client: ClientKey,
    /// What they may have.
    pub limits: ClientLimits,
    /// The order.
    pub spec: JobSpec,
    /// Where.
    pub region: Region,
    /// In which queue.
    pub priority: Priority,
    /// The request as the API will show it; at most 16 KiB, opaque here.
    pub request: Vec<u8>,
    /// How long its result shall be kept.
    pub expires_in: Duration,
    /// Attempts that may be begun, from 1.
    pub max_attempts: u32,
    /// Whether a repetition is to be recognised.
    pub idempotency: Option<Idempotency>,
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A new run, or a place in one that goes on already.
    Accepted(Ticket),
    /// A finished result is handed out again.
    Reused(Ticket),
    /// The same `Idempotency-Key` and body came before: this is the ticket that was given out then.
    Replayed(Ticket),
    /// The same `Idempotency-Key` came before with another body.
    IdempotencyConflict,
    /// The queue is full.
    QueueFull {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The client's share of it is full.
    ClientQueueFull {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Only for [`JobStore::resubmit`]: the job is neither failed nor cancelled.
    NotRetryable,
    /// Only for [`JobStore::resubmit`]: there is no such ticket.
    Gone,
}

/// What came of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled.
    Now,
    /// Its worker has been told to stop.
    Stopping,
    /// It had ended before; [`JobStore::forget`] deletes it.
    AlreadyEnded,
    /// There is no such ticket.
    Gone,
}

/// Whose jobs a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's newest 10,000.
    Everyone,
    /// One client's.
    Client(ClientKey),
}

/// A place in a list, newest first: the creation time in ms, and the ticket among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Creation time, ms since the epoch.
    pub created_ms: i64,
    /// Which of those of that ms.
    pub ticket: Ticket,
}

/// A live worker, as it announced itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WorkerInfo {
    /// Its id.
    pub id: String,
    /// Its regions, in order of preference.
    pub regions: Vec<Region>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// How many it runs now.
    pub running: u32,
    /// Its version.
    pub version: String,
    /// yt-dlp's version.
    pub ytdlp: String,
    /// Since when.
    pub started: Timestamp,
}

/// One queue's depth.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueDepth {
    /// Where.
    pub region: Region,
    /// Which of its queues.
    pub priority: Priority,
    /// Jobs waiting, delayed ones not counted.
    pub depth: u64,
    /// Age of the oldest of them.
    pub oldest: Option<Duration>,
}

/// Durations measured lately, one list per name (`wait`, or a stage's word), in seconds.
pub type Samples = BTreeMap<String, Vec<f64>>;

/// For a person or a dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// By region and priority.
    pub queues: Vec<QueueDepth>,
    /// Jobs in each unfinished state now and, of the ends, since the store began; by state word.
    pub jobs: BTreeMap<String, u64>,
    /// Live workers.
    pub workers: Vec<WorkerInfo>,
    /// Bytes of results in the store.
    pub stored_bytes: u64,
    /// Objects in the store.
    pub stored_objects: u64,
    /// At most 512 of the newest per name.
    pub samples: Samples,
}

/// The right to write to a running job, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which job.
    pub job: JobId,
    /// Which lease of it.
    pub fence: Fence,
}

/// A job taken from the queue.
#[derive(Debug, Clone)]
pub struct Leased {
    /// The right to write to it.
    pub lease: Lease,
    /// What is to be done; `None` when this version cannot read it (hand it back with `defer`).
    pub spec: Option<JobSpec>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts that may be begun.
    pub max_attempts: u32,
}

/// What a worker says of a running job.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Which.
    pub lease: Lease,
    /// How far it is.
    pub progress: Progress,
    /// What is known of the medium, once it is.
    pub media: Option<MediaInfo>,
}

/// What the store answers to a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Go on.
    Ok,
    /// Nobody wants it any more: stop, then report `cancelled` with [`JobStore::fail`].
    Cancel,
    /// The lease was lost: stop, write nothing.
    Lost,
}

/// The jobs of a deployment.
#[derive(Clone)]
pub struct JobStore;

impl JobStore {
    /// Queues a job, or hands out a share in one that exists. Repeating it with the same ticket is harmless.
    pub async fn submit(&self, submission: &Submission) -> Result<Submitted, StoreError> {
        let _ = submission;
        todo!()
    }

    /// Queues an ended job again under its old ticket.
    pub async fn resubmit(&self, submission: &Submission) -> Result<Submitted, StoreError> {
        let _ = submission;
        todo!()
    }

    /// The job behind a ticket.
    pub async fn get(&self, ticket: Ticket) -> Result<Option<Job>, StoreError> {
        let _ = ticket;
        todo!()
    }

    /// At most `limit` jobs older than `after`, newest first. Fewer than `limit` means that there are no more.
    pub async fn list(&self, scope: &Scope, after: Option<Position>, limit: usize) -> Result<Vec<Job>, StoreError> {
        let _ = (scope, after, limit);
        todo!()
    }

    /// Gives back one ticket of an unfinished job; the last one stops it.
    pub async fn cancel(&self, ticket: Ticket) -> Result<Cancelled, StoreError> {
        let _ = ticket;
        todo!()
    }

    /// Deletes an ended job's ticket and, with the last one, its result. `false`: there is none.
    pub async fn forget(&self, ticket: Ticket) -> Result<bool, StoreError> {
        let _ = ticket;
        todo!()
    }

    /// Watches one job. The watch may wake without a change, and at most once for several.
    pub async fn watch(&self, ticket: Ticket) -> Result<Watch, StoreError> {
        let _ = ticket;
        todo!()
    }

    /// Numbers for a person or a dashboard. Costs a few round trips.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        todo!()
    }

    /// Is Redis there?
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Connections of the pool: in use, idle.
    pub fn pool_state(&self) -> (usize, usize) {
        todo!()
    }

    /// Ends the job. An unanswered call may be sent again: with the same lease the answer is the same.
    pub async fn complete(&self, lease: &Lease, artifact: &Artifact) -> Result<(), StoreError> {
        let _ = (lease, artifact);
        todo!()
    }

    /// Gives up this attempt.
    pub async fn fail(&self, lease: &Lease, failure: &Failure, delay: Duration) -> Result<(), StoreError> {
        let _ = (lease, failure, delay);
        todo!()
    }
}

/// A watch on one job: subscribe first, then read, then wait; nothing is missed.
pub struct Watch;

impl Watch {
    /// Returns when the job may have changed since the watch was made or last returned; never longer than 5 s.
    pub async fn changed(&mut self) {
        todo!()
    }
}

/// Unused until the worker's half is in.
pub type Unused = WorkerId;
