//! The process `haul-api`: configuration, log and signals, and then [`haul_api::run`].
//!
//! Exit codes: 0 when it ended as it was told, 1 when it could not serve (or, asked for its health, is not ready; or
//! the doctor has found what does not work), 2 when
//! it was told nonsense.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use haul_api::auth::{KeyForm, NotIssued, issue};
use haul_api::cli::{Cli, Command, KeyCommand};
use haul_api::config::ApiConfig;
use haul_api::{Listeners, run};
use haul_shared::config::Env;
use haul_shared::doctor::DoctorArgs;
use haul_shared::healthcheck::healthcheck;
use haul_shared::serve::open_more_files;
use haul_shared::shutdown::Shutdown;
use haul_shared::telemetry::{self, Service};

/// A request is made and forgotten in small pieces, often on two threads: a third more of them fit into a second than with
/// the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For requests under way when the process is told to stop.
const GRACE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match Cli::parse().command {
        Some(Command::Healthcheck) => configured(async |config, _| Ok(healthcheck(config.listen).await?)),
        Some(Command::Doctor(args)) => examined(args),
        Some(Command::Key(KeyCommand::New { name, uuid })) => {
            new_key(&name, if uuid { KeyForm::Uuid } else { KeyForm::Own })
        }
        None => configured(serve),
    }
}

/// Shows what the doctor finds.
fn examined(args: DoctorArgs) -> ExitCode {
    let env = Env::of_process();
    match args.show(&env, haul_api::doctor::examine(&env)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => tell(1, &format_args!("the doctor could not tell what it found: {error}")),
    }
}

/// Does what needs the configuration.
#[tokio::main]
async fn configured(act: impl AsyncFnOnce(ApiConfig, Env) -> anyhow::Result<()>) -> ExitCode {
    let env = Env::of_process();
    let config = match ApiConfig::from_env(&env) {
        Ok(config) => config,
        Err(faults) => return tell(2, &faults),
    };
    match act(config, env).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tell(1, &format_args!("{error:#}")),
    }
}

async fn serve(config: ApiConfig, env: Env) -> anyhow::Result<()> {
    let regions = config.region.to_string();
    let service = Service { name: "haul-api", version: env!("CARGO_PKG_VERSION"), regions, audits: true };
    let telemetry = telemetry::start(&config.log, config.traces.as_ref(), &service)?;
    let ended = serve_until_told(config, &env).await;
    telemetry.end().await;
    ended
}

async fn serve_until_told(config: ApiConfig, env: &Env) -> anyhow::Result<()> {
    for warning in env.warnings() {
        tracing::warn!("{warning}");
    }
    open_more_files();
    let shutdown = Shutdown::on_signals(GRACE)?;
    let listeners = Listeners::bind(&config).await?;
    Ok(run(config, listeners, shutdown).await?)
}

/// Shows a new key on the standard output, alone in its line, and its entry on the standard error: so a script takes each
/// where it belongs, and the one is not written to the keys file with the other by mistake. No configuration is needed.
fn new_key(name: &str, form: KeyForm) -> ExitCode {
    let issued = match issue(name, form) {
        Ok(issued) => issued,
        Err(refused @ NotIssued::Name(_)) => return tell(2, &refused),
        Err(failed @ NotIssued::Random(_)) => return tell(1, &failed),
    };
    // the entry first: a key whose entry nobody has is worth nothing
    let shown = write!(io::stderr(), "{}", issued.entry).and_then(|()| writeln!(io::stdout(), "{}", issued.key));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tell(1, &format_args!("the key could not be shown: {error}")),
    }
}

#[expect(clippy::print_stderr, reason = "there may be no log yet, and a person looks at the terminal first")]
fn tell(code: u8, what: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("haul-api: {what}");
    ExitCode::from(code)
}
