//! A server that breaks off, forgets its scripts, loads its files, or is master no more.

use std::time::Duration;

use anyhow::Result;
use futures::future::{join, try_join_all};
use haul_tests::processes::{PATIENCE, refusal, until};
use haul_tests::redis::Redis;
use rustix::process::Signal;
use tokio::time::timeout;

use super::*;

async fn told(redis: &Redis, words: &[&str]) -> Result<()> {
    let mut command = redis::Cmd::new();
    command.arg(words);
    Ok(command.query_async(&mut redis.connection().await?).await?)
}

/// What both programs say that are started with this Redis and end for it.
async fn refusals(redis: &Redis) -> Result<[(&'static str, String); 2]> {
    let data = tempfile::tempdir()?;
    let (url, dir) = (redis.url(), data.path().display().to_string());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", haul_tests::tools().display());
    let variables = [
        ("PATH", path.as_str()),
        ("HAUL_REDIS_URL", url.as_str()),
        ("HAUL_LISTEN", "127.0.0.1:0"),
        ("HAUL_WORKER_LISTEN", "127.0.0.1:0"),
        ("HAUL_DATA_DIR", dir.as_str()),
        ("HAUL_WORK_DIR", dir.as_str()),
    ];
    let said = async |program| anyhow::Ok((program, refusal(program, &variables).await?));
    Ok([said("haul-api").await?, said("haul-worker").await?])
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_by_its_name() -> Result<()> {
    for (program, said) in refusals(&Redis::with(&["--maxmemory-policy", "allkeys-lru"]).await?).await? {
        assert!(said.contains("maxmemory-policy allkeys-lru"), "{program}: {said}");
    }
    Ok(())
}

/// With no queue in it a start ends; with one it goes on, for a replica may be a master soon.
#[tokio::test]
async fn a_start_says_that_its_server_is_a_replica() -> Result<()> {
    // of a master that is not there
    for (program, said) in refusals(&Redis::with(&["--replicaof", "127.0.0.1 1"]).await?).await? {
        assert!(said.contains("redis is a replica"), "{program}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_fails_nobody() -> Result<()> {
    let redis = Redis::start().await?;
    let (server, script) = (redis.server(16)?, count());
    for _ in 0..5 {
        try_join_all((0..16).map(|_| count_at(&server, &script, "counted"))).await?;
        told(&redis, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await?;
    }
    assert!(count_at(&server, &script, "counted").await? > 80);
    Ok(())
}

#[tokio::test]
async fn scripts_flushed_under_load_are_no_error_to_anyone() -> Result<()> {
    let redis = Redis::start().await?;
    let (server, script) = (redis.server(16)?, count());
    let load = try_join_all((0..16).map(|_| async {
        for _ in 0..50 {
            count_at(&server, &script, "counted").await?;
        }
        Ok::<_, CallError>(())
    }));
    let flushes = async {
        for _ in 0..50 {
            told(&redis, &["SCRIPT", "FLUSH"]).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let (load, flushes) = join(load, flushes).await;
    flushes?;
    load?;
    assert_eq!(count_at(&server, &script, "counted").await?, 801, "each call once");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_master_no_more_is_left_and_found_again() -> Result<()> {
    let (master, other) = (Redis::start().await?, Redis::start().await?);
    let (server, script) = (master.server(4)?, count());
    count_at(&server, &script, "counted").await?;
    told(&master, &["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await?;
    assert!(matches!(count_at(&server, &script, "counted").await, Err(CallError::Call(_))));
    assert_eq!(server.pool_state().0, 0, "nothing is kept that leads to it");
    told(&master, &["REPLICAOF", "NO", "ONE"]).await?;
    count_at(&server, &script, "counted").await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_loads_its_files_is_waited_for() -> Result<()> {
    let mut redis = Redis::start().await?;
    let (server, script) = (redis.server(4)?, count());
    let mut connection = redis.connection().await?;
    let mut fill = redis::pipe();
    for at in 0..20_000 {
        fill.set(at, "x").ignore();
    }
    fill.query_async::<()>(&mut connection).await?;
    redis.kill()?;
    // it says LOADING for some seconds
    redis.begin_again(&["--key-load-delay", "100"])?;
    until("it loads", async || redis.info("loading").await.is_ok_and(|loading| loading == "1")).await?;
    until("it has loaded", async || {
        let answer = timeout(PATIENCE, count_at(&server, &script, "counted")).await;
        answer.expect("a refusal does not take for ever").is_ok()
    })
    .await?;
    assert_eq!(redis.info("loading").await?, "0");
    Ok(())
}

#[tokio::test]
async fn a_frozen_server_holds_up_nobody_for_long() -> Result<()> {
    let redis = Redis::start().await?;
    let (server, script) = (redis.server(4)?, count());
    count_at(&server, &script, "counted").await?;
    redis.signal(Signal::STOP)?;
    // one after the other they would take minutes, those of each connection a minute and a half
    let calls = futures::future::join_all((0..64).map(|_| count_at(&server, &script, "counted")));
    assert!(timeout(Duration::from_secs(60), calls).await?.iter().all(Result::is_err));
    redis.signal(Signal::CONT)?;
    until("it answers", async || count_at(&server, &script, "counted").await.is_ok()).await?;
    Ok(())
}
