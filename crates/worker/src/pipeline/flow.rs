//! One format on its way through the relay: its address is renewed when it is used up, and it is watched.
//!
//! Not here: where the bytes go, and what happens instead when the relay can't (`fetch`).

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use haul_shared::job::{Failure, FailureKind};
use tokio::time::{Instant, sleep};

use super::download::Run;
use super::{denied, stopped_by};
use crate::meter::Meter;
use crate::origin::{LONGEST_QUIET, QUIET};
use crate::process::{Clock, Ended, Watch};
use crate::relay::{Relay, Relayed, Source, Trouble, Turn, Version};
use crate::way::Why;
use crate::ytdlp::{Place, Report, SiteFormat};

/// How often an address is renewed, and after how many bytes once more. One that is used up sooner costs more looks at
/// the site than a fetch of ours is worth.
const RENEWALS: u64 = 3;
const BYTES_FOR_ONE_MORE: u64 = 256 << 20;
/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Why a format does not come this way.
pub(super) enum NoFlow {
    /// yt-dlp is to fetch it.
    Ytdlp(Why),
    /// There is another version than the one that was begun.
    Changed,
    /// The attempt has failed.
    Failed(Failure),
}

impl From<Failure> for NoFlow {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The formats of one download, and how far they are together.
pub(super) struct Flows<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) relay: &'a Relay,
    pub(super) meter: &'a Mutex<Meter>,
}

/// A format that was begun.
pub(super) struct Flow<'a> {
    flows: &'a Flows<'a>,
    format: &'a SiteFormat,
    relayed: Relayed,
    /// Where the address was renewed last, and how often it was.
    renewed_at: u64,
    renewals: u64,
    told: Instant,
}

/// The source that a plain question leads to.
pub(super) fn source(format: &SiteFormat) -> Result<Source, Why> {
    if !matches!(format.protocol.as_str(), "http" | "https") {
        return Err(Why::Protocol);
    }
    match &format.place {
        Some(Place { url, headers, cookies, fragments, quirks: false, .. }) if fragments.is_empty() => {
            Ok(Source { url: url.clone(), headers: headers.clone(), cookies: cookies.clone() })
        }
        _ => Err(Why::Quirks),
    }
}

impl<'a> Flow<'a> {
    /// Asks for the beginning.
    pub(super) async fn open(flows: &'a Flows<'a>, format: &'a SiteFormat) -> Result<Self, NoFlow> {
        let source = source(format).map_err(NoFlow::Ytdlp)?;
        let relayed = flows.ask(&source, None).await?.map_err(|trouble| match trouble {
            Trouble::Expired => NoFlow::Ytdlp(Why::Refused),
            trouble => flows.no_flow(trouble),
        })?;
        let (length, most) = (relayed.version().length, flows.run.ctx.config.limits.max_file_bytes);
        if length > most {
            return Err(Failure::new(FailureKind::TooLarge, format!("{length} bytes are announced")).into());
        }
        let told = Instant::now();
        Ok(Self { flows, format, relayed, renewed_at: 0, renewals: 0, told })
    }

    /// Of the whole file, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.relayed.version().length
    }

    /// The next bytes in order; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, NoFlow> {
        loop {
            match self.wait().await? {
                Ok(bytes) => {
                    self.tell(bytes.is_none());
                    return Ok(bytes);
                }
                Err(Trouble::Expired) => self.renew().await?,
                Err(trouble) => return Err(self.flows.no_flow(trouble)),
            }
        }
    }

    /// Waits for them as long as enough arrives.
    async fn wait(&mut self) -> Result<Result<Option<Bytes>, Trouble>, Failure> {
        let turn = self.relayed.turn();
        let watch = self.flows.run.limits.watch_of(self.relayed.arrived());
        let watch = Watch { is_waiting: Some(Arc::new(move || turn.is_awaited())), ..watch };
        let mut clock = Clock::of_running(&watch);
        loop {
            let turn = tokio::select! {
                biased;
                got = self.relayed.next() => return Ok(got),
                turn = clock.turn() => turn,
            };
            if let Some(ended) = clock.judge(turn).await {
                return Err(stopped_by(ended, "the relay"));
            }
            self.tell(false);
        }
    }

    /// Extracts again, and goes on where it was. An address that brought nothing is not renewed twice.
    async fn renew(&mut self) -> Result<(), NoFlow> {
        let (at, run) = (self.relayed.at(), self.flows.run);
        let in_vain = self.renewals > 0 && self.renewed_at == at;
        if in_vain || self.renewals >= RENEWALS + at / BYTES_FOR_ONE_MORE {
            return Err(NoFlow::Ytdlp(Why::Expired));
        }
        (self.renewed_at, self.renewals) = (at, self.renewals + 1);
        run.has_renewed.store(true, Ordering::Relaxed);
        let id = run.job.lease().job;
        tracing::info!(job.id = %id, at_bytes = at, "an address of job {id} is used up; it is renewed");
        let format = run.extract_again(&self.format.format_id).await?;
        let format = format.ok_or(NoFlow::Ytdlp(Why::Expired))?;
        let source = source(&format).map_err(NoFlow::Ytdlp)?;
        let version = self.relayed.version().clone();
        let resumed = self.flows.ask(&source, Some((&version, at))).await?;
        let resumed = resumed.map_err(|trouble| self.flows.no_flow(trouble))?;
        self.relayed = resumed;
        Ok(())
    }

    fn tell(&mut self, finished: bool) {
        if self.told.elapsed() < REPORT_EVERY && !finished {
            return;
        }
        self.told = Instant::now();
        // what had arrived behind that byte was thrown away
        let arrived = self.renewed_at + self.relayed.arrived_bytes();
        let report = Report {
            format_id: self.format.format_id.clone(),
            downloaded_bytes: Some(arrived.min(self.length())),
            total_bytes: Some(self.length()),
            finished,
            ..Report::default()
        };
        let mut meter = self.flows.meter.lock().unwrap_or_else(PoisonError::into_inner);
        self.flows.run.job.report(meter.heard(&report));
    }
}

impl Flows<'_> {
    /// Asks a source, from the beginning or from a byte on. One that asks for a moment of patience gets it.
    async fn ask(&self, source: &Source, from: Option<(&Version, u64)>) -> Result<Result<Relayed, Trouble>, Failure> {
        let mut tries = self.run.ctx.config.download.retries;
        loop {
            let answer = self.ask_once(source, from).await?;
            let wait = match answer {
                Err(Trouble::Busy { retry_after, .. }) => retry_after.unwrap_or(QUIET),
                _ => return Ok(answer),
            };
            if tries == 0 || wait > LONGEST_QUIET {
                return Ok(answer);
            }
            tries -= 1;
            let waited = async {
                sleep(wait).await;
                Ok(())
            };
            self.run.limits.step(waited).await?;
        }
    }

    /// The origin's time to answer begins when there is a seat at its host.
    async fn ask_once(
        &self,
        source: &Source,
        from: Option<(&Version, u64)>,
    ) -> Result<Result<Relayed, Trouble>, Failure> {
        let turn = Turn::default();
        let asked = async {
            match from {
                None => self.relay.open_in(&turn, source).await,
                Some((version, at)) => self.relay.resume_in(&turn, source, version, at).await,
            }
        };
        let mut asked = pin!(asked);
        let turn = turn.clone();
        let watch = Watch { is_waiting: Some(Arc::new(move || turn.is_awaited())), ..self.run.limits.watch() };
        let mut clock = Clock::new(&watch);
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut asked => return Ok(answer),
                turn = clock.turn() => turn,
            };
            match clock.judge(turn).await {
                None => {}
                Some(Ended::Silent) => return Err(Failure::new(FailureKind::Stalled, "the origin does not answer")),
                Some(ended) => return Err(stopped_by(ended, "the relay")),
            }
        }
    }

    fn no_flow(&self, trouble: Trouble) -> NoFlow {
        match trouble {
            Trouble::Changed => NoFlow::Changed,
            Trouble::Expired => NoFlow::Ytdlp(Why::Expired),
            Trouble::Broken => NoFlow::Ytdlp(Why::Broken),
            Trouble::NotHere(not_here) => NoFlow::Ytdlp(Why::Relay(not_here)),
            Trouble::Denied(unreachable) => denied(unreachable).into(),
            Trouble::Busy { status, retry_after } => {
                let kind = if status == 429 { FailureKind::SiteRateLimited } else { FailureKind::Network };
                Failure { retry_after, ..Failure::new(kind, format!("the origin answers {status}")) }.into()
            }
        }
    }
}
