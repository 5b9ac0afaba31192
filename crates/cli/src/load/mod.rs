//! `haul load`: many users at once, for those who want to know what their service holds.
//!
//! In reading order: [`mix`], what is done; [`pace`], when; [`mod@bench`] and [`ask`], one of it; [`users`], many;
//! [`fault`] and [`tally`], what became of them; [`report`], what is told; [`made`], what is there before and left after.

pub mod ask;
pub mod bench;
pub mod fault;
pub mod made;
pub mod mix;
pub mod pace;
pub mod report;
pub mod tally;
pub mod users;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::args::Global;
use crate::client::{Client, is_loopback};
use crate::download::interrupt::{on_ctrl_c, unless_stopped};
use crate::error::{Error, Exit};
use crate::notation;
use crate::screen::Screen;
use bench::Bench;
use mix::Mix;
use pace::Rate;
use report::Report;
use users::Run;

/// Open files that this program needs beside its connections.
const OTHER_FILES: u64 = 64;

/// Bytes of a file of addresses.
const LARGEST_LIST: u64 = 16 << 20;

/// The shortest run: figures of less are chance.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest run.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How many users do what for how long.
#[derive(Debug, Args)]
pub struct Load {
    /// Users at once; with --rate at most so many
    #[arg(short, long, value_name = "N", default_value = "200", value_parser = RangedU64ValueParser::<u32>::new().range(1..=10_000))]
    pub users: u32,
    /// How long requests begin; those under way then still have --timeout
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = length)]
    pub length: Duration,
    /// Begin so many requests, as in 50/s, whether or not those before are answered; without it each user waits for its answer
    #[arg(short, long)]
    pub rate: Option<Rate>,
    /// How long it takes until all users are there, or the rate is reached
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = ramp)]
    pub ramp: Duration,
    /// What a user does between an answer and its next request: nothing, for so long
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = notation::duration, conflicts_with = "rate")]
    pub think: Duration,
    /// What is done, in shares: of status, submit, journey, list, metadata, plan, health
    /// [default: status=80,submit=10,list=5,metadata=5; without addresses status=80,list=20]
    #[arg(long, value_name = "SCENARIO=SHARE,...")]
    pub mix: Option<Mix>,
    /// Addresses of media to order and ask about, in turn; {number} is another number each time
    #[arg(long = "url", value_name = "URL")]
    pub addresses: Vec<String>,
    /// A file of such addresses, a line each
    #[arg(long = "urls", value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Journeys fetch the bytes, too
    #[arg(long)]
    pub fetch: bool,
    /// What chance begins with: the same number chooses the same scenarios in the same order
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Leave the downloads that were ordered; otherwise they are cancelled and deleted
    #[arg(long)]
    pub keep: bool,
    /// The service is on another machine, and I may do this to it
    #[arg(long)]
    pub i_may: bool,
    /// What must hold for the exit code to be 0.
    #[command(flatten)]
    pub limits: Limits,
}

/// What must hold for a run to be well.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "What must hold")]
pub struct Limits {
    /// Of all requests at most this part fails, as in 1%; 429 and what was dropped are failures, too
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    pub max_errors: Option<f64>,
    /// 95 of 100 requests succeed within this time, as in 200ms; what fails or is dropped does not
    #[arg(long, value_name = "TIME", value_parser = notation::duration)]
    pub p95: Option<Duration>,
    /// 99 of 100 requests succeed within this time
    #[arg(long, value_name = "TIME", value_parser = notation::duration)]
    pub p99: Option<Duration>,
}

/// Puts a service to the test, tells how that went, and cleans up.
///
/// # Errors
/// When it can't begin, what it came to can't be written, or something of it is left.
pub async fn run(global: &Global, screen: &Screen, load: &Load) -> Result<Exit, Error> {
    if !load.i_may && !is_loopback(&global.server) {
        let host = global.server.host_str().unwrap_or_default();
        return Err(Error::Usage(format!("{host} is another machine; if you may do this to it, say --i-may")));
    }
    let addresses = addresses(load)?;
    let mix = load.mix.clone().unwrap_or_else(|| Mix::usual(!addresses.is_empty()));
    if let (true, Some(scenario)) = (addresses.is_empty(), mix.needs_address()) {
        let name = scenario.name();
        return Err(Error::Usage(format!("{name} needs an address of media: --url URL, or --urls FILE")));
    }
    let connections = u64::from(load.users) * if load.fetch { 2 } else { 1 };
    allow_files(connections + OTHER_FILES)?;
    // a connection for each user, as if they came from as many machines, and to the service itself: no proxy asked for this
    let most = load.users as usize;
    let client = Client::connected(global, |it| it.http1_only().pool_max_idle_per_host(most).no_proxy())?;
    let has_addresses = !addresses.is_empty();
    let bench = Arc::new(Bench::new(client, mix, addresses, load.fetch));
    let stop = on_ctrl_c()?;
    stop_on_termination(stop.clone())?;
    if let Err(error) = unless_stopped(&stop, made::prepare(&bench, has_addresses, load.keep)).await {
        if bench.ordered() > 0 {
            // what is told is why it did not begin; that something is left is a warning
            let _cleaned = clean_up(screen, load, &bench).await;
        }
        return Err(error);
    }

    let (users, rate, length) = (load.users, load.rate, load.length);
    let plan = Run { users, rate, length, ramp: load.ramp, think: load.think, seed: load.seed };
    let went = tokio::select! {
        went = users::run(&bench, plan, &stop) => went,
        never = show(screen, &bench) => match never {},
    };
    let report = Report::of(&bench, plan, &went, load.limits);
    let exit = if stop.is_cancelled() { Exit::Interrupted } else { report.exit() };
    // told before anything else can go wrong
    let told = match report.tell(screen) {
        // whoever reads no further, as `head` does, has asked for the exit code all the same
        Err(error) if error.exit() == Exit::Done => Ok(()),
        told => told,
    };
    let cleaned = clean_up(screen, load, &bench).await;
    told.and(cleaned).map(|()| exit)
}

async fn clean_up(screen: &Screen, load: &Load, bench: &Bench) -> Result<(), Error> {
    // whoever only asks leaves nothing, and may see no list
    if !bench.mix.orders() && bench.ordered() == 0 {
        return Ok(());
    }
    if load.keep {
        screen.note(&format!("what was ordered stays: haul list --tag {}", bench.tag));
        return Ok(());
    }
    let count = bench.unanswered();
    if count > 0 {
        screen.note(&format!("{count} orders had no answer that says what became of them; they are looked for"));
    }
    let removed = made::remove(bench).await;
    match &removed {
        Ok(count) => {
            if *count > 0 {
                screen.note(&format!("{count} downloads that were ordered are deleted"));
            }
            // where there are very many, a service lists the newest only
            let unlisted = bench.not_among(*count);
            if unlisted > 0 {
                screen.warn(&format!(
                    "{unlisted} more are in no list, and stay for as long as the service keeps downloads"
                ));
            }
        }
        Err(_) => screen.warn(&format!("not all that was ordered is deleted; the rest: haul list --tag {}", bench.tag)),
    }
    removed.map(drop)
}

/// Whoever ends a job of CI says so by this signal; what was ordered is deleted then, too.
fn stop_on_termination(stop: CancellationToken) -> Result<(), Error> {
    let heard = signal(SignalKind::terminate());
    let mut heard = heard.map_err(|source| Error::File { what: "can't listen for SIGTERM".to_owned(), source })?;
    tokio::spawn(async move {
        heard.recv().await;
        stop.cancel();
    });
    Ok(())
}

/// Says every second how it goes, where there is a terminal.
async fn show(screen: &Screen, bench: &Bench) -> Infallible {
    let Some(line) = screen.line() else { return std::future::pending().await };
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    seconds.tick().await;
    let mut second = 0;
    loop {
        seconds.tick().await;
        second += 1;
        let lately = bench.tallies().lately();
        line.set_message(report::second(second, &lately));
    }
}

/// Lets this program have so many files open.
fn allow_files(needed: u64) -> Result<(), Error> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|files| files >= needed) {
        return Ok(());
    }
    let (has, most) = (limit.current.unwrap_or_default(), limit.maximum);
    limit.current = Some(needed);
    if most.is_some_and(|most| most < needed) || setrlimit(Resource::Nofile, limit).is_err() {
        let why = format!("{needed} files have to be open at once, and the system allows {}", most.unwrap_or(has));
        return Err(Error::Usage(format!("{why}: fewer --users, or a higher `ulimit -n`")));
    }
    Ok(())
}

fn addresses(load: &Load) -> Result<Vec<String>, Error> {
    let listed = load.list.as_deref().map(read_list).transpose()?.unwrap_or_default();
    let lines = listed.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(load.addresses.iter().map(String::as_str).chain(lines).map(str::to_owned).collect())
}

fn read_list(path: &Path) -> Result<String, Error> {
    let wrong = |why: String| Error::Usage(format!("--urls {}: {why}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > LARGEST_LIST {
        return Err(wrong(format!("it has more than {} MiB", LARGEST_LIST >> 20)));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

fn length(text: &str) -> Result<Duration, String> {
    let is_one = |length: &Duration| (SHORTEST..=LONGEST).contains(length);
    notation::duration(text).ok().filter(is_one).ok_or_else(|| "write 1s to 24h".to_owned())
}

fn ramp(text: &str) -> Result<Duration, String> {
    notation::duration(text).ok().filter(|ramp| *ramp <= LONGEST).ok_or_else(|| "write 0s to 24h".to_owned())
}

/// Reads `1%`, `0.5%` or `1` as a part of one.
fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    let percent = percent.ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.map(|percent| percent / 100.0).ok_or_else(|| "write it as in 1% or 0.5%".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        load: Load,
    }

    #[test]
    fn a_run_is_200_users_for_a_minute_unless_it_is_said_otherwise() {
        let load = Line::parse_from(["load"]).load;
        assert_eq!((load.users, load.length, load.rate), (200, Duration::from_secs(60), None));
        let line = "load -u 20 --for 2m --rate 600/m --ramp 10s --max-errors 0.5% --p95 200ms --mix health";
        let load = Line::parse_from(line.split(' ')).load;
        assert_eq!((load.length.as_secs(), load.rate.map(Rate::per_second)), (120, Some(10.0)));
        assert_eq!((load.limits.max_errors, load.limits.p95), (Some(0.005), Some(Duration::from_millis(200))));
        for line in [
            "--users 0",
            "--users 10001",
            "--for 0",
            "--for 25h",
            "--ramp 25h",
            "--ramp 18446744073709551615",
            "--rate 0.5/h",
            "--rate 5/s --think 1s",
            "--max-errors 101%",
        ] {
            let words = ["load"].into_iter().chain(line.split(' '));
            assert!(Line::try_parse_from(words).is_err(), "{line}");
        }
    }
}
