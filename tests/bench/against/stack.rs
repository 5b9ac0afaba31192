//! The usual stack, whole: FastAPI behind uvicorn, RQ's workers, boto3, and a Redis of the same settings as ours.
//!
//! Not here: what its parts do (`rivals/stack_api.py`, `stack_job.py`, `rq_worker.py`).

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use haul_tests::processes::until;
use haul_tests::redis::Redis;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::engine::ours::{Delivered, asked};
use crate::engine::scene::Scene;
use crate::engine::spent::kill_all;
use crate::roles::{Part, script};

/// How long one answer may take: longer than a wait for the end.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who does the jobs, one at a time each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// Nobody.
    None,
    /// So many of RQ's own, which fork a child per job.
    Fork(usize),
    /// So many of its SimpleWorkers, which don't.
    Simple(usize),
    /// So many of those, which end a job without doing anything.
    Pretending(usize),
}

/// A running stack, ended with all that it started when dropped.
pub struct Stack {
    /// Its Redis.
    pub redis: Redis,
    address: SocketAddr,
    front: Part,
    workers: Vec<Part>,
    settings: Value,
    http: reqwest::Client,
}

impl Stack {
    /// Starts it over a store: as many web processes as there are cores, and no worker yet.
    ///
    /// # Errors
    /// When a part does not get ready.
    pub async fn start(scene: &Scene, python: &Path, throttled: bool) -> Result<Self> {
        let redis = Redis::start().await?;
        redis.set("auto-aof-rewrite-percentage", "0").await?;
        let scratch = scene.fresh(&format!("stack-{}", redis.port()))?;
        let settings = json!({ "redis": redis.url(), "store": scene.boto3(throttled), "scratch": scratch });
        let cores = std::thread::available_parallelism()?.to_string();
        let mut front = part(scene, python, &settings, "stack_api.py", &[&cores]).await?;
        let address = front.line().await?.parse()?;
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let stack = Self { redis, address, front, workers: Vec::new(), settings, http };
        until("the stack answers", async || stack.http.get(stack.url("/healthz")).send().await.is_ok()).await?;
        Ok(stack)
    }

    /// Starts workers, which extract the address `warm` before anything is measured.
    ///
    /// # Errors
    /// When one does not get ready.
    pub async fn work(&mut self, scene: &Scene, python: &Path, workers: Workers, warm: &str) -> Result<()> {
        let (kind, count) = match workers {
            Workers::None => return Ok(()),
            Workers::Fork(count) => ("fork", count),
            Workers::Simple(count) | Workers::Pretending(count) => ("simple", count),
        };
        self.settings["pretend"] = json!(matches!(workers, Workers::Pretending(_)));
        let arguments = [kind, &self.redis.url(), &self.settings["store"].to_string(), warm];
        for _ in 0..count {
            self.workers.push(part(scene, python, &self.settings, "rq_worker.py", &arguments).await?);
        }
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All its processes but Redis; their children are found by them.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        self.workers.iter().chain([&self.front]).filter_map(Part::pid).collect()
    }

    /// Asks for all of them at once, and waits until all have their links.
    ///
    /// # Errors
    /// When one is refused or fails.
    pub async fn download(&self, urls: &[String]) -> Result<Vec<Delivered>> {
        futures::future::try_join_all(urls.iter().map(|url| self.download_one(url))).await
    }

    async fn download_one(&self, url: &str) -> Result<Delivered> {
        let mut job = asked(self.http.post(self.url("/downloads")).json(&json!({ "url": url }))).await?;
        let path = format!("/downloads/{}", job["id"].as_str().context("a job has an id")?);
        while job["status"] != "completed" {
            ensure!(job["status"] != "failed", "a job failed: {}", job["error"]);
            job = asked(self.http.get(self.url(&format!("{path}?wait=60")))).await?;
        }
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a result has a link");
        let result = &job["result"];
        let size_bytes = result["size_bytes"].as_u64().context("a result has a size")?;
        Ok(Delivered { job: path, link: text(&result["url"])?, size_bytes })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn part(scene: &Scene, python: &Path, settings: &Value, name: &str, arguments: &[&str]) -> Result<Part> {
    let mut command = scene.command(python);
    command.arg(script(name)).args(arguments).env("STACK", settings.to_string()).stderr(Stdio::inherit());
    Part::by(Command::from(command)).await.with_context(|| format!("{name} does not start"))
}

impl Drop for Stack {
    fn drop(&mut self) {
        // the web's processes are children of the one that was started
        self.processes().into_iter().for_each(kill_all);
    }
}
