//! Everything at once, at random: processes die and sleep, Redis dies and stops, wires break, answers are lost, while
//! clients order and cancel. A minute of it belongs to every run of the tests, an hour to `tests/run --soak`.
//!
//! The same seed makes the same things happen, at about the same times.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use haul_tests::chaos::Chaos;
use haul_tests::crowd::{Crowd, Promise};

use super::*;

/// A minute, unless `tests/run --soak` says otherwise.
const SECONDS: Option<&str> = option_env!("CHAOS_SECONDS");

/// Any, unless one that failed is to be seen again.
const SEED: Option<&str> = option_env!("CHAOS_SEED");

/// The end of what was cancelled when it had just been completed: a `DELETE` then removes it.
const FORGOTTEN: &str = "forgotten";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_nothing_is_lost_and_nothing_happens_twice() -> Result<()> {
    let time = Duration::from_secs(SECONDS.map_or(Ok(60), str::parse)?);
    let seed = SEED.map_or_else(|| Ok(rand::random()), str::parse)?;
    let mut chaos = Chaos::open(seed).await?;
    let outcome = survive(&mut chaos, seed, time).await;
    outcome.with_context(|| format!("to see it again: CHAOS_SEED={seed}\n{}", chaos.diary()))
}

async fn survive(chaos: &mut Chaos, seed: u64, time: Duration) -> Result<()> {
    let crowd = Crowd::gather(2, seed, &chaos.doors(), &chaos.house.origin);
    chaos.rage(time).await?;
    let (promises, broken) = crowd.leave();
    ensure!(broken.is_empty(), "{broken:#?}");
    // twenty a second, less what nobody could take
    ensure!(promises.len() as u64 > time.as_secs(), "there were only {} orders", promises.len());

    // also those whose clients never heard of their 202
    let mut connection = chaos.house.redis.connection().await?;
    let unfinished = async || -> Result<u64> {
        Ok(redis::cmd("ZCARD").arg("haul1:{0}:live").query_async(&mut connection.clone()).await?)
    };
    until("all jobs have ended", async || unfinished().await.is_ok_and(|jobs| jobs == 0)).await?;
    let ends = ends(&chaos.house, &promises).await?;
    let counted = async |what: &str| -> Result<usize> {
        Ok(redis::cmd("HLEN").arg(format!("haul1:{{0}}:{what}")).query_async(&mut connection.clone()).await?)
    };
    ensure!(counted("rulings").await? + counted("tried").await? > 0, "no yt-dlp was on trial");
    chaos.end().await?;

    let _sweeper = chaos.house.worker(&[]).await?;
    until("scratch is empty", async || chaos.house.scratch_files() == 0).await?;
    audit(&chaos.house.redis).await?;
    for left in ["lease", "delay", "live", "run", "load", "c:*", "ring:*", "park:*", "q:*"] {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("haul1:{{0}}:{left}")).query_async(&mut connection).await?;
        ensure!(keys.is_empty(), "{keys:?}");
    }
    let forgotten = ends.get(FORGOTTEN).copied().unwrap_or_default();
    results(&chaos.house, &mut connection, forgotten).await?;
    ensure!(ends.get("completed").copied().unwrap_or_default() > promises.len() / 2, "{ends:?}");
    Ok(())
}

/// How everything that was promised has ended. Nothing is gone, and nothing ended as nobody wanted.
async fn ends(house: &House, promises: &BTreeMap<String, Promise>) -> Result<BTreeMap<String, usize>> {
    let mut ends = BTreeMap::new();
    for (id, promise) in promises {
        let answer = house.get(&format!("{DOWNLOADS}/{id}")).await?;
        let view = answer.json();
        let end = match view["error"]["code"].as_str() {
            Some(code) => code.to_owned(),
            None => view["status"].as_str().unwrap_or(FORGOTTEN).to_owned(),
        };
        let is_kept = promise.ends.contains(&end.as_str())
            || end == "worker_lost"
            || (promise.is_cancelled && (end == "cancelled" || end == FORGOTTEN));
        ensure!(is_kept, "{id}, {promise:?}: {} {view}", answer.status);
        *ends.entry(end).or_default() += 1;
    }
    Ok(ends)
}

/// Each completed job was completed once and has one object, its own; there is no other that nobody will remove.
async fn results(house: &House, connection: &mut redis::aio::MultiplexedConnection, forgotten: usize) -> Result<()> {
    let jobs: Vec<String> = redis::cmd("KEYS").arg("haul1:{0}:j:*").query_async(connection).await?;
    let mut published = BTreeMap::new();
    for key in &jobs {
        let fields: (String, Option<String>, Option<String>) =
            redis::cmd("HMGET").arg(key).arg(&["st", "obj", "tok"]).query_async(connection).await?;
        if let (state, Some(entry), Some(fence)) = fields {
            // the result comes first, and what lies beside it after a space
            let first = entry.split(' ').next().unwrap_or_default();
            let object = first.split_once(':').context("a size and a name")?.1.to_owned();
            ensure!(state == "completed", "{key} is {state} and has a result");
            let of_newest = object.split('/').nth(2) == Some(fence.as_str());
            ensure!(of_newest, "{key}: {object} is of an older attempt than {fence}");
            published.insert(object, key.clone());
        }
    }
    let completed: usize =
        redis::cmd("HGET").arg("haul1:{0}:count").arg("download:completed").query_async(connection).await?;
    let repaired: Option<u64> =
        redis::cmd("HGET").arg("haul1:{0}:count").arg("repaired").query_async(connection).await?;
    ensure!(repaired.is_none(), "{repaired:?} things had to be put right");
    let jobs = published.len()..=published.len() + forgotten;
    ensure!(jobs.contains(&completed), "{completed} completions of {jobs:?} jobs");

    let noted: Vec<String> = redis::cmd("ZRANGE").arg("haul1:{0}:gc").arg(0).arg(-1).query_async(connection).await?;
    let objects = house.objects();
    let mut stored = Vec::new();
    files(&objects, &mut stored)?;
    for file in &stored {
        // what its writer did not live to finish goes with the object
        let name = file.strip_prefix(&objects)?.to_string_lossy();
        let name = name.strip_suffix(".part").unwrap_or(&name).to_owned();
        let is_known = published.contains_key(&name) || noted.iter().any(|entry| entry.ends_with(&name));
        ensure!(is_known, "nobody knows of {name}");
    }
    for (object, job) in &published {
        let Ok(bytes) = fs::read(objects.join(object)) else {
            let record: Vec<String> = redis::cmd("HGETALL").arg(job).query_async(connection).await?;
            anyhow::bail!("the result of {job} is not there: {record:?}");
        };
        // what needs no programs writes the name of its object into it
        ensure!(!bytes.starts_with(b"m/") || bytes == object.as_bytes(), "{object} holds another one");
    }
    Ok(())
}

fn files(below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(below)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files(&entry.path(), found)?;
        } else if entry.file_name().to_string_lossy().starts_with("media.") {
            found.push(entry.path());
        }
    }
    Ok(())
}
