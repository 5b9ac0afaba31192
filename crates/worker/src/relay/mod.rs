//! One file of an http(s) origin, fetched by ranges in parallel and given out in order.
//!
//! Decides how many connections an origin is asked for, which bytes each one fetches, and whether what arrives is
//! still the version that was begun with. Whatever it can't do safely is [`Trouble::NotHere`], and yt-dlp's to do.
//!
//! Not here: where the bytes go (`pipeline`, `shared::storage`), what they are (`verify`), where a fresh URL comes
//! from (`ytdlp`), what may be dialled (`guard`).

mod driver;
mod hosts;
mod piece;
mod probe;
mod room;
mod width;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use haul_shared::egress::Unreachable;
use hyper::HeaderMap;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::guard::Guard;
pub use crate::origin::Validator;
use crate::origin::{Cookies, Pace, Patience, Unfit};
use hosts::Hosts;
pub(crate) use hosts::Turn;
use piece::Route;
use room::{Shared, UNIT};

/// What a connection fetches at a time, at most: each question costs a round trip in which nothing comes.
const PIECE_BYTES: u64 = 2 * UNIT as u64;

/// What is asked of every relay of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one relay at the same time; at least 1, and at most 30 are of use.
    pub connections: usize,
    /// How often a piece that got no further is tried again.
    pub retries: u32,
    /// The longest range that is asked for, in bytes; up to 2 MiB is of use.
    pub range_bytes: Option<u64>,
    /// Of all connections of a job together.
    pub bytes_per_second: Option<u64>,
}

impl Limits {
    fn piece_bytes(self) -> u64 {
        self.range_bytes.map_or(PIECE_BYTES, |bytes| bytes.clamp(1, PIECE_BYTES))
    }
}

/// Where a file is, and what is sent when asking for it.
#[derive(Clone)]
pub struct Source {
    /// An http or https URL without user and password.
    pub url: Url,
    /// As yt-dlp names them, without its private ones.
    pub headers: HeaderMap,
    /// Each for the hosts that it is meant for.
    pub cookies: Cookies,
}

/// Neither the URL nor a cookie is shown.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// Which bytes of all that a URL may ever lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Of the whole file, in bytes; at least 1.
    pub length: u64,
    /// What the origin calls it.
    pub validator: Validator,
}

/// Why a relay can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The URL is no longer good for anything: extract again, then [`Relay::resume`].
    #[error("the origin no longer honours the address")]
    Expired,
    /// There is another version than the one that was begun: what was given out is worth nothing.
    #[error("the file changed while it was fetched")]
    Changed,
    /// The origin wants to be left alone for longer than a relay waits.
    #[error("the origin asks to come back later")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// From now, if it said.
        retry_after: Option<Duration>,
    },
    /// It leads where nothing may be dialled. Another program must not be sent there either.
    #[error(transparent)]
    Denied(Unreachable),
    /// Not something that a relay can do safely.
    #[error("not for a relay: {0}")]
    NotHere(NotHere),
    /// A piece got no further, as often as it was tried.
    #[error("the connection broke too often")]
    Broken,
}

impl From<Unfit> for Trouble {
    fn from(unfit: Unfit) -> Self {
        Self::NotHere(unfit.into())
    }
}

/// Why a file is not for a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotHere {
    /// Nothing of that origin is to be had by us.
    #[error(transparent)]
    Origin(#[from] Unfit),
    /// The origin sends the whole, whatever it is asked for.
    #[error("the origin serves no ranges")]
    NoRanges,
    /// Two versions could not be told apart.
    #[error("the origin names no version")]
    NoValidator,
}

impl NotHere {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Unfit::ALL.map(Self::Origin).into_iter().chain([Self::NoRanges, Self::NoValidator])
    }

    /// The word of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Origin(unfit) => unfit.word(),
            Self::NoRanges => "no_ranges",
            Self::NoValidator => "no_validator",
        }
    }
}

/// What the relays of all jobs share.
#[derive(Debug)]
pub struct Relays {
    limits: Limits,
    hosts: Hosts,
    memory: Shared,
}

impl Relays {
    /// Hosts that have asked for it are spared, and those that ask for it are remembered.
    #[must_use]
    pub fn new(limits: Limits, patience: Patience) -> Self {
        Self { limits, hosts: Hosts::new(patience), memory: Shared::default() }
    }

    /// For one job, whose relays share the rate, and dial what its guard allows and nothing else.
    #[must_use]
    pub fn for_job(&self, guard: &Guard) -> Relay {
        let pace = self.limits.bytes_per_second.map(|rate| Arc::new(Pace::new(rate)));
        let (hosts, memory) = (self.hosts.clone(), self.memory.clone());
        Relay { guard: guard.clone(), limits: self.limits, hosts, memory, pace }
    }
}

/// Makes the relays of one job.
#[derive(Debug, Clone)]
pub struct Relay {
    guard: Guard,
    limits: Limits,
    hosts: Hosts,
    memory: Shared,
    pace: Option<Arc<Pace>>,
}

impl Relay {
    /// Asks for the first piece, and with that whether there is anything to relay.
    ///
    /// # Errors
    /// [`Trouble`]. Nothing was given out.
    pub async fn open(&self, source: &Source) -> Result<Relayed, Trouble> {
        self.open_in(&Turn::default(), source).await
    }

    /// The same, for whoever looks at its turn meanwhile.
    pub(crate) async fn open_in(&self, turn: &Turn, source: &Source) -> Result<Relayed, Trouble> {
        let (route, first) = probe::probe(self, turn, source, 0).await?;
        Ok(driver::start(route, first, self.limits, self.memory.room()))
    }

    /// Goes on at byte `at` of `version`, which has more bytes than that, wherever it is now.
    ///
    /// # Errors
    /// [`Trouble`]; [`Trouble::Changed`] if what is there now is another version.
    pub async fn resume(&self, source: &Source, version: &Version, at: u64) -> Result<Relayed, Trouble> {
        self.resume_in(&Turn::default(), source, version, at).await
    }

    /// The same, for whoever looks at its turn meanwhile.
    pub(crate) async fn resume_in(
        &self,
        turn: &Turn,
        source: &Source,
        version: &Version,
        at: u64,
    ) -> Result<Relayed, Trouble> {
        let (route, first) = probe::probe(self, turn, source, at).await?;
        if route.version != *version {
            return Err(Trouble::Changed);
        }
        Ok(driver::start(route, first, self.limits, self.memory.room()))
    }
}

/// A file on its way. Dropped, it ends with all its connections.
#[derive(Debug)]
pub struct Relayed {
    version: Version,
    at: u64,
    pieces: mpsc::Receiver<Result<Bytes, Trouble>>,
    route: Arc<Route>,
    _driver: AbortOnDropHandle<()>,
}

impl Relayed {
    /// What is being fetched.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The offset of what [`Self::next`] will give out: where [`Relay::resume`] would go on.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that have arrived, given out or not.
    #[must_use]
    pub fn arrived_bytes(&self) -> u64 {
        self.route.arrived_bytes.load(Ordering::Relaxed)
    }

    /// Whether its connections wait for seats at the host.
    pub(crate) fn turn(&self) -> Turn {
        self.route.turn.clone()
    }

    /// Tells the same from anywhere.
    pub fn arrived(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let route = Arc::clone(&self.route);
        move || route.arrived_bytes.load(Ordering::Relaxed)
    }

    /// The next bytes in order, at most 2 MiB; `None` after the last. Nothing more is fetched while 30 MiB of them are
    /// held, and as many of the 28 MiB that all relays share as this one could get.
    ///
    /// # Errors
    /// [`Trouble`]; then there is no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        if self.at == self.version.length {
            return Ok(None);
        }
        // a driver that ends without a word has panicked
        let bytes = self.pieces.recv().await.unwrap_or(Err(Trouble::Broken))?;
        self.at += bytes.len() as u64;
        Ok(Some(bytes))
    }
}
