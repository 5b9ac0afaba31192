//! The sandbox: what a program can see and reach, should a stranger's bytes have taken it over.
//!
//! A program sees one directory, what it is made of, and nothing else of the file system; it reaches the guard's port and
//! nothing else of any network. Which means there are for that is tried out at the start of the worker ([`Tier`]); what
//! exactly a program may do is decided in [`rules`], once, and put on by two: the launcher, and the forked children of
//! warm extractors.
//!
//! Not here: who starts programs and ends them (`process`, `crates/jail`), what the guard lets through (`guard`).

mod calls;
mod hand;
mod libraries;
mod probe;
mod rules;
mod unfit;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul_jail::Rules;
use haul_shared::config::Mode;

pub(crate) use hand::receive;
pub(crate) use libraries::libraries_beside;
pub use unfit::CannotRun;

use rules::{Kernel, Subject};

/// Where the guard is found by a program that has a network of its own: nobody else listens there.
const INSIDE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);

/// Of a job that has a namespace of users, in which nobody else counts: a runtime of JavaScript has a thread for each
/// processor. The kernel counts nobody who is root.
const PROCESSES: u64 = 512;

/// How well programs are confined, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Namespaces of users, network and processes, and all of B within them.
    A,
    /// Landlock (files, TCP ports, signals) and a filter of system calls.
    B,
    /// Limits of resources only: nothing better works here.
    C,
    /// Limits of resources only, because the operator wants it so.
    Off,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::Off];

    /// As it is told: `a`, `b`, `c`, `off`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
            Self::Off => "off",
        }
    }

    /// Fit for what strangers ask for?
    #[must_use]
    pub fn confines(self) -> bool {
        match self {
            Self::A | Self::B => true,
            Self::C | Self::Off => false,
        }
    }
}

/// What the operator wants (`HAUL_SANDBOX`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// The best that works.
    #[default]
    Auto,
    /// This one, or no start.
    Exactly(Tier),
}

/// The sandbox of one worker. A clone is the same.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    tier: Tier,
    kernel: Kernel,
    /// Below it, each directory is one job's.
    home: PathBuf,
    /// What was tried in vain, and why.
    refusals: Vec<String>,
}

/// There is no sandbox as it is wanted.
#[derive(Debug, thiserror::Error)]
#[error("no sandbox of tier {wanted} can be had here: {why}")]
pub struct NoSandbox {
    wanted: &'static str,
    why: String,
}

/// Strangers are not served without one.
#[derive(Debug, thiserror::Error)]
#[error(
    "HAUL_MODE=public needs a sandbox, and none works here ({0}). It takes a kernel with Landlock (Linux 6.7), or with Landlock \
     (Linux 6.2) and unprivileged user namespaces; a container must not forbid the calls"
)]
pub struct NotForStrangers(String);

/// What the launcher has to do for a program.
#[derive(Debug, Clone)]
pub(crate) struct Confinement {
    /// To put on the program.
    pub(crate) rules: Rules,
    /// To put it into namespaces of its own, and to make its listener there.
    pub(crate) space: Option<Space>,
}

/// Namespaces of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Where the guard is to be found inside; `None`: nowhere.
    pub(crate) listens_at: Option<u16>,
    /// Processes and threads that there may be (`RLIMIT_NPROC`).
    pub(crate) processes: u64,
}

impl Sandbox {
    /// None: programs have their limits, and that is all.
    #[must_use]
    pub fn off() -> Self {
        Self::of(Tier::Off, Path::new("/"), Vec::new())
    }

    fn of(tier: Tier, home: &Path, refusals: Vec<String>) -> Self {
        Self(Arc::new(Facts { tier, kernel: Kernel::of_this_machine(), home: home.to_owned(), refusals }))
    }

    /// Finds the best that works, or what is wanted, by trying it out with this launcher (`None`: the one beside us).
    /// Below `home` each directory is one job's. To be called on a runtime.
    ///
    /// # Errors
    /// When what is wanted does not work.
    pub async fn establish(wanted: Wanted, home: &Path, launcher: Option<&Path>) -> Result<Self, NoSandbox> {
        let candidates: &[Tier] = match wanted {
            Wanted::Auto => &[Tier::A, Tier::B],
            Wanted::Exactly(Tier::A) => &[Tier::A],
            Wanted::Exactly(Tier::B) => &[Tier::B],
            Wanted::Exactly(tier @ (Tier::C | Tier::Off)) => return Ok(Self::of(tier, home, Vec::new()).said()),
        };
        let mut refusals = Vec::new();
        for tier in candidates {
            let sandbox = Self::of(*tier, home, refusals.clone());
            match probe::holds(&sandbox, launcher).await {
                Ok(()) => return Ok(sandbox.said()),
                Err(why) => refusals.push(format!("{}: {why}", tier.word())),
            }
        }
        match wanted {
            Wanted::Exactly(tier) => Err(NoSandbox { wanted: tier.word(), why: refusals.join("; ") }),
            Wanted::Auto => Ok(Self::of(Tier::C, home, refusals).said()),
        }
    }

    /// Tells the operator, once.
    fn said(self) -> Self {
        let (tier, why_no_better) = (self.tier().word(), self.why_no_better());
        if self.tier().confines() {
            tracing::info!(sandbox = tier, why_no_better, "programs run in a sandbox of tier {tier}");
        } else {
            tracing::warn!(
                sandbox = tier,
                why_no_better,
                "programs run in no sandbox: only what is trusted should be downloaded here"
            );
        }
        self
    }

    /// Which better tiers were tried, and why they do not work here.
    #[must_use]
    pub fn why_no_better(&self) -> String {
        self.0.refusals.join("; ")
    }

    /// Does it do for those whom the deployment serves?
    ///
    /// # Errors
    /// When strangers are served, and it confines nothing.
    pub fn check_fit(&self, mode: Mode) -> Result<(), NotForStrangers> {
        match mode {
            Mode::Public if !self.tier().confines() => Err(NotForStrangers(self.why_no_better())),
            Mode::Public | Mode::Private => Ok(()),
        }
    }

    /// Which it is.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.0.tier
    }

    /// Where programs find the guard, if it is not on the worker's own loopback.
    #[must_use]
    pub fn guard_inside(&self) -> Option<SocketAddr> {
        (self.tier() == Tier::A).then_some(INSIDE)
    }

    /// For a program that works in `dir`, is made of `programs`, and may reach the guard at this port; `None`: nothing
    /// confines it.
    ///
    /// # Errors
    /// On an architecture without filters of system calls.
    pub(crate) fn confine(
        &self,
        dir: &Path,
        programs: &[PathBuf],
        guard: Option<SocketAddr>,
    ) -> io::Result<Option<Confinement>> {
        if !self.tier().confines() {
            return Ok(None);
        }
        let port = guard.map(|address| address.port());
        let is_alone = self.tier() == Tier::A;
        let subject = Subject { programs, room: self.room(dir), port, is_alone };
        let rules = rules::of_a_program(self.0.kernel, &subject).map_err(io::Error::other)?;
        Ok(Some(Confinement { rules, space: is_alone.then_some(Space { listens_at: port, processes: PROCESSES }) }))
    }

    /// For the server of warm extractors, whose children confine themselves further.
    pub(crate) fn confine_server(&self, programs: &[PathBuf]) -> Option<Confinement> {
        let rules = || rules::of_a_server(self.0.kernel, programs, &self.0.home);
        self.tier().confines().then(|| Confinement { rules: rules(), space: None })
    }

    /// All that belongs to the job of this directory.
    fn room<'a>(&'a self, dir: &'a Path) -> &'a Path {
        let home = &self.0.home;
        dir.ancestors().find(|place| place.parent() == Some(home)).unwrap_or(dir)
    }
}
