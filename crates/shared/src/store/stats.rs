//! Numbers for a person or a dashboard, and what live workers say of themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use redis::AsyncCommands as _;
use serde::{Deserialize, Serialize};

use super::keys::{self, Kind, Lane};
use super::orphans::Orphans;
use super::scripts::{self, invocation};
use super::sites::{Breaker, Deferral};
use super::trials::Trial;
use super::{JobStore, StoreError, ms};
use crate::ids::{Region, Shard};
use crate::job::{Stage, StateKind};
use crate::media::Priority;
use crate::rollout::Version;

/// A worker that has said nothing for this long is not shown any more.
pub const WORKER_SILENCE: Duration = Duration::from_secs(20);

/// Workers whose words are asked for at once: some fifty kilobytes, and not a round trip for each of a thousand.
const AT_ONCE: usize = 200;

/// Durations shown per name.
const SAMPLES: usize = 512;

/// A live worker, as it announced itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its id.
    pub id: String,
    /// Its regions, in order of preference.
    pub regions: Vec<Region>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// How many it runs now.
    pub running: u32,
    /// It takes no download for want of disk.
    #[serde(default)]
    pub disk_full: bool,
    /// Its version.
    pub version: String,
    /// yt-dlp's version.
    pub ytdlp: String,
    /// The tier of its sandbox. Older workers say none.
    #[serde(default)]
    pub sandbox: Option<String>,
    /// Since when.
    pub started: Timestamp,
}

impl WorkerInfo {
    /// Its yt-dlp.
    #[must_use]
    pub fn extractor(&self) -> Version {
        Version::new(self.ytdlp.as_str())
    }
}

/// One queue's depth.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueDepth {
    /// Where.
    pub region: Region,
    /// Which of its queues.
    pub priority: Priority,
    /// Jobs waiting; delayed ones are not counted.
    pub depth: u64,
    /// Age of the oldest of them.
    pub oldest: Option<Duration>,
}

/// Durations measured lately, one list per name (`wait`, or a stage's word), in seconds, newest first.
pub type Samples = BTreeMap<&'static str, Vec<f64>>;

/// For a person or a dashboard.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// By region and priority; metadata jobs are not counted anywhere here.
    pub queues: Vec<QueueDepth>,
    /// Jobs by state: those unfinished now, and those that ended since the store began.
    pub jobs: BTreeMap<StateKind, u64>,
    /// Leases that ran out since the store began.
    pub leases_lost: u64,
    /// Lists and counters that the audit had to put right since the store began.
    pub repairs: u64,
    /// Sites that are left alone.
    pub breakers: Vec<Breaker>,
    /// Jobs put off without an attempt since the store began.
    pub deferred: BTreeMap<Deferral, u64>,
    /// Live workers.
    pub workers: Vec<WorkerInfo>,
    /// Bytes of results in the store.
    pub stored_bytes: u64,
    /// Results in the store.
    pub stored_objects: u64,
    /// What came of looking for objects that no record leads to.
    pub orphans: Orphans,
    /// At most 512 of the newest per name.
    pub samples: Samples,
    /// The yt-dlp that is on trial.
    pub trial: Option<Trial>,
}

impl JobStore {
    /// Says on every shard that a worker lives; to be repeated a few times within [`WORKER_SILENCE`]. Answers how many
    /// objects [`JobStore::collect`] would name now; that ends are to be told, this process's [`Outbox`](super::Outbox) hears by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn announce(&self, worker: &WorkerInfo) -> Result<u64, StoreError> {
        let word = serde_json::to_string(worker).map_err(|_| StoreError::Unreadable("a worker"))?;
        let announce = async |shard| {
            let mut call = invocation(shard, &scripts::ANNOUNCE);
            call.arg(&worker.id).arg(&word).arg(ms(WORKER_SILENCE)).arg(names(worker));
            let (objects, ends): (u64, u64) = self.run(&call).await?;
            if ends > 0 {
                self.ring(shard);
            }
            Ok(objects)
        };
        Ok(self.everywhere(announce).await?.into_iter().sum())
    }

    /// A worker that stops takes itself off the list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sign_off(&self, worker: &WorkerInfo) -> Result<(), StoreError> {
        for shard in self.0.settings.shards.all() {
            let mut call = invocation(shard, &scripts::SIGN_OFF);
            call.arg(&worker.id);
            call.arg(names(worker));
            self.run_surely::<String>(&call).await?;
        }
        Ok(())
    }

    /// The numbers. Costs a few round trips per shard.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let mut sum = Sum::default();
        for shard in self.0.settings.shards.all() {
            self.add_up(shard, &mut sum).await?;
        }
        let queued = sum.queues.values().map(|(depth, _)| depth).sum();
        let count = |name: &str| sum.counts.get(name).map_or(0, |count| u64::try_from(*count).unwrap_or(0));
        let jobs = StateKind::ALL.into_iter().map(|state| {
            let number = match state {
                StateKind::Queued => queued,
                StateKind::Waiting => sum.delayed,
                StateKind::Running => sum.running,
                StateKind::Completed | StateKind::Failed | StateKind::Cancelled | StateKind::Expired => {
                    count(&format!("{}:{}", Kind::Download.word(), state.word()))
                }
            };
            (state, number)
        });
        Ok(Stats {
            jobs: jobs.collect(),
            leases_lost: count("reaped"),
            repairs: count("repaired"),
            deferred: Deferral::ALL.map(|reason| (reason, count(&format!("deferred:{}", reason.word())))).into(),
            breakers: sum.breakers,
            workers: self.workers().await?,
            stored_bytes: count("bytes"),
            stored_objects: count("objects"),
            orphans: self.orphans().await?,
            queues: sum.queues.into_iter().map(|(key, (depth, oldest))| key.depth(depth, oldest)).collect(),
            samples: sum.samples,
            trial: self.trial().await?,
        })
    }

    async fn add_up(&self, shard: Shard, sum: &mut Sum) -> Result<(), StoreError> {
        let mut connection = self.connection("stats").await?;
        let lanes: Vec<String> = connection.smembers(keys::key(shard, "lanes")).await?;
        let counts: BTreeMap<String, i64> = connection.hgetall(keys::key(shard, "count")).await?;
        for (name, count) in counts {
            *sum.counts.entry(name).or_default() += count;
        }
        let (running, delayed, (seconds, micros)): (u64, u64, (u64, u64)) = redis::pipe()
            .zcard(keys::key(shard, "lease"))
            .zcard(keys::key(shard, "delay"))
            .cmd("TIME")
            .query_async(&mut connection)
            .await?;
        sum.breakers.extend(self.breakers(shard).await?);
        sum.running += running;
        sum.delayed += delayed;
        let now_ms = seconds * 1000 + micros / 1000;

        for lane in lanes.iter().filter_map(|text| text.parse::<Lane>().ok()) {
            if lane.kind == Kind::Metadata {
                continue;
            }
            let key = keys::key(shard, "queued") + &lane.to_string();
            let (depth, oldest): (u64, Vec<(String, u64)>) =
                redis::pipe().zcard(&key).zrange_withscores(&key, 0, 0).query_async(&mut connection).await?;
            let oldest = oldest.first().map(|(_, since)| Duration::from_millis(now_ms.saturating_sub(*since)));
            let place = Place { region: lane.region, is_low: lane.priority == Priority::Low };
            let queue = sum.queues.entry(place).or_default();
            *queue = (queue.0 + depth, queue.1.max(oldest));
        }
        for name in std::iter::once("wait").chain(Stage::ALL.into_iter().map(Stage::word)) {
            let key = keys::key(shard, "time") + name;
            let list: Vec<f64> = connection.lrange(key, 0, SAMPLES as isize - 1).await?;
            let samples = sum.samples.entry(name).or_default();
            samples.extend(list);
            samples.truncate(SAMPLES);
        }
        Ok(())
    }

    /// The workers that have spoken lately; every shard knows all of them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>, StoreError> {
        let any = self.0.settings.shards.of(0);
        let (word, all) = (keys::key(any, "worker"), keys::key(any, "workers"));
        let mut connection = self.connection("stats").await?;
        let mut ids: Vec<String> = connection.zrange(&all, 0, -1).await?;
        ids.sort();
        let mut live = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            let words: Vec<String> = ids.iter().map(|id| format!("{word}{id}")).collect();
            let words: Vec<Option<String>> = connection.mget(words).await?;
            // in the moment in which it falls silent, its name outlives its word
            live.extend(words.into_iter().flatten().filter_map(|word| serde_json::from_str::<WorkerInfo>(&word).ok()));
        }
        Ok(live)
    }
}

/// The names of a worker's regions.
fn names(worker: &WorkerInfo) -> Vec<&str> {
    worker.regions.iter().map(Region::as_str).collect()
}

/// A queue of all shards together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    region: Region,
    is_low: bool,
}

impl Place {
    fn depth(self, depth: u64, oldest: Option<Duration>) -> QueueDepth {
        let priority = if self.is_low { Priority::Low } else { Priority::Normal };
        QueueDepth { region: self.region, priority, depth, oldest }
    }
}

/// The numbers of the shards added up.
#[derive(Default)]
struct Sum {
    counts: BTreeMap<String, i64>,
    running: u64,
    delayed: u64,
    queues: BTreeMap<Place, (u64, Option<Duration>)>,
    samples: Samples,
    breakers: Vec<Breaker>,
}
