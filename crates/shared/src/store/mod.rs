//! Jobs in Redis: the queue is a state machine on one hash per job, moved by scripts only.
//!
//! The API's half ([`submission`], [`reuse`], [`look`], [`moments`], [`listing`], [`library`], [`watch`], [`webhooks`], [`usage`], [`stats`], [`trials`], [`playlists`]) hands out
//! tickets and shows jobs; the worker's half ([`claims`], [`lease`], [`outbox`]) takes jobs, writes to them under a fence, and tells their ends. Whatever is accepted here survives the
//! death of any process. Not here: what a job means (`crate::job`), and how it is done (`worker::pipeline`).

mod claims;
mod keys;
mod lease;
mod library;
mod listing;
mod look;
mod moments;
mod orphans;
mod outbox;
mod playlists;
mod promise;
mod record;
mod regions;
mod reuse;
mod scripts;
mod sites;
mod stats;
mod submission;
mod trials;
mod upkeep;
mod usage;
mod wake;
mod watch;
mod webhooks;

pub use claims::{Claims, Leased};
pub use keys::{Kind, Lane};
pub use lease::{Beat, Course, Done, Ended, Lease, Pulse};
pub use library::Annotated;
pub use listing::{Listing, MOST_SORTED, Order, Position, Scope, SortBy, Sorting};
pub use look::Seen;
pub use moments::{Moment, Past, Place, Standing};
pub use orphans::{Orphans, Progressed, Swept, TURN};
pub use outbox::{Outbox, Telling, Then, Told};
pub use playlists::Playlist;
pub use promise::Idempotency;
pub use reuse::IsThere;
pub use sites::{Breaker, Deferral, Outlet};
pub use stats::{QueueDepth, Samples, Stats, WORKER_SILENCE, WorkerInfo};
pub use submission::{Cancelled, ClientLimits, Submission, Submitted};
pub use trials::{Trial, Tried};
pub use upkeep::{Audited, Garbage};
pub use usage::{Delivered, Usage};
pub use watch::Watch;
pub use webhooks::{Delivery, Redelivered, Webhook, WebhookOrder};

pub(crate) use keys::{
    forgotten as forgotten_channel, metadata as metadata_key, picture as picture_key, plan as plan_key,
    plans as plans_key,
};
pub(crate) use scripts::{KEEP_PICTURE, KEEP_PLAN};

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::future::join_all;
use rand::RngExt as _;
use redis::{FromRedisValue, RedisError};

use crate::config::{Durability, Lives, QueueConfig};
use crate::ids::{Shard, Shards};
use crate::redis::{Call, CallError, Connection, Server};

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No answer, or none in time. What was asked may have been done; every call of the store may be repeated.
    #[error("redis is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Redis has no memory for another job.
    #[error("redis is out of memory")]
    OutOfMemory,
    /// A record is not of a form that this version knows.
    #[error("{0} in a stored record cannot be read")]
    Unreadable(&'static str),
    /// The queue in this Redis is cut otherwise.
    #[error("HAUL_QUEUE_SHARDS is {ours}, but the queue in this redis has {theirs} shards")]
    OtherShards {
        /// As configured.
        ours: u16,
        /// As it is.
        theirs: u16,
    },
    /// The lease is not the newest any more: somebody else has the job, or it has ended.
    #[error("the lease was lost")]
    LeaseLost,
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        if error.is_out_of_memory() { Self::OutOfMemory } else { Self::Unavailable(Arc::new(error)) }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        CallError::Call(error).into()
    }
}

/// How long things live and how much may wait; the same for every process of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// A job may stay unfinished this long, and its record stays as long after its end.
    pub job_ttl: Duration,
    /// A result is kept this long.
    pub result_ttl: Duration,
    /// A link lives at most this long: a result is not handed out again when less of its life is left.
    pub link_ttl: Duration,
    /// A worker holds a job this long without a word.
    pub lease: Duration,
    /// Jobs that may wait on each shard; `None` is no limit.
    pub queue_limit: Option<u32>,
    /// The parts of the queue.
    pub shards: Shards,
    /// When a job is accepted.
    pub durability: Durability,
}

impl StoreSettings {
    /// As configured.
    #[must_use]
    pub fn of(lives: &Lives, queue: &QueueConfig) -> Self {
        Self {
            job_ttl: lives.job,
            result_ttl: lives.result,
            link_ttl: lives.link,
            lease: queue.lease,
            queue_limit: queue.max_queued,
            shards: queue.shards,
            durability: queue.durability,
        }
    }
}

/// The jobs of a deployment.
#[derive(Clone)]
pub struct JobStore(Arc<Inner>);

struct Inner {
    server: Server,
    changes: watch::Changes,
    looks: look::Looks,
    bells: outbox::Bells,
    settings: StoreSettings,
    is_there: Option<IsThere>,
    failed_as_lost: AtomicU64,
}

impl JobStore {
    /// The jobs in this Redis; the first call connects. Finished results are handed out again without a look.
    #[must_use]
    pub fn new(server: Server, settings: StoreSettings) -> Self {
        Self::looking(server, settings, None)
    }

    /// The same, with somebody who looks whether a finished result is there before it is handed out again.
    #[must_use]
    pub fn seeing(server: Server, settings: StoreSettings, is_there: IsThere) -> Self {
        Self::looking(server, settings, Some(is_there))
    }

    fn looking(server: Server, settings: StoreSettings, is_there: Option<IsThere>) -> Self {
        let changes = watch::Changes::new(server.clone(), settings.shards);
        let looks = look::Looks::new(settings.shards);
        let bells = outbox::Bells::new(settings.shards);
        Self(Arc::new(Inner { server, changes, looks, bells, settings, is_there, failed_as_lost: AtomicU64::new(0) }))
    }

    /// Is Redis there, and can jobs be changed in it?
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.0.server.takes_writes(&keys::nothing()).await?)
    }

    /// Says how many parts the queue has, or hears that it is cut otherwise: then this process would look for jobs where
    /// they are not.
    ///
    /// # Errors
    /// [`StoreError::OtherShards`], [`StoreError::Unavailable`].
    pub async fn agree(&self) -> Result<(), StoreError> {
        if self.agrees().await? {
            return Ok(());
        }
        // only now: a full Redis refuses every SET, and needs workers that start, or it stays full
        let ours = self.0.settings.shards.count();
        let mut connection = self.connection("agree").await?;
        redis::cmd("SET").arg(keys::shards()).arg(ours).arg("NX").query_async::<()>(&mut connection).await?;
        self.agrees().await.map(drop)
    }

    /// Has somebody said how many parts the queue has, and are they as many as here? Says nothing itself.
    ///
    /// # Errors
    /// As [`Self::agree`].
    pub async fn agrees(&self) -> Result<bool, StoreError> {
        let ours = self.0.settings.shards.count();
        let mut connection = self.connection("agree").await?;
        let said: Option<u16> = redis::cmd("GET").arg(keys::shards()).query_async(&mut connection).await?;
        match said {
            Some(theirs) if theirs != ours => Err(StoreError::OtherShards { ours, theirs }),
            said => Ok(said.is_some()),
        }
    }

    /// What links that lead to jobs are signed with: the same for every API of this queue, and as long as its jobs. The one
    /// who asks first draws it, or brings what it knows to be their `own` from before Redis lost it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Unreadable`] when something else is there.
    pub async fn link_secret(&self, own: Option<[u8; 32]>) -> Result<[u8; 32], StoreError> {
        let mut connection = self.connection("link_secret").await?;
        let get = || redis::cmd("GET").arg(keys::link_secret()).to_owned();
        let mut kept: Option<Vec<u8>> = get().query_async(&mut connection).await?;
        if kept.is_none() {
            // only now: a full Redis refuses every SET
            let offered = own.unwrap_or_else(|| rand::rng().random());
            redis::cmd("SET")
                .arg(keys::link_secret())
                .arg(&offered)
                .arg("NX")
                .query_async::<()>(&mut connection)
                .await?;
            kept = get().query_async(&mut connection).await?;
        }
        kept.and_then(|kept| kept.try_into().ok()).ok_or(StoreError::Unreadable("the secret of links"))
    }

    /// Connections of the pool: in use, idle.
    #[must_use]
    pub fn pool_state(&self) -> (usize, usize) {
        self.0.server.pool_state()
    }

    async fn connection(&self, call: &'static str) -> Result<Connection, StoreError> {
        Ok(self.0.server.connection(call).await?)
    }

    /// Runs a script once, for who asks again soon anyway.
    async fn run_once<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        Ok(self.0.server.call_once(call).await?)
    }

    /// Runs a script, again only if it is certain that it did not run.
    async fn run<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        Ok(self.0.server.call(call).await?)
    }

    /// Runs a script whose repetition is harmless, again if the answer was lost.
    async fn run_surely<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        Ok(self.0.server.call_surely(call).await?)
    }

    /// As [`Self::run_surely`], for what is promised to a client: it lasts as the configuration says, or is an error.
    async fn run_durably<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        match self.0.settings.durability {
            Durability::Aof => self.run_surely(call).await,
            Durability::Replica => Ok(self.0.server.call_durably(call).await?),
        }
    }

    /// Asks all shards at once, so that one that does not answer holds up no other, and then tells an error of any.
    async fn everywhere<T, F>(&self, ask: impl Fn(Shard) -> F) -> Result<Vec<T>, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        join_all(self.0.settings.shards.all().map(ask)).await.into_iter().collect()
    }
}

/// What tells a call from every other one, so that a repetition of it is known again.
fn mark() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

/// Milliseconds, as scripts take them.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
