//! The stage: a Redis of one's own, the API as it is shipped, jobs that are there before anything is measured.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::ids::{ClientKey, Region, Shards, Ticket, WorkerId};
use haul_shared::job::{Artifact, Beside, Delivery, JobSpec};
use haul_shared::media::Priority;
use haul_shared::redis::Server;
use haul_shared::source::SourceUrl;
use haul_shared::storage::ObjectKey;
use haul_shared::store::{ClientLimits, JobStore, Kind, Lease, Leased, StoreSettings, Submission, Submitted};
use haul_tests::house::unlimited;
use haul_tests::processes::Process;
use haul_tests::redis::Redis;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use crate::load::{self, Request, Until};
use crate::roles::Part;

/// Clients whose jobs are present.
const CLIENTS: u64 = 1000;

/// Jobs that are queued before they are finished, so that no figure is one of an ever longer queue.
const BATCH: u64 = 20_000;

/// A lease that nobody has to renew meanwhile.
pub const HOUR: Duration = Duration::from_secs(3600);

/// A running service without a worker.
pub struct Stage {
    /// Its Redis, with the settings that Haul asks for.
    pub redis: Redis,
    /// The API, as it is shipped, its log going into a file.
    pub api: Process,
    _data: TempDir,
}

impl Stage {
    /// Starts Redis and the API, and has so many jobs finished.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with_finished(finished: u64) -> Result<Self> {
        let (redis, data) = (Redis::start().await?, tempfile::tempdir()?);
        // a rewrite of the append-only file would hit one round and spare another
        redis.set("auto-aof-rewrite-percentage", "0").await?;
        let of = |name: &str| data.path().join(name).display().to_string();
        let mut variables = vec![
            ("HAUL_REDIS_URL", redis.url()),
            ("HAUL_DATA_DIR", of("data")),
            ("HAUL_TRUSTED_PROXIES", "127.0.0.0/8".to_owned()),
        ];
        variables.extend(unlimited());
        let variables: Vec<_> = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let log = || Ok(File::options().create(true).append(true).open(data.path().join("log"))?.into());
        let api = Process::start_telling("haul-api", "HAUL_LISTEN", &variables, log).await?;
        let stage = Self { redis, api, _data: data };
        let mut done = 0;
        while done < finished {
            let some = BATCH.min(finished - done);
            stage.queue_jobs(some, done).await?;
            stage.finish_jobs(some).await?;
            done += some;
        }
        Ok(stage)
    }

    /// Where the API listens.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api.address()
    }

    /// Queues so many jobs of a thousand clients through the API, each of an address of its own; `from` is the number of
    /// the first.
    ///
    /// # Errors
    /// When one is not taken.
    pub async fn queue_jobs(&self, jobs: u64, from: u64) -> Result<()> {
        const CONNECTIONS: u64 = 32;
        let request: Arc<Request> = Arc::new(move |connection, n, to: &mut Vec<u8>| {
            let number = from + n * CONNECTIONS + connection;
            let client = number % CLIENTS;
            let header = format!("X-Forwarded-For: 10.1.{}.{}\r\n", client / 250, client % 250 + 1);
            write_post(to, DOWNLOADS, &header, &address(number));
        });
        load::drive(self.api(), CONNECTIONS as usize, Until::Answers(jobs), request).await?;
        Ok(())
    }

    /// Queues jobs of these numbers, and returns their paths.
    ///
    /// # Errors
    /// When one is not taken.
    pub async fn queue_some(&self, numbers: std::ops::Range<usize>) -> Result<Vec<String>> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let mut paths = Vec::new();
        for number in numbers {
            let url = address(800_000_000_000 + number as u64);
            let request = http.post(format!("http://{}/api/v1/downloads", self.api()));
            let answer = request
                .header("X-Forwarded-For", format!("10.9.0.{number}"))
                .json(&serde_json::json!({ "url": url }))
                .send()
                .await?;
            let job: serde_json::Value = answer.error_for_status()?.json().await?;
            paths.push(format!("/api/v1/downloads/{}", job["id"].as_str().context("a job has an id")?));
        }
        Ok(paths)
    }

    /// Takes so many jobs as a worker does, and leaves them running.
    ///
    /// # Errors
    /// When there are not so many.
    pub async fn lease_jobs(&self, jobs: usize) -> Result<()> {
        take(&self.redis.url(), jobs).await.map(drop)
    }

    /// Has so many jobs finished by a worker that does nothing.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn finish_jobs(&self, jobs: u64) -> Result<f64> {
        let jobs = jobs.to_string();
        let mut worker =
            Part::start(&["worker", "--redis", &self.redis.url(), "--slots", "64", "--jobs", &jobs]).await?;
        worker.go().await?;
        worker.number().await
    }
}

/// Takes so many jobs as a worker does.
///
/// # Errors
/// When there are not so many.
pub async fn take(redis: &str, jobs: usize) -> Result<Vec<Leased>> {
    let store = with_lease(redis, HOUR)?;
    let mut claims = store.claims(&WorkerId::on_host("bench"), Kind::Download, &["default".parse()?]);
    // as long as one of yt-dlp's
    claims.done_with(Some("2026.08.19".to_owned()));
    let mut taken = Vec::new();
    while taken.len() < jobs {
        let more = claims.take(jobs - taken.len()).await?;
        anyhow::ensure!(!more.is_empty(), "no job waits");
        taken.extend(more);
    }
    Ok(taken)
}

/// Where jobs are queued.
pub const DOWNLOADS: &str = "/api/v1/downloads";

/// The request that tells a service an address.
pub fn write_post(to: &mut Vec<u8>, path: &str, headers: &str, url: &str) {
    let body = format!("{{\"url\":\"{url}\"}}");
    let head = format!("POST {path} HTTP/1.1\r\nhost: haul\r\ncontent-type: application/json\r\n");
    to.extend_from_slice(format!("{head}{headers}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

/// An address of 100 characters.
#[must_use]
pub fn address(number: u64) -> String {
    let start = "https://media.example.com/watch/a-talk-about-nothing-in-particular-and-everything-else?v=";
    format!("{start}{number:0width$}", width = 100 - start.len())
}

/// The store of jobs as the programs have it, without limits.
///
/// # Errors
/// When the URL is none.
pub fn store(redis: &str) -> Result<JobStore> {
    with_lease(redis, Duration::from_secs(30))
}

/// The same with leases of this length.
///
/// # Errors
/// As [`store`].
pub fn with_lease(redis: &str, lease: Duration) -> Result<JobStore> {
    let settings = StoreSettings {
        job_ttl: 48 * HOUR,
        result_ttl: 24 * HOUR,
        link_ttl: HOUR,
        lease,
        queue_limit: None,
        shards: Shards::ONE,
        durability: haul_shared::config::Durability::Aof,
    };
    Ok(JobStore::new(Server::at(redis, 16)?, settings))
}

/// Queues a job for an address, past the API: its ticket.
///
/// # Errors
/// When it is not taken.
pub async fn submit(jobs: &JobStore, client: &str, url: &str) -> Result<Ticket> {
    let spec = JobSpec::Download(haul_tests::usual_spec(&SourceUrl::read(url)?));
    let region: Region = "default".parse()?;
    let ticket = jobs.draw(&spec, &region);
    let order = Submission {
        ticket,
        client: ClientKey::of_api_key(client),
        limits: ClientLimits { max_queued: None, max_running: None, weight: 1, rate: None, bytes_per_day: None },
        spec,
        region,
        priority: Priority::Normal,
        request: format!("{{\"url\":\"{url}\"}}").into_bytes(),
        expires_in: Duration::from_secs(86400),
        max_attempts: 4,
        idempotency: None,
        webhook: None,
    };
    let submitted = jobs.submit(&order).await?;
    anyhow::ensure!(matches!(submitted, Submitted::Accepted(_)), "not taken: {submitted:?}");
    Ok(ticket)
}

/// A field of what `INFO` says in a section.
///
/// # Errors
/// When it says nothing of it.
pub async fn info(connection: &mut MultiplexedConnection, section: &str, field: &str) -> Result<u64> {
    let text: String = redis::cmd("INFO").arg(section).query_async(connection).await?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("no {field} in INFO {section}"))?.trim().parse()?)
}

/// A result of a usual size, of a job that nobody has worked on.
pub fn result_of(lease: &Lease) -> Artifact {
    Artifact {
        object: ObjectKey::new(lease.job, lease.fence, "mp4"),
        stem: "A talk about nothing in particular".to_owned(),
        extension: "mp4".to_owned(),
        size_bytes: 104_857_600,
        content_type: "video/mp4".to_owned(),
        sha256: "0123456789abcdef".repeat(4),
        duration_seconds: Some(1234.5),
        width: Some(1920),
        height: Some(1080),
        vcodec: Some("h264".to_owned()),
        acodec: Some("aac".to_owned()),
        container: "mp4".to_owned(),
        asked: Some("best".to_owned()),
        got: Some("1080p".to_owned()),
        delivery: Delivery::Ytdlp,
        reason: String::new(),
        is_recording: false,
        beside: Beside::default(),
    }
}
