//! The keeper, who sees to it that nothing of a program is left; and the init, where processes have a namespace of their
//! own.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{self, Pid, Signal, WaitStatus};

use crate::descendants::{Descendants, reap};
use crate::news::News;

/// Between two looks at the children, should nobody tell of a death.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the confined stage, and returns when it and all its descendants are gone: how it has ended; `None`: the
/// lifeline is closed, and it was killed.
pub(crate) fn keep(is_apart: bool) -> io::Result<Option<WaitStatus>> {
    let news = News::subscribe()?;
    let descendants = Descendants::adopt()?;
    if is_apart {
        // the first of a namespace: should it die, or we, the kernel kills all others
        init()?.spawn()?;
    }
    let program = Pid::from_child(&confined_stage()?.spawn()?);
    let ended = until_it_ends(program, &news);
    descendants.end(&news)?;
    ended
}

fn until_it_ends(program: Pid, news: &News) -> io::Result<Option<WaitStatus>> {
    loop {
        let reaped = reap(Some(program))?;
        if reaped.status.is_some() || reaped.childless {
            return Ok(reaped.status);
        }
        if news.lifeline_closes(if reaped.more { Duration::ZERO } else { LOOK })? {
            return Ok(None);
        }
    }
}

/// The first process of a namespace: dies with the keeper, and reaps who has lost its parent.
pub(crate) fn be_init() -> io::Result<()> {
    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // the request to end is for the program
    let news = News::subscribe()?;
    loop {
        let more = reap(None)?.more;
        if news.lifeline_closes(if more { Duration::ZERO } else { LOOK })? {
            return Ok(());
        }
    }
}

/// Ourselves again, as the first process of the namespace that we have made.
#[expect(clippy::disallowed_methods, reason = "the launcher starts nothing but itself and what it was told")]
fn init() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--init").env_clear().current_dir("/").stdin(Stdio::inherit());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// Ourselves again, with the same arguments, as the program's process.
#[expect(clippy::disallowed_methods, reason = "the launcher is started by worker::process and starts what it was told")]
fn confined_stage() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--keeper").arg(process::getpid().to_string());
    command.args(std::env::args_os().skip(1)).stdin(Stdio::null());
    Ok(command)
}
