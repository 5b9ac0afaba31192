//! Whole downloads, from POST to link: one small file, twenty of them with four at work, a big file and a stream from a slow
//! site. And fifty who ask for the same at once.
//!
//! What comes out is fetched by its link after the clock has stopped, and compared: a single file by its SHA-256 with the
//! site's, a stream by those of its packets with everybody else's.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Field;
use super::stack::{Stack, Workers};
use super::table::{Better, Table};
use crate::engine::made;
use crate::engine::media::{self, Kind, Medium};
use crate::engine::origin::SENT_PATH;
use crate::engine::ours::{Delivered, Haul};
use crate::engine::scene::Scene;
use crate::engine::spent::{Meter, Spent};
use crate::figures::Rounds;

/// Jobs at work at once: slots of one worker of ours, workers of RQ.
pub const AT_ONCE: usize = 4;

/// Longest that all downloads of a turn may take.
const LIMIT: Duration = Duration::from_secs(180);

/// Who ask for the same.
const CLIENTS: usize = 50;

/// A service that takes part.
pub enum Service {
    /// Ours.
    Ours(Haul),
    /// The usual one.
    Stack(Stack),
}

struct Case {
    title: &'static str,
    kind: Kind,
    megabytes: f64,
    jobs: usize,
    throttled: bool,
}

impl Service {
    /// Those who take part, ours first, and how the table calls them.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn all(field: &mut Field, throttled: bool) -> Result<[Self; 3]> {
        let folder = field.scene.fresh("haul")?;
        let ours = Haul::start(&field.scene.endpoint(throttled), &folder, &[]).await?;
        let fork = field.stack(Workers::Fork(AT_ONCE), throttled).await?;
        let simple = field.stack(Workers::Simple(AT_ONCE), throttled).await?;
        Ok([Self::Ours(ours), Self::Stack(fork), Self::Stack(simple)])
    }

    /// Their names.
    pub const NAMES: [&'static str; 3] = ["Haul", "Stack, RQ forks", "Stack, SimpleWorker"];

    /// Its processes but Redis.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        match self {
            Self::Ours(haul) => vec![haul.api().id(), haul.worker()],
            Self::Stack(stack) => stack.processes(),
        }
    }

    /// Downloads all of these at once.
    ///
    /// # Errors
    /// When one fails, or all take too long.
    pub async fn download(&self, urls: &[String], kind: Kind) -> Result<Vec<Delivered>> {
        let work = async {
            match self {
                Self::Ours(haul) => {
                    let format = if kind == Kind::Progressive { "original" } else { "mp4" };
                    let order =
                        |url| json!({ "url": url, "format": format, "embed_metadata": false, "embed_chapters": false });
                    haul.download(&urls.iter().map(order).collect::<Vec<_>>()).await
                }
                Self::Stack(stack) => stack.download(urls).await,
            }
        };
        tokio::time::timeout(LIMIT, work).await.context("it took too long")?
    }

    /// Waits until nothing is done for these any more: ours makes thumbnails, and what it spends on them counts.
    async fn settle(&self, delivered: &[Delivered]) -> Result<()> {
        match self {
            Self::Ours(haul) => haul.have_thumbnails(delivered).await,
            Self::Stack(_) => Ok(()),
        }
    }
}

/// Measures downloads.
///
/// # Errors
/// When a part does not start, or one of the services does not deliver the goods.
pub async fn run(field: &mut Field) -> Result<Table> {
    let share = field.plan.share() as f64;
    let case = |title, kind, megabytes, jobs, throttled| Case { title, kind, megabytes, jobs, throttled };
    let cases = [
        case("1 MB", Kind::Progressive, 1.0, 1, false),
        case("20 × 1 MB, four at work", Kind::Progressive, 1.0, 20, false),
        case("100 MB, slow site", Kind::Progressive, 100.0 / share, 1, true),
        case("HLS of 20 MB, slow site", Kind::HlsTs, 20.0 / share, 1, true),
    ];
    let mut table = Table::of("From POST to link", Service::NAMES);
    for throttled in [false, true] {
        let services = Service::all(field, throttled).await?;
        for case in cases.iter().filter(|case| case.throttled == throttled) {
            let medium = made(case.kind, case.megabytes).await?;
            let [mut seconds, mut cpu, mut peak] = [const { [const { Rounds::new() }; 3] }; 3];
            let mut goods = None;
            // the first turn finds connections and caches cold, and does not count
            for round in 0..=field.plan.rounds {
                for (at, service) in services.iter().enumerate() {
                    let who = || format!("{}: {}", case.title, Service::NAMES[at]);
                    let (took, spent) = turn(field, service, case, &medium, &mut goods).await.with_context(who)?;
                    if round > 0 {
                        seconds[at].add(took);
                        cpu[at].add(spent.cpu_seconds);
                        peak[at].add(spent.peak_bytes as f64 / 1e6);
                    }
                }
            }
            table.row(&format!("{}: seconds", case.title), Better::Less, seconds.into());
            table.row(&format!("{}: CPU seconds", case.title), Better::Less, cpu.into());
            table.row(&format!("{}: peak memory, MB", case.title), Better::Less, peak.into());
        }
    }
    Ok(table)
}

async fn turn(
    field: &mut Field,
    service: &Service,
    case: &Case,
    medium: &Medium,
    goods: &mut Option<String>,
) -> Result<(f64, Spent)> {
    let urls: Vec<_> = (0..case.jobs).map(|_| field.scene.address(&medium.path, case.throttled)).collect();
    let meter = Meter::of_running(service.processes());
    let began = Instant::now();
    let delivered = service.download(&urls, case.kind).await;
    let took = began.elapsed().as_secs_f64();
    let delivered = delivered?;
    service.settle(&delivered).await?;
    let spent = meter.finish()?;
    for one in &delivered {
        let content = content(&field.scene, one, case.kind).await?;
        let due = match goods {
            Some(due) => due,
            None if case.kind == Kind::Progressive => goods.insert(sha256(&fs::read(media::on_disk(&medium.path)?)?)),
            None => goods.insert(content.clone()),
        };
        ensure!(content == *due, "what came out of {} is not what it should be", one.job);
    }
    field.scene.empty_store()?;
    Ok((took, spent))
}

/// What a link leads to, in short.
async fn content(scene: &Scene, delivered: &Delivered, kind: Kind) -> Result<String> {
    let answer = reqwest::Client::builder().no_proxy().build()?.get(&delivered.link).timeout(LIMIT).send().await?;
    let bytes = answer.error_for_status()?.bytes().await?;
    ensure!(bytes.len() as u64 == delivered.size_bytes, "a link leads to {} bytes", bytes.len());
    if kind == Kind::Progressive {
        return Ok(sha256(&bytes));
    }
    let file = scene.fresh("goods")?.join("media.mp4");
    fs::write(&file, &bytes)?;
    packets(scene, &file).await
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of each stream's packets, however they are wrapped.
async fn packets(scene: &Scene, file: &Path) -> Result<String> {
    let mut command = tokio::process::Command::from(scene.command("ffmpeg"));
    command.args(["-v", "error", "-i"]).arg(file).args([
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "streamhash",
        "-hash",
        "sha256",
        "-",
    ]);
    let output = command.kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Measures fifty clients who ask for the same.
///
/// # Errors
/// As [`run`].
pub async fn dedup(field: &mut Field) -> Result<Table> {
    let medium = made(Kind::Progressive, 20.0 / field.plan.share() as f64).await?;
    let mut table = Table::of(&format!("{CLIENTS} clients ask for the same 20 MB at once, slow site"), Service::NAMES);
    let services = Service::all(field, true).await?;
    let [mut seconds, mut fetched] = [const { [const { Rounds::new() }; 3] }; 2];
    for round in 0..=field.plan.rounds {
        for (at, service) in services.iter().enumerate() {
            let url = field.scene.address(&medium.path, true);
            let before = sent(&field.scene).await?;
            let began = Instant::now();
            service.download(&vec![url; CLIENTS], Kind::Progressive).await.context(Service::NAMES[at])?;
            if round > 0 {
                seconds[at].add(began.elapsed().as_secs_f64());
                fetched[at].add((sent(&field.scene).await? - before) as f64 / medium.bytes as f64);
            }
            field.scene.empty_store()?;
        }
    }
    table.row("until the last has a link, seconds", Better::Less, seconds.into());
    table.row("how often the site sent it", Better::Less, fetched.into());
    Ok(table)
}

/// Bytes of files that the site has sent.
async fn sent(scene: &Scene) -> Result<u64> {
    let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
    Ok(http.get(format!("http://{}{SENT_PATH}", scene.site())).send().await?.text().await?.parse()?)
}
