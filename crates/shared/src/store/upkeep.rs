//! What time does to jobs and objects: delays end, leases run out, results expire; and whether all is where it should be.
//!
//! API processes look after it about once a second, and workers whenever they ask for jobs; the scripts make it harmless
//! that several do. Who removes objects from the store is the worker (`worker::sweep`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;

use super::keys::Kind;
use super::lease::encoded;
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, ms};
use crate::ids::Shard;
use crate::job::{Failure, FailureKind};
use crate::storage::ObjectKey;

/// Between two looks at the queue. Delays are this coarse.
const EVERY: Duration = Duration::from_secs(1);

/// Between two looks of whichever process: fifty of them do not look fifty times.
const AT_MOST_EVERY: Duration = Duration::from_millis(500);

/// Between two pages of the audit, whoever turns them.
const AUDIT_EVERY: Duration = Duration::from_secs(10);

/// About how many jobs one page of the audit has.
const AUDIT_PAGE: u32 = 50;

/// Leases that may be lost before a job counts as one that takes workers down.
pub(super) const POISON: u32 = 3;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// Jobs that it looked at.
    pub jobs: u64,
    /// What it put right, a word each: the list or counter that was wrong.
    pub repairs: Vec<String>,
}

impl JobStore {
    /// Looks after the queue until it is dropped, about once a second.
    pub async fn look_after(self) {
        loop {
            // Blurred, so that fifty processes started together do not look at the same moment.
            let pause = EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::time::sleep(pause).await;
            // a shard that cannot be tended does not keep the others from being audited
            let (tended, audited) = tokio::join!(self.tend(AT_MOST_EVERY), self.audit_within(AUDIT_EVERY));
            if let Err(error) = tended.and(audited.map(drop)) {
                tracing::debug!(error = &error as &dyn std::error::Error, "the queue could not be looked after");
            }
        }
    }

    /// Looks after what time does to jobs, now: delays end, leases run out, jobs expire. Any process may call it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn upkeep(&self) -> Result<(), StoreError> {
        self.tend(Duration::ZERO).await
    }

    async fn tend(&self, every: Duration) -> Result<(), StoreError> {
        let tend = async |shard| {
            let mut every = every;
            loop {
                let mut call = invocation(shard, &scripts::TEND);
                call.arg(ms(every)).arg(ms(self.0.settings.lease)).arg(POISON).arg(encoded(&lost())?);
                call.arg(Kind::Download.word());
                let (_promoted, reaped, _expired, is_more, failed): (u64, u64, u64, bool, u64) =
                    self.run(&call).await?;
                if reaped > 0 {
                    tracing::warn!(reaped, "{reaped} leases ran out: their workers are gone or cut off");
                }
                self.count_lost(failed);
                if !is_more {
                    break;
                }
                every = Duration::ZERO;
            }
            Ok(())
        };
        self.everywhere(tend).await.map(drop)
    }

    /// Downloads that have failed with [`FailureKind::WorkerLost`] by a call of this process, since it began: no worker is left
    /// to count them. Each is counted by one process, or, when the answer to that call was lost, by none.
    #[must_use]
    pub fn failed_as_lost(&self) -> u64 {
        self.0.failed_as_lost.load(Ordering::Relaxed)
    }

    /// So many downloads have failed by a call, because all their workers were lost.
    pub(super) fn count_lost(&self, failed: u64) {
        if failed > 0 {
            self.0.failed_as_lost.fetch_add(failed, Ordering::Relaxed);
            tracing::warn!(failed, "{failed} downloads have failed: each has lost {POISON} workers");
        }
    }

    /// Looks whether some of the jobs are where their states say, and puts right what is not.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn audit(&self) -> Result<Audited, StoreError> {
        self.audit_within(Duration::ZERO).await
    }

    async fn audit_within(&self, every: Duration) -> Result<Audited, StoreError> {
        let audit = async |shard| {
            let mut call = invocation(shard, &scripts::AUDIT);
            let mut words: Vec<String> = self.run(call.arg(ms(every)).arg(AUDIT_PAGE)).await?;
            let jobs = words.first().and_then(|jobs| jobs.parse::<u64>().ok());
            let jobs = jobs.ok_or(StoreError::Unreadable("an answer"))?;
            let repairs = words.split_off(1);
            if !repairs.is_empty() {
                let what = repairs.join(", ");
                tracing::error!(repairs = repairs.len(), "the queue was not as it should be and was put right: {what}");
            }
            Ok(Audited { jobs, repairs })
        };
        let mut found = Audited::default();
        for here in self.everywhere(audit).await? {
            found.jobs += here.jobs;
            found.repairs.extend(here.repairs);
        }
        Ok(found)
    }

    /// Names objects that are to be removed from the store, and takes those of `removed` off the list. At most `limit`
    /// of each shard. An entry that this version can't read stays on the list, for one that can.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn collect(&self, removed: &[Garbage], limit: u32) -> Result<Vec<Garbage>, StoreError> {
        let mut due = Vec::new();
        for shard in self.0.settings.shards.all() {
            let mut call = invocation(shard, &scripts::COLLECT);
            call.arg(limit);
            for garbage in removed.iter().filter(|garbage| garbage.shard == shard) {
                call.arg(&garbage.entry);
            }
            let entries: Vec<String> = self.run_surely(&call).await?;
            let count = entries.len();
            let known: Vec<Garbage> = entries.into_iter().filter_map(|entry| Garbage::read(shard, entry)).collect();
            let unknown = count - known.len();
            if unknown > 0 {
                tracing::warn!(unknown, "{unknown} old objects have names that this version does not know; they stay");
            }
            due.extend(known);
        }
        Ok(due)
    }
}

/// What is said of a job whose lease ran out.
pub(super) fn lost() -> Failure {
    Failure::new(FailureKind::WorkerLost, "the lease ran out")
}

/// An object whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    shard: Shard,
    entry: String,
    /// Where it is.
    pub object: ObjectKey,
}

impl Garbage {
    fn read(shard: Shard, entry: String) -> Option<Self> {
        let (_, key) = entry.split_once(':')?;
        let object = ObjectKey::parse(key).ok()?;
        Some(Self { shard, entry, object })
    }
}
