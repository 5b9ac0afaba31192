//! A job: what is to be done, where it stands, and what came of it.
//!
//! Knows neither Redis nor HTTP nor any program. Which action may leave which state stands in [`state`], and
//! nowhere else; whether a failure is tried again stands in [`failure`].

pub mod artifact;
pub mod failure;
pub mod fingerprint;
pub mod library;
pub mod progress;
pub mod spec;
pub mod state;

pub use artifact::{Artifact, Beside, Delivery, Stored, Text, Thumbnail};
pub use failure::{Failure, FailureKind, LONGEST_ASKED, RetryPolicy};
pub use fingerprint::Fingerprint;
pub use library::{Annotation, Library};
pub use progress::{Progress, Stage, shown_percent};
pub use spec::{DownloadSpec, JobSpec, PictureSpec, PlanSpec};
pub use state::{Action, StateKind};

use jiff::Timestamp;

use crate::ids::{ClientKey, Region, Ticket, WorkerId};
use crate::media::MediaInfo;
use crate::trace::TraceParent;

/// A job as the holder of one ticket sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The handle it was asked for by.
    pub ticket: Ticket,
    /// Who holds the ticket.
    pub client: ClientKey,
    /// What the client asked, as the API wrote it; opaque to everyone else.
    pub request: Vec<u8>,
    /// When the ticket was given out.
    pub created: Timestamp,
    /// Where the work is done.
    pub region: Region,
    /// Where it stands.
    pub state: JobState,
    /// Attempts begun so far; 0 before the first.
    pub attempt: u32,
    /// Attempts that may be begun.
    pub max_attempts: u32,
    /// When the first attempt of this run began.
    pub started: Option<Timestamp>,
    /// How far the newest attempt is, or came; `None` before the first.
    pub progress: Option<Progress>,
    /// What is known of the medium.
    pub media: Option<MediaInfo>,
    /// What its holder keeps beside the result.
    pub library: Library,
    /// The yt-dlp of the newest attempt; `None` before the first, and where its worker did not tell.
    pub ytdlp: Option<String>,
    /// The span that its run comes from, of a trace that is kept.
    pub trace: Option<TraceParent>,
}

/// Where a job stands; a field lives in the state where it exists.
#[derive(Debug, Clone, PartialEq)]
pub enum JobState {
    /// In line, first attempt or taken back unharmed.
    Queued {
        /// How many jobs are served before this one, plus one; 0: that is not known any more.
        position: u64,
    },
    /// Waits for its next attempt.
    Waiting {
        /// When that is.
        due: Timestamp,
        /// Why the last attempt ended.
        last: Option<Failure>,
    },
    /// A worker holds its lease.
    Running {
        /// Which.
        worker: WorkerId,
    },
    /// The result exists.
    Completed {
        /// What it is.
        artifact: Artifact,
        /// Since when.
        finished: Timestamp,
        /// Until when this ticket's holder may fetch it.
        expires: Timestamp,
    },
    /// A look at metadata is over. It makes no file: what was found is in the cache.
    Found {
        /// Since when.
        finished: Timestamp,
    },
    /// It ended without a result.
    Failed {
        /// Why.
        failure: Failure,
        /// When.
        finished: Timestamp,
    },
    /// Its client took it back.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// The result, or the wait for one, outlived its time.
    Expired {
        /// What the result was, if there was one.
        artifact: Option<Artifact>,
        /// When it ended.
        finished: Timestamp,
        /// When it expired.
        at: Timestamp,
    },
}

impl JobState {
    /// The state without its fields.
    #[must_use]
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Queued { .. } => StateKind::Queued,
            Self::Waiting { .. } => StateKind::Waiting,
            Self::Running { .. } => StateKind::Running,
            Self::Completed { .. } | Self::Found { .. } => StateKind::Completed,
            Self::Failed { .. } => StateKind::Failed,
            Self::Cancelled { .. } => StateKind::Cancelled,
            Self::Expired { .. } => StateKind::Expired,
        }
    }

    /// What came of it, also when that has expired.
    #[must_use]
    pub fn artifact(&self) -> Option<&Artifact> {
        match self {
            Self::Completed { artifact, .. } | Self::Expired { artifact: Some(artifact), .. } => Some(artifact),
            Self::Queued { .. }
            | Self::Waiting { .. }
            | Self::Running { .. }
            | Self::Found { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Expired { artifact: None, .. } => None,
        }
    }
}
