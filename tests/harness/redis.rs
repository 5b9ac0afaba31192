//! A Redis of one's own: a real `redis-server` on a free loopback port, gone with the value.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use haul_shared::redis::Server;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::processes::PATIENCE;

/// A running server.
pub struct Redis {
    process: Child,
    port: u16,
    arguments: Vec<String>,
    dir: TempDir,
}

impl Redis {
    /// Starts a server with the settings that Haul asks for, and waits until it answers.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not come up within [`PATIENCE`].
    pub async fn start() -> Result<Self> {
        Self::with(&[]).await
    }

    /// Starts one that is told more, or otherwise, by these arguments.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn with(arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        // Between looking for a free port and using it, somebody else may take it: then another is tried.
        for _ in 0..5 {
            let (port, dir) = (free_port()?, tempfile::tempdir()?);
            let process = spawn(port, dir.path(), &arguments)?;
            // whoever gives up waiting takes it along
            let mut redis = Self { process, port, arguments: arguments.clone(), dir };
            if answers(port, &mut redis.process).await? {
                return Ok(redis);
            }
        }
        bail!("redis-server did not come up")
    }

    /// Kills it, as a machine does that loses its power: nothing is written at the last moment.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again where it was, over the same files.
    ///
    /// # Errors
    /// When it does not come up within [`PATIENCE`].
    pub async fn restart(&mut self) -> Result<()> {
        self.process = spawn(self.port, self.dir.path(), &self.arguments)?;
        anyhow::ensure!(answers(self.port, &mut self.process).await?, "redis-server did not come up again");
        Ok(())
    }

    /// Starts it again where it was, told more by these arguments until the next time, and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin_again(&mut self, arguments: &[&str]) -> Result<()> {
        let arguments: Vec<String> =
            self.arguments.iter().cloned().chain(arguments.iter().map(ToString::to_string)).collect();
        self.process = spawn(self.port, self.dir.path(), &arguments)?;
        Ok(())
    }

    /// Copies its files while it runs, as the manual says: first a log that is as short as can be, and none that is begun
    /// meanwhile.
    ///
    /// # Errors
    /// When it does not answer, or a file cannot be copied.
    pub async fn copied(&self) -> Result<TempDir> {
        let percentage = self.config("auto-aof-rewrite-percentage").await?;
        self.set("auto-aof-rewrite-percentage", "0").await?;
        redis::cmd("BGREWRITEAOF").query_async::<()>(&mut self.connection().await?).await?;
        while self.info("aof_rewrite_in_progress").await? != "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let copy = tempfile::tempdir()?;
        copy_files(&self.files(), copy.path())?;
        self.set("auto-aof-rewrite-percentage", &percentage).await?;
        Ok(copy)
    }

    /// Starts it again where it was, over what such a copy holds and nothing else.
    ///
    /// # Errors
    /// When it does not come up within [`PATIENCE`].
    pub async fn restore(&mut self, copy: &TempDir) -> Result<()> {
        std::fs::remove_dir_all(self.files())?;
        std::fs::create_dir(self.files())?;
        copy_files(copy.path(), &self.files())?;
        self.restart().await
    }

    /// Where its append-only files lie.
    fn files(&self) -> PathBuf {
        self.dir.path().join("appendonlydir")
    }

    /// Sends it a signal: stopped, it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }

    /// Sets one of its settings while it runs; a restart forgets it.
    ///
    /// # Errors
    /// When it does not know it.
    pub async fn set(&self, setting: &str, value: &str) -> Result<()> {
        let mut connection = self.connection().await?;
        Ok(redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).query_async(&mut connection).await?)
    }

    /// Sets one of its settings for good: also when it is started again.
    ///
    /// # Errors
    /// When it does not know it.
    pub async fn keep(&mut self, setting: &str, value: &str) -> Result<()> {
        self.set(setting, value).await?;
        self.arguments.extend([format!("--{setting}"), value.to_owned()]);
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Connections such as the service has, at most `size`.
    ///
    /// # Errors
    /// Never; its URL is one.
    pub fn server(&self, size: usize) -> Result<Server> {
        Ok(Server::at(&self.url(), size)?)
    }

    /// What it says of itself (`INFO`) in one field; empty when it has none of this name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn info(&self, field: &str) -> Result<String> {
        let info: String = redis::cmd("INFO").arg("everything").query_async(&mut self.connection().await?).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().trim().to_owned())
    }

    /// How often a command was carried out (`INFO commandstats`), also by scripts.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn carried_out(&self, command: &str) -> Result<u64> {
        let stats = self.info(&format!("cmdstat_{command}")).await?;
        Ok(stats.split(',').find_map(|field| field.strip_prefix("calls=")).unwrap_or("0").parse()?)
    }

    /// Has it a replica that follows it, and has said so? Until then it is sent nothing, though it is called online.
    pub async fn has_replica(&self) -> bool {
        let follows = |replica: &String| replica.contains("state=online") && !replica.contains("offset=0,");
        self.info("slave0").await.is_ok_and(|replica| follows(&replica))
    }

    /// A setting, as the server has it now.
    ///
    /// # Errors
    /// When the server does not answer, or has none of this name.
    pub async fn config(&self, name: &str) -> Result<String> {
        let mut connection = self.connection().await?;
        let (_, value): (String, String) =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await?;
        Ok(value)
    }

    /// A connection beside those of the service, to look behind the scenes.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn connection(&self) -> Result<redis::aio::MultiplexedConnection> {
        // a look at everything there is may take longer than the crate's default of half a second
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
        Ok(redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&patient).await?)
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// A port on which nobody listens now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn spawn(port: u16, dir: &Path, arguments: &[String]) -> Result<Child> {
    // a copy: a sentinel makes servers write down what they were told
    let config = dir.join("redis.conf");
    if !config.exists() {
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/redis/redis.conf"), &config)?;
    }
    Command::new("redis-server")
        .arg(config)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        // what is answered is written before, and outlives its process; nobody waits for a disk that others keep busy
        .args(["--appendfsync", "no"])
        .arg("--dir")
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("redis-server cannot be started")
}

/// Waits for the server; `false` when it ended instead.
async fn answers(port: u16, process: &mut Child) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    while Instant::now() < deadline {
        if process.try_wait()?.is_some() {
            return Ok(false);
        }
        // who answers may be another one, that took the port while this one was about to find it taken
        let own = format!("process_id:{}\r\n", process.id());
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await
            && redis::cmd("PING").query_async::<()>(&mut connection).await.is_ok()
            && let Ok(told) = redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await
            && told.contains(&own)
        {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = process.kill();
    let _ = process.wait();
    Ok(false)
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
