//! One job as named steps: extract, download, process, verify, upload. Settling it is `attempt`'s.
//!
//! The only place that sees programs, scratch and store together. Every step ends when the job is stopped, and all
//! of them together within `HAUL_JOB_TIMEOUT`. A result is verified before it is uploaded, and what is uploaded can
//! be fetched by nobody before the job is completed.

mod ahead;
mod beside;
mod cut;
mod deliver;
mod download;
mod fetch;
mod flow;
mod flowing;
mod live;
mod make;
mod material;
mod metadata;
mod native;
mod picture;
mod plan;
mod sponsor;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use haul_shared::cookies::Cookies;
use haul_shared::egress::Unreachable;
use haul_shared::job::{Artifact, Failure, FailureKind};
use haul_shared::source::SourceUrl;
use haul_shared::storage::StorageError;
use tokio::time::Instant;

use crate::board::Running;
use crate::context::Context;
use crate::guard::Guard;
use crate::jar::Jar;
use crate::process::{Ended, Watch};
use crate::thumbnails::Subject;
use crate::way::Way;
use crate::ytdlp;

pub use download::download;
pub use metadata::metadata;
pub use picture::picture;
pub use plan::plan;

/// The folder of an attempt in which pictures are.
pub const PICTURES: &str = "picture";

/// A verified result in the store.
#[derive(Debug)]
pub struct Made {
    /// What it is.
    pub artifact: Artifact,
    /// What its thumbnail is made of: in the folder [`PICTURES`] of its attempt, and nothing else of that is needed.
    pub subject: Subject,
    /// How long each stage took.
    pub stages: Vec<(&'static str, Duration)>,
    /// By which way its bytes came.
    pub way: Way,
    /// The extractor that its site has to itself.
    pub own_extractor: Option<String>,
}

/// What every step of one attempt is held by.
struct Limits<'a> {
    ctx: &'a Context,
    job: &'a Running,
    guard: &'a Guard,
    deadline: Instant,
}

impl<'a> Limits<'a> {
    fn new(ctx: &'a Context, (job, guard): (&'a Running, &'a Guard), longest: Duration) -> Self {
        Self { ctx, job, guard, deadline: Instant::now() + longest.min(ctx.config.limits.timeout) }
    }

    /// Time left for whatever comes next.
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// For yt-dlp.
    fn bounds(&self) -> ytdlp::Bounds {
        ytdlp::Bounds {
            wall: self.left(),
            silence: self.ctx.config.limits.silence,
            cpu: ytdlp::LOOK_CPU,
            file_size: Some(self.ctx.config.limits.max_file_bytes),
            cancel: self.guard.stop_token().clone(),
            guard: self.guard.clone(),
        }
    }

    /// For a look of yt-dlp's. It says nothing while it looks, so that an operator who grants more silence grants it more.
    fn bounds_of_look(&self) -> ytdlp::Bounds {
        let bounds = self.bounds();
        ytdlp::Bounds { wall: bounds.wall.min(ytdlp::LOOK_WITHIN.max(bounds.silence)), ..bounds }
    }

    /// For ffmpeg and ffprobe.
    fn watch(&self) -> Watch {
        Watch::new(self.left(), self.ctx.config.limits.silence, self.guard.stop_token().clone())
    }

    /// For bytes that a fetcher of ours waits for: they are life, and too few of them in half a minute none.
    fn watch_of(&self, arrived: impl Fn() -> u64 + Send + Sync + 'static) -> Watch {
        Watch { activity: Some(Arc::new(arrived)), slowest: Some(ytdlp::SLOWEST), ..self.watch() }
    }

    /// A step of our own: ended when the job is stopped, its guard lets nothing pass any more, or its time is over.
    async fn step<T>(&self, step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let stopped = || Failure::new(FailureKind::Internal, "stopped");
        // boxed: what waits for it would carry it along, one in the other, too deep for the stack of a thread
        let step = Box::pin(step);
        match tokio::time::timeout(self.left(), self.guard.stop_token().run_until_cancelled(step)).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(stopped()),
            Err(_) => Err(Failure::new(FailureKind::Timeout, "the attempt took too long")),
        }
    }

    /// The cookies that an order for this address may use.
    async fn jar(&self, cookies: &Cookies, url: &SourceUrl) -> Result<Option<Jar>, Failure> {
        self.ctx.jars.open(cookies, url).await
    }

    /// May this address be reached, as far as its text goes?
    fn judge(&self, url: &SourceUrl) -> Result<(), Failure> {
        self.guard.judge(url).map_err(|denied| self::denied(Unreachable::Denied(denied)))
    }
}

fn denied(unreachable: Unreachable) -> Failure {
    let kind = match unreachable {
        Unreachable::Denied(_) => FailureKind::EgressDenied,
        Unreachable::Unresolved => FailureKind::Network,
    };
    Failure::new(kind, unreachable.to_string())
}

/// A fetch of our own that one of the clocks has ended.
fn stopped_by(ended: Ended, fetcher: &str) -> Failure {
    let kind = match ended {
        Ended::Silent | Ended::Slow => FailureKind::Stalled,
        Ended::TimedOut => FailureKind::Timeout,
        Ended::Cancelled | Ended::Exited(_) | Ended::Signalled(_) => FailureKind::Internal,
    };
    Failure::new(kind, format!("{fetcher} {ended}"))
}

fn storage_failure(error: &StorageError) -> Failure {
    let kind = match error {
        StorageError::Full => FailureKind::DiskFull,
        StorageError::Refused(_) | StorageError::Unavailable(_) => FailureKind::StorageUnavailable,
        StorageError::NotFound | StorageError::RangeOutside | StorageError::File(_) => FailureKind::Internal,
    };
    // the cause is at the end of the chain: what stands before it says only that something failed
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let causes: Vec<String> = chain.map(ToString::to_string).collect();
    Failure::new(kind, causes.join(": "))
}
