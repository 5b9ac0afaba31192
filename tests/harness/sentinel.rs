//! A primary, its replica, and a sentinel that puts the one in the other's place.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use haul_shared::redis::{Deployment, Server};
use tempfile::TempDir;

use crate::processes::until;
use crate::redis::{Redis, free_port};

/// The name of the master.
pub const MASTER: &str = "haul";

/// A server and its replica, watched over.
pub struct Watched {
    /// The master of the beginning.
    pub primary: Redis,
    /// Its replica.
    pub replica: Redis,
    sentinel: Child,
    port: u16,
    /// Nobody listens there: a sentinel that has gone.
    gone: u16,
    _dir: TempDir,
}

impl Watched {
    /// Starts all three, and waits until they know each other.
    ///
    /// # Errors
    /// When they do not.
    pub async fn start() -> Result<Self> {
        // how long a primary waits for further replicas before it sends its data; nobody else is coming
        let at_once = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
        let primary = Redis::with(&at_once).await?;
        let of = format!("127.0.0.1 {}", primary.port());
        let replica = Redis::with(&[&at_once[..], &["--replicaof", &of]].concat()).await?;
        let (dir, port, gone) = (tempfile::tempdir()?, free_port()?, free_port()?);
        let config = dir.path().join("sentinel.conf");
        let settings = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("sentinel monitor {MASTER} {of} 1"),
            format!("sentinel down-after-milliseconds {MASTER} 5000"),
            format!("sentinel failover-timeout {MASTER} 5000"),
        ];
        std::fs::write(&config, settings.join("\n"))?;
        let sentinel = Command::new("redis-server")
            .arg(&config)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("redis-server cannot be started as a sentinel")?;
        let watched = Self { primary, replica, sentinel, port, gone, _dir: dir };
        until("the replica has what its primary has", async || watched.primary.has_replica().await).await?;
        until("the sentinel knows the replica", async || watched.knows_replica().await.unwrap_or(false)).await?;
        Ok(watched)
    }

    /// Where sentinels are, or have been, as `HAUL_REDIS_URL` takes them.
    #[must_use]
    pub fn urls(&self) -> String {
        format!("redis://127.0.0.1:{},redis://127.0.0.1:{}", self.gone, self.port)
    }

    /// Connections such as the service has.
    ///
    /// # Errors
    /// Never; its URLs are some.
    pub fn server(&self, size: usize) -> Result<Server> {
        let urls = self.urls().split(',').map(Into::into).collect();
        Ok(Server::new(&Deployment::Sentinel { urls, master: MASTER.to_owned(), password: None }, size)?)
    }

    async fn knows_replica(&self) -> Result<bool> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let replicas: Vec<redis::Value> =
            redis::cmd("SENTINEL").arg("REPLICAS").arg(MASTER).query_async(&mut connection).await?;
        Ok(replicas.len() == 1)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ended = self.sentinel.kill().and_then(|()| self.sentinel.wait());
    }
}
