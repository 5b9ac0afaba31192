//! BullMQ, doing the same: its own worker in a process of its own, over a Redis of the same settings (`bullmq.cjs`).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use haul_tests::redis::Redis;

use crate::roles::Part;

/// A Redis for BullMQ, and where its packages are.
pub struct BullMq {
    redis: Redis,
    packages: PathBuf,
}

/// A producer and a worker that wait for single jobs.
pub struct Singles {
    producer: Part,
    worker: Part,
}

impl BullMq {
    /// Starts the Redis.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(packages: &Path) -> Result<Self> {
        Ok(Self { redis: Redis::start().await?, packages: packages.canonicalize().context("the folder of bullmq")? })
    }

    /// Queues so many jobs; seconds in which a new worker does them.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn drain(&self, jobs: u64) -> Result<f64> {
        let mut producer = self.part("produce", jobs).await?;
        producer.go().await?;
        producer.line().await?;
        let mut worker = self.part("drain", jobs).await?;
        worker.go().await?;
        let seconds = worker.number().await?;
        let mut connection = self.redis.connection().await?;
        redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
        Ok(seconds)
    }

    /// Gets ready for jobs one by one.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn singles(&self) -> Result<Singles> {
        let mut worker = self.part("follow", 0).await?;
        worker.go().await?;
        Ok(Singles { producer: self.part("produce", 1).await?, worker })
    }

    async fn part(&self, role: &str, jobs: u64) -> Result<Part> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/bullmq.cjs");
        let packages = self.packages.to_str().context("a path in UTF-8")?;
        Part::of(Path::new("node"), &[script, packages, &self.redis.url(), role, &jobs.to_string()]).await
    }
}

impl Singles {
    /// Milliseconds from submitting a job to its start.
    ///
    /// # Errors
    /// When a part is gone.
    pub async fn once(&mut self) -> Result<f64> {
        self.producer.go().await?;
        let submitted = self.producer.number().await?;
        let started = self.worker.number().await?;
        Ok(started - submitted)
    }
}
