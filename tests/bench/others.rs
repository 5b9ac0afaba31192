//! The queues of others, alone: workers whose jobs are nothing, in processes of their own, over a Redis of the same settings.
//!
//! What they do is in the scripts of `rivals/`, which all speak alike.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use haul_tests::redis::Redis;
use redis::aio::MultiplexedConnection;

use crate::roles::{Part, script};

/// Between two looks at whether all is done: the same for all, Haul included, and from outside, so that whoever works only works.
pub const LOOK: Duration = Duration::from_millis(5);

/// How long that may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the programs of others are.
#[derive(Debug, Clone, clap::Args)]
pub struct Programs {
    /// Where `npm` has installed bullmq and ioredis; without it BullMQ is left out
    #[arg(long)]
    pub bullmq: Option<PathBuf>,
    /// The interpreter that has rq, boto3 and yt_dlp; without it the rivals in Python are left out
    #[arg(long)]
    pub python: Option<PathBuf>,
}

/// A queue, and the Redis that it has for itself.
pub struct Other {
    /// Its Redis.
    pub redis: Redis,
    program: PathBuf,
    script: &'static str,
    more: Vec<String>,
    forks: bool,
}

/// A producer and a worker that wait for single jobs.
pub struct Singles {
    producer: Part,
    worker: Part,
}

impl Other {
    /// BullMQ by its own worker, where it is installed; each process is a node.
    ///
    /// # Errors
    /// When its Redis does not come up.
    pub async fn bullmq(programs: &Programs) -> Result<Option<Self>> {
        let Some(packages) = &programs.bullmq else { return Ok(None) };
        let packages = packages.canonicalize().context("the folder of bullmq")?;
        let more = vec![packages.to_str().context("a path in UTF-8")?.to_owned()];
        Ok(Some(Self { redis: redis().await?, program: "node".into(), script: "bullmq.cjs", more, forks: false }))
    }

    /// RQ by its `fork`ing worker or its `simple` one, or Celery by a pool of this name.
    ///
    /// # Errors
    /// When its Redis does not come up.
    pub async fn python(python: &Path, script: &'static str, kind: &str) -> Result<Self> {
        let more = vec![kind.to_owned()];
        Ok(Self { redis: redis().await?, program: python.into(), script, more, forks: true })
    }

    /// Queues so many jobs; seconds in which so many new worker processes do them.
    ///
    /// # Errors
    /// When they do not get there.
    pub async fn drain(&self, jobs: u64, processes: usize) -> Result<f64> {
        self.produce(jobs).await?;
        // one that forks makes its processes itself
        let parts = if self.forks { 1 } else { processes };
        let mut workers = Vec::new();
        for _ in 0..parts {
            workers.push(self.part("drain", jobs, processes).await?);
        }
        for worker in &mut workers {
            worker.go().await?;
        }
        workers.first_mut().context("there is one")?.line().await?;
        let mut connection = self.redis.connection().await?;
        let (mut tick, told) = (tokio::time::interval(LOOK), Instant::now());
        // Celery may be amid a look of a second at no queue: its clock runs from the first job that it takes, in its favour
        while self.script == "celery_queue.py" && waiting(&mut connection).await? >= jobs {
            tick.tick().await;
            ensure!(told.elapsed() < PATIENCE, "{} did not begin", self.script);
        }
        let began = Instant::now();
        while !self.is_done(&mut connection, jobs).await? {
            tick.tick().await;
            ensure!(began.elapsed() < PATIENCE, "{} did not get done", self.script);
        }
        let seconds = began.elapsed().as_secs_f64();
        drop(workers);
        redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
        Ok(seconds)
    }

    /// Has it done so many jobs?
    async fn is_done(&self, connection: &mut MultiplexedConnection, jobs: u64) -> Result<bool> {
        let finished = match self.script {
            "bullmq.cjs" => "bull:bench:completed",
            "rq_queue.py" => "rq:finished:bench",
            // Celery has no such list: all have a result, none waits, and none is unacknowledged
            _ => {
                let mut pipe = redis::pipe();
                pipe.cmd("DBSIZE").cmd("LLEN").arg("bench").cmd("HLEN").arg("unacked");
                let (keys, waiting, unacked): (u64, u64, u64) = pipe.query_async(connection).await?;
                return Ok(keys >= jobs && waiting == 0 && unacked == 0);
            }
        };
        Ok(redis::cmd("ZCARD").arg(finished).query_async::<u64>(connection).await? >= jobs)
    }

    /// Gets ready for jobs one by one.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn singles(&self) -> Result<Singles> {
        Ok(Singles { worker: self.worker("follow", 1).await?, producer: self.part("produce", 1, 1).await? })
    }

    /// Queues so many jobs.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn produce(&self, jobs: u64) -> Result<()> {
        let mut producer = self.part("produce", jobs, 1).await?;
        producer.go().await?;
        producer.line().await.map(drop)
    }

    /// A worker that is at work: `follow` tells when each job begins, `hang` never ends the one that it has begun.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn worker(&self, role: &str, processes: usize) -> Result<Part> {
        let mut worker = self.part(role, 0, processes).await?;
        worker.go().await?;
        Ok(worker)
    }

    async fn part(&self, role: &str, jobs: u64, processes: usize) -> Result<Part> {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg(script(self.script)).args([&self.redis.url(), role, &jobs.to_string()]).args(&self.more);
        command.arg(processes.to_string());
        // of being started by root, and of shutting down
        command.env("PYTHONWARNINGS", "ignore").env("PYTHONDONTWRITEBYTECODE", "1").stderr(Stdio::null());
        Part::by(command).await.with_context(|| format!("{} of {}", role, self.script))
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

/// Jobs that wait for Celery.
async fn waiting(connection: &mut MultiplexedConnection) -> Result<u64> {
    Ok(redis::cmd("LLEN").arg("bench").query_async(connection).await?)
}

/// A rewrite of the append-only file would hit one round and spare another.
async fn redis() -> Result<Redis> {
    let redis = Redis::start().await?;
    redis.set("auto-aof-rewrite-percentage", "0").await?;
    Ok(redis)
}
