//! The whole service from the outside: Redis, the API and workers as processes, a store, and a site with media.
//!
//! A test speaks HTTP and nothing else; everything it can see, a client can see.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::origin::Origin;
use crate::processes::{IDLE, PATIENCE, Process, said_with};
use crate::redis::Redis;
use crate::s3::{self, S3};
use crate::site::{Answer, patiently, send};
use crate::worker::Worker;

/// Where downloads are.
pub const DOWNLOADS: &str = "/api/v1/downloads";

/// The variables that lift every limit of a client and of the queue.
#[must_use]
pub fn unlimited() -> [(&'static str, String); 6] {
    [
        "HAUL_QUEUE_LIMIT",
        "HAUL_CLIENT_QUEUE_LIMIT",
        "HAUL_CLIENT_RUNNING_LIMIT",
        "HAUL_RATE_METADATA",
        "HAUL_RATE_DOWNLOADS",
        "HAUL_RATE_READS",
    ]
    .map(|name| (name, "off".to_owned()))
}

/// Where results go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Into a directory.
    Disk,
    /// Into a bucket.
    S3,
}

/// A running service without a worker; those come and go.
pub struct House {
    /// Its Redis.
    pub redis: Redis,
    /// Where the media are.
    pub origin: Origin,
    /// Its API.
    pub api: Process,
    /// The bucket, if results go there.
    pub s3: Option<S3>,
    http: reqwest::Client,
    variables: Vec<(String, String)>,
    data: TempDir,
}

/// The bytes of a result, as they came through its link.
pub struct Fetched {
    /// What came.
    pub answer: Answer,
    /// What the link promised.
    pub link: Value,
    /// The bytes in a file, to be looked at by programs.
    pub file: tempfile::NamedTempFile,
}

impl House {
    /// A service over this store, with these variables for all of its processes.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn open(store: Store, variables: &[(&str, &str)]) -> Result<Self> {
        Self::over(Redis::start().await?, Origin::start().await, store, variables).await
    }

    /// A service over this Redis and this site.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn over(redis: Redis, origin: Origin, store: Store, variables: &[(&str, &str)]) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let s3 = match store {
            Store::Disk => None,
            Store::S3 => Some(S3::start().await),
        };
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", crate::tools().display());
        let of = |name: &str| data.path().join(name).display().to_string();
        let mut all = vec![
            ("PATH", path),
            ("HAUL_REDIS_URL", redis.url()),
            ("HAUL_DATA_DIR", of("data")),
            ("HAUL_WORK_DIR", of("work")),
            ("HAUL_SIGNING_KEY", "the key of the tests, and of nobody else".to_owned()),
            ("HAUL_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
            ("HAUL_MIN_FREE_DISK", "1MiB".to_owned()),
            ("HAUL_LOG", "warn".to_owned()),
            ("HAUL_LOG_FORMAT", "text".to_owned()),
        ];
        all.extend(unlimited());
        if let Some(s3) = &s3 {
            all.push(("HAUL_STORAGE", "s3".to_owned()));
            all.push(("HAUL_S3_BUCKET", s3::BUCKET.to_owned()));
            all.push(("HAUL_S3_ENDPOINT", s3.endpoint.to_string()));
            all.push(("AWS_ACCESS_KEY_ID", s3::ACCESS_KEY_ID.to_owned()));
            all.push(("AWS_SECRET_ACCESS_KEY", s3::SECRET_ACCESS_KEY.to_owned()));
        }
        all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let variables: Vec<_> = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let api = Process::start("haul-api", "HAUL_LISTEN", &variables).await?;
        // the service closes a connection on which nothing is asked
        let http = reqwest::Client::builder().timeout(PATIENCE).pool_idle_timeout(IDLE);
        let http = http.redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { redis, origin, api, s3, http, variables, data })
    }

    /// Starts a worker, told more, or otherwise, by these variables.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn worker(&self, variables: &[(&str, &str)]) -> Result<Process> {
        self.worker_like("haul-worker", variables).await
    }

    /// Starts another program in a worker's place: its path from the folder of the built ones.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn worker_like(&self, program: &str, variables: &[(&str, &str)]) -> Result<Process> {
        Process::start(program, "HAUL_WORKER_LISTEN", &self.variables_and(variables)).await
    }

    /// Starts a worker in this process, which does not wait long before it tries again.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn quick_worker(&self, variables: &[(&str, &str)]) -> Result<Worker> {
        let data_dir = self.data.path().join("data");
        Worker::start(&self.redis.url(), &data_dir.to_string_lossy(), variables).await
    }

    /// Starts one more API beside the first, told more, or otherwise, by these variables.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_api(&self, variables: &[(&str, &str)]) -> Result<Process> {
        Process::start("haul-api", "HAUL_LISTEN", &self.variables_and(variables)).await
    }

    /// As [`House::another_api`], with its standard error going elsewhere than ours.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_api_telling(
        &self,
        variables: &[(&str, &str)],
        error: impl Fn() -> Result<Stdio>,
    ) -> Result<Process> {
        Process::start_telling("haul-api", "HAUL_LISTEN", &self.variables_and(variables), error).await
    }

    /// Has the doctor of a program look at this service, told more, or otherwise, by these variables.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn doctor(&self, program: &str, variables: &[(&str, &str)]) -> Result<std::process::Output> {
        let all = self.variables_and(variables);
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        said_with(program, &["doctor", "--json"], &all).await
    }

    fn variables_and(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.variables.iter().cloned().chain(more).collect()
    }

    /// A request to one API of several.
    pub fn request(&self, api: &Process, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("http://{}{path}", api.address()))
    }

    /// Kills the API, and starts another one.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn replace_api(&mut self) -> Result<()> {
        self.api.kill()?;
        self.api = Process::start("haul-api", "HAUL_LISTEN", &self.variables).await?;
        Ok(())
    }

    /// The answer of the API; `Null` sends no body.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        let request = self.request(&self.api, method, path);
        send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// The answer to a `GET`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, &Value::Null).await
    }

    /// The picture that stands for a result, once it is made or given up.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn thumbnail(&self, job: &str) -> Result<Answer> {
        patiently(async || self.get(&format!("{job}/thumbnail")).await).await
    }

    /// Orders a download, and returns its path.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn order(&self, request: &Value) -> Result<String> {
        let answer = self.ask(Method::POST, DOWNLOADS, request).await?;
        ensure!(answer.status.is_success(), "{request}: {}", String::from_utf8_lossy(&answer.body));
        Ok(format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().context("an id")?))
    }

    /// Waits until a job is so, by long polls.
    ///
    /// # Errors
    /// When it ends otherwise, or not at all.
    pub async fn until(&self, job: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let began = Instant::now();
        loop {
            let answer = self.get(&format!("{job}?wait=10")).await?;
            let view = answer.json();
            if is_so(&view) {
                return Ok(view);
            }
            let goes_on = matches!(view["status"].as_str(), Some("queued" | "running"));
            ensure!(goes_on && began.elapsed() < PATIENCE, "waited in vain: {} {view}", answer.status);
        }
    }

    /// Waits until a job has ended.
    ///
    /// # Errors
    /// When it does not.
    pub async fn end(&self, job: &str) -> Result<Value> {
        self.until(job, |view| !matches!(view["status"].as_str(), Some("queued" | "running"))).await
    }

    /// Waits until a job has ended, and says how: `completed`, `cancelled`, or the code it failed with.
    ///
    /// # Errors
    /// When it does not.
    pub async fn outcome(&self, job: &str) -> Result<String> {
        let view = self.end(job).await?;
        let said = if view["status"] == "failed" { &view["error"]["code"] } else { &view["status"] };
        Ok(said.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until bytes of a download come in.
    ///
    /// # Errors
    /// When none do.
    pub async fn is_fetching(&self, job: &str) -> Result<Value> {
        self.until(job, |view| view["progress"]["downloaded_bytes"].as_u64().is_some_and(|bytes| bytes > 0)).await
    }

    /// The sum over all series of a metric of one process; zero where there is none.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn metric(&self, process: &Process, name: &str) -> Result<f64> {
        let answer = send(self.request(process, Method::GET, "/metrics")).await?;
        let text = String::from_utf8(answer.body)?;
        let series =
            text.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']));
        series.map(|rest| Ok(rest.rsplit(' ').next().unwrap_or_default().parse::<f64>()?)).sum()
    }

    /// Fetches a result through its link.
    ///
    /// # Errors
    /// When there is no link, or nothing behind it.
    pub async fn fetch(&self, job: &str) -> Result<Fetched> {
        let told = self.get(&format!("{job}/link")).await?;
        let link = told.json();
        let url = link["url"].as_str().with_context(|| told.told())?;
        let answer = send(self.http.get(url)).await?;
        ensure!(answer.status == 200, "{}", answer.told());
        let file = tempfile::NamedTempFile::new_in(self.data.path())?;
        std::fs::write(file.path(), &answer.body)?;
        Ok(Fetched { answer, link, file })
    }

    /// Where the objects of results are, each below this directory by its key.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.s3.as_ref().map_or_else(|| self.data.path().join("data/objects"), S3::bucket)
    }

    /// Results in the store.
    #[must_use]
    pub fn stored(&self) -> usize {
        let store = self.objects();
        // what a worker puts there to see whether it can is no result
        files_below(&store, &|name| name.starts_with("media."))
    }

    /// Objects in the store that belong to results, and are none themselves.
    #[must_use]
    pub fn stored_beside(&self) -> usize {
        files_below(&self.objects(), &|name| name.starts_with("thumbnail.") || name.starts_with("subtitles-"))
    }

    /// The scratch of the only worker, in which each job has a folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn scratch(&self) -> Result<PathBuf> {
        let mut workers = std::fs::read_dir(self.data.path().join("work"))?.flatten();
        Ok(workers.next().context("a worker has scratch")?.path())
    }

    /// Files in the scratch of all workers; each keeps a lock there while it lives.
    #[must_use]
    pub fn scratch_files(&self) -> usize {
        files_below(&self.data.path().join("work"), &|name| name != "lock")
    }
}

/// Files below a directory whose name counts.
fn files_below(dir: &Path, counts: &dyn Fn(&str) -> bool) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let count = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files_below(&entry.path(), counts),
        _ => usize::from(counts(&entry.file_name().to_string_lossy())),
    };
    entries.map(count).sum()
}

/// A request for what is at an address.
#[must_use]
pub fn request(url: &str, more: Value) -> Value {
    let mut request = json!({ "url": url });
    if let (Some(request), Value::Object(more)) = (request.as_object_mut(), more) {
        request.extend(more);
    }
    request
}
