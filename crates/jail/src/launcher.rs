//! The command line of the launcher, and which of its parts is played.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{self, Resource, Rlimit, Signal, WaitStatus};

use crate::attempts::Attempts;
use crate::{confine, keep, space};

/// Runs a program under limits, and ends it with all its descendants when the pipe on standard input closes.
#[derive(Debug, Parser)]
#[command(name = "haul-jail", version)]
pub(crate) struct Arguments {
    /// Largest file that can be written, in bytes
    #[arg(long)]
    pub(crate) file_size: Option<u64>,
    /// Private memory of one process, in bytes
    #[arg(long)]
    pub(crate) data: Option<u64>,
    /// Processor time of one process, in seconds
    #[arg(long)]
    pub(crate) cpu: Option<u64>,
    /// Open files of one process
    #[arg(long)]
    pub(crate) open_files: Option<u64>,
    /// Processes and threads of its user, in its namespace
    #[arg(long, requires = "apart")]
    pub(crate) processes: Option<u64>,
    /// Let others have the processors first
    #[arg(long)]
    pub(crate) gives_way: bool,
    /// What it may see and do, as the worker has decided
    #[arg(long)]
    pub(crate) rules: Option<String>,
    /// In namespaces of its own: users, network, processes
    #[arg(long)]
    pub(crate) apart: bool,
    /// Listen on this port there, and hand the listener out over standard input
    #[arg(long, requires = "apart")]
    listen: Option<u16>,
    /// Confine and become the program; with the process id of the keeper
    #[arg(long, hide = true)]
    keeper: Option<i32>,
    /// Be the first process of a namespace
    #[arg(long, hide = true, exclusive = true)]
    init: bool,
    /// See what a program can do, and say so
    #[arg(long, hide = true, exclusive = true)]
    attempt: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required_unless_present_any = ["init", "attempt"])]
    pub(crate) program: Vec<OsString>,
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(keeper) = arguments.keeper {
        return fail("confine", &confine::confine(&arguments, keeper));
    }
    if let Some(attempts) = &arguments.attempt {
        return attempt(attempts);
    }
    if arguments.init {
        return keep::be_init().map_or_else(|error| fail("be an init", &error), |()| ExitCode::SUCCESS);
    }
    match go_apart(&arguments).and_then(|()| keep::keep(arguments.apart)) {
        Ok(Some(status)) => end_like(status),
        Ok(None) => end_by(Signal::KILL.as_raw()),
        Err(error) => fail("keep", &error),
    }
}

/// Leaves behind what nobody meant to hand on, and the namespaces of the worker.
fn go_apart(arguments: &Arguments) -> io::Result<()> {
    close_all_but_the_first_three()?;
    if arguments.apart {
        space::enter()?;
    }
    match arguments.listen {
        Some(port) => space::hand_out_listener(port, io::stdin().as_fd()),
        None => Ok(()),
    }
}

/// Whoever started the worker may have left files open in it that every program would inherit.
fn close_all_but_the_first_three() -> io::Result<()> {
    let names = std::fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name()));
    for name in names.collect::<io::Result<Vec<_>>>()? {
        if let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()).filter(|number| *number > 2) {
            // the one that was listed by is closed already
            let _ = nix::unistd::close(number);
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the answer to whoever tries a sandbox out")]
fn attempt(attempts: &str) -> ExitCode {
    let said = serde_json::from_str::<Attempts>(attempts).and_then(|attempts| {
        println!("{}", serde_json::to_string(&attempts.make())?);
        Ok(())
    });
    said.map_or_else(|error| fail("attempt anything", &error.into()), |()| ExitCode::SUCCESS)
}

/// Ends as the program has ended.
fn end_like(status: WaitStatus) -> ExitCode {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => end_by(signal.unwrap_or_default()),
    }
}

fn end_by(signal: i32) -> ExitCode {
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = process::kill_process(process::getpid(), signal);
    }
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

fn fail(what: &str, error: &io::Error) -> ExitCode {
    say(&format!("cannot {what}: {error}"));
    ExitCode::from(125)
}

/// Tells whoever started us, who reads it; there is no log here.
#[expect(clippy::print_stderr, reason = "whoever started us reads it; there is no log here")]
pub(crate) fn say(text: &str) {
    eprintln!("haul-jail: {text}");
}
