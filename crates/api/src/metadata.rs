//! Metadata for display: from memory, from Redis, or from a worker that looks.
//!
//! The memory of this process is bounded in bytes and believed for half a minute. It holds answers as they are sent, so
//! that a hit costs no more than their copy. What one API forgets the others hear of, and forget too; one that did not
//! hear it (its connection was broken) does so within that half minute. Callers who ask for the same address at the same
//! time, of whichever API, wait for one look. What is stale is shown at once, and looked at again behind the caller's
//! back: where that fails, what is stale stays until its time is over, and there is a pause before the next look.
//!
//! Not here: how a medium is looked at (the worker), how long a finding is fresh and kept (`shared::metadata`).

mod list;
mod picture;
mod plan;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use haul_shared::cookies::Cookies;
use haul_shared::ids::{Region, Ticket};
use haul_shared::job::{FailureKind, JobSpec, JobState};
use haul_shared::media::Priority;
use haul_shared::metadata::{Cached, Finding, KEPT_FOR, Look, Metadata, MetadataCache};
use haul_shared::redis::Listener;
use haul_shared::source::SourceUrl;
use haul_shared::store::{ClientLimits, JobStore, Submission};
use jiff::Timestamp;
use moka::Expiry;
use moka::future::Cache;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::auth::Caller;
use crate::config::ApiConfig;
use crate::error::{ApiError, ApiResult, Code};
use crate::shares::{PICTURES, PICTURES_OF_ALL, Shares};
use crate::submit::job_of;

pub use list::List;
pub use plan::PlanView;
pub use view::MetadataView;

/// How long memory is believed before Redis is asked again.
const BELIEVED: Duration = Duration::from_secs(30);
/// How long a caller waits for a worker.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A look that is put off for longer, because its site is left alone, is not waited for.
const LONGEST_DEFERRAL: Duration = Duration::from_secs(5);
/// Looks for one caller, where what was found is gone before it is read.
const MOST_LOOKS: usize = 3;
/// Between two looks at what is stale, when the first has failed or is under way; longer where the site asks for it.
const RENEWED_EVERY: Duration = Duration::from_secs(30);
/// Addresses whose renewal is remembered; beyond, some are looked at more often.
const RENEWALS: u64 = 10_000;

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
    /// What is known, as the JSON of a [`MetadataView`] or [`PlanView`], or why nothing is.
    pub outcome: ApiResult<Bytes>,
    /// Where from.
    pub origin: Origin,
    /// How old it is.
    pub age: Duration,
}

/// What memory holds: something found, as it is sent, which picture it names, and when.
#[derive(Debug, Clone)]
struct Remembered {
    body: Bytes,
    picture: Option<SourceUrl>,
    found: Instant,
}

/// What is known without a look.
enum Recalled {
    Found(Remembered),
    Refused(ApiError, Duration),
}

/// Finds metadata. Cheap to clone.
#[derive(Clone)]
pub struct MetadataService {
    memory: Cache<Look, Remembered>,
    redis: MetadataCache,
    jobs: JobStore,
    /// How long a finding is fresh.
    fresh: Duration,
    /// Addresses that are looked at, or were, behind a caller's back, and for how long not again.
    renewed: Cache<Look, Duration>,
    /// Pictures that are being made.
    making: Shares,
    tasks: TaskTracker,
    _forgotten_elsewhere: Arc<Listener>,
}

impl MetadataService {
    /// A service as it is configured.
    #[must_use]
    pub fn new(config: &ApiConfig, redis: MetadataCache, jobs: JobStore, tasks: TaskTracker) -> Self {
        let memory = Cache::builder()
            .weigher(|what: &Look, remembered: &Remembered| {
                let picture = remembered.picture.as_ref().map_or(0, |url| url.expose().len());
                u32::try_from(what.url.expose().len() + remembered.body.len() + picture).unwrap_or(u32::MAX)
            })
            .max_capacity(config.metadata_cache_bytes)
            .time_to_live(BELIEVED)
            .build();
        let (fresh, forgetting) = (config.lives.metadata, memory.clone());
        let listener = redis.listen(move |forgotten| match forgotten {
            Some(what) => {
                let memory = forgetting.clone();
                tokio::spawn(async move { memory.invalidate(&what).await });
            }
            None => forgetting.invalidate_all(),
        });
        let _forgotten_elsewhere = Arc::new(listener);
        let renewed = Cache::builder().max_capacity(RENEWALS).expire_after(EachItsTime).build();
        let making = Shares::new(PICTURES, PICTURES_OF_ALL);
        Self { memory, redis, jobs, fresh, renewed, making, tasks, _forgotten_elsewhere }
    }

    /// What is known of an address; asks a worker if nothing is.
    pub async fn get(&self, what: &Look, caller: &Caller) -> Answer {
        match self.recall(what).await {
            Some(Recalled::Found(known)) => self.known(what, caller, known).await,
            Some(Recalled::Refused(refusal, age)) => Answer { outcome: Err(refusal), origin: Origin::Hit, age },
            None => {
                let outcome = self.looked(what, caller).await.map(|known| known.body);
                Answer { outcome, origin: Origin::Miss, age: Duration::ZERO }
            }
        }
    }

    /// What was found at an address before, as the JSON of a [`MetadataView`]. Asks no worker.
    pub async fn recalled(&self, what: &Look) -> Option<Bytes> {
        match self.recall(what).await {
            Some(Recalled::Found(known)) => Some(known.body),
            Some(Recalled::Refused(..)) | None => None,
        }
    }

    /// Forgets an address, in Redis and in the memory of every API.
    ///
    /// # Errors
    /// `service_unavailable`.
    pub async fn forget(&self, what: &Look) -> ApiResult<()> {
        self.redis.forget(what).await?;
        self.memory.invalidate(what).await;
        self.renewed.invalidate(what).await;
        Ok(())
    }

    /// What memory holds, or Redis.
    async fn recall(&self, what: &Look) -> Option<Recalled> {
        if let Some(known) = self.memory.get(what).await {
            if known.found.elapsed() < self.fresh * KEPT_FOR {
                return Some(Recalled::Found(known));
            }
            self.memory.invalidate(what).await;
        }
        match self.redis.get(what).await {
            Ok(Some(Cached { finding: Finding::Refused { kind, retry_after }, age, .. })) => {
                let left = retry_after.map(|asked| asked.saturating_sub(age));
                return Some(Recalled::Refused(ApiError::no_metadata(kind, left), age));
            }
            Ok(Some(Cached { finding: Finding::Found(metadata), age, .. })) => {
                let known = Remembered::of(*metadata, age);
                self.memory.insert(what.clone(), known.clone()).await;
                return Some(Recalled::Found(known));
            }
            Ok(None) => {}
            // a cache that does not answer is a cache that does not know
            Err(error) => tracing::warn!("the metadata cache does not answer: {error}"),
        }
        None
    }

    /// What a worker finds now. Who asks this process for the same meanwhile waits for the same look.
    async fn looked(&self, what: &Look, caller: &Caller) -> ApiResult<Remembered> {
        let looked = self.memory.try_get_with_by_ref(what, self.look(what, caller)).await;
        looked.map_err(|error| ApiError::clone(&error))
    }

    async fn known(&self, what: &Look, caller: &Caller, known: Remembered) -> Answer {
        let age = known.found.elapsed();
        let origin = if age >= self.fresh { Origin::Stale } else { Origin::Hit };
        if origin == Origin::Stale {
            self.renew(what, caller).await;
        }
        Answer { outcome: Ok(known.body), origin, age }
    }

    /// Looks again, unless somebody does, or did and failed.
    async fn renew(&self, what: &Look, caller: &Caller) {
        if !self.renewed.entry_by_ref(what).or_insert(RENEWED_EVERY).await.is_fresh() {
            return;
        }
        let (service, what, caller) = (self.clone(), what.clone(), caller.clone());
        self.tasks.spawn(async move {
            match service.look_again(&what, &caller).await {
                Ok(known) => {
                    service.memory.insert(what.clone(), known).await;
                    service.renewed.invalidate(&what).await;
                }
                Err(refusal) => {
                    tracing::debug!("stale metadata could not be renewed: {refusal:?}");
                    if let Some(wait) = refusal.asks_to_wait().filter(|wait| *wait > RENEWED_EVERY) {
                        service.renewed.insert(what.clone(), wait).await;
                    }
                    // a refusal that will not pass has taken its place
                    service.memory.invalidate(&what).await;
                }
            }
        });
    }

    /// What another API has found meanwhile, or else what a worker finds now.
    async fn look_again(&self, what: &Look, caller: &Caller) -> ApiResult<Remembered> {
        match self.redis.get(what).await? {
            Some(cached) if !cached.stale => self.told(cached),
            _ => self.look(what, caller).await,
        }
    }

    /// Has a worker look, and waits for what it finds.
    async fn look(&self, what: &Look, caller: &Caller) -> ApiResult<Remembered> {
        let Look { url, cookies, first } = what.clone();
        let order = JobSpec::Metadata { url, cookies, first };
        let found = || async {
            let found = self.redis.get(what).await?;
            if found.is_none() && what.cookies == Cookies::Any {
                // a worker of before there were jars has used none, and left it where such findings are
                return Ok(self.redis.get(&Look { cookies: Cookies::None, ..what.clone() }).await?);
            }
            Ok(found)
        };
        self.told(self.left(&order, &caller.region, caller, found).await?)
    }

    /// Has a worker do this, and takes what it left in the cache: again, where somebody has forgotten it in that moment.
    ///
    /// # Errors
    /// Why it left nothing; `service_unavailable`: it is gone each time.
    async fn left<T, F: Future<Output = ApiResult<Option<T>>>>(
        &self,
        order: &JobSpec,
        region: &Region,
        caller: &Caller,
        take: impl Fn() -> F,
    ) -> ApiResult<T> {
        for _ in 0..MOST_LOOKS {
            self.done(order.clone(), region, caller).await?;
            if let Some(left) = take().await? {
                return Ok(left);
            }
        }
        tracing::warn!("what workers find is gone from the cache at once: is it large enough?");
        Err(ApiError::new(Code::ServiceUnavailable).retry_after(RENEWED_EVERY))
    }

    /// Has a worker of this region do this, and waits until it is done.
    async fn done(&self, spec: JobSpec, region: &Region, caller: &Caller) -> ApiResult<()> {
        let ticket = job_of(self.jobs.submit(&self.submission(spec, region, caller)).await?)?.1.ticket;
        let ended = timeout(LONGEST_WAIT, self.end_of(ticket)).await;
        let ended = ended.unwrap_or_else(|_| Err(ApiError::new(Code::Timeout)));
        // the finding is in the cache; the ticket has served. A failure here is mended by its short life.
        let _ = match &ended {
            Ok(_) => self.jobs.forget(ticket).await.map(drop),
            Err(_) => self.jobs.cancel(ticket).await.map(drop),
        };
        if let JobState::Failed { failure, .. } = ended? {
            return Err(ApiError::no_metadata(failure.kind, failure.retry_after));
        }
        Ok(())
    }

    /// What a worker has left in the cache.
    fn told(&self, cached: Cached) -> ApiResult<Remembered> {
        match cached.finding {
            Finding::Refused { kind, retry_after } => Err(ApiError::no_metadata(kind, retry_after)),
            Finding::Found(metadata) => Ok(Remembered::of(*metadata, cached.age)),
        }
    }

    async fn end_of(&self, ticket: Ticket) -> ApiResult<JobState> {
        let lost = || ApiError::new(Code::Internal);
        let mut watch = self.jobs.watch(ticket).await?.ok_or_else(lost)?;
        loop {
            match self.jobs.get(ticket).await?.ok_or_else(lost)?.state {
                JobState::Waiting { due, .. } if wait_until(due) > LONGEST_DEFERRAL => {
                    return Err(ApiError::no_metadata(FailureKind::SiteRateLimited, Some(wait_until(due))));
                }
                state if state.kind().is_end() => return Ok(state),
                _ => watch.changed().await,
            }
        }
    }

    fn submission(&self, spec: JobSpec, region: &Region, caller: &Caller) -> Submission {
        Submission {
            ticket: self.jobs.draw(&spec, region),
            client: caller.client.clone(),
            // their rate is that of downloads
            limits: ClientLimits { rate: None, ..caller.limits },
            spec,
            region: region.clone(),
            priority: Priority::Normal,
            // no client ever sees this job: see `App::request_of`
            request: Vec::new(),
            expires_in: LONGEST_WAIT,
            // somebody waits: a passing fault is better told than tried again in ten seconds
            max_attempts: 1,
            idempotency: None,
            webhook: None,
        }
    }
}

impl Remembered {
    fn of(metadata: Metadata, age: Duration) -> Self {
        let picture = metadata.thumbnail_url.as_deref().and_then(|url| SourceUrl::read(url).ok());
        let body = serde_json::to_vec(&MetadataView::of(metadata)).expect("a view has only plain fields");
        // a clock that started after the finding was made: as old as can be told
        let found = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        Self { body: body.into(), picture, found }
    }
}

/// Each entry lives as long as it says.
struct EachItsTime;

impl Expiry<Look, Duration> for EachItsTime {
    fn expire_after_create(&self, _: &Look, time: &Duration, _: Instant) -> Option<Duration> {
        Some(*time)
    }

    fn expire_after_update(&self, _: &Look, time: &Duration, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(*time)
    }
}

fn wait_until(due: Timestamp) -> Duration {
    due.duration_since(Timestamp::now()).try_into().unwrap_or_default()
}
