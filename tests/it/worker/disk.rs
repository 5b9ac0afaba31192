//! No download is begun that the disk has no room for.

use std::fs;

use haul_shared::store::Cancelled;
use haul_tests::origin::Fault;
use haul_tests::processes::until;
use haul_tests::site::{Answer, send};
use haul_tests::small_disk::MountedDisk;
use haul_tests::world::inside;

use super::*;

const MIB: u64 = 1 << 20;

/// What the worker answers on its own port.
async fn ask(worker: &Worker, path: &str) -> Result<Answer> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    send(http.get(worker.url(path))).await
}

/// What the worker says of its disk, and whether it takes jobs.
async fn says(worker: &Worker) -> Result<(u16, String)> {
    let answer = ask(worker, "/readyz").await?;
    Ok((answer.status.as_u16(), answer.json()["disk"].as_str().unwrap_or_default().to_owned()))
}

#[test]
fn a_worker_without_room_takes_no_download_and_says_so() -> Result<()> {
    inside(async || {
        let (shop, disk) = (Shop::open().await?, MountedDisk::mount(32 * MIB)?);
        let ballast = disk.path().join("ballast");
        fs::write(&ballast, vec![0; 10 * MIB as usize])?;
        let work = disk.path().join("work").display().to_string();
        let worker = shop.worker(&[("HAUL_WORK_DIR", &work), ("HAUL_MIN_FREE_DISK", "24MiB")]).await?;
        assert_eq!(says(&worker).await?, (503, "full".to_owned()));
        let metrics = String::from_utf8(ask(&worker, "/metrics").await?.body)?;
        let free = metrics.lines().find_map(|line| line.strip_prefix("haul_worker_disk_free_bytes "));
        assert!(free.and_then(|bytes| bytes.parse().ok()).is_some_and(|bytes: u64| bytes < 24 * MIB), "{metrics}");

        until("it has said so to everybody", async || {
            shop.store.stats().await.is_ok_and(|stats| stats.workers.iter().any(|worker| worker.disk_full))
        })
        .await?;

        let download = shop.submit(&shop.origin.url("/progressive.mp4")).await?;
        // it works: a look at metadata needs no room
        let look = shop.look(&shop.origin.url("/progressive.mp4")).await?;
        assert_eq!(shop.end(look).await?.kind(), StateKind::Completed);
        assert_eq!(shop.job(download).await?.state.kind(), StateKind::Queued);

        fs::remove_file(&ballast)?;
        assert_eq!(shop.end(download).await?.kind(), StateKind::Completed);
        until("there is room", async || says(&worker).await.is_ok_and(|said| said == (200, "ok".to_owned()))).await?;
        Ok(())
    })
}

#[test]
fn what_a_download_under_way_still_needs_is_no_room_for_another() -> Result<()> {
    inside(async || {
        let (shop, disk) = (Shop::open().await?, MountedDisk::mount(32 * MIB)?);
        let work = disk.path().join("work").display().to_string();
        // enough for one and a half
        let worker =
            shop.worker(&[("HAUL_WORK_DIR", &work), ("HAUL_MIN_FREE_DISK", "20MiB"), ("HAUL_SLOTS", "2")]).await?;
        // nobody can tell yet how large it is: it has what it was promised
        let first = shop.submit(&shop.origin.spoilt(Fault::Hang, "/progressive.mp4")).await?;
        shop.until(first, is(StateKind::Running)).await?;
        assert_eq!(says(&worker).await?, (503, "full".to_owned()));
        let second = shop.submit(&shop.origin.url("/progressive.mp4")).await?;
        let look = shop.look(&shop.origin.url("/progressive.mp4")).await?;
        assert_eq!(shop.end(look).await?.kind(), StateKind::Completed);
        assert_eq!(shop.job(second).await?.state.kind(), StateKind::Queued);
        assert_eq!(shop.store.cancel(first).await?, Cancelled::Stopping);
        assert_eq!(shop.end(second).await?.kind(), StateKind::Completed);
        Ok(())
    })
}
