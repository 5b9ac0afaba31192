//! Recording a live stream from now on: the segments of its playlists, one after the other, as they appear.
//!
//! Every segment is fetched through the guard and written behind the last one as it comes; what comes out is a
//! file like any that was downloaded, and is looked at, cut to the asked length, and proven as such. A stream that ends
//! before is recorded up to its end. Picture and sound that come apart begin at the same moment.
//!
//! Not here: how a playlist is read (`live`), whether a live stream may be recorded (`select`).

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::try_join_all;
use haul_shared::job::{Failure, FailureKind};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use url::Url;

use super::download::Run;
use crate::live::{self, NotFollowed, Window};
use crate::meter::Fetched;
use crate::origin::{Asker, Pace};
use crate::scratch;
use crate::small::{self, NotFetched};
use crate::ytdlp::{DownloadedFile, Place, SiteFormat};

/// Of a playlist.
const PLAYLIST_BYTES: usize = 1 << 20;
/// Of one segment.
const SEGMENT_BYTES: u64 = 128 << 20;
/// For one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at a playlist.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(6));
/// For each second of a track: its segment, looks at its playlist, and what is asked for again.
const QUESTIONS_OF_A_SECOND: u64 = 4;
/// How often a segment or a playlist is asked for again.
const TRIES: u32 = 3;
/// Of the time that an attempt has left, what is kept for all that comes after a recording.
const RESERVE: f64 = 0.1;

impl Run<'_> {
    /// Records these formats side by side into the folder, for so many seconds of the stream, or up to its end.
    pub(super) async fn record(
        &self,
        formats: &[&SiteFormat],
        seconds: u32,
        dir: &Path,
    ) -> Result<Vec<DownloadedFile>, Failure> {
        let pace = self.ctx.config.download.rate_limit_bytes.map(Pace::new);
        let mut tracks = Vec::new();
        for (at, format) in formats.iter().enumerate() {
            let place = recorded_from(format)?;
            let file = dir.join(format!("live.{at}"));
            tracks.push(Track { run: self, place, asker: place.asker(), pace: pace.as_ref(), file });
        }
        let firsts = self.limits.step(starts(&tracks)).await?;
        let whole = f64::from(seconds);
        self.limits.guard.may_ask_more(u64::from(seconds) * tracks.len() as u64 * QUESTIONS_OF_A_SECOND);
        let left = self.limits.left();
        let until = Instant::now() + left.saturating_sub(left.mul_f64(RESERVE));
        let recorded = try_join_all(tracks.iter().zip(firsts).enumerate().map(|(at, (track, first))| {
            let told = (at == 0).then_some(whole);
            track.record(first, whole, until, told)
        }));
        let bytes: u64 = self.limits.step(recorded).await?.iter().sum();
        self.ctx.metrics.downloaded(bytes);
        let files = tracks.into_iter().zip(formats).map(|(track, format)| DownloadedFile {
            path: track.file,
            format_id: format.format_id.clone(),
            ext: format.ext.clone(),
            seconds: None,
        });
        Ok(files.collect())
    }
}

/// Where a live stream is recorded from.
pub(super) fn recorded_from(format: &SiteFormat) -> Result<&Place, Failure> {
    let place = format.place.as_ref().filter(|_| format.protocol.starts_with("m3u8"));
    let place = place.ok_or_else(|| unsupported("only live streams in HLS are recorded"))?;
    if place.quirks {
        return Err(unsupported("the site has ways of its own"));
    }
    Ok(place)
}

/// The numbers of the first segments, with which all tracks begin at the same moment.
async fn starts(tracks: &[Track<'_>]) -> Result<Vec<u64>, Failure> {
    let mut tries = 1;
    loop {
        let windows = try_join_all(tracks.iter().map(Track::window)).await?;
        if let Some(firsts) = live::starts(&windows) {
            return Ok(firsts);
        }
        if tries == TRIES {
            return Err(unsupported("nothing tells which picture and sound belong together"));
        }
        // one list may be a segment ahead just now
        tries += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One playlist on its way into a file.
struct Track<'a> {
    run: &'a Run<'a>,
    place: &'a Place,
    asker: Asker,
    pace: Option<&'a Pace>,
    file: PathBuf,
}

impl Track<'_> {
    /// Writes segments from this number on; how many bytes they were. `told`: of so many seconds the client hears.
    async fn record(&self, first: u64, seconds: f64, until: Instant, told: Option<f64>) -> Result<u64, Failure> {
        let mut file = File::create(&self.file).await.map_err(|error| scratch::failure(&error))?;
        let (mut next, mut recorded, mut bytes, mut map) = (first, 0.0, 0_u64, None);
        let mut last_news = Instant::now();
        loop {
            let window = self.window().await?;
            for segment in window.segments.iter().filter(|segment| segment.number >= first) {
                if segment.number < next || recorded >= seconds {
                    continue;
                }
                if next > first && segment.number > next {
                    return Err(Failure::new(FailureKind::Network, "a live stream ran away: segments are gone"));
                }
                if segment.breaks && next > first {
                    // another medium from here on: what was recorded so far is whole
                    return self.end(file, bytes).await;
                }
                if let Some(url) = segment.map.as_ref().filter(|url| map.as_ref() != Some(*url)) {
                    map = Some(url.clone());
                    bytes = self.append(url, &mut file, bytes).await?;
                }
                bytes = self.append(&segment.url, &mut file, bytes).await?;
                next = segment.number + 1;
                recorded += segment.seconds;
                last_news = Instant::now();
                self.tell(recorded, bytes, told);
            }
            let is_over = window.ended || recorded >= seconds || Instant::now() >= until;
            if is_over && bytes > 0 {
                return self.end(file, bytes).await;
            }
            if is_over {
                return Err(Failure::new(FailureKind::Unavailable, "the live stream has ended"));
            }
            if last_news.elapsed() > self.run.ctx.config.limits.silence {
                return Err(Failure::new(FailureKind::Stalled, "the live stream brings nothing new"));
            }
            let (least, most) = LOOK_EVERY;
            let pause = Duration::from_secs_f64(window.target.clamp(0.0, 60.0) / 2.0).clamp(least, most);
            tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    async fn end(&self, mut file: File, bytes: u64) -> Result<u64, Failure> {
        file.flush().await.map_err(|error| scratch::failure(&error))?;
        Ok(bytes)
    }

    fn tell(&self, recorded: f64, bytes: u64, told: Option<f64>) {
        if let Some(seconds) = told {
            // it comes as fast as it plays
            let seconds_left = Some((seconds - recorded).max(0.0));
            self.run.job.report(Fetched { done: recorded / seconds, bytes, seconds_left, ..Fetched::default() });
        }
    }

    /// The playlist as it is now.
    async fn window(&self) -> Result<Window, Failure> {
        let mut tries = 1;
        let (text, base) = loop {
            match self.list().await {
                Ok(list) => break list,
                Err(error) => self.again(&error, &mut tries).await?,
            }
        };
        live::read(&String::from_utf8_lossy(&text), &base).map_err(|error| match error {
            NotFollowed::Unreadable => Failure::new(FailureKind::ExtractorError, error.to_string()),
            NotFollowed::TooLong | NotFollowed::Address => Failure::new(FailureKind::InvalidMedia, error.to_string()),
            NotFollowed::Encrypted | NotFollowed::Ranges => unsupported(error),
        })
    }

    /// Its text, and where it was found, redirects followed.
    async fn list(&self) -> Result<(Vec<u8>, Url), NotFetched> {
        let (url, bounds) = (&self.place.url, small::Bounds { bytes: PLAYLIST_BYTES, wall: ANSWER_WITHIN });
        let answer = small::open(self.run.limits.guard, &self.asker, url.as_str(), bounds).await?;
        let base = answer.url().clone();
        Ok((answer.whole().await?, base))
    }

    /// Writes what is at an address behind the first so many bytes of a file; how many it has then.
    async fn append(&self, url: &Url, file: &mut File, bytes: u64) -> Result<u64, Failure> {
        let mut tries = 1;
        loop {
            match self.append_once(url, file, bytes).await? {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.again(&error, &mut tries).await?,
            }
        }
    }

    async fn append_once(
        &self,
        url: &Url,
        file: &mut File,
        mut bytes: u64,
    ) -> Result<Result<u64, NotFetched>, Failure> {
        // what a try before has left
        file.set_len(bytes).await.map_err(|error| scratch::failure(&error))?;
        file.seek(SeekFrom::Start(bytes)).await.map_err(|error| scratch::failure(&error))?;
        let most = self.run.ctx.config.limits.max_file_bytes;
        let left = usize::try_from(most.saturating_sub(bytes).min(SEGMENT_BYTES)).unwrap_or(usize::MAX);
        let bounds = small::Bounds { bytes: left, wall: ANSWER_WITHIN };
        let mut answer = match small::open(self.run.limits.guard, &self.asker, url.as_str(), bounds).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match answer.next().await {
                Ok(Some(piece)) => {
                    file.write_all(&piece).await.map_err(|error| scratch::failure(&error))?;
                    bytes += piece.len() as u64;
                    if let Some(pace) = self.pace {
                        pace.keep(piece.len()).await;
                    }
                }
                Ok(None) => return Ok(Ok(bytes)),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Waits for another try, if it is worth one.
    async fn again(&self, error: &NotFetched, tries: &mut u32) -> Result<(), Failure> {
        let passes =
            matches!(error, NotFetched::Failed | NotFetched::TooLate | NotFetched::Status(404 | 429 | 500..=599));
        if !passes || *tries == TRIES {
            return Err(self.failure(error));
        }
        *tries += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    fn failure(&self, error: &NotFetched) -> Failure {
        Failure::new(error.kind(), format!("a live stream: {error}"))
    }
}

fn unsupported(why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::LiveNotSupported, why.to_string())
}
