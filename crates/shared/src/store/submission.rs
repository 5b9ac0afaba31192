//! The API's half: tickets are given out, shown, and given back.

use std::time::Duration;

use futures::FutureExt as _;
use rand::RngExt as _;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::keys::{Kind, Lane};
use super::listing::Scope;
use super::look::Seen;
use super::promise::{Idempotency, Promised};
use super::record::Viewed;
use super::reuse::Reuse;
use super::scripts::{self, invocation};
use super::watch::Watch;
use super::webhooks::{self, WebhookOrder};
use super::{JobStore, StoreError, mark, ms, record};
use crate::config::Rate;
use crate::ids::{ClientKey, JobId, Region, Ticket};
use crate::job::state::Action;
use crate::job::{Fingerprint, Job, JobSpec};
use crate::media::Priority;
use crate::redis::Call;
use crate::trace::{self, TraceParent};

/// How long the ticket of a metadata job lives: somebody waits for it, or nobody will ask again.
const METADATA_TTL: Duration = Duration::from_secs(300);

/// What one client may have in the queue; `None` is no limit. Counted per shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Jobs waiting.
    pub max_queued: Option<u32>,
    /// Jobs running.
    pub max_running: Option<u32>,
    /// Share of the fair queue, from 1.
    pub weight: u32,
    /// Submissions, and ends that are told again, over all processes.
    pub rate: Option<Rate>,
    /// Bytes of results that may become its own on a day (UTC), over all shards. What is under way then goes on.
    pub bytes_per_day: Option<u64>,
}

/// A new job to be.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The handle to give out, drawn by [`JobStore::draw`]; of an earlier job for [`JobStore::resubmit`].
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
    /// The request as the API will show it; at most 64 KiB (the bound of a body), opaque here.
    pub request: Vec<u8>,
    /// How long its result shall be kept.
    pub expires_in: Duration,
    /// Attempts that may be begun, from 1.
    pub max_attempts: u32,
    /// Whether a repetition is to be recognised.
    pub idempotency: Option<Idempotency>,
    /// Whether its end is to be told.
    pub webhook: Option<WebhookOrder>,
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    /// A new run, a share in one that goes on already, or news of one that has just failed for good.
    Accepted(Box<Job>),
    /// A finished result is handed out again.
    Reused(Box<Job>),
    /// The same `Idempotency-Key` and body came before: this is the job of then.
    Replayed(Box<Job>),
    /// The same `Idempotency-Key` came before with another body.
    IdempotencyConflict,
    /// The client has asked more often than it may.
    RateLimited {
        /// When to ask again.
        retry_after: Duration,
    },
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
    /// As much became the client's own today as may.
    QuotaSpent {
        /// When the day is over.
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

impl JobStore {
    /// A new ticket for an order, on the shard where the same order would be.
    #[must_use]
    pub fn draw(&self, spec: &JobSpec, region: &Region) -> Ticket {
        let shards = self.0.settings.shards;
        Ticket::on(Fingerprint::of(spec, region).shard(shards), shards)
    }

    /// Queues a job, or hands out a share in one that exists. Repeating it with the same ticket is harmless.
    ///
    /// # Errors
    /// [`StoreError::OutOfMemory`], [`StoreError::Unavailable`].
    pub async fn submit(&self, submission: &Submission) -> Result<Submitted, StoreError> {
        let Some(promise) = &submission.idempotency else {
            return self.enter(submission, submission.ticket, false).await;
        };
        match self.promise(&submission.client, promise, submission.ticket).await? {
            Promised::Ours => self.enter(submission, submission.ticket, false).await,
            Promised::Broken => Ok(Submitted::IdempotencyConflict),
            Promised::Kept(ticket) => match self.enter(submission, ticket, false).await? {
                Submitted::Accepted(job) | Submitted::Reused(job) => Ok(Submitted::Replayed(job)),
                refused => Ok(refused),
            },
        }
    }

    /// Queues a failed or cancelled job again under its old ticket.
    ///
    /// # Errors
    /// As [`JobStore::submit`].
    pub async fn resubmit(&self, submission: &Submission) -> Result<Submitted, StoreError> {
        self.enter(submission, submission.ticket, true).await
    }

    /// Whatever the order, it goes to the shard of its ticket: only there is it found again.
    async fn enter(&self, new: &Submission, ticket: Ticket, retry: bool) -> Result<Submitted, StoreError> {
        // in a box of its own: few have a limit, and the orders of all others would carry what it takes to ask
        if let Some(most) = new.limits.bytes_per_day
            && let Some(retry_after) = self.wait_for_bytes(new, most, ticket, retry).boxed().await?
        {
            return Ok(Submitted::QuotaSpent { retry_after });
        }
        let kind = Kind::of(&new.spec);
        let span = tracing::info_span!(
            target: trace::TARGET, "enqueue", otel.kind = "producer", job.kind = kind.word(), job.region = %new.region,
            job.priority = Lane::word(new.priority), job.id = Empty, answer = Empty,
        );
        let here = span.in_scope(trace::here).map_or_else(String::new, |here| here.to_string());
        let mut reuse = Reuse::of(self.0.is_there.as_ref());
        loop {
            let mut call = self.order(new, ticket, retry);
            call.arg(&here).arg(reuse.seen());
            let is_durable = kind == Kind::Download;
            let running = if is_durable { self.run_durably(&call).boxed() } else { self.run_surely(&call).boxed() };
            let answer: Vec<Vec<u8>> = running.instrument(span.clone()).await?;

            let (word, rest) = answer.split_first().ok_or(StoreError::Unreadable("an answer"))?;
            if word == b"look" {
                // in a box of its own: few orders come to a result
                reuse.look(self, rest).boxed().instrument(span.clone()).await?;
                continue;
            }
            span.record("answer", &*String::from_utf8_lossy(word));
            let shown = || shown(ticket, rest, word).inspect(|(id, job)| enqueued(&span, *id, job)).map(|(_, job)| job);
            return match word.as_slice() {
                b"new" | b"join" | b"known" | b"same" => shown().map(Submitted::Accepted),
                b"reuse" => shown().map(Submitted::Reused),
                b"limited" => Ok(Submitted::RateLimited { retry_after: wait_of(rest)? }),
                b"full" => Ok(Submitted::QueueFull { retry_after: wait_for_room(rest) }),
                b"busy" => Ok(Submitted::ClientQueueFull { retry_after: wait_for_room(rest) }),
                b"not_retryable" => Ok(Submitted::NotRetryable),
                b"gone" => Ok(Submitted::Gone),
                _ => Err(StoreError::Unreadable("an answer")),
            };
        }
    }

    /// An order as the script takes it, but for what is found out on the way.
    fn order(&self, new: &Submission, ticket: Ticket, retry: bool) -> Call<'static> {
        let settings = &self.0.settings;
        let shard = ticket.shard(settings.shards);
        let kind = Kind::of(&new.spec);
        let listed = kind == Kind::Download;
        // Who looks at metadata waits for it: that must not stand behind the same client's long downloads.
        let payer = match kind {
            Kind::Download => new.client.as_str().to_owned(),
            Kind::Metadata => format!("{}~{}", new.client.as_str(), kind.word()),
        };
        let lane = Lane { kind, region: new.region.clone(), priority: new.priority };
        let less_urgent = match new.priority {
            Priority::Normal => Lane { priority: Priority::Low, ..lane.clone() }.to_string(),
            Priority::Low => String::new(),
        };
        let ticket_ttl = if listed { settings.job_ttl * 2 } else { METADATA_TTL };
        let unfinished_ttl = if listed { settings.job_ttl } else { METADATA_TTL };
        let limit = |limit: Option<u32>| limit.map_or_else(String::new, |limit| limit.to_string());
        let (each, burst) = rate_of(&new.limits);

        let mut call = invocation(shard, &scripts::SUBMIT);
        call.arg(JobId::on(shard, settings.shards).to_string())
            .arg(ticket.to_string())
            .arg(payer)
            .arg(Fingerprint::of(&new.spec, &new.region).to_string())
            .arg(new.spec.encode())
            .arg(lane.to_string())
            .arg(kind.word())
            .arg(new.max_attempts)
            .arg(limit(settings.queue_limit))
            .arg(limit(new.limits.max_queued))
            .arg(limit(new.limits.max_running))
            .arg(new.limits.weight.max(1))
            .arg(new.request.as_slice())
            .arg(ms(new.expires_in))
            .arg(ms(ticket_ttl))
            .arg(ms(unfinished_ttl))
            .arg(less_urgent)
            .arg(each)
            .arg(burst)
            .arg(u8::from(listed))
            .arg(u8::from(retry))
            .arg(new.region.as_str())
            .arg(mark())
            .arg(new.spec.url().site());
        webhooks::add(&mut call, &new.client, new.webhook.as_ref());
        call
    }

    /// How long until the client may order a download again that has had its bytes for today. None: it has not, or the order
    /// brings nothing new.
    async fn wait_for_bytes(
        &self,
        new: &Submission,
        most: u64,
        ticket: Ticket,
        retry: bool,
    ) -> Result<Option<Duration>, StoreError> {
        if Kind::of(&new.spec) != Kind::Download {
            return Ok(None);
        }
        let delivered = self.delivered(&Scope::Client(new.client.clone())).await?;
        if delivered.bytes < most {
            return Ok(None);
        }
        // who comes again with a promise is shown the job of then, and what can't be tried again is told so
        let job = self.get(ticket).await?;
        let is_new = job.map_or(!retry, |job| retry && Action::Retry.may_leave(job.state.kind()));
        Ok(is_new.then(|| delivered.until_reset()))
    }

    /// The job behind a ticket.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn get(&self, ticket: Ticket) -> Result<Option<Job>, StoreError> {
        self.look(ticket).await?.map(|seen| seen.job()).transpose()
    }

    /// Gives back one ticket of an unfinished job; the last one stops it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn cancel(&self, ticket: Ticket) -> Result<Cancelled, StoreError> {
        self.let_go(ticket, false).await
    }

    /// The same for a ticket of which nobody has heard: whoever was to be told of its end is told nothing any more.
    ///
    /// # Errors
    /// As [`JobStore::cancel`].
    pub async fn retract(&self, ticket: Ticket) -> Result<Cancelled, StoreError> {
        self.let_go(ticket, true).await
    }

    async fn let_go(&self, ticket: Ticket, untold: bool) -> Result<Cancelled, StoreError> {
        let mut call = invocation(ticket.shard(self.0.settings.shards), &scripts::CANCEL);
        call.arg(ticket.to_string()).arg(mark()).arg(u8::from(untold));
        let answer: String = self.run_surely(&call).await?;
        match answer.as_str() {
            "now" => Ok(Cancelled::Now),
            "stopping" => Ok(Cancelled::Stopping),
            "ended" => Ok(Cancelled::AlreadyEnded),
            "gone" => Ok(Cancelled::Gone),
            _ => Err(StoreError::Unreadable("an answer")),
        }
    }

    /// Deletes an ended job's ticket and, with the last one, its result. `false`: there is none, or it has not ended.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn forget(&self, ticket: Ticket) -> Result<bool, StoreError> {
        let mut call = invocation(ticket.shard(self.0.settings.shards), &scripts::FORGET);
        let answer: String = self.run_surely(call.arg(ticket.to_string()).arg(mark())).await?;
        Ok(answer == "ok")
    }

    /// Watches the job that now stands behind a ticket; `None` when there is none.
    ///
    /// # Errors
    /// As [`JobStore::get`].
    pub async fn watch(&self, ticket: Ticket) -> Result<Option<Watch>, StoreError> {
        let Some(seen) = self.look(ticket).await? else { return Ok(None) };
        Ok(Some(self.0.changes.watch(ticket, seen.read()?.id)))
    }

    /// Looks at a job that is watched. Where another run stands behind its ticket meanwhile, the watch follows.
    ///
    /// # Errors
    /// As [`JobStore::get`].
    pub async fn look_watched(&self, watch: &mut Watch) -> Result<Option<Seen>, StoreError> {
        let ticket = watch.ticket();
        while let Some(seen) = self.look(ticket).await? {
            let id = seen.read()?.id;
            if id == watch.job() {
                return Ok(Some(seen));
            }
            // what it did before it was watched is seen by another look
            *watch = self.0.changes.watch(ticket, id);
        }
        Ok(None)
    }
}

/// The job of a new ticket. That is logged, for a client knows the one and every other line the other.
fn shown(ticket: Ticket, answer: &[Vec<u8>], how: &[u8]) -> Result<(JobId, Box<Job>), StoreError> {
    let [now, view] = answer else { return Err(StoreError::Unreadable("an answer")) };
    let Viewed { id, job, .. } = record::job(ticket, record::now(now)?, view)?;
    // whoever holds a ticket has its start; the rest is a capability and not for a log
    let (start, how) = (&ticket.to_string()[..8], String::from_utf8_lossy(how));
    tracing::info!(ticket = start, job.id = %id, %how, "ticket {start}… stands for job {id}");
    Ok((id, Box::new(job)))
}

/// Notes in the span of an order which job it came to. Where that belongs to another trace, who asked first, the one leads to
/// the other.
fn enqueued(span: &Span, id: JobId, job: &Job) {
    span.record("job.id", tracing::field::display(id));
    let is_elsewhere = |run: &TraceParent| span.in_scope(trace::here).is_some_and(|here| !here.is_of_the_trace_of(run));
    if let Some(run) = job.trace.filter(is_elsewhere) {
        trace::link(span, run);
    }
}

/// What a script is told of a client's rate: µs between two (empty: no rate), and how many at once.
pub(super) fn rate_of(limits: &ClientLimits) -> (String, u32) {
    match limits.rate {
        // no time at all is none that Redis can keep
        Some(rate) => ((rate.per / rate.count.get()).as_micros().max(1).to_string(), rate.count.get()),
        None => (String::new(), 0),
    }
}

/// How long a client is to wait that is over its rate.
pub(super) fn wait_of(rest: &[Vec<u8>]) -> Result<Duration, StoreError> {
    let micros = rest.first().and_then(|micros| std::str::from_utf8(micros).ok()?.parse().ok());
    micros.map(Duration::from_micros).ok_or(StoreError::Unreadable("an answer"))
}

/// How long it takes, at the pace of the last ends, until those who wait now have been served; 5 s to 10 min,
/// blurred by a fifth so that those who were sent away do not come back together.
fn wait_for_room(rate: &[Vec<u8>]) -> Duration {
    let number = |field: &Vec<u8>| std::str::from_utf8(field).ok()?.parse().ok();
    let numbers: Vec<f64> = rate.iter().filter_map(number).collect();
    let seconds = match numbers[..] {
        [waiting, ends, took_ms] if ends > 0.0 && took_ms > 0.0 => waiting * took_ms / 1000.0 / ends,
        _ => 30.0,
    };
    Duration::from_secs_f64((seconds * rand::rng().random_range(0.8..1.2)).clamp(5.0, 600.0))
}
