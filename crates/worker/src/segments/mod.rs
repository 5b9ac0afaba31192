//! A stream of segments (HLS, DASH), fetched several at a time and given out in order as one run of bytes.
//!
//! Decides which playlists it can follow without changing a byte, how many segments are under way, what is held in
//! memory, and that none is ever left out. Whatever it can't do safely is [`Trouble::NotHere`], and yt-dlp's to do.
//!
//! Not here: where a playlist is found (`ytdlp`), where the bytes go (`pipeline`), what they are (`verify`), what may be
//! dialled (`guard`), connections (`origin`).

mod cipher;
mod fetcher;
mod flow;
mod hls;
mod lane;
mod lanes;
mod plan;
mod share;
mod source;

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use haul_shared::egress::Unreachable;
use hyper::StatusCode;
use url::Url;

use crate::guard::Guard;
use crate::origin::{Patience, Unfit, is_address};
use fetcher::{Fetcher, Idle};
use plan::{MOST_SEGMENTS, Plan, Segment};
use share::Share;

pub use flow::Flow;
pub(crate) use plan::Addresses;
pub use source::{Manifest, Source};

/// What is asked of every stream of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Segments of all streams of one job under way at the same time, and connections to one host that are kept.
    pub at_once: usize,
    /// How often a segment that got no further is tried again.
    pub retries: u32,
    /// Of all streams of one job together, in bytes per second.
    pub rate: Option<u64>,
    /// All streams of one job together, in bytes.
    pub most_bytes: u64,
}

/// Why a stream can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Not something that can be done safely here.
    #[error("not for the fetcher of segments: {0}")]
    NotHere(NotHere),
    /// It leads where nothing may be dialled. Another program must not be sent there either.
    #[error(transparent)]
    Denied(Unreachable),
    /// The origin refuses a segment that the playlist names.
    #[error("a segment was answered with {0}")]
    Refused(StatusCode),
    /// A segment has become another one while it was fetched.
    #[error("a segment changed while it was fetched")]
    Changed,
    /// A segment without a byte.
    #[error("a segment is empty")]
    Empty,
    /// The origin wants to be left alone for longer than is waited here.
    #[error("the origin asks to come back later")]
    Busy {
        /// From now, if it said.
        retry_after: Option<Duration>,
    },
    /// A segment got no further, as often as it was tried.
    #[error("the connection broke too often")]
    Broken,
    /// More than [`Limits::most_bytes`].
    #[error("more bytes came than may be taken")]
    TooLarge,
}

impl From<Unfit> for Trouble {
    fn from(unfit: Unfit) -> Self {
        Self::NotHere(unfit.into())
    }
}

/// Why a stream is not for the fetcher of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotHere {
    /// Nothing of an origin is to be had by us.
    #[error(transparent)]
    Origin(#[from] Unfit),
    /// Neither HLS nor static DASH.
    #[error("it is no stream of segments")]
    Protocol,
    /// It cannot be read to the letter, or is none of media.
    #[error("the playlist is not understood")]
    Playlist,
    /// It may still grow.
    #[error("the playlist has no end")]
    Live,
    /// It names more segments, or is longer, than is held in memory here.
    #[error("the playlist is too long")]
    TooMany,
    /// It changes from one medium to another on the way.
    #[error("there is a discontinuity")]
    Discontinuity,
    /// It is encrypted in another way than AES-128 over whole segments, or is not what the key opens.
    #[error("the cipher is not known")]
    Cipher,
    /// It says something that may change what the bytes are.
    #[error("a tag of the playlist is not known")]
    Tags,
    /// The site wants something that only yt-dlp knows how to do.
    #[error("the site has ways of its own")]
    Quirks,
}

impl NotHere {
    /// All reasons.
    pub fn all() -> impl Iterator<Item = Self> {
        use NotHere::{Cipher, Discontinuity, Live, Playlist, Protocol, Quirks, Tags, TooMany};
        let own = [Protocol, Playlist, Live, TooMany, Discontinuity, Cipher, Tags, Quirks];
        Unfit::ALL.map(Self::Origin).into_iter().chain(own)
    }

    /// The word of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Origin(unfit) => unfit.word(),
            Self::Protocol => "protocol",
            Self::Playlist => "playlist",
            Self::Live => "live",
            Self::TooMany => "too_many",
            Self::Discontinuity => "discontinuity",
            Self::Cipher => "cipher",
            Self::Tags => "tags",
            Self::Quirks => "quirks",
        }
    }
}

/// Fetches streams.
#[derive(Debug, Clone)]
pub struct Segments {
    limits: Limits,
    patience: Patience,
}

impl Segments {
    /// Hosts that have asked for `patience` get fewer requests.
    #[must_use]
    pub fn new(limits: Limits, patience: Patience) -> Self {
        Self { limits, patience }
    }

    /// Begins with all streams of one job: they share connections and memory, and dial what its guard allows and nothing
    /// else. Their playlists were read, and their first segments are on the way.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn open(&self, guard: &Guard, sources: &[Source]) -> Result<Vec<Flow>, Trouble> {
        let share = Arc::new(Share::new(self.limits, sources, self.patience.clone()));
        let idle = Arc::new(Idle::new(Arc::clone(&share.lanes)));
        try_join_all(sources.iter().enumerate().map(|source| self.begin(guard, source, &share, &idle))).await
    }

    async fn begin(
        &self,
        guard: &Guard,
        (stream, source): (usize, &Source),
        share: &Arc<Share>,
        idle: &Arc<Idle>,
    ) -> Result<Flow, Trouble> {
        let fetcher = Arc::new(Fetcher::new(guard.clone(), source, Arc::clone(idle)));
        let plan = match &source.manifest {
            Manifest::Playlist => playlist(&fetcher, &source.url).await?,
            Manifest::Fragments(fragments) => named(fragments).map_err(Trouble::NotHere)?,
        };
        Ok(Flow::begin(stream, plan, fetcher, Arc::clone(share)))
    }
}

async fn playlist(fetcher: &Fetcher, url: &Url) -> Result<Plan, Trouble> {
    let (text, base) = fetcher.playlist(url).await?;
    // a playlist that makes its reader panic is one that cannot be read
    let read = tokio::task::spawn_blocking(move || hls::plan(&text, &base)).await;
    read.unwrap_or(Err(NotHere::Playlist)).map_err(Trouble::NotHere)
}

fn named(fragments: &[(Url, Option<f64>)]) -> Result<Plan, NotHere> {
    if fragments.is_empty() || fragments.len() > MOST_SEGMENTS {
        return Err(NotHere::TooMany);
    }
    if !fragments.iter().all(|(url, _)| is_address(url)) {
        return Err(Unfit::Address.into());
    }
    // the first one may be an initialisation, which plays for no time
    let seconds: Option<Vec<f64>> = fragments.iter().skip(1).map(|(_, seconds)| *seconds).collect();
    let first = fragments[0].1.unwrap_or_default();
    let seconds = seconds.map(|seconds| first + seconds.iter().sum::<f64>());
    Ok(Plan { segments: fragments.iter().map(|(url, _)| Segment::whole(url.clone())).collect(), seconds })
}
