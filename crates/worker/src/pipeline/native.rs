//! Formats that are streams of segments: fetched into scratch, side by side, and watched.
//!
//! Not here: which of them can be followed, and how (`segments`); what happens instead when they can't (`fetch`).

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use haul_shared::job::{Failure, FailureKind};
use hyper::StatusCode;
use tokio::time::{Instant, timeout};

use super::download::Run;
use super::fetch::fresh;
use super::flow::NoFlow;
use super::stopped_by;
use crate::meter::Meter;
use crate::process::{Clock, Watch};
use crate::scratch::{self, off_runtime};
use crate::segments::{Flow, Source, Trouble};
use crate::way::Why;
use crate::ytdlp::{DownloadedFile, Report, SLOWEST, SiteFormat};

/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Fetches formats that are streams of segments.
    pub(super) async fn by_segments(
        &self,
        chosen: &[&SiteFormat],
        meter: &Mutex<Meter>,
    ) -> Result<Vec<DownloadedFile>, NoFlow> {
        let sources: Result<Vec<_>, _> = chosen.iter().map(|format| Source::of(format)).collect();
        let sources = sources.map_err(|reason| NoFlow::Ytdlp(Why::Segments(reason)))?;
        let folder = fresh(self.scratch, "segments").await?;
        let opening = async {
            let opened = timeout(self.ctx.config.limits.silence, self.ctx.segments.open(&sources)).await;
            opened.map_err(|_| Failure::new(FailureKind::Stalled, "the origin does not answer"))
        };
        let flows = self.limits.step(opening).await?.map_err(|trouble| self.not_whole(trouble))?;
        let place = |at: usize| folder.join(format!("media.{at}"));
        let file = |(at, (flow, format)): (usize, (&Flow, &&SiteFormat))| DownloadedFile {
            path: place(at),
            format_id: format.format_id.clone(),
            ext: format.ext.clone(),
            seconds: flow.seconds(),
        };
        let files = flows.iter().zip(chosen).enumerate().map(file).collect();
        let Some(arrived) = flows.first().map(Flow::arrived_bytes) else { return Ok(files) };
        let arrived = Arc::new(move || arrived.load(Ordering::Relaxed));
        let watch = Watch { activity: Some(arrived), slowest: Some(SLOWEST), ..self.limits.watch() };
        let land = flows.into_iter().zip(chosen).enumerate();
        let land = try_join_all(land.map(|(at, (flow, format))| self.land(flow, format, place(at), meter)));
        watched(&watch, land).await?;
        Ok(files)
    }

    /// From the origin into a file.
    async fn land(&self, mut flow: Flow, format: &SiteFormat, to: PathBuf, meter: &Mutex<Meter>) -> Result<(), NoFlow> {
        let failed = |error: &std::io::Error| NoFlow::Failed(scratch::failure(error));
        let file = off_runtime(move || File::create_new(to)).await.map_err(|error| failed(&error))?;
        let (file, mut told) = (Arc::new(file), Instant::now());
        loop {
            let at = flow.bytes();
            let next = flow.next().await.map_err(|trouble| self.not_whole(trouble))?;
            let finished = next.is_none();
            if let Some(bytes) = next {
                let file = Arc::clone(&file);
                off_runtime(move || file.write_all_at(&bytes, at)).await.map_err(|error| failed(&error))?;
            }
            if finished || told.elapsed() >= REPORT_EVERY {
                told = Instant::now();
                let report = report(&flow, format, finished);
                self.job.report(meter.lock().unwrap_or_else(PoisonError::into_inner).heard(&report));
            }
            if finished {
                return Ok(());
            }
        }
    }

    fn not_whole(&self, trouble: Trouble) -> NoFlow {
        let failure = |kind| Failure::new(kind, trouble.to_string());
        NoFlow::Failed(match trouble {
            Trouble::NotHere(reason) => return NoFlow::Ytdlp(Why::Segments(reason)),
            Trouble::Denied(unreachable) => self.limits.unreachable(unreachable),
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

fn report(flow: &Flow, format: &SiteFormat, finished: bool) -> Report {
    let (done, all) = flow.segments();
    Report {
        format_id: format.format_id.clone(),
        downloaded_bytes: Some(flow.bytes()),
        fragment_index: Some(done as u64),
        fragment_count: Some(all as u64),
        finished,
        ..Report::default()
    }
}

/// Waits as long as enough arrives.
async fn watched<T>(watch: &Watch, work: impl Future<Output = Result<T, NoFlow>>) -> Result<T, NoFlow> {
    let mut clock = Clock::new(watch);
    let mut work = std::pin::pin!(work);
    loop {
        let turn = tokio::select! {
            biased;
            done = &mut work => return done,
            turn = clock.turn() => turn,
        };
        if let Some(ended) = clock.judge(turn).await {
            return Err(stopped_by(ended, "the fetcher of segments").into());
        }
    }
}
