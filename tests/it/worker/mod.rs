//! The worker over real programs, a real Redis and a disk store: how attempts end, and what they leave behind.

mod deaths;
mod disk;
mod ends;
mod ffmpeg;
mod programs;
mod sandbox;

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::ids::{ClientKey, Ticket};
use haul_shared::job::{FailureKind, Job, JobSpec, JobState, StateKind, Stored, Thumbnail};
use haul_shared::media::Priority;
use haul_shared::store::{ClientLimits, JobStore, StoreSettings, Submission, Submitted};
use haul_tests::origin::Origin;
use haul_tests::processes::PATIENCE;
use haul_tests::redis::Redis;
use haul_tests::worker::Worker;
use tempfile::TempDir;

/// Redis, origin, disk; workers come and go.
struct Shop {
    redis: Redis,
    origin: Origin,
    data: TempDir,
    store: JobStore,
}

impl Shop {
    async fn open() -> Result<Self> {
        Self::with_lease(Duration::from_secs(30)).await
    }

    async fn with_lease(lease: Duration) -> Result<Self> {
        let redis = Redis::start().await?;
        let settings = StoreSettings {
            job_ttl: PATIENCE * 10,
            result_ttl: PATIENCE * 5,
            link_ttl: PATIENCE,
            lease,
            queue_limit: None,
            shards: haul_shared::ids::Shards::ONE,
            durability: haul_shared::config::Durability::Aof,
        };
        let store = JobStore::new(redis.server(4)?, settings);
        Ok(Self { redis, origin: Origin::start().await, data: TempDir::new()?, store })
    }

    async fn worker(&self, variables: &[(&str, &str)]) -> Result<Worker> {
        let data_dir = self.data.path().to_str().context("a temporary path in UTF-8")?;
        Worker::start(&self.redis.url(), data_dir, variables).await
    }

    async fn submit(&self, url: &str) -> Result<Ticket> {
        let url = haul_shared::source::SourceUrl::read(url)?;
        self.order(JobSpec::Download(haul_tests::usual_spec(&url))).await
    }

    /// Asks what is at an address.
    async fn look(&self, url: &str) -> Result<Ticket> {
        self.order(JobSpec::Metadata {
            url: haul_shared::source::SourceUrl::read(url)?,
            cookies: haul_shared::cookies::Cookies::None,
            first: 1,
        })
        .await
    }

    async fn order(&self, spec: JobSpec) -> Result<Ticket> {
        let order = Submission {
            ticket: Ticket::new(),
            client: ClientKey::of_api_key("tests"),
            limits: ClientLimits { max_queued: None, max_running: None, weight: 1, rate: None, bytes_per_day: None },
            spec,
            region: "default".parse()?,
            priority: Priority::Normal,
            request: b"{}".to_vec(),
            expires_in: PATIENCE * 5,
            max_attempts: 2,
            idempotency: None,
            webhook: None,
        };
        assert!(matches!(self.store.submit(&order).await?, Submitted::Accepted(job) if job.ticket == order.ticket));
        Ok(order.ticket)
    }

    async fn job(&self, ticket: Ticket) -> Result<Job> {
        self.store.get(ticket).await?.context("the job is known")
    }

    /// Waits until the job is as wanted.
    async fn until(&self, ticket: Ticket, wanted: impl Fn(&Job) -> bool) -> Result<Job> {
        let mut watch = self.store.watch(ticket).await?.context("the job is known")?;
        let waiting = async {
            loop {
                let job = self.job(ticket).await?;
                if wanted(&job) {
                    return Ok(job);
                }
                watch.changed().await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        match outcome {
            Ok(job) => job,
            Err(_) => anyhow::bail!("still {:?}", self.job(ticket).await?.state),
        }
    }

    /// Waits until the job has ended.
    async fn end(&self, ticket: Ticket) -> Result<JobState> {
        Ok(self.until(ticket, |job| job.state.kind().is_end()).await?.state)
    }

    /// Waits until the job has failed, and says as what.
    async fn failure(&self, ticket: Ticket) -> Result<FailureKind> {
        match self.end(ticket).await? {
            JobState::Failed { failure, .. } => Ok(failure.kind),
            other => anyhow::bail!("it has not failed: {other:?}"),
        }
    }

    /// What became of the thumbnail of a completed job, once that is known.
    async fn thumbnail(&self, ticket: Ticket) -> Result<Option<Stored>> {
        let is_known = |job: &Job| match &job.state {
            JobState::Completed { artifact, .. } => !matches!(artifact.beside.thumbnail, Thumbnail::Coming { .. }),
            _ => false,
        };
        match self.until(ticket, is_known).await?.state {
            JobState::Completed { artifact, .. } => Ok(artifact.beside.thumbnail.stored().cloned()),
            other => anyhow::bail!("it is not completed: {other:?}"),
        }
    }

    /// Waits until workers have nothing in their scratch any more: what thumbnails are made of is there a little longer.
    async fn is_tidy(&self, worker: &Worker) -> Result<()> {
        haul_tests::processes::until("scratch is empty", async || worker.scratch_files() == 0).await?;
        Ok(())
    }

    /// Results on the disk.
    fn stored(&self) -> usize {
        fn files(dir: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            let is_result = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("media.");
            let count = |entry: std::fs::DirEntry| match entry.path().is_dir() {
                true => files(&entry.path()),
                false => usize::from(is_result(&entry)),
            };
            entries.map(count).sum()
        }
        files(&self.data.path().join("objects"))
    }
}

/// The bytes of the download have begun to come.
fn is_fetching(job: &Job) -> bool {
    let fetched = job.progress.and_then(|progress| progress.downloaded_bytes);
    is(StateKind::Running)(job) && fetched.is_some_and(|bytes| bytes > 0)
}

fn is(kind: StateKind) -> impl Fn(&Job) -> bool {
    move |job| job.state.kind() == kind
}
