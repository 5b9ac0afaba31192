//! Numbers for a person or a dashboard, and what live workers say of themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use redis::AsyncCommands as _;
use serde::{Deserialize, Serialize};

use super::keys::{self, Kind, Lane};
use super::{JobStore, StoreError};
use crate::ids::Region;
use crate::job::{Stage, StateKind};
use crate::media::Priority;

/// A worker that has said nothing for this long is not shown any more.
const WORKER_TTL_SECONDS: u64 = 15;

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
    /// Its version.
    pub version: String,
    /// yt-dlp's version.
    pub ytdlp: String,
    /// Since when.
    pub started: Timestamp,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// By region and priority; metadata jobs are not counted anywhere here.
    pub queues: Vec<QueueDepth>,
    /// Jobs by state: those unfinished now, and those that ended since the store began.
    pub jobs: BTreeMap<StateKind, u64>,
    /// Leases that ran out since the store began.
    pub leases_lost: u64,
    /// Live workers.
    pub workers: Vec<WorkerInfo>,
    /// Bytes of results in the store.
    pub stored_bytes: u64,
    /// Results in the store.
    pub stored_objects: u64,
    /// At most 512 of the newest per name.
    pub samples: Samples,
}

impl JobStore {
    /// Says that a worker lives; to be repeated every few seconds.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn announce(&self, worker: &WorkerInfo) -> Result<(), StoreError> {
        let text = serde_json::to_string(worker).map_err(|_| StoreError::Unreadable("a worker"))?;
        redis::pipe()
            .set_ex(keys::worker(&worker.id), text, WORKER_TTL_SECONDS)
            .sadd(keys::workers(), &worker.id)
            .query_async::<()>(&mut self.connection().await?)
            .await?;
        Ok(())
    }

    /// A worker that stops takes itself off the list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sign_off(&self, worker: &str) -> Result<(), StoreError> {
        redis::pipe()
            .del(keys::worker(worker))
            .srem(keys::workers(), worker)
            .query_async::<()>(&mut self.connection().await?)
            .await?;
        Ok(())
    }

    /// The numbers. Costs a few round trips.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let mut connection = self.connection().await?;
        let lanes: Vec<String> = connection.smembers(keys::key("lanes")).await?;
        let counts: BTreeMap<String, i64> = connection.hgetall(keys::key("count")).await?;
        let (running, delayed, (seconds, micros)): (u64, u64, (u64, u64)) = redis::pipe()
            .zcard(keys::key("lease"))
            .zcard(keys::key("delay"))
            .cmd("TIME")
            .query_async(&mut connection)
            .await?;
        let now_ms = seconds * 1000 + micros / 1000;

        let mut queues = Vec::new();
        for lane in lanes.iter().filter_map(|text| text.parse::<Lane>().ok()) {
            if lane.kind == Kind::Metadata {
                continue;
            }
            let key = keys::key("queued") + &lane.to_string();
            let (depth, oldest): (u64, Vec<(String, u64)>) =
                redis::pipe().zcard(&key).zrange_withscores(&key, 0, 0).query_async(&mut connection).await?;
            let oldest = oldest.first().map(|(_, since)| Duration::from_millis(now_ms.saturating_sub(*since)));
            queues.push(QueueDepth { region: lane.region, priority: lane.priority, depth, oldest });
        }
        queues.sort_by(|a, b| (&a.region, a.priority as u8).cmp(&(&b.region, b.priority as u8)));

        let count = |name: &str| counts.get(name).map_or(0, |count| u64::try_from(*count).unwrap_or(0));
        let jobs = StateKind::ALL
            .into_iter()
            .map(|state| {
                let number = match state {
                    StateKind::Queued => queues.iter().map(|queue| queue.depth).sum(),
                    StateKind::Waiting => delayed,
                    StateKind::Running => running,
                    StateKind::Completed | StateKind::Failed | StateKind::Cancelled | StateKind::Expired => {
                        count(&format!("{}:{}", Kind::Download.word(), state.word()))
                    }
                };
                (state, number)
            })
            .collect();

        let mut samples = Samples::new();
        for name in std::iter::once("wait").chain(Stage::ALL.into_iter().map(Stage::word)) {
            let list: Vec<f64> = connection.lrange(keys::key("time") + name, 0, -1).await?;
            samples.insert(name, list);
        }

        Ok(Stats {
            queues,
            jobs,
            leases_lost: count("reaped"),
            workers: workers(&mut connection).await?,
            stored_bytes: count("bytes"),
            stored_objects: count("objects"),
            samples,
        })
    }
}

/// The workers that have spoken lately. Those that have not are taken off the list.
async fn workers(connection: &mut crate::redis::Connection) -> Result<Vec<WorkerInfo>, StoreError> {
    let mut ids: Vec<String> = connection.smembers(keys::workers()).await?;
    ids.sort();
    let mut live = Vec::new();
    for id in ids {
        let word: Option<String> = connection.get(keys::worker(&id)).await?;
        match word {
            Some(word) => live.extend(serde_json::from_str::<WorkerInfo>(&word)),
            None => connection.srem::<_, _, ()>(keys::workers(), &id).await?,
        }
    }
    Ok(live)
}
