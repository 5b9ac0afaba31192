//! Rivals that stay between downloads: workers of RQ, and a small MeTube. They are warm before anything is measured.
//!
//! Not here: what they do with a job (the Python files in `rivals/`).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use haul_tests::redis::Redis;
use serde_json::{Value, json};
use tokio::process::Command;

use super::cases::Rival;
use super::scene::Scene;
use super::spent::kill_all;
use crate::roles::{Part, script};

/// A running rival, ended with all that it started when dropped.
pub struct Service {
    /// What takes the orders.
    front: Part,
    /// Whose expense counts, with their children.
    workers: Vec<i32>,
    scratch: PathBuf,
    parts: Vec<Part>,
    _redis: Option<Redis>,
}

impl Service {
    /// Starts one that does so many jobs at once.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start(
        rival: Rival,
        scene: &mut Scene,
        slots: usize,
        throttled: bool,
        warm: &str,
        python: &Path,
    ) -> Result<Self> {
        let scratch = scene.fresh(rival.name())?;
        let command = |scene: &Scene, name: &str, arguments: &[&str]| {
            let mut command = scene.command(python);
            command.arg(script(name)).args(arguments).stderr(std::process::Stdio::inherit());
            Command::from(command)
        };
        let warm = scene.address(warm, false);
        if rival == Rival::Metube {
            let front = Part::by(command(scene, "metube_like.py", &[&slots.to_string(), &warm])).await?;
            let workers = vec![front.pid().context("it runs")?];
            return Ok(Self { front, workers, scratch, parts: Vec::new(), _redis: None });
        }
        let mode = if rival == Rival::RqFork { "fork" } else { "simple" };
        let redis = Redis::start().await?;
        let (url, store) = (redis.url(), scene.boto3(throttled).to_string());
        let front = Part::by(command(scene, "rq_drive.py", &[&url])).await?;
        let mut service = Self { front, workers: Vec::new(), scratch, parts: Vec::new(), _redis: Some(redis) };
        for _ in 0..slots {
            let part = Part::by(command(scene, "rq_worker.py", &[mode, &url, &store, &warm])).await?;
            service.workers.push(part.pid().context("it runs")?);
            service.parts.push(part);
        }
        Ok(service)
    }

    /// Whose expense counts.
    #[must_use]
    pub fn workers(&self) -> Vec<i32> {
        self.workers.clone()
    }

    /// Downloads all of these at once; how many bytes came of it.
    ///
    /// # Errors
    /// When one fails.
    pub async fn download(&mut self, urls: &[String], keys: &[String]) -> Result<u64> {
        let order = json!({ "urls": urls, "keys": keys, "scratch": self.scratch });
        self.front.tell(&order.to_string()).await?;
        let answer: Value = serde_json::from_str(&self.front.line().await?)?;
        answer["bytes"].as_u64().context("an answer tells the bytes")
    }

    /// Removes what a rival without a store has kept.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn tidy(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.scratch)? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.workers.iter().copied().for_each(kill_all);
    }
}
