//! `haul-jail`, the launcher that stands between the worker and every program.
//!
//! ```text
//! worker ── lifeline (a pipe, our stdin) ──► keeper ──► confined ═exec═► program ──► its children
//! ```
//!
//! It runs twice. The **keeper** adopts every descendant (child subreaper), waits for the program, and then kills and
//! reaps whatever is left, also what has left the process group. It does the same when the lifeline closes, which the
//! kernel sees to when the worker dies, however it dies. The **confined** stage is the program's own process: it sets
//! the limits, gives up all privileges to come, asks to be killed with the keeper, and becomes the program.
//!
//! The tiers of the sandbox (namespaces, Landlock, seccomp) go into [`confine`], between the limits and the exec.
//!
//! Exit: the program's own code or signal; 126 or 127 when it cannot be started, 125 when the launcher fails itself.
//! The signals that the keeper has to survive (HUP, INT, TERM) are shown as 128 and their number.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use clap::Parser;
use rustix::io::Errno;
use rustix::process::{self, Pid, Resource, Rlimit, Signal, WaitOptions};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

/// Of who gives way: a tenth of a busy processor is left to it.
const NICE: i32 = 10;

/// Runs a program under limits, and ends it with all its descendants when the pipe on standard input closes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Largest file that can be written, in bytes
    #[arg(long)]
    file_size: Option<u64>,
    /// Private memory of one process, in bytes
    #[arg(long)]
    data: Option<u64>,
    /// Open files of one process
    #[arg(long)]
    open_files: Option<u64>,
    /// Let others have the processors first
    #[arg(long)]
    gives_way: bool,
    /// Confine and become the program; with the process id of the keeper
    #[arg(long, hide = true)]
    keeper: Option<i32>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.keeper {
        Some(keeper) => fail("confine", &confine(&arguments, keeper)),
        None => match keep() {
            Ok(status) => end_like(status),
            Err(error) => fail("keep", &error),
        },
    }
}

/// Starts the confined stage, and returns when it and all its descendants are gone.
#[tokio::main(flavor = "current_thread")]
async fn keep() -> io::Result<ExitStatus> {
    let mut lifeline = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    process::set_child_subreaper(Some(process::getpid()))?;
    let mut outlived = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [hangup, interrupt, terminate] = &mut outlived;
    let (Ok(hangup), Ok(interrupt), Ok(terminate)) = (hangup, interrupt, terminate) else {
        return Err(io::Error::other("no handler for signals"));
    };

    let mut program = confined_stage()?.spawn()?;
    let mut held = true;
    let mut byte = [0];
    let status = loop {
        tokio::select! {
            status = program.wait() => break status?,
            read = lifeline.read(&mut byte), if held => if !matches!(read, Ok(1..)) {
                held = false;
                program.start_kill()?;
            },
            // sent to the whole group, so the program has it too; we stay to see it end
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    end_descendants().await?;
    Ok(status)
}

/// Ourselves again, with the same arguments, as the program's process.
#[expect(clippy::disallowed_methods, reason = "the launcher is started by worker::process and starts what it was told")]
fn confined_stage() -> io::Result<tokio::process::Command> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.arg("--keeper").arg(process::getpid().to_string());
    command.args(std::env::args_os().skip(1)).stdin(Stdio::null());
    Ok(command)
}

/// Gives up what the program must not have, and becomes it. Returns only when that fails.
#[expect(clippy::disallowed_methods, reason = "the exec that the launcher is for")]
fn confine(arguments: &Arguments, keeper: i32) -> io::Error {
    if let Err(error) = restrict(arguments, keeper) {
        return error;
    }
    let Some((program, rest)) = arguments.program.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let error = std::process::Command::new(program).args(rest).exec();
    say(&format!("the program cannot be started: {error}"));
    std::process::exit(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

fn restrict(arguments: &Arguments, keeper: i32) -> io::Result<()> {
    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // had the keeper died before that call, nobody would have sent the signal
    if process::getppid() != Pid::from_raw(keeper) {
        return Err(io::Error::other("the keeper is gone"));
    }
    let limits = [
        (Resource::Core, Some(0)),
        (Resource::Fsize, arguments.file_size),
        (Resource::Data, arguments.data),
        (Resource::Nofile, arguments.open_files),
    ];
    for (resource, limit) in limits {
        if let Some(limit) = limit {
            // never above the hard limit that we were started with
            let limit = Some(process::getrlimit(resource).maximum.map_or(limit, |maximum| limit.min(maximum)));
            process::setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
        }
    }
    if arguments.gives_way {
        process::nice(NICE)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Kills and reaps until there is no child. As subreaper we inherit the children of whom we kill, so none escapes by
/// leaving the group or its parent.
async fn end_descendants() -> io::Result<()> {
    loop {
        for child in children()? {
            // still ours: nobody else reaps
            let _ = process::kill_process(child, Signal::KILL);
        }
        match process::wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return Ok(()),
            Ok(Some(_)) => {}
            // killed, and about to die
            Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Our children, by the kernel's list (`proc_pid_task_children(5)`).
fn children() -> io::Result<Vec<Pid>> {
    let mut all = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        // a thread that has just ended has no children any more
        let Ok(list) = std::fs::read_to_string(thread?.path().join("children")) else { continue };
        all.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw));
    }
    Ok(all)
}

/// Ends as the program has ended.
fn end_like(status: ExitStatus) -> ExitCode {
    let signal = status.signal().unwrap_or_default();
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = process::kill_process(process::getpid(), signal);
    }
    ExitCode::from(u8::try_from(status.code().unwrap_or(128 + signal)).unwrap_or(u8::MAX))
}

fn fail(what: &str, error: &io::Error) -> ExitCode {
    say(&format!("cannot {what}: {error}"));
    ExitCode::from(125)
}

#[expect(clippy::print_stderr, reason = "whoever started us reads it; there is no log here")]
fn say(text: &str) {
    eprintln!("haul-jail: {text}");
}
