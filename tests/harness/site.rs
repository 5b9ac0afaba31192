//! A whole service of one's own: Redis, a directory for results, and the API in this process on a free port.
//!
//! It is configured as an operator would, by variables, so that a test reads like a page of the manual.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_api::config::ApiConfig;
use haul_api::{Listeners, StartError, run};
use haul_shared::config::Env;
use haul_shared::ids::{Ticket, WorkerId};
use haul_shared::job::{Artifact, Beside, Delivery, Failure};
use haul_shared::shutdown::Shutdown;
use haul_shared::storage::{ObjectKey, ObjectMeta, Role, Storage};
use haul_shared::store::{JobStore, Kind, Lease, Leased, StoreSettings};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::processes::{IDLE, Process};
use crate::redis::Redis;

/// What every site is told, unless a test says otherwise: results in a directory, media on loopback, no limits.
const DEFAULTS: [(&str, &str); 6] = [
    ("HAUL_LISTEN", "127.0.0.1:0"),
    ("HAUL_EGRESS_ALLOW", "127.0.0.0/8"),
    ("HAUL_RATE_METADATA", "off"),
    ("HAUL_RATE_DOWNLOADS", "off"),
    ("HAUL_RATE_READS", "off"),
    ("HAUL_LOG", "off"),
];

/// A running service.
pub struct Site {
    /// Its Redis.
    pub redis: Redis,
    /// Its jobs, as a worker sees them.
    pub jobs: JobStore,
    /// Its results, as a worker sees them.
    pub storage: Storage,
    /// Where the API is, without a slash at the end.
    pub url: String,
    /// Where the listener for operators is, if there is one.
    pub admin_url: Option<String>,
    http: reqwest::Client,
    shutdown: Shutdown,
    running: Option<JoinHandle<Result<(), StartError>>>,
    data: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's text; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// `status code`, as in `422 invalid_request`; only the status if it is no problem.
    #[must_use]
    pub fn told(&self) -> String {
        let json = self.json();
        let code = json.get("code").and_then(Value::as_str).unwrap_or_default();
        format!("{} {code}", self.status.as_u16()).trim_end().to_owned()
    }
}

impl Site {
    /// A private service without keys.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start() -> Result<Self> {
        Self::with(&[]).await
    }

    /// A service that is told more, or otherwise, by these variables.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with(variables: &[(&str, &str)]) -> Result<Self> {
        let (redis, data) = (Redis::start().await?, tempfile::tempdir()?);
        let (redis_url, data_dir) = (redis.url(), data.path().display().to_string());
        let own = [("HAUL_REDIS_URL", redis_url.as_str()), ("HAUL_DATA_DIR", data_dir.as_str())];
        let all = DEFAULTS.iter().chain(&own).chain(variables).copied();
        let config = ApiConfig::from_env(&Env::of_pairs(all))?;

        let settings = StoreSettings::of(&config.lives, &config.queue);
        let jobs = JobStore::new(redis.server(4)?, settings);
        let storage = Storage::connect(&config.storage, Role::Worker).await?;
        let listeners = Listeners::bind(&config).await?;
        let url = format!("http://{}", listeners.public.local_addr()?);
        let admin_url = match &listeners.admin {
            Some(listener) => Some(format!("http://{}", listener.local_addr()?)),
            None => None,
        };
        let shutdown = Shutdown::new(Duration::from_secs(10));
        let running = tokio::spawn(run(config, listeners, shutdown.clone()));
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(90))
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let mut site = Self { redis, jobs, storage, url, admin_url, http, shutdown, running: Some(running), data };
        // the port is open already: this waits until somebody answers, or tells why nobody will
        if site.get("/healthz").await.is_err() {
            site.stop().await?;
        }
        Ok(site)
    }

    /// One more API, as a process, over the same Redis and the same results, told more, or otherwise, by these variables.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_api(&self, variables: &[(&str, &str)]) -> Result<Process> {
        let (redis_url, data_dir) = (self.redis.url(), self.data.path().display().to_string());
        let own = [("HAUL_REDIS_URL", redis_url.as_str()), ("HAUL_DATA_DIR", data_dir.as_str())];
        let all = DEFAULTS.iter().chain(&own).chain(variables);
        let all: Vec<_> = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Process::start("haul-api", "HAUL_LISTEN", &all).await
    }

    /// A request to a path of the API.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request to any address.
    pub fn request_to(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// The answer to a `GET`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        send(self.request(Method::GET, path)).await
    }

    /// The answer to a `POST` of JSON.
    ///
    /// # Errors
    /// When there is none.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// The answer to a `DELETE`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        send(self.request(Method::DELETE, path)).await
    }

    /// Queues a download of this address and returns its path.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn submit(&self, url: &str) -> Result<String> {
        let answer = self.post("/api/v1/downloads", &serde_json::json!({ "url": url })).await?;
        let id = answer.json()["id"].as_str().map(str::to_owned);
        id.map(|id| format!("/api/v1/downloads/{id}")).with_context(|| answer.told())
    }

    /// Takes the next download, as a worker would.
    ///
    /// # Errors
    /// When there is none.
    pub async fn lease(&self) -> Result<Leased> {
        let mut claims = self.jobs.claims(&WorkerId::on_host("site"), Kind::Download, &["default".parse()?]);
        claims.take(1).await?.pop().context("no job is waiting")
    }

    /// Takes the next download and completes it with these bytes, as a worker would.
    ///
    /// # Errors
    /// When there is none.
    pub async fn complete(&self, bytes: &[u8]) -> Result<Artifact> {
        Ok(self.complete_before_thumbnail(bytes, Duration::ZERO).await?.1)
    }

    /// The same, with a thumbnail that may come within this time.
    ///
    /// # Errors
    /// When there is none.
    pub async fn complete_before_thumbnail(&self, bytes: &[u8], within: Duration) -> Result<(Lease, Artifact)> {
        let leased = self.lease().await?;
        let artifact = self.store(&leased, bytes).await?;
        self.jobs.complete_before_thumbnail(&leased.lease, &artifact, &[], within).await?;
        Ok((leased.lease, artifact))
    }

    /// Completes a download that was taken with these bytes, as a worker would.
    ///
    /// # Errors
    /// When it is not its worker's any more.
    pub async fn finish(&self, leased: &Leased, bytes: &[u8]) -> Result<Artifact> {
        self.finish_after(leased, bytes, &[]).await
    }

    /// The same, after stages that took so long.
    ///
    /// # Errors
    /// As [`Site::finish`].
    pub async fn finish_after(
        &self,
        leased: &Leased,
        bytes: &[u8],
        stages: &[(&'static str, Duration)],
    ) -> Result<Artifact> {
        let artifact = self.store(leased, bytes).await?;
        self.jobs.complete(&leased.lease, &artifact, stages).await?;
        Ok(artifact)
    }

    async fn store(&self, leased: &Leased, bytes: &[u8]) -> Result<Artifact> {
        let object = ObjectKey::new(leased.lease.job, leased.lease.fence, "mp4");
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let file = tempfile::NamedTempFile::new_in(self.data.path())?;
        std::fs::write(file.path(), bytes)?;
        let meta = ObjectMeta { content_type: "video/mp4".to_owned(), sha256: sha256.clone() };
        self.jobs.reserve(&leased.lease, &object).await?;
        self.storage.put(&object, file.path(), &meta, |_| {}).await?;
        Ok(Artifact {
            object,
            stem: "Ein Vortrag".to_owned(),
            extension: "mp4".to_owned(),
            size_bytes: bytes.len() as u64,
            content_type: meta.content_type,
            sha256,
            duration_seconds: Some(12.0),
            width: Some(1280),
            height: Some(720),
            vcodec: Some("h264".to_owned()),
            acodec: Some("aac".to_owned()),
            container: "mp4".to_owned(),
            asked: Some("best".to_owned()),
            got: Some("720p".to_owned()),
            delivery: Delivery::Ytdlp,
            reason: String::new(),
            is_recording: false,
            beside: Beside::default(),
        })
    }

    /// Lets every delay end without waiting for it.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn end_delays(&self) -> Result<()> {
        let mut connection = self.redis.connection().await?;
        let waiting: Vec<String> =
            redis::cmd("ZRANGE").arg("haul1:{0}:delay").arg(0).arg(-1).query_async(&mut connection).await?;
        for job in waiting {
            redis::cmd("ZADD").arg("haul1:{0}:delay").arg(1).arg(job).query_async::<()>(&mut connection).await?;
        }
        Ok(self.jobs.upkeep().await?)
    }

    /// Takes the next download and gives it up, as a worker would.
    ///
    /// # Errors
    /// When there is none.
    pub async fn fail(&self, failure: &Failure) -> Result<()> {
        let leased = self.lease().await?;
        self.jobs.fail(&leased.lease, failure, Duration::from_secs(60)).await?;
        Ok(())
    }

    /// The id at the end of a path.
    ///
    /// # Errors
    /// When there is none.
    pub fn ticket(path: &str) -> Result<Ticket> {
        path.rsplit('/').next().context("a path")?.parse().context("an id")
    }

    /// Stops the API and waits until it has ended.
    ///
    /// # Errors
    /// When it ended badly.
    pub async fn stop(&mut self) -> Result<()> {
        self.shutdown.stop.cancel();
        match self.running.take() {
            Some(running) => Ok(running.await??),
            None => Ok(()),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.stop.cancel();
        self.shutdown.kill.cancel();
    }
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// When there is none.
pub async fn send(request: RequestBuilder) -> Result<Answer> {
    let response: Response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
}

/// Asks, and comes back when it is told to for as long as something is not ready.
///
/// # Errors
/// When nothing answers, or it is not told when to come back.
pub async fn patiently(ask: impl AsyncFn() -> Result<Answer>) -> Result<Answer> {
    loop {
        let answer = ask().await?;
        if answer.told() != "409 not_ready" {
            return Ok(answer);
        }
        let wait: u64 = answer.header("retry-after").parse().context("it says when to come back")?;
        ensure!(wait > 0);
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
}
