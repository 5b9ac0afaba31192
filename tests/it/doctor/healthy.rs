//! Where all is well the doctor says so, and leaves nothing behind.

use std::net::IpAddr;
use std::path::Path;

use haul_tests::processes::until;
use haul_tests::redis::Redis;
use haul_tests::world::{self, World};

use super::*;

/// What is not a matter of the set-up, but of the machine and the day of the test.
const OF_THE_MACHINE: [&str; 5] =
    ["programs.ytdlp_age", "scratch.memory", "limits.files", "limits.memory", "redis.latency"];

fn files(top: &Path) -> usize {
    let (mut files, mut folders) = (0, vec![top.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files += 1 }
        }
    }
    files
}

#[test]
fn a_service_that_is_well_is_told_so_and_is_not_disturbed() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[("HAUL_SITE_RUNNING_LIMIT", "off")]).await?;
        world.names.set("example.com", &[IpAddr::from([93, 184, 215, 14])]);
        let worker = world.house.worker(&[("HAUL_REGION", "a,b")]).await?;
        let (at, worker_at) = (world.house.api.address().to_string(), worker.address().to_string());
        for (program, listen, own, address) in [
            ("haul-api", "HAUL_LISTEN", at.as_str(), "api.address"),
            ("haul-worker", "HAUL_WORKER_LISTEN", &worker_at, "worker.address"),
        ] {
            let output = world.house.doctor(program, &[(listen, own)]).await?;
            let told = Told::of(&output)?;
            let ills: Vec<_> = told.ills().into_iter().filter(|name| !OF_THE_MACHINE.contains(name)).collect();
            assert_eq!(ills, [""; 0], "{program}: {}", told.text);
            assert_eq!(told.code, Some(0), "{program}: {}", told.text);
            let served = told.checks.iter().find(|check| check["name"] == address).context("an address")?;
            assert!(served["found"].as_str().is_some_and(|found| found.contains("is served, and ready")), "{served}");
        }
        assert!(worker.says_ready().await && world.house.api.says_ready().await);
        assert_eq!(world.house.stored(), 0);
        until("its scratch is gone", async || world.house.scratch_files() == 0).await?;
        Ok(())
    })
}

#[tokio::test]
async fn nothing_is_made_by_who_only_looks() -> Result<()> {
    let (redis, top) = (Redis::start().await?, tempfile::tempdir()?);
    let (url, data) = (redis.url(), top.path().join("data").display().to_string());
    let path = format!("{}:/usr/bin:/bin", haul_tests::tools().display());
    let variables = [("PATH", path.as_str()), ("HAUL_REDIS_URL", &url), ("HAUL_DATA_DIR", &data)];
    let (api, worker) = tokio::try_join!(doctor("haul-api", &variables), doctor("haul-worker", &variables))?;
    for told in [&api, &worker] {
        let store = told.checks.iter().find(|check| check["name"] == "store.directory").context("the store")?;
        assert_eq!(store["status"], "ok", "{}", told.text);
    }
    let keys: u64 = ::redis::cmd("DBSIZE").query_async(&mut redis.connection().await?).await?;
    assert_eq!((keys, files(top.path()), top.path().join("data").exists()), (0, 0, false));
    let scripts = redis.info("number_of_cached_scripts").await?;
    assert_eq!(scripts, "0");
    Ok(())
}
