//! The engine: downloads from the order to the link, side by side with what others do with the same media.
//!
//! A case is a medium, a site and a store; its rivals take turns, round by round, so that whatever else the machine does
//! hits all of them. What each spends is read from `/proc` the same way for all (`spent`).
//!
//! Not here: what the figures mean (`docs/BENCHMARKS.md`).

mod cases;
mod commands;
pub mod guarded;
mod lookups;
pub mod media;
pub mod origin;
pub mod ours;
mod report;
pub mod scene;
mod services;
mod shaper;
pub mod spent;
pub mod store;
pub mod ways;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use cases::{Case, METADATA, Rival};
use media::{Kind, Medium};
use ours::Haul;
use report::{Measured, Run};
use scene::Scene;
use services::Service;
use spent::Meter;

use crate::figures::remark;
use crate::others::Programs;

/// What a run may take beside its bytes, and what it may take for a megabyte: five times as long as one slow connection.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENCE_PER_MB: Duration = Duration::from_secs(1);

/// Less than this part of the medium is no delivery, whatever the program says.
const GOODS: f64 = 0.85;

/// What is measured, and how much of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// The cases: progressive, hls-fmp4, hls-ts, dash, small, small20, hls20, metadata; all of them when none is named
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// The rivals, by the names in the table; all of them when none is named
    #[arg(long, value_delimiter = ',', value_parser = Rival::named)]
    rivals: Vec<Rival>,
    /// Only the slow site, or only the fast one, for cases that have both
    #[arg(long, value_parser = ["throttled", "plain"])]
    origin: Option<String>,
    /// Turns that each rival has [default: 3, with --full 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Megabytes of the progressive file [default: 40, with --full 515]
    #[arg(long)]
    size: Option<f64>,
    /// Megabytes of an HLS or DASH stream [default: 40, with --full 312]
    #[arg(long)]
    stream_size: Option<f64>,
    /// Megabytes of each of the twenty streams of hls20 [default: 10, with --full 200]
    #[arg(long)]
    many_size: Option<f64>,
    /// The sizes that the engine is judged by; takes an hour
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    programs: Programs,
}

impl Plan {
    fn size(&self) -> f64 {
        self.size.unwrap_or(if self.full { 515.0 } else { 40.0 })
    }

    fn stream_size(&self) -> f64 {
        self.stream_size.unwrap_or(if self.full { 312.0 } else { 40.0 })
    }

    fn many_size(&self) -> f64 {
        self.many_size.unwrap_or(if self.full { 200.0 } else { 10.0 })
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.full { 1 } else { 3 })
    }

    fn takes(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| name == case)
    }
}

/// Measures. Interrupted, it ends what it has started, and leaves nothing but the media.
///
/// # Errors
/// When a part does not start, or Haul fails where a rival does not.
pub async fn run(plan: Plan) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        measured = measure(&plan) => measured,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn measure(plan: &Plan) -> Result<()> {
    let mut cases = cases::of(plan);
    if let Some(origin) = &plan.origin {
        cases.retain(|case| case.throttled == (origin == "throttled"));
    }
    ensure!(!cases.is_empty() || plan.takes(METADATA), "no such case");
    let small = made(Kind::Progressive, 1.0).await?;
    let mut bench = Bench { plan, scene: Scene::set().await?, small, failed: Vec::new() };
    for case in &cases {
        bench.case(case).await?;
    }
    if plan.takes(METADATA) {
        let folder = bench.scene.fresh("haul")?;
        let haul = Haul::start(&bench.scene.endpoint(false), &folder, &[]).await?;
        let medium = made(Kind::HlsFmp4, plan.stream_size()).await?;
        lookups::run(&mut bench.scene, &haul, &medium, plan.rounds()).await?;
    }
    ensure!(bench.failed.is_empty(), "Haul failed in: {}", bench.failed.join("; "));
    Ok(())
}

struct Bench<'a> {
    plan: &'a Plan,
    scene: Scene,
    small: Medium,
    failed: Vec<String>,
}

impl Bench<'_> {
    /// Measures a case, each rival once per round.
    async fn case(&mut self, case: &Case) -> Result<()> {
        let medium = made(case.kind, case.megabytes).await?;
        let haul = if case.rivals.iter().any(|rival| is_ours(*rival)) {
            let folder = self.scene.fresh("haul")?;
            Some(Haul::start(&self.scene.endpoint(case.throttled), &folder, &[]).await?)
        } else {
            None
        };
        let mut services = HashMap::new();
        let mut all: Vec<Measured> = case.rivals.iter().map(|rival| Measured::of(*rival)).collect();
        let mut out: HashMap<&'static str, String> = HashMap::new();
        for _ in 0..self.plan.rounds() {
            for measured in &mut all {
                let rival = measured.rival;
                if out.contains_key(rival.name()) {
                    continue;
                }
                match self.turn(case, rival, &medium, haul.as_ref(), &mut services).await {
                    Ok(run) => measured.add(&run),
                    Err(why) => {
                        out.insert(rival.name(), format!("{why:#}"));
                    }
                }
                self.scene.empty_store()?;
            }
        }
        all.retain(|measured| !out.contains_key(measured.rival.name()));
        report::tell(case, &all);
        for (name, why) in out {
            remark(&format!("{name} is missing: {why}"));
            if name == Rival::Haul.name() {
                self.failed.push(case.title());
            }
        }
        Ok(())
    }

    /// One turn of one rival.
    async fn turn(
        &mut self,
        case: &Case,
        rival: Rival,
        medium: &Medium,
        haul: Option<&Haul>,
        services: &mut HashMap<&'static str, Service>,
    ) -> Result<Run> {
        let limit = PATIENCE + PATIENCE_PER_MB.mul_f64(case.megabytes * case.jobs as f64);
        let due = (medium.bytes * case.jobs as u64) as f64 * GOODS;
        let run = match rival {
            Rival::Haul | Rival::HaulStreaming => {
                self.ours(case, rival, medium, haul.context("it runs")?, limit).await?
            }
            Rival::RqFork | Rival::RqSimple | Rival::Metube => {
                let mut service = match services.remove(rival.name()) {
                    Some(service) => service,
                    None => self.start(case, rival).await?,
                };
                let run = self.service(case, &mut service, medium, limit).await?;
                // one that failed is not asked again
                services.insert(rival.name(), service);
                run
            }
            Rival::Curl | Rival::Upload | Rival::Ffmpeg | Rival::Ytdlp(_) | Rival::Aria2c => {
                let python = if needs_python(rival) { self.python()? } else { PathBuf::new() };
                let began = Instant::now();
                let (spent, delivered_bytes) =
                    commands::run(rival, &mut self.scene, medium, case.throttled, &python, limit).await?;
                Run { seconds: began.elapsed().as_secs_f64(), spent, delivered_bytes, own_bytes: None }
            }
        };
        ensure!(run.delivered_bytes as f64 >= due, "it ended with {} bytes", run.delivered_bytes);
        Ok(run)
    }

    async fn start(&mut self, case: &Case, rival: Rival) -> Result<Service> {
        let (python, warm) = (self.python()?, self.small.path.clone());
        Service::start(rival, &mut self.scene, case.slots, case.throttled, &warm, &python).await
    }

    async fn service(&mut self, case: &Case, service: &mut Service, medium: &Medium, limit: Duration) -> Result<Run> {
        let scene = &mut self.scene;
        let urls: Vec<_> = (0..case.jobs).map(|_| scene.address(&medium.path, case.throttled)).collect();
        let keys: Vec<_> = (0..case.jobs).map(|_| scene.key()).collect();
        let meter = Meter::of_running(service.workers());
        let began = Instant::now();
        let delivered = tokio::time::timeout(limit, service.download(&urls, &keys)).await;
        let seconds = began.elapsed().as_secs_f64();
        let spent = meter.finish()?;
        service.tidy()?;
        Ok(Run { seconds, spent, delivered_bytes: delivered.context("it took too long")??, own_bytes: None })
    }

    async fn ours(&mut self, case: &Case, rival: Rival, medium: &Medium, haul: &Haul, limit: Duration) -> Result<Run> {
        // what the others make: a file as it is, or an mp4 of the streams, with nothing written into it
        let format = if case.kind == Kind::Progressive { "original" } else { "mp4" };
        let requests: Vec<_> = (0..case.jobs)
            .map(|_| {
                let url = self.scene.address(&medium.path, case.throttled);
                let mut request =
                    json!({ "url": url, "format": format, "embed_metadata": false, "embed_chapters": false });
                if rival == Rival::HaulStreaming {
                    request["streaming"] = json!(true);
                }
                request
            })
            .collect();
        haul.forget_memory()?;
        let meter = Meter::of_running(vec![haul.worker()]);
        let began = Instant::now();
        let delivered = tokio::time::timeout(limit, haul.download(&requests)).await.context("it took too long")??;
        let seconds = began.elapsed().as_secs_f64();
        haul.have_thumbnails(&delivered).await?;
        let delivered_bytes = delivered.iter().map(|one| one.size_bytes).sum();
        let (spent, own) = (meter.finish()?, haul.own_memory()?);
        Ok(Run { seconds, spent, delivered_bytes, own_bytes: Some(own) })
    }

    fn python(&self) -> Result<PathBuf> {
        self.plan.programs.python.clone().context("no interpreter with rq and boto3 was given (--python)")
    }
}

/// A medium, made elsewhere than on the thread that listens for interruptions.
///
/// # Errors
/// As [`media::make`].
pub async fn made(kind: Kind, megabytes: f64) -> Result<Medium> {
    tokio::task::spawn_blocking(move || media::make(kind, megabytes)).await?
}

const fn is_ours(rival: Rival) -> bool {
    matches!(rival, Rival::Haul | Rival::HaulStreaming)
}

const fn needs_python(rival: Rival) -> bool {
    matches!(rival, Rival::Ytdlp(_) | Rival::Aria2c)
}
