//! Formats that are streams of segments, on their way: watched while somebody waits for them, and told of as they are
//! taken.
//!
//! Decides how much of them lies in scratch before anybody looks at them. Not here: which of them can be followed, and
//! how (`segments`); what is made of them (`flowing`); what happens instead when they can't be followed (`fetch`).

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt as _, stream};
use haul_shared::job::{Failure, FailureKind};
use hyper::StatusCode;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::download::Run;
use super::fetch::fresh;
use super::flow::NoFlow;
use super::{denied, stopped_by};
use crate::container::Container;
use crate::meter::Meter;
use crate::process::Clock;
use crate::scratch;
use crate::segments::{self, Source, Trouble};
use crate::shape::{Flow, Head};
use crate::verify::sniff;
use crate::way::Why;
use crate::ytdlp::{Report, SiteFormat};

/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// A shorter wait for an origin is not watched: a clock has its price.
const SHORT: Duration = Duration::from_secs(1);
/// What is looked at of a format before anything is made of it: an initialisation and two segments, if they are not longer
/// than this many bytes. That is more than a second of anything.
const HEAD: (usize, u64) = (3, 4 << 20);
/// The same of what names its tracks before the first of them begins: memory fills up while a head is awaited.
const HEAD_OF_NAMED: u64 = 1 << 20;

/// The formats of one download, on their way.
pub(super) struct Streams<'a> {
    /// In the order in which they were chosen.
    pub(super) flows: Vec<Flow<'a>>,
    /// Where their heads are.
    pub(super) folder: PathBuf,
    /// How far they are.
    pub(super) tally: Arc<Tally<'a>>,
}

/// What the formats of one download have together.
pub(super) struct Tally<'a> {
    run: &'a Run<'a>,
    meter: Mutex<Meter>,
    /// Formats that have not come to their end.
    under_way: Mutex<usize>,
    /// Every one came to its end.
    whole: CancellationToken,
    /// Why one of them can't be fetched here.
    refused: OnceLock<Why>,
}

impl Tally<'_> {
    /// Waits until every format came to its end.
    pub(super) async fn whole(&self) {
        self.whole.cancelled().await;
    }

    /// Why yt-dlp is to fetch what failed, if that is why it failed.
    pub(super) fn refused(&self) -> Option<Why> {
        self.refused.get().copied()
    }

    fn heard(&self, report: &Report) {
        self.run.job.report(self.meter.lock().unwrap_or_else(PoisonError::into_inner).heard(report));
        if report.finished {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            *under_way -= 1;
            if *under_way == 0 {
                self.whole.cancel();
            }
        }
    }
}

impl<'a> Run<'a> {
    /// Begins to fetch formats that are streams of segments. Their heads lie in scratch then.
    pub(super) async fn by_segments(&'a self, chosen: &[&SiteFormat]) -> Result<Streams<'a>, NoFlow> {
        let sources: Result<Vec<_>, _> = chosen.iter().map(|format| Source::of(format)).collect();
        let sources = sources.map_err(|reason| NoFlow::Ytdlp(Why::Segments(reason)))?;
        let folder = fresh(self.scratch, "segments").await?;
        let opening = async {
            let opened =
                timeout(self.ctx.config.limits.silence, self.ctx.segments.open(self.limits.guard, &sources)).await;
            opened.map_err(|_| Failure::new(FailureKind::Stalled, "the origin does not answer"))
        };
        let opened = self.limits.step(opening).await?.map_err(|trouble| self.not_whole(trouble))?;
        let tally = Arc::new(Tally {
            run: self,
            meter: Mutex::new(Meter::of(chosen)),
            under_way: Mutex::new(opened.len()),
            whole: CancellationToken::new(),
            refused: OnceLock::new(),
        });
        let begin = opened.into_iter().zip(chosen).enumerate().map(|(at, (flow, format))| {
            let format_id = format.format_id.clone();
            let stream = Stream { flow, format_id, is_over: false, told: Instant::now(), tally: Arc::clone(&tally) };
            stream.begin(folder.join(format!("media.{at}")))
        });
        let flows = try_join_all(begin).await?;
        Ok(Streams { flows, folder, tally })
    }

    fn not_whole(&self, trouble: Trouble) -> NoFlow {
        let failure = |kind| Failure::new(kind, trouble.to_string());
        NoFlow::Failed(match trouble {
            Trouble::NotHere(reason) => return NoFlow::Ytdlp(Why::Segments(reason)),
            Trouble::Denied(unreachable) => denied(unreachable),
            Trouble::Refused(status) => failure(match status {
                StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED => FailureKind::LoginRequired,
                StatusCode::FORBIDDEN => FailureKind::SiteBlocked,
                StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => FailureKind::GeoBlocked,
                // the site names a part that it does not have; another extraction may name others
                _ => FailureKind::CorruptMedia,
            }),
            Trouble::Changed | Trouble::Empty => failure(FailureKind::CorruptMedia),
            Trouble::Busy { retry_after } => Failure { retry_after, ..failure(FailureKind::SiteRateLimited) },
            Trouble::Broken => failure(FailureKind::Network),
            Trouble::TooLarge => failure(FailureKind::TooLarge),
        })
    }
}

/// Does a flow of it begin with all its tracks and what they are coded in?
fn names_tracks(container: Container) -> bool {
    matches!(container, Container::Mp4 | Container::M4a | Container::Webm | Container::Mkv)
}

/// One format on its way.
struct Stream<'a> {
    flow: segments::Flow,
    format_id: String,
    is_over: bool,
    told: Instant,
    tally: Arc<Tally<'a>>,
}

impl<'a> Stream<'a> {
    /// Waits for its head.
    async fn begin(mut self, head: PathBuf) -> Result<Flow<'a>, NoFlow> {
        let failed = |error: std::io::Error| NoFlow::Failed(scratch::failure(&error));
        let mut file = File::create_new(&head).await.map_err(failed)?;
        let (segments, mut bytes) = HEAD;
        while self.flow.segments().0 < segments && self.flow.bytes() < bytes {
            let is_first = self.flow.bytes() == 0;
            let Some(piece) = self.next().await? else { break };
            if is_first && sniff::sniff(&piece).is_some_and(names_tracks) {
                bytes = HEAD_OF_NAMED;
            }
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        if !self.is_over {
            // how it is made depends on how large all of it may be
            self.hear();
        }
        let (seconds, arrived) = (self.flow.seconds(), self.flow.arrived_bytes());
        Ok(Flow { head: Head { file: head, seconds }, rest: self.rest(), arrived })
    }

    fn rest(self) -> stream::BoxStream<'a, Result<Bytes, Failure>> {
        let next = async |mut this: Self| {
            let next = this.next().await.map_err(|no_flow| this.failure(no_flow))?;
            Ok(next.map(|bytes| (bytes, this)))
        };
        stream::try_unfold(self, next).boxed()
    }

    /// What cannot be fetched here is a failure only as long as nobody asks for the reason.
    fn failure(&self, no_flow: NoFlow) -> Failure {
        match no_flow {
            NoFlow::Failed(failure) => return failure,
            NoFlow::Ytdlp(why) => drop(self.tally.refused.set(why)),
            NoFlow::Changed => drop(self.tally.refused.set(Why::Changed)),
        }
        Failure::new(FailureKind::Network, "a stream of segments is not for us after all")
    }

    /// The next bytes in order; `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, NoFlow> {
        if self.is_over {
            return Ok(None);
        }
        let next = match timeout(SHORT, self.flow.next()).await {
            Ok(next) => next,
            Err(_) => self.wait().await?,
        };
        let next = next.map_err(|trouble| self.tally.run.not_whole(trouble))?;
        self.is_over = next.is_none();
        self.tally.run.ctx.metrics.downloaded(next.as_ref().map_or(0, Bytes::len) as u64);
        self.tell();
        Ok(next)
    }

    /// Waits as long as enough arrives.
    async fn wait(&mut self) -> Result<Result<Option<Bytes>, Trouble>, Failure> {
        let arrived = self.flow.arrived_bytes();
        let watch = self.tally.run.limits.watch_of(move || arrived.load(Ordering::Relaxed));
        let mut clock = Clock::of_running(&watch);
        loop {
            let turn = tokio::select! {
                biased;
                next = self.flow.next() => return Ok(next),
                turn = clock.turn() => turn,
            };
            if let Some(ended) = clock.judge(turn).await {
                return Err(stopped_by(ended, "the fetcher of segments"));
            }
        }
    }

    fn tell(&mut self) {
        if self.told.elapsed() < REPORT_EVERY && !self.is_over {
            return;
        }
        self.hear();
    }

    fn hear(&mut self) {
        self.told = Instant::now();
        let (done, all) = self.flow.segments();
        self.tally.heard(&Report {
            format_id: self.format_id.clone(),
            downloaded_bytes: Some(self.flow.bytes()),
            fragment_index: Some(done as u64),
            fragment_count: Some(all as u64),
            finished: self.is_over,
            ..Report::default()
        });
    }
}
