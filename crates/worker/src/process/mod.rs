//! Running programs: how they are started, watched, and ended.
//!
//! Every program of the worker is started here and nowhere else (`clippy.toml` bans the constructors): under the
//! launcher `haul-jail`, in a process group of its own, with a closed environment, with resource limits, a wall
//! clock and a silence clock. However a run ends (exit, time-out, cancel, panic, the worker's death), no process of
//! the group outlives it.
//!
//! Not here: which program, with which arguments, and what its words mean (`ytdlp`, `ffmpeg`); what the program may
//! see and reach (`sandbox`).

mod clock;
mod ended;
mod lines;
mod supervise;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(crate) use clock::Clock;
pub use ended::Ended;
pub use lines::{Line, Stream};
pub(crate) use lines::{Lines, Tail};
pub(crate) use supervise::launcher_beside_us;
pub use supervise::{SpawnError, Supervised};

use crate::sandbox::Sandbox;

/// What to start. Neither the arguments nor the environment are shown by `Debug`: they contain addresses.
#[derive(Clone)]
pub struct Spec {
    program: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    dir: PathBuf,
    limits: Limits,
    launcher: Option<PathBuf>,
    sandbox: Sandbox,
    kind: Kind,
    made_of: Vec<PathBuf>,
    reach: Option<(SocketAddr, Serve)>,
}

/// Takes over the listener that was made for a program where only that one finds it.
pub type Serve = Arc<dyn Fn(TcpListener) + Send + Sync>;

/// What a program is to the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It works for a job.
    OfAJob,
    /// It makes children that work for jobs, and confine themselves further.
    Server,
}

impl Spec {
    /// A program, by absolute path, that works in `dir`; so far without arguments, environment, or limits.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, dir: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            environment: Vec::new(),
            dir: dir.into(),
            limits: Limits::default(),
            launcher: None,
            sandbox: Sandbox::off(),
            kind: Kind::OfAJob,
            made_of: Vec::new(),
            reach: None,
        }
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable. The program sees those set here and no other.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets the resource limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Confines it: it sees its directory and what it is made of, and reaches nothing.
    #[must_use]
    pub fn sandbox(mut self, sandbox: &Sandbox) -> Self {
        self.sandbox = sandbox.clone();
        self
    }

    /// What it is made of beside its own file: folders and programs that it may read and run.
    #[must_use]
    pub fn made_of(mut self, places: impl IntoIterator<Item = PathBuf>) -> Self {
        self.made_of.extend(places);
        self
    }

    /// It may connect to this address. Should that be in a network of the program's own, its listener is given to `serve`.
    #[must_use]
    pub fn reaches(mut self, address: SocketAddr, serve: Serve) -> Self {
        self.reach = Some((address, serve));
        self
    }

    /// Its children work for jobs, and confine themselves further than it is confined.
    #[must_use]
    pub(crate) fn of_a_server(mut self) -> Self {
        self.kind = Kind::Server;
        self
    }

    /// Names the launcher, instead of the `haul-jail` beside this executable.
    #[must_use]
    pub fn launcher(mut self, launcher: impl Into<PathBuf>) -> Self {
        self.launcher = Some(launcher.into());
        self
    }
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spec").field("program", &self.program).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Resource limits of every process of the group; `None`: the worker's own. Core files are never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Largest file that can be written, in bytes (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
    /// Private memory of one process, in bytes (`RLIMIT_DATA`; V8 does not start under `RLIMIT_AS`).
    pub data: Option<u64>,
    /// Processor time of one process (`RLIMIT_CPU`), in whole seconds.
    pub cpu: Option<Duration>,
    /// Open files of one process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Gives way to others who want the processors (`nice(2)`).
    pub gives_way: bool,
}

impl Limits {
    /// The same, of a program that gives way to others.
    #[must_use]
    pub fn nicer(self) -> Self {
        Self { gives_way: true, ..self }
    }
}

/// When a run is ended although the program has not ended.
#[derive(Clone)]
pub struct Watch {
    /// The longest that it may take.
    pub wall: Duration,
    /// The longest without a line of output and without [`Watch::activity`].
    pub silence: Duration,
    /// Ends the run when cancelled.
    pub cancel: CancellationToken,
    /// A number that grows while the program works, such as the bytes that it has produced; asked once a second, off
    /// the runtime's threads.
    pub activity: Option<Activity>,
    /// The slowest pace at which [`Watch::activity`] may grow once it has begun to.
    pub slowest: Option<Pace>,
    /// Whether it waits for something of ours: what does not come meanwhile is nobody's silence. Asked once a second.
    pub is_waiting: Option<Waiting>,
}

impl Watch {
    /// Two clocks and a token.
    #[must_use]
    pub fn new(wall: Duration, silence: Duration, cancel: CancellationToken) -> Self {
        Self { wall, silence, cancel, activity: None, slowest: None, is_waiting: None }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("wall", &self.wall).field("silence", &self.silence).finish_non_exhaustive()
    }
}

/// A number that grows while something works.
pub type Activity = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Whether something waits for its turn.
pub type Waiting = Arc<dyn Fn() -> bool + Send + Sync>;

/// So many bytes in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes.
    pub bytes: u64,
    /// Time in which they must arrive.
    pub window: Duration,
}

/// What a short run gave.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub ended: Ended,
    /// What it wrote to standard output, lines ended by `\n`; at most [`STDOUT_LIMIT`] bytes.
    pub stdout: String,
    /// Standard output was longer, or had a longer line, than is kept.
    pub cut: bool,
    /// The end of what it wrote to standard error.
    pub stderr_tail: String,
}

/// Bytes of standard output that [`output`] keeps.
pub const STDOUT_LIMIT: usize = 16 << 20;

/// Runs a program to its end and collects what it writes.
///
/// # Errors
/// When the program, or its launcher, cannot be started. Everything later is an [`Ended`].
pub async fn output(spec: &Spec, watch: &Watch) -> Result<Output, SpawnError> {
    let mut stdout = String::new();
    let mut cut = false;
    let mut program = Supervised::start(spec)?;
    let ended = program
        .run(watch, |line| {
            if line.from != Stream::Stdout {
                return;
            }
            if stdout.len() + line.text.len() < STDOUT_LIMIT {
                stdout.push_str(&line.text);
                stdout.push('\n');
                cut |= line.cut;
            } else {
                cut = true;
            }
        })
        .await;
    Ok(Output { ended, stdout, cut, stderr_tail: program.stderr_tail().to_owned() })
}
