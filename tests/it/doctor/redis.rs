//! Faults of Redis, and of the way to it.

use haul_shared::ids::Shards;
use haul_shared::store::{JobStore, StoreSettings};
use haul_tests::processes::faketime;
use haul_tests::redis::Redis;
use rustix::process::Signal;

use super::*;

#[tokio::test]
async fn a_redis_that_is_not_fit_and_a_clock_that_is_off_are_found_with_their_remedies() -> Result<()> {
    let redis = Redis::with(&["--maxmemory-policy", "allkeys-lru", "--appendonly", "no"]).await?;
    let config = haul_api::config::ApiConfig::from_env(&haul_shared::config::Env::of_pairs::<&str, &str>([]))?;
    let settings =
        StoreSettings { shards: Shards::new(3).context("three")?, ..StoreSettings::of(&config.lives, &config.queue) };
    JobStore::new(redis.server(1)?, settings).agree().await?;
    // so much that what our own connections take is little beside it
    let mut connection = redis.connection().await?;
    ::redis::cmd("SETRANGE").arg("ballast").arg(64 << 20).arg("x").query_async::<()>(&mut connection).await?;
    redis.set("maxmemory", &(redis.info("used_memory").await?.parse::<u64>()? + (4 << 20)).to_string()).await?;

    let (url, data, preload) = (redis.url(), tempfile::tempdir()?, faketime()?.display().to_string());
    let variables = [
        ("HAUL_REDIS_URL", url.as_str()),
        ("HAUL_DATA_DIR", data.path().to_str().context("a path")?),
        ("LD_PRELOAD", preload.as_str()),
        ("FAKETIME", "-1h"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let told = doctor("haul-api", &variables).await?;
    told.finds(&[
        ("redis.eviction", "fail", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction"),
        ("redis.persistence", "warn", "no append-only file", "CONFIG SET appendonly yes"),
        ("redis.memory", "warn", "% of the memory", "maxmemory"),
        ("redis.shards", "fail", "3 shards", "HAUL_QUEUE_SHARDS=3"),
        ("clock.redis", "fail", "differ by 3", "chrony"),
        ("workers.live", "warn", "no live worker", "start haul-worker with HAUL_REGION=default"),
    ]);
    assert_eq!(told.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_redis_that_is_a_replica_is_found_by_both_doctors() -> Result<()> {
    // of a master that is not there
    let (redis, data) = (Redis::with(&["--replicaof", "127.0.0.1 1"]).await?, tempfile::tempdir()?);
    let (url, path) = (redis.url(), format!("{}:/usr/bin:/bin", haul_tests::tools().display()));
    let dir = data.path().to_str().context("a path")?;
    let variables = [("PATH", path.as_str()), ("HAUL_REDIS_URL", &url), ("HAUL_DATA_DIR", dir)];
    for program in ["haul-api", "haul-worker"] {
        let told = doctor(program, &variables).await?;
        told.finds(&[("redis.role", "fail", "is a replica", "HAUL_REDIS_SENTINEL")]);
        assert_eq!(told.code, Some(1), "{program}");
    }
    Ok(())
}

#[tokio::test]
async fn why_redis_does_not_answer_is_told_apart() -> Result<()> {
    let (guarded, hanging, plain) = tokio::try_join!(Redis::start(), Redis::start(), Redis::start())?;
    guarded.set("requirepass", "sesame").await?;
    hanging.signal(Signal::STOP)?;
    let gone = Redis::start().await?.url();
    let tls = plain.url().replace("redis://", "rediss://");
    let wrong = format!("redis://:hunter2@127.0.0.1:{}", guarded.port());
    let cases = [
        (gone.as_str(), "refuses connections", "start redis-server"),
        (&guarded.url(), "refuses the password", "redis://USER:PASSWORD@host:6379"),
        (&wrong, "refuses the password", "redis://USER:PASSWORD@host:6379"),
        (&hanging.url(), "does not answer in time", "see whether Redis hangs"),
        (&tls, "does not answer to TLS", "use redis:// in HAUL_REDIS_URL"),
        ("redis://no-such-host.invalid", "leads to no address", "getent hosts no-such-host.invalid"),
    ];
    let data = tempfile::tempdir()?;
    let dir = data.path().to_str().context("a path")?;
    let looks = cases
        .map(|(url, _, _)| async move { doctor("haul-api", &[("HAUL_REDIS_URL", url), ("HAUL_DATA_DIR", dir)]).await });
    for (told, (url, found, remedy)) in futures::future::try_join_all(looks).await?.into_iter().zip(cases) {
        told.finds(&[("redis.reach", "fail", found, remedy)]);
        assert!(!told.text.contains("hunter2"), "{url}: {}", told.text);
        assert_eq!(told.code, Some(1), "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_is_none_and_a_cache_that_never_makes_room_are_found() -> Result<()> {
    let redis = Redis::start().await?;
    redis.set("maxmemory", "100mb").await?;
    let (url, data) = (redis.url(), tempfile::tempdir()?);
    let cache = url.replace("redis://", "redis://default@");
    let dir = ("HAUL_DATA_DIR", data.path().to_str().context("a path")?);
    let as_cluster = [("HAUL_REDIS_URL", url.as_str()), ("HAUL_REDIS_CLUSTER", "true"), dir];
    let as_cache = [("HAUL_REDIS_URL", url.as_str()), ("HAUL_CACHE_REDIS_URL", &cache), dir];
    let (cluster, cached) = tokio::try_join!(doctor("haul-api", &as_cluster), doctor("haul-api", &as_cache))?;
    cluster.finds(&[("redis.reach", "fail", "is no cluster", "leave HAUL_REDIS_CLUSTER out")]);
    cached.finds(&[("cache.eviction", "warn", "evicts nothing", "allkeys-lru")]);
    assert_eq!(cached.code, Some(0), "a warning passes: {}", cached.text);
    Ok(())
}
