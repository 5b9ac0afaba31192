//! What the launcher and the sandbox cost: from the start of a program to its end, by itself, without a sandbox, and in each
//! tier, in turns.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use haul_tests::media::program;
use haul_worker::process::{Spec, Watch, output};
use haul_worker::sandbox::{Sandbox, Tier, Wanted};
use haul_worker::ytdlp::{Bounds, WarmSettings, Ytdlp};
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::figures::{Rounds, begin, compare, remark};

/// Starts of each.
const ROUNDS: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures `true`, `ffmpeg -version`, and an extraction of a single file in a warm extractor.
///
/// # Errors
/// When a part does not do what it should.
pub async fn run() -> Result<()> {
    begin(
        "start: ms from a program's start to its end (the floor is the program by itself; of the warm one, no sandbox)",
    );
    let home = TempDir::new()?;
    let tiers = [Tier::Off, Tier::B, Tier::A];
    let mut sandboxes = Vec::new();
    for tier in tiers {
        sandboxes.push(Sandbox::establish(Wanted::Exactly(tier), home.path(), None).await?);
    }
    for (name, path, words) in [("true", "/bin/true".into(), &[][..]), ("ffmpeg", program("ffmpeg"), &["-version"])] {
        let [mut floor, mut off, mut b, mut a] = [const { Rounds::new() }; 4];
        for _ in 0..ROUNDS {
            floor.add(by_itself(&path, words).await?);
            for (sandbox, rounds) in sandboxes.iter().zip([&mut off, &mut b, &mut a]) {
                rounds.add(started(sandbox, home.path(), &path, words).await?);
            }
        }
        tell(name, &floor, &[("without a sandbox", off), ("in tier B", b), ("in tier A", a)]);
    }
    let origin = haul_tests::origin::Origin::start().await;
    let mut warm = Vec::new();
    for sandbox in &sandboxes {
        let settings = WarmSettings { servers: 1, jobs_each: 10_000, home: home.path().to_owned() };
        let ytdlp =
            Ytdlp::new(haul_tests::ytdlp(haul_tests::tools().join("yt-dlp"))).confined(sandbox).warmed(settings);
        ytdlp.begun().await;
        warm.push(ytdlp);
    }
    let url = haul_shared::source::SourceUrl::read(&origin.url("/progressive.mp4"))?;
    let [mut off, mut b, mut a] = [const { Rounds::new() }; 3];
    for _ in 0..ROUNDS {
        for ((sandbox, ytdlp), rounds) in sandboxes.iter().zip(&warm).zip([&mut off, &mut b, &mut a]) {
            rounds.add(extracted(ytdlp, sandbox, home.path(), &url).await?);
        }
    }
    tell("warm extraction", &off, &[("in tier B", b), ("in tier A", a)]);
    Ok(())
}

fn tell(name: &str, floor: &Rounds, measured: &[(&str, Rounds)]) {
    for (how, rounds) in measured {
        compare(&format!("{name}, {how}"), rounds.median(), floor.median(), "at most 15 ms more");
        remark(&format!("p95 {:.1} ms, of the floor {:.1} ms", rounds.at(0.95), floor.at(0.95)));
    }
}

async fn by_itself(program: &Path, words: &[&str]) -> Result<f64> {
    let began = Instant::now();
    let output = Command::new(program).args(words).env_clear().stdin(Stdio::null()).output().await?;
    ensure!(output.status.success(), "{}", output.status);
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

async fn started(sandbox: &Sandbox, dir: &Path, program: &Path, words: &[&str]) -> Result<f64> {
    let spec = Spec::new(program, dir).args(words).sandbox(sandbox);
    let began = Instant::now();
    let output = output(&spec, &Watch::new(PATIENCE, PATIENCE, CancellationToken::new())).await?;
    ensure!(output.ended.is_success(), "{}: {}", output.ended, output.stderr_tail);
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// From the question to the answer; the guard's way to the origin is part of all of them.
async fn extracted(ytdlp: &Ytdlp, sandbox: &Sandbox, home: &Path, url: &haul_shared::source::SourceUrl) -> Result<f64> {
    let dir = tempfile::Builder::new().prefix("job-").tempdir_in(home)?;
    let guards = haul_tests::guards(&["127.0.0.1/32"]).found_at(sandbox.guard_inside());
    let cancel = CancellationToken::new();
    let guard = guards.attempt(&cancel);
    let bounds = Bounds { wall: PATIENCE, silence: PATIENCE, file_size: None, cpu: PATIENCE, cancel, guard };
    let began = Instant::now();
    let found = ytdlp.extract(url, 1, dir.path(), &bounds).await;
    let took = began.elapsed().as_secs_f64() * 1e3;
    match found {
        Ok((_, session)) => session.end().await,
        Err(failure) => anyhow::bail!("{}", failure.detail),
    }
    Ok(took)
}
