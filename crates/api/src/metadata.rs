//! Metadata for display: from memory, from Redis, or from a worker that looks.
//!
//! The memory of this process is bounded in bytes and believed for half a minute. What one API forgets the others hear
//! of, and forget too. Callers who ask for the same address at the same time wait for one look. What is stale is
//! shown at once, and looked at again behind the caller's back.
//!
//! Not here: how a medium is looked at (the worker), how long a finding is fresh (`shared::metadata`).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use haul_shared::ids::Ticket;
use haul_shared::job::{JobSpec, JobState};
use haul_shared::media::Priority;
use haul_shared::metadata::{Cached, Finding, Metadata, MetadataCache};
use haul_shared::redis::Listener;
use haul_shared::source::SourceUrl;
use haul_shared::store::{ClientLimits, JobStore, Submission};
use moka::future::Cache;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::auth::Caller;
use crate::config::ApiConfig;
use crate::error::{ApiError, ApiResult, Code};
use crate::submit::job_of;

/// How long memory is believed before Redis is asked again.
const BELIEVED: Duration = Duration::from_secs(30);
/// How long a caller waits for a worker.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where an answer came from: the header `Haul-Cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was known.
    Hit,
    /// A worker looked.
    Miss,
    /// It was known, but is old; somebody looks now.
    Stale,
}

impl Origin {
    /// All origins.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Stale];

    /// The word of the header and of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// What is known, or why nothing is.
    pub outcome: ApiResult<Arc<Metadata>>,
    /// Where from.
    pub origin: Origin,
    /// How old it is.
    pub age: Duration,
}

/// What memory holds: something found, and when.
#[derive(Debug, Clone)]
struct Remembered {
    metadata: Arc<Metadata>,
    found: Instant,
    /// In memory, roughly, in bytes.
    size: u32,
}

/// Finds metadata. Cheap to clone.
#[derive(Clone)]
pub struct MetadataService {
    memory: Cache<SourceUrl, Remembered>,
    redis: MetadataCache,
    jobs: JobStore,
    /// How long a finding is fresh.
    fresh: Duration,
    /// Addresses that are being looked at behind a caller's back.
    refreshing: Arc<Mutex<HashSet<SourceUrl>>>,
    tasks: TaskTracker,
    _forgotten_elsewhere: Arc<Listener>,
}

impl MetadataService {
    /// A service as it is configured.
    #[must_use]
    pub fn new(config: &ApiConfig, redis: MetadataCache, jobs: JobStore, tasks: TaskTracker) -> Self {
        let memory = Cache::builder()
            .weigher(|_: &SourceUrl, remembered: &Remembered| remembered.size)
            .max_capacity(config.metadata_cache_bytes)
            .time_to_live(BELIEVED)
            .build();
        let (fresh, forgetting) = (config.lives.metadata, memory.clone());
        let listener = redis.listen(move |forgotten| match forgotten {
            Some(source) => {
                let memory = forgetting.clone();
                tokio::spawn(async move { memory.invalidate(&source).await });
            }
            None => forgetting.invalidate_all(),
        });
        let _forgotten_elsewhere = Arc::new(listener);
        Self { memory, redis, jobs, fresh, refreshing: Arc::default(), tasks, _forgotten_elsewhere }
    }

    /// What is known of an address; asks a worker if nothing is.
    pub async fn get(&self, source: &SourceUrl, caller: &Caller) -> Answer {
        if let Some(known) = self.memory.get(source).await {
            return self.known(source, caller, known);
        }
        match self.redis.get(source).await {
            Ok(Some(Cached { finding: Finding::Refused { kind, retry_after }, age, .. })) => {
                let left = retry_after.map(|asked| asked.saturating_sub(age));
                return Answer { outcome: Err(ApiError::no_metadata(kind, left)), origin: Origin::Hit, age };
            }
            Ok(Some(cached)) => {
                if let Some(known) = Remembered::of(cached) {
                    self.memory.insert(source.clone(), known.clone()).await;
                    return self.known(source, caller, known);
                }
            }
            Ok(None) => {}
            // a cache that does not answer is a cache that does not know
            Err(error) => tracing::warn!("the metadata cache does not answer: {error}"),
        }
        let looked = self.memory.try_get_with_by_ref(source, self.look(source, caller)).await;
        let outcome = looked.map(|known| known.metadata).map_err(|error| ApiError::clone(&error));
        Answer { outcome, origin: Origin::Miss, age: Duration::ZERO }
    }

    /// Forgets an address, in Redis and in the memory of every API.
    ///
    /// # Errors
    /// `service_unavailable`.
    pub async fn forget(&self, source: &SourceUrl) -> ApiResult<()> {
        self.redis.forget(source).await?;
        self.memory.invalidate(source).await;
        Ok(())
    }

    fn known(&self, source: &SourceUrl, caller: &Caller, known: Remembered) -> Answer {
        let age = known.found.elapsed();
        let origin = if age > self.fresh { Origin::Stale } else { Origin::Hit };
        if origin == Origin::Stale {
            self.refresh(source.clone(), caller.clone());
        }
        Answer { outcome: Ok(known.metadata), origin, age }
    }

    /// Looks again, unless somebody does.
    fn refresh(&self, source: SourceUrl, caller: Caller) {
        let Some(mark) = Mark::set(&self.refreshing, &source) else { return };
        let service = self.clone();
        self.tasks.spawn(async move {
            let _mark = mark;
            match service.look(&source, &caller).await {
                Ok(known) => service.memory.insert(source, known).await,
                Err(refusal) => tracing::debug!("stale metadata could not be renewed: {refusal:?}"),
            }
        });
    }

    /// Has a worker look, and waits for what it finds.
    async fn look(&self, source: &SourceUrl, caller: &Caller) -> ApiResult<Remembered> {
        let ticket = job_of(self.jobs.submit(&self.submission(source, caller)).await?)?.1.ticket;
        let ended = timeout(LONGEST_WAIT, self.end_of(ticket)).await;
        // the finding is in the cache; the ticket has served. A failure here is mended by its short life.
        let _ = match &ended {
            Ok(_) => self.jobs.forget(ticket).await.map(drop),
            Err(_) => self.jobs.cancel(ticket).await.map(drop),
        };
        if let JobState::Failed { failure, .. } = ended.map_err(|_| ApiError::new(Code::Timeout))?? {
            return Err(ApiError::no_metadata(failure.kind, failure.retry_after));
        }
        match self.redis.get(source).await? {
            Some(Cached { finding: Finding::Refused { kind, retry_after }, .. }) => {
                Err(ApiError::no_metadata(kind, retry_after))
            }
            found => found.and_then(Remembered::of).ok_or_else(|| ApiError::new(Code::Internal)),
        }
    }

    async fn end_of(&self, ticket: Ticket) -> ApiResult<JobState> {
        let lost = || ApiError::new(Code::Internal);
        let mut watch = self.jobs.watch(ticket).await?.ok_or_else(lost)?;
        loop {
            match self.jobs.get(ticket).await? {
                Some(job) if job.state.kind().is_end() => return Ok(job.state),
                Some(_) => watch.changed().await,
                None => return Err(lost()),
            }
        }
    }

    fn submission(&self, source: &SourceUrl, caller: &Caller) -> Submission {
        let spec = JobSpec::Metadata { url: source.clone() };
        Submission {
            ticket: self.jobs.draw(&spec, &caller.region),
            client: caller.client.clone(),
            // their rate is that of downloads
            limits: ClientLimits { rate: None, ..caller.limits },
            spec,
            region: caller.region.clone(),
            priority: Priority::Normal,
            // no client ever sees this job: see `App::request_of`
            request: Vec::new(),
            expires_in: LONGEST_WAIT,
            // somebody waits: a passing fault is better told than tried again in ten seconds
            max_attempts: 1,
            idempotency: None,
        }
    }
}

impl Remembered {
    fn of(cached: Cached) -> Option<Self> {
        let Finding::Found(metadata) = cached.finding else { return None };
        let size = serde_json::to_vec(&metadata).map_or(u32::MAX, |json| u32::try_from(json.len()).unwrap_or(u32::MAX));
        // a clock that started after the finding was made: as old as can be told
        let found = Instant::now().checked_sub(cached.age).unwrap_or_else(Instant::now);
        Some(Self { metadata: Arc::from(metadata), found, size })
    }
}

/// Says, while it lives, that an address is being looked at.
struct Mark {
    set: Arc<Mutex<HashSet<SourceUrl>>>,
    source: SourceUrl,
}

impl Mark {
    fn set(set: &Arc<Mutex<HashSet<SourceUrl>>>, source: &SourceUrl) -> Option<Self> {
        let is_first = set.lock().unwrap_or_else(PoisonError::into_inner).insert(source.clone());
        is_first.then(|| Self { set: Arc::clone(set), source: source.clone() })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.source);
    }
}
