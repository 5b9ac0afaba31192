//! Subtitles of a download: fetched while its medium is, cut as it is, and put into its file or beside it.
//!
//! What can't be had is left out, and the result says so; for a strict request it is a failure. Every text becomes WebVTT
//! first, whatever the site has, and waits in scratch: only one at a time is in memory. Not here: which ones are taken
//! (`captions`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use haul_shared::job::{Failure, FailureKind, Text};
use haul_shared::media::{Fallback, SubtitleMode};
use haul_shared::storage::ObjectKey;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::download::Run;
use crate::captions::vtt::Vtt;
use crate::captions::{self, Wanted};
use crate::ffmpeg::subtitles::{Subtitle, holds_texts};
use crate::origin::Asker;
use crate::process::Watch;
use crate::scratch;
use crate::select::{Plan, Seen};
use crate::small::{self, NotFetched};
use crate::sponsorblock::Kept;
use crate::ytdlp::captions::CaptionSource;
use crate::ytdlp::{Caption, Info};

/// Of one text, all of its segments together.
const TEXT_BYTES: usize = 8 << 20;
/// For one text to come.
const TEXT_WITHIN: Duration = Duration::from_secs(60);
/// For all texts of a medium, one after the other.
const TEXTS_WITHIN: Duration = Duration::from_secs(120);
/// Segments of one text.
const MOST_SEGMENTS: usize = 4000;
/// Segments fetched at once.
const AT_ONCE: usize = 4;
/// Of one of them: one text may be a single segment.
const SEGMENT_BYTES: usize = TEXT_BYTES / AT_ONCE;

/// A language that was asked for, as far as it could be had.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    asked: String,
    had: Had,
}

#[derive(Debug, Clone)]
enum Had {
    Nothing,
    Text(Got),
    /// The text of the language with this number does for this one, too.
    Same(usize),
}

#[derive(Debug, Clone)]
struct Got {
    language: String,
    name: Option<String>,
    automatic: bool,
    /// In WebVTT, as long as the medium.
    file: PathBuf,
}

/// Texts of a result: those that go into its file, and what there is to say of all of them.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) embedded: Vec<Subtitle>,
    told: Vec<Told>,
}

/// What there is to say of a language that was asked for.
#[derive(Debug)]
enum Told {
    /// What became of it, and the file that is to lie beside the result.
    Text(Text, Option<PathBuf>),
    /// As it was asked for, and whose text it is as well.
    Same(String, usize),
}

impl Run<'_> {
    /// Which texts are wanted of what there is.
    pub(super) fn wanted_texts<'i>(&'i self, info: &'i Info) -> Result<Vec<Wanted<'i>>, Failure> {
        match &self.spec.subtitles {
            Some(asked) => captions::choose(&info.captions, asked, self.spec.fallback),
            None => Ok(Vec::new()),
        }
    }

    /// Fetches them, as far as they come in time.
    pub(super) async fn fetch_texts(
        &self,
        info: &Info,
        wanted: &[Wanted<'_>],
        dir: &Path,
    ) -> Result<Vec<Asked>, Failure> {
        let mut all: Vec<Asked> = Vec::new();
        let (asker, until) = (info.asker(), Instant::now() + TEXTS_WITHIN);
        for (at, one) in wanted.iter().enumerate() {
            let same = wanted[..at].iter().position(|before| before.found == one.found);
            let had = match (one.found, same) {
                (None, _) => Had::Nothing,
                (Some(_), Some(same)) => Had::Same(same),
                (Some(caption), None) => {
                    match self.text(caption, &asker, &dir.join(format!("text-{at}")), until).await {
                        Ok(file) => {
                            let Caption { language, name, automatic, .. } = caption.clone();
                            Had::Text(Got { language, name, automatic, file })
                        }
                        Err(failure) if self.spec.fallback == Fallback::Strict => return Err(failure),
                        Err(failure) => {
                            let id = self.job.lease().job;
                            tracing::info!(job.id = %id, "job {id} goes on without a text: {}", failure.detail);
                            Had::Nothing
                        }
                    }
                }
            };
            all.push(Asked { asked: one.asked.to_owned(), had });
        }
        Ok(all)
    }

    /// A text as the site has it, made into a file of WebVTT, in a folder that is not there yet.
    async fn text(&self, caption: &Caption, asker: &Asker, folder: &Path, until: Instant) -> Result<PathBuf, Failure> {
        tokio::fs::create_dir(folder).await.map_err(|error| scratch::failure(&error))?;
        let (raw, vtt) = (folder.join("raw"), folder.join("text.vtt"));
        let until = until.min(Instant::now() + TEXT_WITHIN);
        let fetched = async {
            match &caption.source {
                CaptionSource::Text(text) => write(&raw, text.as_bytes()).await,
                CaptionSource::File(url) => {
                    let bytes = self.fetch_small(url, asker, TEXT_BYTES).await?;
                    write(&raw, words(&bytes).as_bytes()).await
                }
                CaptionSource::Playlist(url) => {
                    let text = self.segments(url, asker).await?;
                    write(&vtt, text.text().as_bytes()).await
                }
            }
        };
        let late = |_| Failure::new(FailureKind::Network, "a text took too long");
        self.limits.step(async { timeout_at(until, fetched).await.map_err(late)? }).await?;
        if !matches!(caption.source, CaptionSource::Playlist(_)) {
            let wall = until.saturating_duration_since(Instant::now()).min(self.limits.left());
            let watch = Watch::new(wall, wall, self.limits.guard.stop_token().clone());
            let made = self.ctx.ffmpeg.to_vtt(&raw, caption.form, &vtt, &watch).await;
            made.map_err(|failure| unusable(failure.detail))?;
        }
        if read(&vtt).await?.is_empty() { Err(unusable("there are no words in it")) } else { Ok(vtt) }
    }

    /// A text in the segments of a playlist (RFC 8216 §3.5): their cues have the times of the whole.
    async fn segments(&self, url: &str, asker: &Asker) -> Result<Vtt, Failure> {
        let playlist = self.fetch_small(url, asker, SEGMENT_BYTES).await?;
        let base = Url::parse(url).map_err(|_| unusable("an address that is none"))?;
        let names = String::from_utf8_lossy(&playlist);
        let names = names.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let addresses: Result<Vec<Url>, _> = names.take(MOST_SEGMENTS + 1).map(|name| base.join(name)).collect();
        let addresses = addresses.map_err(|_| unusable("an address that is none"))?;
        if addresses.len() > MOST_SEGMENTS {
            return Err(unusable("it comes in too many segments"));
        }
        let segment = async |address: Url| self.fetch_small(address.as_str(), asker, SEGMENT_BYTES).await;
        let fetched = stream::iter(addresses).map(segment);
        let mut texts = fetched.buffered(AT_ONCE);
        let (mut whole, mut bytes) = (Vtt::default(), 0);
        while let Some(text) = texts.try_next().await? {
            bytes += text.len();
            if bytes > TEXT_BYTES {
                return Err(unusable("a text is too large"));
            }
            whole.take(&words(&text));
        }
        Ok(whole)
    }

    async fn fetch_small(&self, url: &str, asker: &Asker, most: usize) -> Result<Vec<u8>, Failure> {
        let bounds = small::Bounds { bytes: most, wall: TEXT_WITHIN };
        let guard = match self.spec.fallback {
            Fallback::Strict => self.limits.guard.clone(),
            Fallback::Nearest => self.limits.guard.for_what_is_optional(),
        };
        let fetched = small::fetch(&guard, asker, url, bounds).await;
        fetched.map_err(|error| match error {
            NotFetched::Failed | NotFetched::TooLate | NotFetched::Unreachable(_) => {
                Failure::new(FailureKind::Network, format!("a text: {error}"))
            }
            NotFetched::Address
            | NotFetched::Redirects
            | NotFetched::Status(_)
            | NotFetched::TooLarge
            | NotFetched::Encoded => unusable(error),
        })
    }

    /// Cuts the texts as the result is cut, and writes them down for its file, or for a place beside it where that has
    /// none for them.
    pub(super) async fn place_texts(
        &self,
        (asked, kept): (Vec<Asked>, Option<&Kept>),
        plan: &Plan,
        seen: &[Seen],
        dir: &Path,
    ) -> Result<Texts, Failure> {
        let whole = plan.whole_seconds(seen).unwrap_or(f64::MAX);
        let (from, to) = plan.cut.map_or((0.0, whole), |cut| (cut.from, cut.to.map_or(whole, |to| to.min(whole))));
        let embed = self.spec.subtitles.as_ref().is_some_and(|asked| asked.mode == SubtitleMode::Embed)
            && !plan.untouched
            && plan.video.is_some()
            && holds_texts(plan.container);
        let mut texts = Texts::default();
        for Asked { asked, had } in asked {
            let got = match had {
                Had::Text(got) => got,
                Had::Nothing => {
                    let nothing = Text { asked, language: None, automatic: false, stored: None };
                    texts.told.push(Told::Text(nothing, None));
                    continue;
                }
                Had::Same(first) => {
                    texts.told.push(Told::Same(asked, first));
                    continue;
                }
            };
            let file = dir.join(format!("subtitles-{}.vtt", texts.told.len()));
            let mut text = read(&got.file).await?;
            if let Some(kept) = kept {
                text = text.parts(&kept.0);
            }
            write(&file, text.part(from, to).text().as_bytes()).await?;
            let told = Text { asked, language: Some(got.language.clone()), automatic: got.automatic, stored: None };
            texts.told.push(Told::Text(told, (!embed).then(|| file.clone())));
            if embed {
                texts.embedded.push(Subtitle { file, language: got.language, name: got.name });
            }
        }
        Ok(texts)
    }

    /// Stores the texts that lie beside a result.
    pub(super) async fn store_texts(&self, object: &ObjectKey, texts: Texts) -> Result<Vec<Text>, Failure> {
        let mut told: Vec<Text> = Vec::with_capacity(texts.told.len());
        for (at, one) in texts.told.into_iter().enumerate() {
            let (text, file) = match one {
                Told::Text(text, Some(file)) => (text, file),
                Told::Text(text, None) => {
                    told.push(text);
                    continue;
                }
                Told::Same(asked, first) => {
                    told.push(Text { asked, ..told[first].clone() });
                    continue;
                }
            };
            match self.store(object.subtitles(at), &file).await {
                Some(stored) => told.push(Text { stored: Some(stored), ..text }),
                None if self.spec.fallback == Fallback::Strict => {
                    return Err(Failure::new(FailureKind::StorageUnavailable, "a text could not be stored"));
                }
                None => told.push(Text { language: None, automatic: false, ..text }),
            }
        }
        Ok(told)
    }
}

/// ffmpeg refuses what is not UTF-8. Nothing grows by this.
fn words(bytes: &[u8]) -> String {
    let mut words = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        words.push_str(chunk.valid());
        words.extend((!chunk.invalid().is_empty()).then_some('?'));
    }
    words
}

async fn write(file: &Path, text: &[u8]) -> Result<(), Failure> {
    tokio::fs::write(file, text).await.map_err(|error| scratch::failure(&error))
}

/// A text that waits in scratch.
async fn read(file: &Path) -> Result<Vtt, Failure> {
    let mut text = Vec::new();
    let read = async {
        // with its times it may be longer than it was
        let file = tokio::fs::File::open(file).await?;
        file.take(2 * TEXT_BYTES as u64).read_to_end(&mut text).await
    };
    read.await.map_err(|error| scratch::failure(&error))?;
    let mut vtt = Vtt::default();
    vtt.take(&words(&text));
    Ok(vtt)
}

/// A text that this medium has, and that nobody can read.
fn unusable(why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::FormatUnavailable, format!("a text: {why}"))
}
