//! Connections to real Redis servers: shared, broken, demoted, of a cluster, behind a sentinel.

mod cluster;
mod failover;
mod faults;
mod sentinel;
mod shards;
mod sharing;

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
