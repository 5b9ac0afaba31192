//! Webhooks, the worker's half: ends that are to be told, taken by whoever has a hand free.
//!
//! What is taken is hidden from others for a while, and due again when that is over: a worker that dies has perhaps told it, and
//! it is told again, in the same message. What became of an attempt is heard from the newest to take it only.
//!
//! Nobody polls. An end that comes leaves a wake token, which any worker gets that waits for jobs ([`super::wake`]); should it be
//! lost, the next word of any worker about itself brings back that something is due ([`JobStore::announce`]).

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

use super::record::{self, Viewed};
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, ms};
use crate::ids::{Shard, Ticket};
use crate::job::{Job, StateKind};
use crate::webhook::{Attempt, Secrets};

/// Longer than an attempt takes with everything around it.
const HIDDEN: Duration = Duration::from_secs(30);

/// What a worker can't tell now is due again after this, twice as long each time, up to 64 s; and up to two seconds more.
const PUT_OFF: Duration = Duration::from_secs(2);

/// The longest wait without a word.
const LONGEST: Duration = Duration::from_secs(3600);

/// Values of one end in an answer.
const FIELDS: usize = 9;

/// What is to be told on one shard, as one worker sees it.
pub struct Outbox {
    store: JobStore,
    shard: Shard,
    at: usize,
    /// When something will be due, should nobody say otherwise.
    next: Option<Instant>,
}

/// The end of a job, to be told to one who holds it.
#[derive(Debug, Clone)]
pub struct Telling {
    /// The job, as it is now.
    pub job: Job,
    /// The message's id.
    pub message: String,
    /// What links begin with.
    pub base: Url,
    /// The end.
    pub end: StateKind,
    /// When it came.
    pub at: Timestamp,
    /// Attempts in vain before this.
    pub failures: u32,
    /// What it is signed with; `None`: nothing is known any more.
    pub secrets: Option<Secrets>,
    taken: Timestamp,
    since: Instant,
    fence: String,
}

impl Telling {
    /// The time, by the clock of Redis: that of a worker's machine may be off.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.taken.saturating_add(self.since.elapsed()).unwrap_or(self.taken)
    }
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is told.
    Told,
    /// It is tried again after this, unless its time is over already.
    Again(Duration),
    /// It is not tried again.
    Never,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was delivered.
    Delivered,
    /// It will be sent again.
    Pending,
    /// It is not sent any more.
    GivenUp,
    /// Somebody else has it, or it is another one by now: what became of this attempt does not count.
    Stale,
}

/// Who is told that there is something to tell: one for each shard.
pub(super) struct Bells(Box<[Notify]>);

impl Bells {
    pub(super) fn new(shards: crate::ids::Shards) -> Self {
        Self(shards.all().map(|_| Notify::new()).collect())
    }
}

impl JobStore {
    /// Where the ends of all shards are to be had. For one worker, once.
    #[must_use]
    pub fn outboxes(&self) -> Vec<Outbox> {
        let outbox = |(at, shard)| Outbox { store: self.clone(), shard, at, next: None };
        self.0.settings.shards.all().enumerate().map(outbox).collect()
    }

    /// There may be something to tell on a shard.
    pub(super) fn ring(&self, shard: Shard) {
        let at = self.0.settings.shards.all().position(|known| known == shard);
        if let Some(bell) = at.and_then(|at| self.0.bells.0.get(at)) {
            bell.notify_one();
        }
    }

    /// Says what became of an attempt. An unanswered call may be sent again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn told(&self, telling: &Telling, attempt: &Attempt, then: Then) -> Result<Told, StoreError> {
        let (word, delay) = match then {
            Then::Told => ("yes", Duration::ZERO),
            Then::Again(delay) => ("no", delay),
            Then::Never => ("never", Duration::ZERO),
        };
        let attempt = serde_json::to_string(attempt).map_err(|_| StoreError::Unreadable("an attempt"))?;
        let shard = telling.job.ticket.shard(self.0.settings.shards);
        let mut call = invocation(shard, &scripts::TOLD);
        call.arg(telling.job.ticket.to_string()).arg(&telling.fence).arg(word).arg(ms(delay)).arg(attempt);
        let answer: String = self.run_surely(&call).await?;
        match answer.as_str() {
            "delivered" => Ok(Told::Delivered),
            "pending" => {
                // it may be due before what this worker sleeps until
                self.ring(shard);
                Ok(Told::Pending)
            }
            "given_up" => Ok(Told::GivenUp),
            "stale" => Ok(Told::Stale),
            _ => Err(StoreError::Unreadable("an answer")),
        }
    }
}

impl Outbox {
    /// Takes at most `most`, and gives back those that can't be told now: they are due again in a few seconds. None: nothing is
    /// due, and [`Outbox::wait`] waits for something.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; what was taken is due again after half a minute.
    pub async fn take(&mut self, most: usize, put_off: &[Telling]) -> Result<Vec<Telling>, StoreError> {
        let mut call = invocation(self.shard, &scripts::TELL);
        call.arg(most).arg(ms(HIDDEN)).arg(ms(PUT_OFF));
        for telling in put_off {
            call.arg(telling.job.ticket.to_string()).arg(&telling.fence);
        }
        let since = Instant::now();
        let answer: Vec<Vec<u8>> = self.store.run_once(&call).await?;
        let [now, next, ends @ ..] = answer.as_slice() else { return Err(StoreError::Unreadable("an answer")) };
        let now = record::now(now)?;
        self.next = text(next)?.parse().ok().map(|ms| since + Duration::from_millis(ms));
        let read = |end: &[Vec<u8>]| {
            let telling = telling(end, now, since);
            // hidden for a while, until a version comes that can read it
            telling.inspect_err(|error| tracing::warn!("an end that is to be told is left to others: {error}")).ok()
        };
        Ok(ends.chunks(FIELDS).filter_map(read).collect())
    }

    /// Returns when something may be due. May be given up half-way.
    pub async fn wait(&self) {
        let until = self.next.unwrap_or_else(|| Instant::now() + LONGEST);
        let bell = self.store.0.bells.0[self.at].notified();
        // whichever it is
        let _late = tokio::time::timeout_at(until, bell).await;
    }
}

fn telling(values: &[Vec<u8>], now: Timestamp, since: Instant) -> Result<Telling, StoreError> {
    let [ticket, view, message, base, end, at, failures, fence, secrets] = values else {
        return Err(StoreError::Unreadable("an answer"));
    };
    let ticket: Ticket = text(ticket)?.parse().map_err(|_| StoreError::Unreadable("a ticket"))?;
    let Viewed { job, .. } = record::job(ticket, now, view)?;
    Ok(Telling {
        job,
        message: text(message)?.to_owned(),
        base: text(base)?.parse().map_err(|_| StoreError::Unreadable("an address"))?,
        end: StateKind::of_word(text(end)?).ok_or(StoreError::Unreadable("an end"))?,
        at: record::now(at)?,
        failures: text(failures)?.parse().map_err(|_| StoreError::Unreadable("a counter"))?,
        secrets: Secrets::read(text(secrets)?.split(' ')).ok(),
        taken: now,
        since,
        fence: text(fence)?.to_owned(),
    })
}

fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes).map_err(|_| StoreError::Unreadable("an answer"))
}
