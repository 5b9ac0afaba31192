//! How what was chosen is fetched: by the relay or the fetcher of segments where that is safe, else by yt-dlp.
//!
//! A single file that will stay as it is goes from the relay into the store at once (`deliver`). Two files, or one of
//! which something is made, come into scratch side by side. Streams of segments are no files yet: what is made of them is
//! made while they come (`flowing`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::try_join_all;
use haul_shared::job::{Failure, FailureKind};
use haul_shared::media::Format;

use super::deliver::{self, Arrived, Coming, Outgoing, Size};
use super::download::Run;
use super::flow::{Flow, Flows, NoFlow, source};
use super::native::Streams;
use crate::meter::Meter;
use crate::scratch::{self, off_runtime};
use crate::verify::outline::Keep;
use crate::verify::sniff;
use crate::way::{Way, Why};
use crate::ytdlp::{DownloadedFile, Event, Info, Live, Session, SiteFormat};

/// What was fetched.
pub(super) enum Fetched<'a> {
    /// In scratch, in the order in which the formats were chosen.
    Files(Vec<DownloadedFile>),
    /// The result itself, on its way into the store.
    Result(Box<Arrived<'a>>),
    /// Streams of segments, begun.
    Streams(Streams<'a>),
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// The result, should it be one file that stays as it is.
    Result(Keep),
    /// Files.
    Files,
    /// Files, by yt-dlp.
    Ytdlp(Why),
}

impl<'a> Run<'a> {
    /// Fetches the formats with these ids.
    pub(super) async fn fetch(
        &'a self,
        info: &Info,
        session: &mut Option<Session>,
        ids: &[&str],
        aim: Aim,
    ) -> Result<(Fetched<'a>, Way), Failure> {
        let format = |id: &&str| info.formats.iter().find(|format| format.format_id == *id);
        let chosen: Vec<&SiteFormat> = ids.iter().filter_map(format).collect();
        if let (Live::Now, Some(seconds)) = (info.live, self.spec.live_seconds) {
            if let Some(session) = session.take() {
                session.end().await;
            }
            let files = self.record(&chosen, seconds, &fresh(self.scratch, "live").await?).await?;
            return Ok((Fetched::Files(files), Way::Native));
        }
        let meter = Mutex::new(Meter::of(&chosen));
        let fetched = match self.by_us(&chosen, &meter, aim).await {
            Ok(fetched) => Ok(fetched),
            Err(NoFlow::Failed(failure)) => Err(failure),
            Err(no_flow) => {
                let why = if let NoFlow::Ytdlp(why) = no_flow { why } else { Why::Changed };
                if let Some(session) = session.take_if(|_| self.has_renewed.load(Ordering::Relaxed)) {
                    session.end().await;
                }
                self.limits.guard.begin_anew();
                let files = self.by_ytdlp(session.take(), ids, &meter).await;
                files.map(|files| (Fetched::Files(files), Way::Ytdlp(why)))
            }
        };
        let meter = meter.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.ctx.metrics.downloaded(meter.fetched_bytes());
        fetched
    }

    async fn by_us(
        &'a self,
        chosen: &[&SiteFormat],
        meter: &Mutex<Meter>,
        aim: Aim,
    ) -> Result<(Fetched<'a>, Way), NoFlow> {
        if let Aim::Ytdlp(why) = aim {
            return Err(NoFlow::Ytdlp(why));
        }
        match self.by_relay(chosen, meter, aim).await {
            Err(NoFlow::Ytdlp(Why::Protocol)) => {
                self.by_segments(chosen).await.map(|streams| (Fetched::Streams(streams), Way::Native))
            }
            fetched => fetched.map(|fetched| (fetched, Way::Relay)),
        }
    }

    async fn by_ytdlp(
        &self,
        session: Option<Session>,
        ids: &[&str],
        meter: &Mutex<Meter>,
    ) -> Result<Vec<DownloadedFile>, Failure> {
        let session = match session {
            Some(session) => session,
            None => self.extract(&fresh(self.scratch, "extract").await?).await?.1,
        };
        let hear = |event: &Event| {
            if let Event::Progress(report) = event {
                self.job.report(meter.lock().unwrap_or_else(PoisonError::into_inner).heard(report));
            }
        };
        // The site had just named these formats: that they are gone is its trouble, and passes.
        session.download(ids, &self.limits.bounds(), hear).await.map_err(|failure| match failure.kind {
            FailureKind::FormatUnavailable => Failure::new(FailureKind::ExtractorError, failure.detail),
            _ => failure,
        })
    }

    /// A file that changes while it is fetched is begun again once.
    async fn by_relay(&'a self, chosen: &[&SiteFormat], meter: &Mutex<Meter>, aim: Aim) -> Result<Fetched<'a>, NoFlow> {
        for format in chosen {
            source(format).map_err(NoFlow::Ytdlp)?;
        }
        let relay = self.ctx.relays.for_job(self.limits.guard);
        let flows = Flows { run: self, relay: &relay, meter };
        match self.relay_once(&flows, chosen, aim).await {
            Err(NoFlow::Changed) => {
                self.limits.guard.begin_anew();
                self.relay_once(&flows, chosen, aim).await
            }
            ended => ended,
        }
    }

    /// What does not come to its end leaves nothing in the way of what is fetched instead.
    async fn relay_once(&'a self, flows: &Flows<'_>, chosen: &[&SiteFormat], aim: Aim) -> Result<Fetched<'a>, NoFlow> {
        let folder = fresh(self.scratch, "relay").await?;
        let fetched = self.relay_into(&folder, flows, chosen, aim).await;
        if fetched.is_err() {
            self.job.stores_afterwards();
            scratch::make_room(&folder).await;
        }
        fetched
    }

    async fn relay_into(
        &'a self,
        folder: &Path,
        flows: &Flows<'_>,
        chosen: &[&SiteFormat],
        aim: Aim,
    ) -> Result<Fetched<'a>, NoFlow> {
        let mut opened = try_join_all(chosen.iter().map(|format| Flow::open(flows, format))).await?;
        if let (Aim::Result(keep), [only], true) = (aim, chosen, self.stays())
            && let Some(flow) = opened.pop_if(|flow| flow.length() <= deliver::most_bytes(self.ctx))
        {
            return Ok(Fetched::Result(Box::new(self.send_on(flow, only, keep, folder).await?)));
        }
        let place = |at: usize| folder.join(format!("media.{at}"));
        let land = opened.into_iter().enumerate().map(|(at, flow)| land(flow, place(at)));
        try_join_all(land).await?;
        let file = |(at, format): (usize, &&SiteFormat)| DownloadedFile {
            path: place(at),
            format_id: format.format_id.clone(),
            ext: format.ext.clone(),
            seconds: None,
        };
        Ok(Fetched::Files(chosen.iter().enumerate().map(file).collect()))
    }

    /// From the origin into the store.
    async fn send_on(
        &'a self,
        mut flow: Flow<'_>,
        format: &SiteFormat,
        keep: Keep,
        folder: &Path,
    ) -> Result<Arrived<'a>, NoFlow> {
        let (mut head, mut first) = (Vec::with_capacity(sniff::WINDOW), Vec::new());
        // an origin may give out less at first than it was asked for
        while head.len() < sniff::WINDOW
            && let Some(bytes) = flow.next().await?
        {
            head.extend_from_slice(&bytes[..bytes.len().min(sniff::WINDOW - head.len())]);
            first.push(bytes);
        }
        let Some(container) = sniff::sniff(&head) else {
            return Err(Failure::new(FailureKind::InvalidMedia, "no container that we know").into());
        };
        let (has_video, size) = (format.video.may_be(), Size::Exactly(flow.length()));
        // what breaks fails the attempt; the next one, which has an object of its own, goes in parts. No store waits for texts
        let may_break = self.job.attempt() == 1 && !self.job.is_last_attempt() && self.spec.subtitles.is_none();
        let coming = Coming { container, has_video, size, keep, may_break, copy: &folder.join("media") };
        let mut outgoing = Outgoing::begin(&self.limits, coming).await?;
        for bytes in first {
            outgoing.push(bytes).await?;
        }
        while let Some(bytes) = flow.next().await? {
            outgoing.push(bytes).await?;
        }
        Ok(outgoing.end().await?)
    }

    /// Will a single file be the result as it is? By what was asked; when it is there, `settle` decides.
    fn stays(&self) -> bool {
        self.spec.format == Format::Original && self.spec.clip.is_none() && self.spec.sponsorblock.remove.is_empty()
    }

    /// The same format with a new address, if it is still there.
    pub(super) async fn extract_again(&self, format_id: &str) -> Result<Option<SiteFormat>, Failure> {
        let folder = fresh(self.scratch, "extract").await?;
        let (info, session) = self.extract(&folder).await?;
        session.end().await;
        Ok(info.formats.into_iter().find(|format| format.format_id == format_id))
    }
}

/// From the origin into a file.
async fn land(mut flow: Flow<'_>, path: PathBuf) -> Result<(), NoFlow> {
    let failed = |error: &io::Error| scratch::failure(error);
    let file = off_runtime(move || File::create_new(path)).await.map_err(|error| failed(&error))?;
    let (file, mut at) = (Arc::new(file), 0);
    while let Some(bytes) = flow.next().await? {
        let (file, from) = (Arc::clone(&file), at);
        at += bytes.len() as u64;
        off_runtime(move || file.write_all_at(&bytes, from)).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// A folder that is not there yet.
pub(super) async fn fresh(scratch: &Path, name: &str) -> Result<PathBuf, Failure> {
    for number in 0_u32.. {
        let folder = scratch.join(format!("{name}-{number}"));
        match tokio::fs::create_dir(&folder).await {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(scratch::failure(&error)),
        }
    }
    Err(Failure::new(FailureKind::Internal, "no folder is free"))
}
