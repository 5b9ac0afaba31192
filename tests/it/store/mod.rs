//! The job store against a real Redis. Here: a bench to try it on.

mod audit;
mod claims;
mod life;
mod line;
mod look;
mod lost;
mod model;
mod outage;
mod pace;
mod regions;
mod results;
mod sentry;
mod shards;
mod sites;
mod trials;
mod usage;
mod webhooks;

use std::time::Duration;

use anyhow::Result;
use haul_shared::config::Durability;
use haul_shared::ids::{ClientKey, Fence, JobId, Region, Shards, Ticket, WorkerId};
use haul_shared::job::{Artifact, Beside, Delivery, Failure, FailureKind, Job, JobSpec, JobState, Progress, Stage};
use haul_shared::job::{StateKind, Stored, Thumbnail, state::ALLOWED};
use haul_shared::media::Priority;
use haul_shared::storage::ObjectKey;
use haul_shared::store::{
    Beat, Cancelled, Claims, ClientLimits, Done, Ended, Idempotency, JobStore, Kind, Lease, Leased, Outlet, Pulse,
    Scope, Sorting, StoreError, StoreSettings, Submission, Submitted, WorkerInfo,
};
use haul_tests::cluster::Cluster;
use haul_tests::redis::Redis;

pub(crate) use regions::worker;

const MINUTE: Duration = Duration::from_secs(60);

/// A store of one's own and a worker to lease with.
struct Bench {
    redis: Redis,
    store: JobStore,
    settings: StoreSettings,
    worker: WorkerId,
    /// The other masters, when `redis` is one of a cluster.
    _others: Vec<Redis>,
}

impl Bench {
    async fn new() -> Result<Self> {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut StoreSettings)) -> Result<Self> {
        let redis = Redis::start().await?;
        let mut settings = settings();
        adjust(&mut settings);
        let store = JobStore::new(redis.server(8)?, settings);
        Ok(Self { redis, store, settings, worker: WorkerId::on_host("bench"), _others: Vec::new() })
    }

    /// On a cluster, of which `redis` is the master that has the one shard.
    async fn in_cluster(adjust: impl FnOnce(&mut StoreSettings)) -> Result<Self> {
        let (mut cluster, mut settings) = (Cluster::start().await?, settings());
        adjust(&mut settings);
        let store = JobStore::new(cluster.server(8)?, settings);
        let redis = cluster.masters.swap_remove(cluster.owner("haul1:{0}:").await?);
        Ok(Self { redis, store, settings, worker: WorkerId::on_host("bench"), _others: cluster.masters })
    }

    async fn submit(&self, client: &str, url: &str) -> Result<Ticket> {
        let order = order(client, url);
        accepted(self.store.submit(&order).await?, order.ticket);
        Ok(order.ticket)
    }

    async fn lease(&self) -> Result<Option<Leased>> {
        Ok(self.claims().take(1).await?.pop())
    }

    fn claims(&self) -> Claims {
        self.store.claims(&self.worker, Kind::Download, &["default".parse().unwrap()])
    }

    async fn must_lease(&self) -> Result<Leased> {
        self.lease().await?.ok_or_else(|| anyhow::anyhow!("no job to lease"))
    }

    async fn job(&self, ticket: Ticket) -> Result<Job> {
        self.store.get(ticket).await?.ok_or_else(|| anyhow::anyhow!("no job behind {ticket}"))
    }

    async fn kind(&self, ticket: Ticket) -> Result<StateKind> {
        Ok(self.job(ticket).await?.state.kind())
    }

    /// The newest hundred.
    async fn listed(&self, scope: Scope) -> Result<Vec<Job>> {
        let newest = self.store.list(scope, Sorting::default(), None).await?.next(100).await?;
        Ok(newest.into_iter().map(|(_, job)| job).collect())
    }

    /// Every list and counter of work that is under way: all zero when nothing is.
    async fn traces(&self) -> Result<Vec<u64>> {
        let mut connection = self.redis.connection().await?;
        let mut sizes = Vec::new();
        for (command, key) in [
            ("ZCARD", "lease"),
            ("ZCARD", "delay"),
            ("ZCARD", "live"),
            ("HLEN", "run"),
            ("HLEN", "load"),
            ("HLEN", "via"),
        ] {
            sizes.push(redis::cmd(command).arg(format!("haul1:{{0}}:{key}")).query_async(&mut connection).await?);
        }
        Ok(sizes)
    }

    /// Recounts every list and counter from the jobs' records.
    async fn recount(&self) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        let wrong: Vec<String> =
            redis::Script::new(include_str!("audit.lua")).arg("haul1:{0}:").invoke_async(&mut connection).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }

    /// Lets a lease run out without waiting for it, and somebody find that out.
    async fn run_out(&self, job: JobId) -> Result<()> {
        self.let_run_out(job).await?;
        Ok(self.store.upkeep().await?)
    }

    /// Lets a lease run out without waiting for it.
    async fn let_run_out(&self, job: JobId) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        redis::cmd("ZADD")
            .arg("haul1:{0}:lease")
            .arg(1)
            .arg(job.to_string())
            .query_async::<()>(&mut connection)
            .await?;
        Ok(())
    }

    /// Lets every delay end without waiting for it.
    async fn end_delays(&self) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        let waiting: Vec<String> =
            redis::cmd("ZRANGE").arg("haul1:{0}:delay").arg(0).arg(-1).query_async(&mut connection).await?;
        for job in waiting {
            redis::cmd("ZADD").arg("haul1:{0}:delay").arg(1).arg(job).query_async::<()>(&mut connection).await?;
        }
        Ok(self.store.upkeep().await?)
    }
}

/// Generous ones.
pub(crate) fn settings() -> StoreSettings {
    StoreSettings {
        job_ttl: MINUTE * 10,
        result_ttl: MINUTE * 5,
        link_ttl: MINUTE,
        lease: MINUTE,
        queue_limit: None,
        shards: Shards::ONE,
        durability: Durability::Aof,
    }
}

/// It was accepted, under this ticket.
fn accepted(answer: Submitted, ticket: Ticket) {
    let is_so = matches!(&answer, Submitted::Accepted(job) if job.ticket == ticket);
    assert!(is_so, "{answer:?} for {ticket}");
}

/// It was handed a finished result, under this ticket.
fn reused(answer: Submitted, ticket: Ticket) {
    let is_so = matches!(&answer, Submitted::Reused(job) if job.ticket == ticket);
    assert!(is_so, "{answer:?} for {ticket}");
}

fn client(name: &str) -> ClientKey {
    ClientKey::of_api_key(name)
}

pub(crate) fn order(name: &str, url: &str) -> Submission {
    Submission {
        ticket: Ticket::new(),
        client: client(name),
        limits: ClientLimits { max_queued: None, max_running: None, weight: 1, rate: None, bytes_per_day: None },
        spec: JobSpec::Download(haul_tests::usual_spec(&haul_shared::source::SourceUrl::read(url).unwrap())),
        region: "default".parse().unwrap(),
        priority: Priority::Normal,
        request: b"{}".to_vec(),
        expires_in: MINUTE * 5,
        max_attempts: 2,
        idempotency: None,
        webhook: None,
    }
}

pub(crate) fn artifact(leased: &Leased) -> Artifact {
    Artifact {
        object: ObjectKey::new(leased.lease.job, leased.lease.fence, "mp4"),
        stem: "talk".into(),
        extension: "mp4".into(),
        size_bytes: 1000,
        content_type: "video/mp4".into(),
        sha256: "0".repeat(64),
        duration_seconds: Some(1.0),
        width: Some(640),
        height: Some(360),
        vcodec: Some("h264".into()),
        acodec: Some("aac".into()),
        container: "mp4".into(),
        asked: Some("best".into()),
        got: Some("360p".into()),
        delivery: Delivery::Ytdlp,
        reason: String::new(),
        is_recording: false,
        beside: Beside::default(),
    }
}

pub(crate) fn beat(leased: &Leased, percent: f64) -> Beat {
    let progress = Progress { percent, ..Progress::at(Stage::Download, 0.0) };
    Beat { lease: leased.lease.clone(), progress, media: None }
}

fn trouble(kind: FailureKind) -> Failure {
    Failure::new(kind, "it broke")
}
