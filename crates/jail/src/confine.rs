//! The confined stage: gives up what a program must not have, and becomes it.

use std::io;
use std::os::unix::process::CommandExt as _;

use rustix::fs::Mode;
use rustix::process::{self, Pid, Resource, Rlimit, Signal};

use crate::launcher::{Arguments, say};
use crate::{apply, news};

/// Of who gives way: of a processor that one other wants, a quarter is left to it.
const NICE: i32 = 5;
/// The stack of its first thread, which does not count as private memory: what Linux gives everybody, and no more.
const STACK: u64 = 8 << 20;
/// Of whom the kernel kills first when memory runs out: before the worker, and before Redis (`proc_pid_oom_score_adj(5)`).
const FIRST: &str = "1000";

/// Becomes the program. Returns only when that fails.
#[expect(clippy::disallowed_methods, reason = "the exec that the launcher is for")]
pub(crate) fn confine(arguments: &Arguments, keeper: i32) -> io::Error {
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
    // had the keeper died before that call, nobody would have sent the signal. From within a namespace it has no number
    let keeper = if arguments.apart { None } else { Pid::from_raw(keeper) };
    if process::getppid() != keeper {
        return Err(io::Error::other("the keeper is gone"));
    }
    news::let_through()?;
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST);
    let limits = [
        (Resource::Core, Some(0)),
        (Resource::Stack, Some(STACK)),
        (Resource::Fsize, arguments.file_size),
        (Resource::Data, arguments.data),
        (Resource::Nofile, arguments.open_files),
        (Resource::Nproc, arguments.processes),
    ];
    for (resource, limit) in limits {
        if let Some(limit) = limit {
            // never above the hard limit that we were started with
            let limit = Some(process::getrlimit(resource).maximum.map_or(limit, |maximum| limit.min(maximum)));
            process::setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
        }
    }
    if let Some(seconds) = arguments.cpu {
        // who does not mind being told is killed a second later
        let hard = process::getrlimit(Resource::Cpu).maximum.map_or(seconds + 1, |hard| hard.min(seconds + 1));
        process::setrlimit(Resource::Cpu, Rlimit { current: Some(seconds.min(hard)), maximum: Some(hard) })?;
    }
    if arguments.gives_way {
        process::nice(NICE)?;
    }
    process::umask(Mode::RWXG | Mode::RWXO);
    match &arguments.rules {
        Some(rules) => apply::apply(&serde_json::from_str(rules)?),
        None => Ok(rustix::thread::set_no_new_privs(true)?),
    }
}
