//! Bytes of Redis per job: a hundred thousand jobs of a thousand clients, each with an address of 100 characters and
//! nothing else in its request, once queued and once finished; everything that they leave in Redis counts.

use std::collections::BTreeMap;

use anyhow::Result;
use redis::aio::MultiplexedConnection;

use crate::figures::{begin, compare, remark, tell};
use crate::stage::{Stage, info};

const JOBS: u64 = 100_000;

/// What the product promises, in bytes.
const QUEUED: f64 = 1.5 * 1024.0;
const FINISHED: f64 = 1.8 * 1024.0;

/// Measures with the settings that Haul asks for, and with those that a Redis has by itself.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run() -> Result<()> {
    begin("memory: bytes of Redis per job (the floor is the promise)");
    for (settings, listpack) in [("as deployed", None), ("stock settings", Some("64"))] {
        let stage = Stage::with_finished(0).await?;
        let mut redis = stage.redis.connection().await?;
        if let Some(value) = listpack {
            stage.redis.set("hash-max-listpack-value", value).await?;
        }
        let empty = info(&mut redis, "memory", "used_memory").await?;
        let mut measure = async |state: &str, promise: f64| -> Result<()> {
            let used = info(&mut redis, "memory", "used_memory").await? - empty;
            let name = format!("bytes per {state} job, {settings}");
            match listpack {
                None => compare(&name, used as f64 / JOBS as f64, promise, "<= 1"),
                Some(_) => tell(&name, used as f64 / JOBS as f64),
            }
            remark(&by_kind(&mut redis, used).await?);
            Ok(())
        };
        stage.queue_jobs(JOBS, 0).await?;
        measure("queued", QUEUED).await?;
        stage.finish_jobs(JOBS).await?;
        measure("finished", FINISHED).await?;
    }
    Ok(())
}

/// What the keys of each kind hold, in bytes per job; what is left are the tables of keys and of their expiry.
async fn by_kind(redis: &mut MultiplexedConnection, used: u64) -> Result<String> {
    let (mut kinds, mut cursor) = (BTreeMap::<String, u64>::new(), 0_u64);
    loop {
        let (next, keys): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(1000).query_async(redis).await?;
        let mut sizes = redis::pipe();
        for key in &keys {
            sizes.cmd("MEMORY").arg("USAGE").arg(key);
        }
        let sizes: Vec<u64> = if keys.is_empty() { Vec::new() } else { sizes.query_async(redis).await? };
        for (key, size) in keys.iter().zip(sizes) {
            // haul1:{shard}:kind, or haul1:{shard}:kind:rest; what is the whole queue's has no kind
            *kinds.entry(key.split(':').nth(2).unwrap_or("(queue)").to_owned()).or_default() += size;
        }
        if next == 0 {
            break;
        }
        cursor = next;
    }
    let known: u64 = kinds.values().sum();
    kinds.insert("(tables)".to_owned(), used.saturating_sub(known));
    let mut rows: Vec<_> = kinds.into_iter().filter(|(_, bytes)| *bytes >= JOBS).collect();
    rows.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let rows: Vec<String> = rows.iter().map(|(kind, bytes)| format!("{kind} {}", bytes / JOBS)).collect();
    Ok(rows.join(", "))
}
