//! Side by side with what people would build instead: FastAPI, RQ and boto3, tuned; and the queues of RQ, Celery and BullMQ
//! alone. One run, on one machine, in turns, over the same site, the same store and Redis servers of the same settings.
//!
//! Each case makes a table; all of them, with the machine and the versions, make a page in Markdown.
//!
//! Not here: what the figures do not show (`docs/BENCHMARKS.md`).

mod crash;
mod downloads;
mod footprint;
mod http;
mod machine;
mod queues;
mod stack;
mod table;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::made;
use crate::engine::media::{Kind, Medium};
use crate::engine::scene::Scene;
use crate::others::Programs;
use stack::{Stack, Workers};
use table::Table;

/// The cases, in the order in which they are measured.
const CASES: [&str; 6] = ["http", "queues", "downloads", "dedup", "footprint", "crash"];

/// What is measured, and how much of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// Only these: http, queues, downloads, dedup, footprint, crash
    #[arg(long, value_delimiter = ',', value_parser = CASES)]
    cases: Vec<String>,
    /// Turns that each has
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A tenth of the sizes, to see whether it runs: its figures say nothing
    #[arg(long)]
    tiny: bool,
    /// Where the page goes [default: only to standard error]
    #[arg(long)]
    page: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

impl Plan {
    /// The sizes are divided by this.
    const fn share(&self) -> u64 {
        if self.tiny { 10 } else { 1 }
    }

    /// How long a load goes on.
    const fn window(&self) -> Duration {
        Duration::from_millis(3000 / self.share())
    }
}

/// Where it takes place.
struct Field {
    plan: Plan,
    scene: Scene,
    small: Medium,
}

impl Field {
    fn python(&self) -> Result<PathBuf> {
        self.plan.programs.python.clone().context("no interpreter with rq, fastapi and boto3 was given (--python)")
    }

    async fn stack(&mut self, workers: Workers, throttled: bool) -> Result<Stack> {
        let (python, warm) = (self.python()?, self.scene.address(&self.small.path, false));
        let mut stack = Stack::start(&self.scene, &python, throttled).await?;
        stack.work(&self.scene, &python, workers, &warm).await?;
        Ok(stack)
    }
}

/// Measures. Interrupted, it ends what it has started, and leaves nothing but the media.
///
/// # Errors
/// When a part does not start, or somebody does not deliver the goods.
pub async fn run(plan: Plan) -> Result<()> {
    ensure!(plan.rounds > 0, "no turns are no figures");
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        measured = measure(plan) => measured,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn measure(plan: Plan) -> Result<()> {
    let (began, load_before) = (Instant::now(), machine::load());
    let about = machine::told(&plan.programs)?;
    let small = made(Kind::Progressive, 1.0).await?;
    let mut field = Field { plan, scene: Scene::set().await?, small };
    let mut page = String::new();
    for case in CASES {
        if !field.plan.cases.is_empty() && !field.plan.cases.iter().any(|name| name == case) {
            continue;
        }
        eprintln!("\n{case}, after {:.0} s", began.elapsed().as_secs_f64());
        let table = one(case, &mut field).await.with_context(|| case.to_owned())?;
        page.push_str(&table.markdown());
        page.push('\n');
    }
    let head = format!(
        "{about}. {} turns each, {:.0} minutes, load average {load_before} before and {} after.{}\n\n",
        field.plan.rounds,
        began.elapsed().as_secs_f64() / 60.0,
        machine::load(),
        if field.plan.tiny { " **Tiny sizes: these figures say nothing.**" } else { "" }
    );
    let page = head + page.trim_end() + "\n";
    eprintln!("\n{page}");
    if let Some(path) = &field.plan.page {
        std::fs::write(path, &page).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

async fn one(case: &str, field: &mut Field) -> Result<Table> {
    match case {
        "http" => http::run(field).await,
        "queues" => queues::run(field).await,
        "downloads" => downloads::run(field).await,
        "dedup" => downloads::dedup(field).await,
        "footprint" => footprint::run(field).await,
        _ => crash::run(field).await,
    }
}
