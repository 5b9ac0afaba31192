//! The end of everything that a program has started, whatever it does meanwhile: left its group, made sessions, or forked
//! and ended for ever, so that whoever is looked at is gone already.
//!
//! Two ways. Where Landlock can keep signals in (Linux 6.12), the keeper keeps its own in: then "everybody" means its
//! descendants, and one call kills all of them, between two forks of theirs. Elsewhere it kills its children by the
//! kernel's list, and inherits the next generation, until there is none, or its patience is over.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use landlock::{
    AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetStatus, Scope,
};
use rustix::io::Errno;
use rustix::process::{self, Pid, Signal, WaitOptions, WaitStatus};

use crate::news::News;

/// For all to be gone; then the group is killed, and we with it. The worker waits longer (`process::supervise`).
const PATIENCE: Duration = Duration::from_secs(2);
/// For the next of those that were killed to die, before they are killed again.
const PAUSE: Duration = Duration::from_millis(10);
/// Reaped at once: whoever dies without a pause must not keep us from looking up.
const AT_ONCE: usize = 100;

/// All whom this process has started, and all whom those have.
pub(crate) struct Descendants {
    are_everybody: bool,
}

/// What a look at the dead has shown.
pub(crate) struct Reaped {
    /// Who was asked for is among them.
    pub(crate) status: Option<WaitStatus>,
    /// Somebody was.
    pub(crate) some: bool,
    /// There may be more.
    pub(crate) more: bool,
    /// There is no child any more, dead or alive.
    pub(crate) childless: bool,
}

impl Descendants {
    /// Inherits whoever loses its parent from now on. To be called before anybody is started.
    pub(crate) fn adopt() -> io::Result<Self> {
        process::set_child_subreaper(Some(process::getpid()))?;
        let is_kept_in = keep_signals_in().is_ok_and(|status| status != RulesetStatus::NotEnforced);
        Ok(Self { are_everybody: is_kept_in && cannot_signal_its_parent() })
    }

    /// Kills and reaps until there is none. A pass that fails, for want of memory or of open files, may be the last as little
    /// as any other.
    pub(crate) fn end(&self, news: &News) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let _ = self.kill();
            match reap(None) {
                Ok(Reaped { childless: true, .. }) => return Ok(()),
                Ok(Reaped { some: true, .. }) => {}
                Ok(_) | Err(_) => drop(news.signal(PAUSE)),
            }
        }
        Ok(process::kill_current_process_group(Signal::KILL)?)
    }

    fn kill(&self) -> io::Result<()> {
        if self.are_everybody {
            // nobody is no fault
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix::sys::signal::Signal::SIGKILL);
            return Ok(());
        }
        for child in children()? {
            // still ours: nobody else reaps
            let _ = process::kill_process(child, Signal::KILL);
        }
        Ok(())
    }
}

/// Reaps the dead, and tells how this one has ended, should it be among them.
pub(crate) fn reap(one: Option<Pid>) -> io::Result<Reaped> {
    let mut reaped = Reaped { status: None, some: false, more: false, childless: false };
    for _ in 0..AT_ONCE {
        match process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                reaped.some = true;
                reaped.status = reaped.status.or((Some(pid) == one).then_some(status));
            }
            Ok(None) => return Ok(reaped),
            Err(Errno::CHILD) => return Ok(Reaped { childless: true, ..reaped }),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Reaped { more: true, ..reaped })
}

/// Nothing but signals is restricted. Moving files between folders has to be named, for it would be refused unasked. What
/// else is asked for can only be missing as a whole, but that our own tries are not logged: each would be a record.
fn keep_signals_in() -> Result<RulesetStatus, Box<dyn Error>> {
    let everywhere = PathBeneath::new(PathFd::new("/")?, AccessFs::Refer);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?
        .scope(Scope::Signal)?;
    let ruleset = ruleset.create()?.add_rule(everywhere)?.set_compatibility(CompatLevel::BestEffort);
    Ok(ruleset.log_same_exec(false)?.restrict_self()?.ruleset)
}

/// The proof, before anything is sent to everybody.
fn cannot_signal_its_parent() -> bool {
    process::getppid().is_some_and(|parent| process::test_kill_process(parent) == Err(Errno::PERM))
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
