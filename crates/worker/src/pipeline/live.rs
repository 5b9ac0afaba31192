//! Recording a live stream from now on: the segments of its playlists, one after the other, as they appear.
//!
//! Every segment is fetched through the egress policy and written behind the last one; what comes out is a file like any
//! that was downloaded, and is looked at, cut to the asked length, and proven as such. A stream that ends before is
//! recorded up to its end. Picture and sound that come apart begin with the same segment.
//!
//! Not here: how a playlist is read (`live`), whether a live stream may be recorded (`select`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::try_join_all;
use haul_shared::job::{Failure, FailureKind};
use hyper::HeaderMap;
use hyper::header::COOKIE;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use url::Url;

use super::download::Run;
use crate::live::{self, NotFollowed, Window};
use crate::meter::Fetched;
use crate::scratch;
use crate::small::{self, NotFetched};
use crate::ytdlp::{DownloadedFile, SiteFormat};

/// Of a playlist.
const PLAYLIST_BYTES: usize = 1 << 20;
/// Of one segment.
const SEGMENT_BYTES: usize = 128 << 20;
/// For one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Where a player would begin: so many segments before the newest (RFC 8216 §6.3.3).
const FROM_EDGE: usize = 3;
/// Between two looks at a playlist.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(6));
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
        let mut tracks = Vec::new();
        for (at, format) in formats.iter().enumerate() {
            let place = format.place.as_ref().filter(|_| format.protocol.starts_with("m3u8"));
            let place = place.ok_or_else(|| unsupported("only live streams in HLS are recorded"))?;
            let mut headers = place.headers.clone();
            if let Some(cookies) = place.cookies.of(&place.url) {
                headers.insert(COOKIE, cookies);
            }
            tracks.push(Track { run: self, url: place.url.clone(), headers, file: dir.join(format!("live.{at}")) });
        }
        let windows = try_join_all(tracks.iter().map(Track::window)).await?;
        let edge = |window: &Window| {
            let at = window.segments.len().saturating_sub(FROM_EDGE);
            window.segments.get(at).map(|segment| segment.number)
        };
        // the same segment of picture and sound, and one that both still have
        let first = windows.iter().filter_map(edge).min().unwrap_or_default();
        let whole = f64::from(seconds);
        let left = self.limits.left();
        let until = Instant::now() + left.saturating_sub(left.mul_f64(RESERVE));
        let recorded = try_join_all(tracks.iter().enumerate().map(|(at, track)| {
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

/// One playlist on its way into a file.
struct Track<'a> {
    run: &'a Run<'a>,
    url: Url,
    headers: HeaderMap,
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
                let mut body = match &segment.map {
                    Some(url) if map.as_ref() != Some(url) => {
                        map = Some(url.clone());
                        self.fetch(url, SEGMENT_BYTES).await?
                    }
                    _ => Vec::new(),
                };
                body.extend(self.fetch(&segment.url, SEGMENT_BYTES).await?);
                file.write_all(&body).await.map_err(|error| scratch::failure(&error))?;
                bytes += body.len() as u64;
                self.check_size(bytes)?;
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

    fn check_size(&self, bytes: u64) -> Result<(), Failure> {
        if bytes > self.run.ctx.config.limits.max_file_bytes {
            return Err(Failure::new(FailureKind::TooLarge, format!("{bytes} bytes were recorded")));
        }
        Ok(())
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
        let text = self.fetch(&self.url, PLAYLIST_BYTES).await?;
        live::read(&String::from_utf8_lossy(&text), &self.url).map_err(|error| match error {
            NotFollowed::Unreadable => Failure::new(FailureKind::ExtractorError, error.to_string()),
            NotFollowed::Encrypted | NotFollowed::Ranges => unsupported(error),
        })
    }

    async fn fetch(&self, url: &Url, most: usize) -> Result<Vec<u8>, Failure> {
        let bounds = small::Bounds { bytes: most, wall: ANSWER_WITHIN };
        let mut tries = 1;
        loop {
            let error = match small::fetch(&self.run.ctx.config.egress, url.as_str(), &self.headers, bounds).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            let passes = matches!(
                error,
                NotFetched::Failed(_) | NotFetched::TooLate | NotFetched::Status(404 | 429 | 500..=599)
            );
            if !passes || tries == TRIES {
                return Err(self.failure(&error));
            }
            tries += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn failure(&self, error: &NotFetched) -> Failure {
        use haul_shared::egress::Unreachable;
        let kind = match error {
            NotFetched::Unreachable(Unreachable::Denied(denied)) => {
                self.run.ctx.metrics.egress_denied(*denied);
                FailureKind::EgressDenied
            }
            NotFetched::Status(429) => FailureKind::SiteRateLimited,
            NotFetched::Status(401 | 403) => FailureKind::SiteBlocked,
            NotFetched::TooLarge => FailureKind::TooLarge,
            NotFetched::Address => FailureKind::InvalidMedia,
            NotFetched::Unreachable(Unreachable::Unresolved)
            | NotFetched::Redirects
            | NotFetched::Status(_)
            | NotFetched::TooLate
            | NotFetched::Failed(_) => FailureKind::Network,
        };
        Failure::new(kind, format!("a live stream: {error}"))
    }
}

fn unsupported(why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::LiveNotSupported, why.to_string())
}
