//! `haul-worker update-check`: which yt-dlp runs here, which is to be had, and how the workers' versions do.
//!
//! The newest is what pip says, of the interpreter that yt-dlp runs by: where pip gets it from is pip's own configuration. Nothing
//! is installed, and nothing is changed. Not here: how a new version is tried beside an old one (`shared::rollout`), and how it is
//! put in its place (`docs/OPERATIONS.md`).

mod pip;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use haul_shared::config::Env;
use haul_shared::redis::Server;
use haul_shared::rollout::Version;
use haul_shared::store::{JobStore, StoreSettings, Trial, WorkerInfo};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::config::WorkerConfig;
use crate::equipment;
use crate::ytdlp::{Extractors, Ytdlp, YtdlpSettings};

/// For Redis to say what the workers have.
const FLEET_WITHIN: Duration = Duration::from_secs(10);

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct UpdateArgs {
    /// For machines: {"here", "newest", "update", "unknown", "fleet": {"versions", "trial"}, "next"}.
    #[arg(long)]
    pub json: bool,
}

/// What was found out.
#[derive(Debug)]
struct Found {
    program: PathBuf,
    python: Option<PathBuf>,
    here: Result<Version, String>,
    newest: Result<Version, String>,
    /// What could not be found out is none.
    fleet: Option<(Vec<WorkerInfo>, Option<Trial>)>,
}

/// The answer, as the exit code has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Newest,
    Update,
    Unknown,
}

impl Answer {
    fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Newest => 0,
            Self::Update => 1,
            Self::Unknown => 2,
        })
    }
}

/// Finds out, and shows it on the standard output. The exit code tells: 0, there is nothing newer; 1, there is; 2, that could not
/// be found out.
///
/// # Errors
/// When nothing can be written, or there is no place to run programs in.
#[tokio::main(flavor = "current_thread")]
pub async fn check(config: &WorkerConfig, env: &Env, args: UpdateArgs) -> anyhow::Result<ExitCode> {
    // as at a start: whoever starts us may ignore the deaths of children, and then no program could be told to have ended
    let _deaths = signal(SignalKind::child())?;
    let found = look(config, env).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        report::json(&found, &mut out)?;
    } else {
        report::text(&found, &mut out)?;
    }
    Ok(found.answer().code())
}

async fn look(config: &WorkerConfig, env: &Env) -> anyhow::Result<Found> {
    let dir = tempfile::tempdir()?;
    // which it is, whether it may be used or not
    let settings =
        YtdlpSettings { meets_strangers: false, extractors: Extractors::default(), ..equipment::ytdlp(config) };
    let (program, ytdlp) = (settings.program.clone(), Ytdlp::new(settings));
    let python = ytdlp.python();
    let (here, newest, fleet) =
        tokio::join!(ytdlp.look(dir.path()), pip::newest(python.as_deref(), env, dir.path()), fleet(config));
    Ok(Found { program, python, here: here.map(Version::new).map_err(|error| error.to_string()), newest, fleet })
}

/// What the live workers have, and how the trial of the newest stands.
async fn fleet(config: &WorkerConfig) -> Option<(Vec<WorkerInfo>, Option<Trial>)> {
    let server = Server::new(&config.redis.queue, 1).ok()?;
    let store = JobStore::new(server, StoreSettings::of(&config.lives, &config.queue));
    let asked = async { Ok::<_, haul_shared::store::StoreError>((store.workers().await?, store.trial().await?)) };
    timeout(FLEET_WITHIN, asked).await.ok()?.ok()
}

impl Found {
    fn answer(&self) -> Answer {
        match (&self.here, &self.newest) {
            (Ok(here), Ok(newest)) if newest.is_newer_than(here) => Answer::Update,
            (Ok(_), Ok(_)) => Answer::Newest,
            (Err(_), _) | (_, Err(_)) => Answer::Unknown,
        }
    }
}
