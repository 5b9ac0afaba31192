//! One program under watch, and the ladder that ends it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use rustix::process::Signal;
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::timeout;
use tracing::Span;

use super::clock::Clock;
use super::ended::LAUNCHER_FAILED;
use super::lines::{Line, Lines, Stream, Tail};
use super::{Ended, Kind, Limits, Serve, Spec, Watch};
use crate::sandbox::{self, Confinement, Space};
use crate::spans;

/// Between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(2);
/// For the launcher to end every descendant, once it has lost its lifeline or its program: longer than its own patience.
/// Without it, who has left the group could not be reached any more.
const LAUNCHER_GRACE: Duration = Duration::from_secs(3);
/// Between two looks whether the program is still wanted, while its listener is waited for.
const LOOK: Duration = Duration::from_millis(100);
/// For the rest of the output after the end of the program.
const DRAIN: Duration = Duration::from_secs(1);

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The launcher is not where it should be.
    #[error("the launcher {0} does not exist")]
    NoLauncher(PathBuf),
    /// The system refused.
    #[error("{0} could not be started")]
    Refused(PathBuf, #[source] io::Error),
}

/// A running program with all its descendants. Dropped, it kills them.
pub struct Supervised {
    group: Group,
    stdout: Lines<ChildStdout>,
    stderr: Lines<ChildStderr>,
    tail: Tail,
    span: Span,
}

impl Supervised {
    /// Starts a program. To be called on a runtime.
    ///
    /// # Errors
    /// When the launcher cannot be started. A program that the launcher cannot start exits with 126 or 127.
    pub fn start(spec: &Spec) -> Result<Self, SpawnError> {
        let launcher = match &spec.launcher {
            Some(path) => path.clone(),
            None => launcher_beside_us().map_err(|error| SpawnError::Refused("haul-jail".into(), error))?,
        };
        if !launcher.is_file() {
            return Err(SpawnError::NoLauncher(launcher));
        }
        let refused = |error| SpawnError::Refused(spec.program.clone(), error);
        let (lifeline, theirs) = UnixStream::pair().map_err(refused)?;
        let confinement = confinement(spec).map_err(refused)?;
        let command = command(&launcher, spec, confinement.as_ref(), theirs).map_err(refused)?;
        // the command holds their end of the lifeline: it is gone with this line
        let mut child = { command }.spawn().map_err(refused)?;
        let lifeline = Arc::new(lifeline);
        if let (Some(Space { listens_at: Some(_), .. }), Some((_, serve))) =
            (confinement.and_then(|confinement| confinement.space), &spec.reach)
        {
            take_over_listener(&lifeline, Arc::clone(serve));
        }
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let group = Group { leader: child, lifeline: Some(lifeline), ended: false };
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(refused(io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Self {
            group,
            stdout: Lines::new(Stream::Stdout, stdout),
            stderr: Lines::new(Stream::Stderr, stderr),
            tail: Tail::default(),
            span: span(spec),
        })
    }

    /// Runs the program to its end, or ends it. Each line is given to `on_line` as it comes; the next one is read
    /// when that returns, so it should return at once.
    pub async fn run(&mut self, watch: &Watch, on_line: impl FnMut(Line)) -> Ended {
        let ended = self.run_to_its_end(watch, on_line).await;
        self.span.record("program.ended", tracing::field::display(ended));
        ended
    }

    async fn run_to_its_end(&mut self, watch: &Watch, mut on_line: impl FnMut(Line)) -> Ended {
        let mut clock = Clock::new(watch);
        let (mut out_open, mut err_open) = (true, true);
        let cause = loop {
            tokio::select! {
                biased;
                turn = clock.turn() => if let Some(cause) = clock.judge(turn).await {
                    break cause;
                },
                line = self.stdout.next(), if out_open => match line {
                    Some(line) => { clock.sign_of_life(); on_line(line) }
                    None => out_open = false,
                },
                line = self.stderr.next(), if err_open => match line {
                    Some(line) => { clock.sign_of_life(); self.tail.push(&line.text); on_line(line) }
                    None => err_open = false,
                },
                status = self.group.wait() => {
                    let _ = timeout(DRAIN, self.drain(&mut on_line)).await;
                    return status.map_or(Ended::Exited(LAUNCHER_FAILED), Ended::of);
                }
            }
        };
        self.stop(&mut on_line).await;
        cause
    }

    /// The end of standard error, in whole lines; at most 64 KiB.
    #[must_use]
    pub fn stderr_tail(&self) -> &str {
        self.tail.as_str()
    }

    /// Ends the group, while what it still writes is read: a full pipe must not keep it from ending well.
    async fn stop(&mut self, on_line: &mut impl FnMut(Line)) {
        let Self { group, stdout, stderr, tail, .. } = self;
        tokio::join!(group.stop(), async {
            let _ = timeout(GRACE + LAUNCHER_GRACE + DRAIN, drain(stdout, stderr, tail, on_line)).await;
        });
    }

    async fn drain(&mut self, on_line: &mut impl FnMut(Line)) {
        drain(&mut self.stdout, &mut self.stderr, &mut self.tail, on_line).await;
    }
}

/// The program's part of a job's trace. A server belongs to no job.
fn span(spec: &Spec) -> Span {
    match spec.kind {
        Kind::Server => Span::none(),
        Kind::OfAJob => spans::program(&spec.program.file_name().unwrap_or_default().to_string_lossy()),
    }
}

async fn drain(
    stdout: &mut Lines<ChildStdout>,
    stderr: &mut Lines<ChildStderr>,
    tail: &mut Tail,
    on_line: &mut impl FnMut(Line),
) {
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            line = stdout.next(), if out_open => match line {
                Some(line) => on_line(line),
                None => out_open = false,
            },
            line = stderr.next(), if err_open => match line {
                Some(line) => { tail.push(&line.text); on_line(line) }
                None => err_open = false,
            },
        }
    }
}

/// The process group. Its leader is the launcher, which ends when the program and all descendants have.
struct Group {
    leader: Box<dyn ChildWrapper>,
    /// The launcher kills everything when this closes; also when it closes because we died.
    lifeline: Option<Arc<UnixStream>>,
    ended: bool,
}

impl Group {
    /// Waits for the leader; then nobody of the group is left.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.leader.wait().await;
        // should the launcher itself have been killed, its group is still there
        let _ = self.leader.start_kill();
        self.ended = true;
        status
    }

    /// The ladder: asks the group to end; lets the launcher kill every descendant, also one that left the group;
    /// kills the group.
    async fn stop(&mut self) {
        let _ = self.leader.signal(Signal::TERM.as_raw());
        if timeout(GRACE, self.wait()).await.is_ok() {
            return;
        }
        drop(self.lifeline.take());
        if timeout(LAUNCHER_GRACE, self.wait()).await.is_ok() {
            return;
        }
        let _ = self.leader.start_kill();
        let _ = self.wait().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // the launcher kills every descendant now. Not the group at once: that would kill the launcher, and spare
        // whoever has left the group
        drop(self.lifeline.take());
        if !matches!(self.leader.try_wait(), Ok(None)) {
            let _ = self.leader.start_kill();
        }
    }
}

/// What the sandbox does with it; `None`: nothing.
fn confinement(spec: &Spec) -> io::Result<Option<Confinement>> {
    let programs: Vec<_> = std::iter::once(&spec.program).chain(&spec.made_of).cloned().collect();
    match spec.kind {
        Kind::Server => Ok(spec.sandbox.confine_server(&programs)),
        Kind::OfAJob => spec.sandbox.confine(&spec.dir, &programs, spec.reach.as_ref().map(|(address, _)| *address)),
    }
}

/// Waits for the listener that the launcher makes. It may end before it does: its own exit tells why.
fn take_over_listener(lifeline: &Arc<UnixStream>, serve: Serve) {
    // does not keep the lifeline: whoever lets go of the program ends it
    let lifeline = Arc::downgrade(lifeline);
    tokio::spawn(async move {
        while let Some(socket) = lifeline.upgrade() {
            match timeout(LOOK, sandbox::receive(&socket, &mut [0; 16])).await {
                Ok(Ok((1.., Some(listener)))) => return serve(listener),
                Ok(_) => return,
                Err(_) => {}
            }
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts programs: launcher, group, limits are set here"
)]
fn command(
    launcher: &Path,
    spec: &Spec,
    confinement: Option<&Confinement>,
    lifeline: UnixStream,
) -> io::Result<CommandWrap> {
    let Limits { file_size, data, cpu, open_files, gives_way } = spec.limits;
    let cpu = cpu.map(|cpu| cpu.as_secs().max(1));
    let mut command = Command::new(launcher);
    for (option, limit) in [("--file-size", file_size), ("--data", data), ("--cpu", cpu), ("--open-files", open_files)]
    {
        if let Some(limit) = limit {
            command.arg(option).arg(limit.to_string());
        }
    }
    if gives_way {
        command.arg("--gives-way");
    }
    if let Some(Confinement { rules, space }) = confinement {
        command.arg("--rules").arg(serde_json::to_string(rules)?);
        if let Some(Space { listens_at, processes }) = space {
            command.arg("--apart").arg("--processes").arg(processes.to_string());
            command.args(listens_at.iter().flat_map(|port| ["--listen".to_owned(), port.to_string()]));
        }
    }
    command.arg("--").arg(&spec.program).args(&spec.args);
    command.env_clear().envs(spec.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(&spec.dir);
    let lifeline = lifeline.into_std()?;
    // the launcher's reads of it wait, as those of a pipe do
    lifeline.set_nonblocking(false)?;
    command.stdin(OwnedFd::from(lifeline)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut wrapped = CommandWrap::from(command);
    wrapped.wrap(ProcessGroup::leader());
    Ok(wrapped)
}

/// Test binaries and what is built with them stand one folder below the programs.
pub(crate) fn launcher_beside_us() -> io::Result<PathBuf> {
    let us = std::env::current_exe()?;
    let dir = us.parent().unwrap_or(Path::new("/"));
    let is_below = dir.ends_with("deps") || dir.ends_with("examples");
    let dir = if is_below { dir.parent().unwrap_or(dir) } else { dir };
    Ok(dir.join("haul-jail"))
}
