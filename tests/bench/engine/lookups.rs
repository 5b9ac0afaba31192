//! Metadata: how fast a hit and a miss are answered, against a cold `yt-dlp -J` of the same address, and how many
//! extractions a second four askers get.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;

use super::media::Medium;
use super::ours::Haul;
use super::scene::Scene;
use crate::figures::{Rounds, begin, compare, remark};

/// Hits that are asked for, one after the other.
const HITS: usize = 500;

/// Misses, each beside a cold yt-dlp, per round.
const MISSES: usize = 5;

/// Who asks at once, and how often each.
const ASKERS: usize = 4;
const EACH: usize = 10;

/// Longest that yt-dlp may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run(scene: &mut Scene, haul: &Haul, medium: &Medium, rounds: usize) -> Result<()> {
    begin("metadata of an HLS master");
    let mut hits = Rounds::new();
    let known = scene.address(&medium.path, false);
    haul.metadata(&known).await?;
    for _ in 0..HITS {
        let began = Instant::now();
        let is = haul.metadata(&known).await?;
        hits.add(began.elapsed().as_secs_f64() * 1e3);
        ensure!(is == "hit", "what is known is a {is}");
    }
    compare("ms of a hit, p50, as the client sees it / bound", hits.median(), 1.0, "<= 1");
    remark(&format!("p95 {:.2} ms; the way over loopback is in it", hits.at(0.95)));

    let (mut misses, mut colds, mut rates) = (Rounds::new(), Rounds::new(), Rounds::new());
    for _ in 0..rounds {
        for _ in 0..MISSES {
            let address = scene.address(&medium.path, false);
            let began = Instant::now();
            let is = haul.metadata(&address).await?;
            misses.add(began.elapsed().as_secs_f64());
            ensure!(is == "miss", "what nobody asked for is a {is}");
            colds.add(cold(scene, &address).await?);
        }
        let asked: Vec<Vec<String>> =
            (0..ASKERS).map(|_| (0..EACH).map(|_| scene.address(&medium.path, false)).collect()).collect();
        let began = Instant::now();
        let askers = asked.iter().map(|addresses| async move {
            for address in addresses {
                haul.metadata(address).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(askers).await?;
        rates.add((ASKERS * EACH) as f64 / began.elapsed().as_secs_f64());
    }
    compare("seconds of a cold yt-dlp -J / of a miss", colds.median(), misses.median(), ">= 5");
    remark(&format!("noise: {:.0} % of the miss, {:.0} % of yt-dlp", misses.noise() * 100.0, colds.noise() * 100.0));
    compare("extractions per second, four in flight / bound", rates.median(), 15.0, ">= 1");
    Ok(())
}

/// Seconds of a cold `yt-dlp -J`.
async fn cold(scene: &Scene, address: &str) -> Result<f64> {
    let mut command = scene.command("yt-dlp");
    command.args(["--ignore-config", "-J", address]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut process = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
    let status = tokio::time::timeout(PATIENCE, process.wait()).await.context("yt-dlp took too long")??;
    ensure!(status.success(), "yt-dlp ended with {status}");
    Ok(began.elapsed().as_secs_f64())
}
