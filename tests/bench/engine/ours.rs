//! Haul as it is shipped, from POST to link: Redis, the API and one worker with four slots, over the store that the
//! others have.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use haul_tests::house::unlimited;
use haul_tests::processes::Process;
use haul_tests::redis::Redis;
use haul_tests::s3::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::spent;

/// How long one answer may take: longer than a wait for a change.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running service.
pub struct Haul {
    /// Its Redis.
    pub redis: Redis,
    api: Process,
    worker: Process,
    variables: Vec<(String, String)>,
    folder: PathBuf,
    http: reqwest::Client,
}

/// What came of a job.
#[derive(Debug)]
pub struct Delivered {
    /// Where the job is.
    pub job: String,
    /// Where its result is, for whoever has the link.
    pub link: String,
    /// How many bytes that has.
    pub size_bytes: u64,
}

/// What API and workers are told when all lies on this machine: results go to this endpoint, what is kept meanwhile into the folder.
pub fn on_loopback(redis: &Redis, endpoint: &str, folder: &Path) -> Vec<(&'static str, String)> {
    let of = |name: &str| folder.join(name).display().to_string();
    let mut variables = vec![
        ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", haul_tests::tools().display())),
        ("HAUL_REDIS_URL", redis.url()),
        ("HAUL_DATA_DIR", of("data")),
        ("HAUL_WORK_DIR", of("work")),
        ("HAUL_STORAGE", "s3".to_owned()),
        ("HAUL_S3_BUCKET", BUCKET.to_owned()),
        ("HAUL_S3_ENDPOINT", endpoint.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ("HAUL_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
    ];
    variables.extend(unlimited());
    variables
}

impl Haul {
    /// Starts it over a store, its scratch and its log in a folder, told more by these variables.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(endpoint: &str, folder: &Path, more: &[(&'static str, &str)]) -> Result<Self> {
        let redis = Redis::start().await?;
        let mut variables = on_loopback(&redis, endpoint, folder);
        variables.push(("HAUL_SLOTS", "4".to_owned()));
        variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let variables: Vec<_> = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let api = Process::start_telling("haul-api", "HAUL_LISTEN", &variables, || log(folder)).await?;
        let worker = worker(&variables, folder).await?;
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { redis, api, worker, variables, folder: folder.to_owned(), http })
    }

    /// Starts a second worker, which has heard nothing of this variable.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn another_worker(&self, without: &str) -> Result<Process> {
        let variables: Vec<_> = self.variables.iter().filter(|(name, _)| name != without).cloned().collect();
        worker(&variables, &self.folder).await
    }

    /// The process that answers.
    #[must_use]
    pub fn api(&self) -> &Process {
        &self.api
    }

    /// The process whose expense counts, with its children.
    #[must_use]
    pub fn worker(&self) -> i32 {
        self.worker.id()
    }

    /// Most memory of the worker itself since [`Haul::forget_memory`], in bytes.
    ///
    /// # Errors
    /// When it is gone.
    pub fn own_memory(&self) -> Result<u64> {
        self.worker.peak_memory()
    }

    /// Measures the worker's own memory anew from here (`proc_pid_clear_refs(5)`, 5).
    ///
    /// # Errors
    /// When it is gone.
    pub fn forget_memory(&self) -> Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.worker.id()), "5")?)
    }

    /// Asks for all of them at once, and waits until all have their links.
    ///
    /// # Errors
    /// When one is refused or fails.
    pub async fn download(&self, requests: &[Value]) -> Result<Vec<Delivered>> {
        try_join_all(requests.iter().map(|request| self.download_one(request))).await
    }

    /// Waits until nothing is done for these jobs any more: their thumbnails are there, or will not come. None of the others
    /// makes any; what ours spend on them counts all the same.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn have_thumbnails(&self, jobs: &[Delivered]) -> Result<()> {
        let settled = |path: String| async move {
            loop {
                let answer = self.http.get(self.url(&format!("{path}/thumbnail"))).send().await?;
                if answer.status() != StatusCode::CONFLICT {
                    return Ok::<(), anyhow::Error>(());
                }
            }
        };
        try_join_all(jobs.iter().map(|one| settled(one.job.clone()))).await?;
        Ok(())
    }

    /// By which way the bytes of a finished job came.
    ///
    /// # Errors
    /// When it is not told.
    pub async fn delivery(&self, path: &str) -> Result<String> {
        let job = self.job(path).await?;
        Ok(job["result"]["delivery"].as_str().context("a result tells its delivery")?.to_owned())
    }

    /// Asks for one, and does not wait for it: where the job is.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn submit(&self, request: &Value) -> Result<String> {
        let queued = asked(self.http.post(self.url("/api/v1/downloads")).json(request)).await?;
        let path = queued["links"]["self"].as_str().context("a job has a link to itself")?;
        Ok(path.find("/api/").map_or(path, |at| &path[at..]).to_owned())
    }

    /// A job as it is now.
    ///
    /// # Errors
    /// When it is not told.
    pub async fn job(&self, path: &str) -> Result<Value> {
        asked(self.http.get(self.url(path))).await
    }

    async fn download_one(&self, request: &Value) -> Result<Delivered> {
        let path = self.submit(request).await?;
        loop {
            let job = asked(self.http.get(self.url(&format!("{path}?wait=60")))).await?;
            match job["status"].as_str().unwrap_or_default() {
                "completed" => break,
                "queued" | "running" => {
                    ensure!(job["next_attempt_at"].is_null(), "an attempt failed: {}", job["error"]);
                }
                other => bail!("a job is {other}: {}", job["error"]),
            }
        }
        let link = asked(self.http.get(self.url(&format!("{path}/link")))).await?;
        let size_bytes = link["size_bytes"].as_u64().context("a link tells the size")?;
        let link = link["url"].as_str().context("a link leads somewhere")?.to_owned();
        Ok(Delivered { job: path, link, size_bytes })
    }

    /// What is known of an address, and whether it was known before (`Haul-Cache`).
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn metadata(&self, address: &str) -> Result<String> {
        let request = self.http.post(self.url("/api/v1/metadata")).json(&json!({ "url": address }));
        let answer = request.send().await?;
        let known = answer.headers().get("haul-cache").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(status == StatusCode::OK, "metadata: {status} {body}");
        known.context("an answer of metadata says whether it was a hit")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.api.address())
    }
}

impl Drop for Haul {
    fn drop(&mut self) {
        // what it has started ends with it in any case; this does not wait for that
        spent::kill_all(self.worker.id());
    }
}

async fn worker(variables: &[(String, String)], folder: &Path) -> Result<Process> {
    Process::start_telling("haul-worker", "HAUL_WORKER_LISTEN", variables, || log(folder)).await
}

fn log(folder: &Path) -> Result<Stdio> {
    Ok(File::options().create(true).append(true).open(folder.join("haul.log"))?.into())
}

/// The JSON of a good answer.
pub async fn asked(request: RequestBuilder) -> Result<Value> {
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.text().await?;
    // a wait that ended without a change has no body
    if status == StatusCode::NOT_MODIFIED {
        return Ok(json!({ "status": "running", "next_attempt_at": null }));
    }
    ensure!(status.is_success(), "{status}: {body}");
    Ok(serde_json::from_str(&body)?)
}
