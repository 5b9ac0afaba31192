//! What the guard and the sandbox cost a download of one big file, in bytes per second.
//!
//! yt-dlp alone, over http and over TLS, through a guard and without; curl the same, which does next to nothing itself, so
//! that it shows the guard's own pace; and the service, with the best tier of the sandbox that works here and with none, by
//! the relay and by yt-dlp's own way. The service has no way past its guard: of that, the first two tell.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::media::{Kind, Medium};
use super::ours::{Delivered, Haul};
use super::scene::Scene;
use super::{PATIENCE, PATIENCE_PER_MB, made};
use crate::figures::{Rounds, begin, compare_pairs, remark};
use crate::roles::Part;

const AIM: &str = ">= 0.90";

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// Megabytes of the file
    #[arg(long, default_value_t = 500.0)]
    size: f64,
    /// Turns of each
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

/// A program that fetches a file.
#[derive(Debug, Clone, Copy)]
enum Fetcher {
    Ytdlp,
    Curl,
}

impl Fetcher {
    const fn program(self) -> &'static str {
        match self {
            Self::Ytdlp => "yt-dlp",
            Self::Curl => "curl",
        }
    }

    /// Of the site over TLS nobody asks who it is.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Ytdlp => &["--ignore-config", "--quiet", "--no-warnings", "--no-check-certificates", "-N", "1"],
            Self::Curl => &["--silent", "--fail", "--insecure"],
        }
    }
}

/// Who brings the bytes, as `result.delivery` has it.
#[derive(Debug, Clone, Copy)]
enum Way {
    Relay,
    Ytdlp,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Ytdlp => "ytdlp",
        }
    }

    /// What follows an address. A site without ranges can't be relayed.
    const fn end(self) -> &'static str {
        match self {
            Self::Relay => "",
            Self::Ytdlp => "&whole",
        }
    }
}

/// Measures.
///
/// # Errors
/// When a part does not start, or a download does not bring the file.
pub async fn run(plan: &Plan) -> Result<()> {
    let medium = made(Kind::Progressive, plan.size).await?;
    let limit = PATIENCE + PATIENCE_PER_MB.mul_f64(plan.size);
    let mut scene = Scene::set().await?;
    let guard = Aside::start(&["guard"]).await?;
    let secure = Aside::start(&["secure", &scene.site().to_string()]).await?;
    begin(&format!("guarded: one file of {:.0} MB, MB per second", medium.bytes as f64 / 1e6));

    for (name, fetcher, aim) in [("yt-dlp -N 1", Fetcher::Ytdlp, AIM), ("curl", Fetcher::Curl, "")] {
        for (how, site) in [("http", scene.site()), ("https", secure.address)] {
            let origin = format!("{how}://{site}");
            let (mut guarded, mut bare) = (Rounds::new(), Rounds::new());
            for _ in 0..plan.rounds {
                guarded.add(alone(&mut scene, &medium, fetcher, &origin, Some(guard.address), limit).await?);
                bare.add(alone(&mut scene, &medium, fetcher, &origin, None, limit).await?);
            }
            tell(&format!("{name}, {how}, through the guard: direct"), &guarded, &bare, aim);
        }
    }

    let confined = service(&scene, "confined", "auto").await?;
    let free = service(&scene, "free", "off").await?;
    for way in [Way::Relay, Way::Ytdlp] {
        let (mut with, mut without) = (Rounds::new(), Rounds::new());
        for _ in 0..plan.rounds {
            with.add(ordered(&mut scene, &medium, &confined, way, limit).await?);
            without.add(ordered(&mut scene, &medium, &free, way, limit).await?);
        }
        tell(&format!("a job, delivered by {}: without the sandbox", way.name()), &with, &without, AIM);
    }
    Ok(())
}

/// A part, and where it is.
struct Aside {
    address: SocketAddr,
    _part: Part,
}

impl Aside {
    async fn start(arguments: &[&str]) -> Result<Self> {
        let mut part = Part::start(arguments).await?;
        let address = part.line().await?.parse()?;
        Ok(Self { address, _part: part })
    }
}

fn tell(name: &str, value: &Rounds, floor: &Rounds, aim: &str) {
    compare_pairs(name, value, floor, aim);
    remark(&format!("noise: {:.0} %, of the floor {:.0} %", value.noise() * 100.0, floor.noise() * 100.0));
}

async fn service(scene: &Scene, name: &str, sandbox: &str) -> Result<Haul> {
    let folder = scene.fresh(name)?;
    Haul::start(&scene.endpoint(false), &folder, &[("HAUL_SANDBOX", sandbox)]).await
}

/// By one program and nobody else: MB per second, its start included.
async fn alone(
    scene: &mut Scene,
    medium: &Medium,
    fetcher: Fetcher,
    origin: &str,
    guard: Option<SocketAddr>,
    limit: Duration,
) -> Result<f64> {
    let file = scene.fresh("alone")?.join("media.mp4");
    let mut command = tokio::process::Command::from(scene.command(fetcher.program()));
    command.args(fetcher.arguments()).arg("-o").arg(&file);
    if let Some(guard) = guard {
        command.args(["--proxy", &format!("http://{guard}")]);
    }
    let url = scene.address(&medium.path, false);
    let url = url.replacen(&format!("http://{}", scene.site()), origin, 1);
    command.arg(url).stdin(Stdio::null()).kill_on_drop(true);
    let began = Instant::now();
    let status = tokio::time::timeout(limit, command.status()).await.context("it took too long")??;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(status.success() && bytes(&file)? == medium.bytes, "it ended with {status} and without the file");
    Ok(rate(medium, seconds))
}

/// By the service, from POST to link: MB per second.
async fn ordered(scene: &mut Scene, medium: &Medium, haul: &Haul, way: Way, limit: Duration) -> Result<f64> {
    let url = scene.address(&medium.path, false) + way.end();
    let order = json!({"url": url, "format": "original", "embed_metadata": false, "embed_chapters": false});
    let began = Instant::now();
    let delivered = tokio::time::timeout(limit, haul.download(&[order])).await.context("it took too long")??;
    let seconds = began.elapsed().as_secs_f64();
    haul.have_thumbnails(&delivered).await?;
    for Delivered { job, size_bytes: bytes, .. } in &delivered {
        let delivery = haul.delivery(job).await?;
        ensure!(*bytes == medium.bytes && delivery == way.name(), "{bytes} bytes came by {delivery}");
    }
    scene.empty_store()?;
    Ok(rate(medium, seconds))
}

fn rate(medium: &Medium, seconds: f64) -> f64 {
    medium.bytes as f64 / 1e6 / seconds
}

fn bytes(file: &Path) -> Result<u64> {
    Ok(file.metadata()?.len())
}
