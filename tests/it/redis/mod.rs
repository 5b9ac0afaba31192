//! Connections to real Redis servers: shared, broken, demoted, of a cluster, behind a sentinel.

mod cluster;
mod failover;
mod faults;
mod sentinel;
mod shards;
mod sharing;

use std::time::Duration;

use anyhow::Result;
use haul_shared::config::Durability;
use haul_shared::redis::{CallError, Heard, Script, Server};

/// Counts at a key, and answers how far.
fn count() -> Script {
    Script::new("count", "return redis.call('INCR', KEYS[1])".to_owned())
}

async fn count_at(server: &Server, script: &Script, key: &str) -> Result<u64, CallError> {
    server.call_surely(script.call().key(key)).await
}

/// Long enough for a failover, short enough for who waits.
const FAILOVER: Duration = Duration::from_secs(10);
