//! What all handlers share.

use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use haul_shared::ids::Ticket;
use haul_shared::job::Job;
use haul_shared::storage::{ObjectBody, ObjectKey, StorageError};
use haul_shared::store::JobStore;
use haul_shared::view::DownloadRequest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::auth::{Caller, KeyRing};
use crate::config::ApiConfig;
use crate::error::{ApiError, ApiResult, Code};
use crate::events::Feeds;
use crate::limits::Limits;
use crate::metadata::MetadataService;
use crate::metrics::Metrics;
use crate::representation::Representations;
use crate::request::Rules;
use crate::results::Results;
use crate::shares::Shares;
use crate::tally::Tally;
use crate::usage::UsageService;

/// The parts of one running API. It keeps no state that a second API would miss, caches and limits aside.
pub struct App {
    /// What it was told at start.
    pub config: ApiConfig,
    /// Where clients reach it.
    pub base_url: Url,
    /// What a request may ask.
    pub rules: Rules,
    /// The jobs.
    pub jobs: JobStore,
    /// As they were shown last.
    pub representations: Representations,
    /// Their results.
    pub results: Results,
    /// Answers that are held.
    pub waits: Shares,
    /// Counts who was handed a result.
    pub tally: Tally,
    /// Jobs that somebody follows.
    pub feeds: Feeds,
    /// Those who follow them.
    pub streams: Shares,
    /// Those who wait for a thumbnail.
    pub waiting_for_thumbnails: Shares,
    /// Lists that are being sorted.
    pub sorting: Shares,
    /// Playlists that are being sent as a ZIP.
    pub zips: Shares,
    /// Metadata.
    pub metadata: MetadataService,
    /// What callers have.
    pub usage: UsageService,
    /// Who may call; `None`: everybody who gets here.
    pub keys: Option<KeyRing>,
    /// How often.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
    /// What is done also when whoever asked for it has gone away.
    pub tasks: TaskTracker,
    /// Says that no new work is taken and nobody should wait any more.
    pub shutdown: CancellationToken,
}

impl App {
    /// The download behind an id, if the caller may see it.
    ///
    /// # Errors
    /// `not_found`, the same for an id that never was and for one that is somebody else's.
    pub async fn find(&self, caller: &Caller, ticket: Ticket) -> ApiResult<Job> {
        shown(caller, self.jobs.get(ticket).await?)
    }

    /// Reads an object of a result, or a range of it. A result that is not there is handed out to no order any more.
    ///
    /// # Errors
    /// As [`Results::open`].
    pub async fn open(&self, key: &ObjectKey, range: Option<RangeInclusive<u64>>) -> Result<ObjectBody, StorageError> {
        let opened = self.results.open(key, range).await;
        if matches!(opened, Err(StorageError::NotFound))
            && let Err(error) = self.jobs.unshare(key).await
        {
            // no harm: the next order looks for itself
            tracing::debug!(error = &error as &dyn std::error::Error, "a lost result is not noted");
        }
        opened
    }

    /// What a download's client asked.
    ///
    /// # Errors
    /// `not_found` for a job that no client asked for, `internal` for a record that this version cannot read.
    pub fn request_of(&self, job: &Job) -> ApiResult<DownloadRequest> {
        if job.request.is_empty() {
            return Err(ApiError::new(Code::NotFound));
        }
        DownloadRequest::read(&job.request).map_err(|error| ApiError::new(Code::Internal).because(&error))
    }

    /// Counts a refusal, if it is one of an address.
    pub fn count_refusal(&self, refusal: &ApiError) {
        if let Some(reason) = refusal.denied() {
            self.metrics.saw_egress_denied(reason);
        }
    }
}

fn shown(caller: &Caller, job: Option<Job>) -> ApiResult<Job> {
    let is_shown = |job: &Job| !job.request.is_empty() && caller.may_see(&job.client);
    job.filter(is_shown).ok_or_else(|| ApiError::new(Code::NotFound))
}

/// The `{id}` of a path.
#[derive(Debug, Clone, Copy)]
pub struct Id(pub Ticket);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    /// `not_found` also for what is no id: to a client it makes no difference.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let id = Path::<String>::from_request_parts(parts, state).await.ok();
        id.and_then(|Path(id)| Self::read(&id)).ok_or_else(|| ApiError::new(Code::NotFound))
    }
}

impl Id {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// The `{id}` of a path, and a word that follows it.
#[derive(Debug, Clone)]
pub struct IdAnd(pub Ticket, pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdAnd {
    type Rejection = ApiError;

    /// `not_found` also for what can't be decoded.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await.ok();
        let read = path.and_then(|Path((id, word))| Id::read(&id).map(|Id(id)| Self(id, word)));
        read.ok_or_else(|| ApiError::new(Code::NotFound))
    }
}
