//! The simulation: small cases first, each run for real and on paper, then what it says of fleets that nobody has here.
//!
//! What a call of Redis costs, alone and in a crowd, how often an API looks for who follows a job, and what a job takes beside
//! its transfer is measured once, before the cases, and used for all of them alike. How busy the same calls make Redis when
//! they are mixed and many is measured as well, and held against what is said on paper of it. What was measured last is kept
//! in `measured.json`, so that predictions need no measurement.
//!
//! What it all means is in `docs/SCALING.md`, whose tables are what this prints, in their order.

mod calibrate;
mod cases;
mod desk;
mod fleets;
mod follow;
mod limits;
mod measure;
mod paper;
mod prices;
mod report;
mod shard;
mod yardstick;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use haul_tests::sim::{Call, Cost, Costs, Draw, Follow, Service};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use calibrate::Calibration;
use cases::Case;
use measure::{Figures, Job, Set, Theatre};
use report::Verdict;
use shard::Level;
use yardstick::Yardstick;

/// How far a small case may lie from the measured one.
const NEAR: f64 = 0.2;

/// Jobs of the worker that is at work while calls are measured by themselves, and in mixtures: more than that takes.
const CALIBRATION: usize = 260;
const LEVELS: usize = 120;

/// What was measured last.
const MEASURED: &str = include_str!("measured.json");

/// What is simulated.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// Only the small cases, measured and on paper
    #[arg(long, conflicts_with_all = ["predict", "prices"])]
    measure: bool,
    /// Only the predictions, from what was measured last
    #[arg(long, conflicts_with = "prices")]
    predict: bool,
    /// Only what one pays, from what was measured last
    #[arg(long)]
    prices: bool,
    /// Writes what was measured to this file, in the form of `measured.json`
    #[arg(long, value_name = "FILE")]
    keep: Option<std::path::PathBuf>,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    knobs: fleets::Knobs,
}

/// What was measured before anything is simulated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// When, and on what.
    date: String,
    machine: String,
    /// What each call costs Redis that comes alone.
    costs: BTreeMap<String, Cost>,
    /// Microseconds of its processor that each costs in a crowd.
    crowded_us: BTreeMap<String, f64>,
    /// Microseconds that Redis takes in a second in which it is asked nothing.
    idle_us: f64,
    /// How far between the two calls lie, at shares of a core that grow.
    warmth: Vec<(f64, f64)>,
    /// Looks and questions of an API, for each change of a job that is followed.
    looks: f64,
    peeks: f64,
    /// Bytes per second of a download that is held to [`cases::RATE`].
    bytes_per_second: f64,
    /// Seconds that jobs took beside that.
    fixed_seconds: Vec<f64>,
}

/// What is known before the first case.
struct Before {
    calibration: Calibration,
    measured: Measured,
    /// The worker that was at work meanwhile, and how busy its Redis was.
    fleet: Level,
    /// Microseconds of a look at whether all jobs have ended.
    glance_us: f64,
    /// Microseconds of a heartbeat of the yardstick.
    beat_us: f64,
}

/// Measures and simulates what is asked for.
///
/// # Errors
/// When a part does not start, or a case on paper lies too far from the measured one.
pub async fn run(plan: Plan) -> Result<()> {
    let is_all = !(plan.measure || plan.predict || plan.prices);
    let mut measured: Measured = serde_json::from_str(MEASURED).context("measured.json")?;
    let mut verdict = Verdict::default();
    if is_all || plan.measure {
        let mut theatre = Theatre::open().await?;
        let mut yardstick = Yardstick::open().await?;
        let before = calibrated(&mut theatre, &mut yardstick, plan.seed).await?;
        let Before { calibration, fleet, glance_us, beat_us, .. } = before;
        measured = before.measured;
        report::calibration(&measured);
        let mix = fleets::mix(&plan.knobs.knowing(&measured), plan.seed);
        let at_work = Case { jobs: LEVELS, ..cases::BESIDE };
        let set = theatre.set(&at_work).await?;
        let (levels, ..) = beside(&mut theatre, &at_work, set, calibration.levels(&mix)).await?;
        let mut levels = [vec![fleet], levels].concat();
        measured.warmth = shard::warmth(&levels, &measured.costs());
        levels.push(shard::drained().await?);
        for case in cases::all() {
            let set = theatre.set(&case).await?;
            let ((real, _), meanwhile_us) = yardstick.beside(theatre.play(&case, set)).await?;
            let mut paper = paper::run(&case, theatre.bytes(), &measured, plan.seed);
            paper.cost.cpu_us *= meanwhile_us / beat_us;
            verdict.case(&case, &real.without_glances(glance_us), &paper, (meanwhile_us, beat_us));
        }
        verdict.processor();
        verdict.levels(&levels, &measured.costs());
        verdict.tell();
        if let Some(path) = &plan.keep {
            keep(path, &measured)?;
        }
    }
    if is_all || plan.predict {
        let knobs = plan.knobs.knowing(&measured);
        let fleets = fleets::run(&knobs, &measured, plan.seed);
        limits::run(&knobs, &measured, &fleets);
    }
    if is_all || plan.prices {
        prices::run(&plan.knobs.knowing(&measured), &measured, plan.seed)?;
    }
    ensure!(
        verdict.far.is_empty(),
        "farther than {:.0} % from what was measured: {}",
        NEAR * 100.0,
        verdict.far.join("; ")
    );
    Ok(())
}

/// What Redis spends on each call while a worker is at work beside it; how busy that worker kept a Redis of its own, and what its
/// jobs took; and how often an API looks.
async fn calibrated(theatre: &mut Theatre, yardstick: &mut Yardstick, seed: u64) -> Result<Before> {
    let (calls, jobs) = theatre.follow(&cases::FOLLOWED).await?;
    let follow = calls.per_change(&jobs);
    let mut calibration = Calibration::open().await?;
    let at_work = Case { jobs: CALIBRATION, ..cases::BESIDE };
    let set = theatre.set(&at_work).await?;
    let all = beside(theatre, &at_work, set, calibration.run());
    let ((found, figures, jobs), beat_us) = yardstick.beside(all).await?;
    let bytes_per_second = slope(&jobs);
    let fixed = |job: &Job| (job.took - job.bytes as f64 / bytes_per_second).max(0.0);
    let word = |call: Call| call.word().to_owned();
    let measured = Measured {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine: machine(),
        costs: Call::ALL.into_iter().map(|call| (word(call), found.alone[call as usize])).collect(),
        crowded_us: Call::ALL.into_iter().map(|call| (word(call), found.crowded_us[call as usize])).collect(),
        idle_us: found.idle_us,
        warmth: Vec::new(),
        looks: follow.looks,
        peeks: follow.peeks,
        bytes_per_second,
        fixed_seconds: jobs.iter().map(fixed).collect(),
    };
    let glance_us = found.glance_us;
    let fleet = paper::level(&at_work, &figures.without_glances(glance_us), theatre.bytes(), &measured, seed);
    Ok(Before { calibration, measured, fleet, glance_us, beat_us })
}

/// Does something while a case is played: what comes of both.
async fn beside<T>(
    theatre: &mut Theatre,
    case: &Case,
    set: Set,
    something: impl Future<Output = Result<T>>,
) -> Result<(T, Figures, Vec<Job>)> {
    let something = async { anyhow::Ok((something.await?, Instant::now())) };
    let at_work = async { anyhow::Ok((theatre.play(case, set).await?, Instant::now())) };
    let ((done, done_at), ((figures, jobs), over_at)) = tokio::try_join!(something, at_work)?;
    ensure!(done_at < over_at, "nobody was at work beside for the last {:?}", done_at - over_at);
    Ok((done, figures, jobs))
}

/// Bytes per second, of the line of least squares through how long jobs of different sizes took.
fn slope(jobs: &[Job]) -> f64 {
    let count = jobs.len() as f64;
    let mean = |of: fn(&Job) -> f64| jobs.iter().map(of).sum::<f64>() / count;
    let (bytes, took) = (mean(|job| job.bytes as f64), mean(|job| job.took));
    let both: f64 = jobs.iter().map(|job| (job.bytes as f64 - bytes) * (job.took - took)).sum();
    let own: f64 = jobs.iter().map(|job| (job.bytes as f64 - bytes).powi(2)).sum();
    own / both
}

impl Measured {
    fn costs(&self) -> Costs {
        let crowded = |call: Call| self.crowded_us.get(call.word()).copied().unwrap_or_default();
        let alone = |call: Call| self.costs.get(call.word()).copied().unwrap_or_default();
        Costs::of(self.idle_us, self.warmth.clone(), |call| (alone(call), crowded(call)))
    }

    fn follow(&self) -> Follow {
        Follow { looks: self.looks, peeks: self.peeks, ..Follow::default() }
    }

    fn service(&self) -> Service {
        Service {
            fixed_seconds: Draw::Observed(self.fixed_seconds.clone()),
            bytes_per_second: Draw::Fixed(self.bytes_per_second),
            coding_ratio: 0.0,
            // the site offers each as one file, which the relay passes on as it comes
            relayed: 1.0,
        }
    }
}

fn keep(path: &Path, measured: &Measured) -> Result<()> {
    std::fs::write(path, serde_json::to_string_pretty(measured)? + "\n").with_context(|| path.display().to_string())
}

/// What it ran on: processors, and how they call themselves.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, name)| name);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{count} x {name}, load {}, {profile} build", load.split(' ').next().unwrap_or("?"))
}
