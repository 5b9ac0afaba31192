//! The API's half: tickets are given out, shown, listed, given back.

use std::time::Duration;

use rand::RngExt as _;
use redis::AsyncCommands as _;
use sha2::{Digest as _, Sha256};

use super::keys::{self, Kind, Lane};
use super::scripts::{self, invocation};
use super::watch::Watch;
use super::{JobStore, StoreError, ms, record};
use crate::ids::{ClientKey, JobId, Region, Ticket};
use crate::job::{Fingerprint, Job, JobSpec};
use crate::media::Priority;

/// How long an `Idempotency-Key` is remembered, by the contract.
const IDEMPOTENCY_TTL: Duration = Duration::from_secs(24 * 3600);

/// How long the ticket of a metadata job lives: somebody waits for it, or nobody will ask again.
const METADATA_TTL: Duration = Duration::from_secs(300);

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
    /// The header as sent; hashed, together with the client, before it becomes part of a key.
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
    /// The request as the API will show it; at most 64 KiB (the bound of a body), opaque here.
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
    /// A new run, or a share in one that goes on already.
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

/// A place in a list, newest first: the creation time, and the ticket among those of the same ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Creation time, ms since the epoch.
    pub created_ms: i64,
    /// Which of those of that ms.
    pub ticket: Ticket,
}

impl JobStore {
    /// Queues a job, or hands out a share in one that exists. Repeating it with the same ticket is harmless.
    ///
    /// # Errors
    /// [`StoreError::OutOfMemory`], [`StoreError::Unavailable`].
    pub async fn submit(&self, submission: &Submission) -> Result<Submitted, StoreError> {
        self.enter(submission, false).await
    }

    /// Queues a failed or cancelled job again under its old ticket.
    ///
    /// # Errors
    /// As [`JobStore::submit`].
    pub async fn resubmit(&self, submission: &Submission) -> Result<Submitted, StoreError> {
        self.enter(submission, true).await
    }

    async fn enter(&self, new: &Submission, retry: bool) -> Result<Submitted, StoreError> {
        let settings = &self.0.settings;
        let kind = Kind::of(&new.spec);
        let listed = kind == Kind::Download;
        // Who looks at metadata waits for it: that must not stand behind the same client's long downloads.
        let payer = match kind {
            Kind::Download => new.client.as_str().to_owned(),
            Kind::Metadata => format!("{}~{}", new.client.as_str(), kind.word()),
        };
        let lane = Lane { kind, region: new.region.clone(), priority: new.priority };
        let spec = serde_json::to_vec(&new.spec).map_err(|_| StoreError::Unreadable("an order"))?;
        let ticket_ttl = if listed { settings.job_ttl * 2 } else { METADATA_TTL };
        let unfinished_ttl = if listed { settings.job_ttl } else { METADATA_TTL };
        let limit = |limit: Option<u32>| limit.map_or_else(String::new, |limit| limit.to_string());
        let (idempotency, body) = match &new.idempotency {
            Some(promise) => (idempotency_id(&new.client, &promise.key), promise.body_sha256.as_str()),
            None => (String::new(), ""),
        };

        let mut call = invocation(&scripts::SUBMIT);
        call.arg(JobId::new().to_string())
            .arg(new.ticket.to_string())
            .arg(payer)
            .arg(Fingerprint::of(&new.spec, &new.region).to_string())
            .arg(spec)
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
            .arg(idempotency)
            .arg(body)
            .arg(ms(IDEMPOTENCY_TTL))
            .arg(u8::from(listed))
            .arg(u8::from(retry))
            .arg(new.region.as_str());
        // An unanswered retry that was carried out would now be told `not_retryable`: it is not repeated.
        let answer: Vec<String> = if retry { self.run(&call).await? } else { self.run_surely(&call).await? };

        let Some((word, rest)) = answer.split_first() else { return Err(StoreError::Unreadable("an answer")) };
        match (word.as_str(), rest) {
            ("new" | "join" | "same", _) => Ok(Submitted::Accepted(new.ticket)),
            ("reuse", _) => Ok(Submitted::Reused(new.ticket)),
            ("replay", [ticket]) => {
                ticket.parse().map(Submitted::Replayed).map_err(|_| StoreError::Unreadable("a ticket"))
            }
            ("conflict", _) => Ok(Submitted::IdempotencyConflict),
            ("full", rate) => Ok(Submitted::QueueFull { retry_after: wait_for_room(rate) }),
            ("busy", rate) => Ok(Submitted::ClientQueueFull { retry_after: wait_for_room(rate) }),
            ("not_retryable", _) => Ok(Submitted::NotRetryable),
            ("gone", _) => Ok(Submitted::Gone),
            _ => Err(StoreError::Unreadable("an answer")),
        }
    }

    /// The job behind a ticket.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn get(&self, ticket: Ticket) -> Result<Option<Job>, StoreError> {
        Ok(self.look(ticket).await?.map(|(_, job)| job))
    }

    async fn look(&self, ticket: Ticket) -> Result<Option<(JobId, Job)>, StoreError> {
        let mut call = invocation(&scripts::LOOK);
        let answer = self.run_surely(call.arg(ticket.to_string())).await?;
        record::job(ticket, answer)
    }

    /// At most `limit` jobs older than `after`, newest first. Fewer than `limit` means that there are no more.
    ///
    /// # Errors
    /// As [`JobStore::get`].
    pub async fn list(&self, scope: &Scope, after: Option<Position>, limit: usize) -> Result<Vec<Job>, StoreError> {
        let index = match scope {
            Scope::Everyone => keys::key("recent"),
            Scope::Client(client) => keys::key("own") + client.as_str(),
        };
        let mut jobs = Vec::new();
        let mut after = after;
        loop {
            // No connection is held while another is taken: enough callers who do wait for each other for ever.
            let page = index_page(&mut self.connection().await?, &index, after, limit).await?;
            let is_last = page.len() < limit;
            let mut outlived = Vec::new();
            for position in page {
                if jobs.len() == limit {
                    break;
                }
                after = Some(position);
                match self.get(position.ticket).await? {
                    Some(job) => jobs.push(job),
                    None => outlived.push(position.ticket.to_string()),
                }
            }
            if !outlived.is_empty() {
                self.connection().await?.zrem::<_, _, ()>(&index, outlived).await?;
            }
            if is_last || jobs.len() == limit {
                return Ok(jobs);
            }
        }
    }

    /// Gives back one ticket of an unfinished job; the last one stops it. Not repeated when the answer is lost: the
    /// second time a cancelled job has ended already, and callers delete those.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn cancel(&self, ticket: Ticket) -> Result<Cancelled, StoreError> {
        let mut call = invocation(&scripts::CANCEL);
        let answer: String = self.run(call.arg(ticket.to_string())).await?;
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
        let mut call = invocation(&scripts::FORGET);
        let answer: String = self.run_surely(call.arg(ticket.to_string())).await?;
        Ok(answer == "ok")
    }

    /// Watches the job that now stands behind a ticket; `None` when there is none.
    ///
    /// # Errors
    /// As [`JobStore::get`].
    pub async fn watch(&self, ticket: Ticket) -> Result<Option<Watch>, StoreError> {
        let Some((id, _)) = self.look(ticket).await? else { return Ok(None) };
        Ok(Some(self.0.changes.watch(id)))
    }
}

/// One page of an index of tickets, newest first, that begins after `after`.
async fn index_page(
    connection: &mut crate::redis::Connection,
    index: &str,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<Position>, StoreError> {
    let mut passed = 0;
    loop {
        // Several tickets may share the ms in which the page begins: those up to `after` are passed over.
        let newest = after.map_or_else(|| "+inf".to_owned(), |after| after.created_ms.to_string());
        let wanted = limit + 32;
        let rows: Vec<(String, i64)> =
            connection.zrevrangebyscore_limit_withscores(index, newest, "-inf", passed, wanted as isize).await?;
        let is_last = rows.len() < wanted;
        let mut page: Vec<Position> = rows
            .into_iter()
            .filter_map(|(ticket, created_ms)| Some(Position { created_ms, ticket: ticket.parse().ok()? }))
            // Redis orders equal scores by their text, highest first here.
            .filter(|row| after.is_none_or(|after| (row.created_ms, row.ticket) < (after.created_ms, after.ticket)))
            .collect();
        if !page.is_empty() || is_last {
            page.truncate(limit);
            return Ok(page);
        }
        passed += wanted as isize;
    }
}

/// What stands in a key for a client's `Idempotency-Key`.
fn idempotency_id(client: &ClientKey, key: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(client.as_str());
    hash.update([0]);
    hash.update(key);
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How long it takes, at the pace of the last ends, until those who wait now have been served; 5 s to 10 min,
/// blurred by a fifth so that those who were sent away do not come back together.
fn wait_for_room(rate: &[String]) -> Duration {
    let numbers: Vec<f64> = rate.iter().filter_map(|text| text.parse().ok()).collect();
    let seconds = match numbers[..] {
        [waiting, ends, took_ms] if ends > 0.0 && took_ms > 0.0 => waiting * took_ms / 1000.0 / ends,
        _ => 30.0,
    };
    Duration::from_secs_f64(seconds.clamp(5.0, 600.0)).mul_f64(rand::rng().random_range(0.8..1.2))
}
