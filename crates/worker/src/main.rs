//! The process `haul-worker`: configuration, log and signals, and then [`haul_worker::run::run`].
//!
//! Exit codes: 0 when it ended as it was told, 1 when it could not work (or, asked for its health, is not ready; or
//! the doctor has found what does not work), 2 when
//! it was told nonsense. `update-check` has codes of its own.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use haul_shared::config::{Env, Warning};
use haul_shared::doctor::DoctorArgs;
use haul_shared::healthcheck::healthcheck;
use haul_shared::shutdown::Shutdown;
use haul_shared::telemetry::{self, Service};
use haul_worker::cli::{Cli, Command};
use haul_worker::config::WorkerConfig;
use haul_worker::update::{self, UpdateArgs};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let env = Env::of_process();
    match cli.command {
        Some(Command::Healthcheck) => configured(&env, |config| done(ask(&config))),
        Some(Command::Doctor(args)) => examined(args, &env),
        Some(Command::UpdateCheck(args)) => checked(args, &env),
        None => configured(&env, |config| done(work(config, &env.warnings()))),
    }
}

/// Does what needs the configuration.
fn configured(env: &Env, act: impl FnOnce(WorkerConfig) -> anyhow::Result<ExitCode>) -> ExitCode {
    let config = match WorkerConfig::from_env(env) {
        Ok(config) => config,
        Err(faults) => return tell(2, &faults),
    };
    match act(config) {
        Ok(code) => code,
        Err(error) => tell(1, &format_args!("{error:#}")),
    }
}

/// It ended as it was to.
fn done(outcome: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Says whether there is a newer yt-dlp. What keeps it from that is no answer.
fn checked(args: UpdateArgs, env: &Env) -> ExitCode {
    configured(env, |config| {
        Ok(update::check(&config, env, args).unwrap_or_else(|error| tell(2, &format_args!("{error:#}"))))
    })
}

/// Shows what the doctor finds.
fn examined(args: DoctorArgs, env: &Env) -> ExitCode {
    match args.show(env, haul_worker::doctor::examine(env)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => tell(1, &format_args!("the doctor could not tell what it found: {error}")),
    }
}

/// For threads that wait for a resolver or a disk, and that nobody can end, when all else has ended.
const LINGER: Duration = Duration::from_secs(2);

fn work(config: WorkerConfig, warnings: &[Warning]) -> anyhow::Result<()> {
    // it holds the keys of the stores: no program of the same user may look into it, and no core file is written
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(run(config, warnings));
    runtime.shutdown_timeout(LINGER);
    result
}

async fn run(config: WorkerConfig, warnings: &[Warning]) -> anyhow::Result<()> {
    let regions = config.regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let service = Service { name: "haul-worker", version: env!("CARGO_PKG_VERSION"), regions, audits: false };
    let telemetry = telemetry::start(&config.log, config.traces.as_ref(), &service)?;
    let ended = work_until_told(config, warnings).await;
    telemetry.end().await;
    ended
}

async fn work_until_told(config: WorkerConfig, warnings: &[Warning]) -> anyhow::Result<()> {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let shutdown = Shutdown::on_signals(config.shutdown_grace)?;
    // whoever starts us may ignore the deaths of children, which is inherited: then nobody here could tell how a program ended
    let _deaths = signal(SignalKind::child())?;
    haul_worker::run::run(config, listener, shutdown).await
}

#[tokio::main(flavor = "current_thread")]
async fn ask(config: &WorkerConfig) -> anyhow::Result<()> {
    Ok(healthcheck(config.listen).await?)
}

#[expect(clippy::print_stderr, reason = "there may be no log yet, and a person looks at the terminal first")]
fn tell(code: u8, why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("haul-worker: {why}");
    ExitCode::from(code)
}
