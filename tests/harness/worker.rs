//! A worker of one's own, in this process, over real programs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::config::Env;
use haul_shared::job::RetryPolicy;
use haul_shared::shutdown::Shutdown;
use haul_worker::config::WorkerConfig;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running worker. Dropped, it is told to stop at once.
pub struct Worker {
    shutdown: Shutdown,
    task: Option<JoinHandle<Result<()>>>,
    address: std::net::SocketAddr,
    scratch: TempDir,
}

impl Worker {
    /// Starts one with these variables on top of: this Redis, this data directory, loopback reachable, quick retries.
    ///
    /// # Errors
    /// When a variable is wrong, or no port is free.
    pub async fn start(redis_url: &str, data_dir: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let tools = crate::tools();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display());
        let scratch_dir = scratch.path().to_str().context("a temporary path in UTF-8")?;
        let defaults = [
            ("PATH", path.as_str()),
            ("HAUL_REDIS_URL", redis_url),
            ("HAUL_DATA_DIR", data_dir),
            ("HAUL_WORK_DIR", scratch_dir),
            ("HAUL_EGRESS_ALLOW", "127.0.0.0/8"),
            ("HAUL_MIN_FREE_DISK", "1MiB"),
        ];
        let env = Env::of_pairs(defaults.iter().chain(variables).copied());
        let mut config = WorkerConfig::from_env(&env).map_err(|faults| anyhow::anyhow!("{faults}"))?;
        config.retry = RetryPolicy { base: Duration::from_millis(20), cap: Duration::from_millis(100) };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shutdown = Shutdown::new(config.shutdown_grace);
        let task = tokio::spawn(haul_worker::run::run(config, listener, shutdown.clone()));
        Ok(Self { shutdown, task: Some(task), address, scratch })
    }

    /// What it is told to stop with.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// A path of its own port.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Files below its scratch, directories not counted; the lock of the scratch neither.
    #[must_use]
    pub fn scratch_files(&self) -> usize {
        count(self.scratch.path())
    }

    /// Stops it, and waits until it has ended.
    ///
    /// # Errors
    /// With what it ended with.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.stop.cancel();
        match self.task.take() {
            Some(task) => task.await?,
            None => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shutdown.stop.cancel();
        self.shutdown.kill.cancel();
    }
}

fn count(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count(&entry.path()),
            Ok(_) => usize::from(entry.file_name() != "lock"),
            Err(_) => 0,
        })
        .sum()
}
