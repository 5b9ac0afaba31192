//! Proof that a file is what it should be. Exit codes prove nothing.
//!
//! Twice: [`look`] judges what was downloaded, before ffmpeg makes a flawless short file of a cut one; [`verify`] judges
//! the result, before it is stored. Both go from cheap to dear: size, first bytes, structure, the index of a plain mp4,
//! and what that leaves open, ffprobe, with the time stamps of all packets. Nothing is decoded.
//!
//! Not here: what was asked and what is made of it (`select`), running programs (`ffmpeg`).

mod ahead;
mod boxes;
pub mod index;
pub mod outline;
pub mod packets;
pub mod sniff;
pub mod structure;
pub mod whole;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::time::Duration;

use haul_shared::job::{Artifact, Beside, Failure, FailureKind};
use haul_shared::storage::ObjectKey;
use sha2::{Digest, Sha256};

use crate::container::Container;
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::probe::Probe;
use crate::process::Watch;
use crate::scratch::off_runtime;
use crate::select::{Plan, Seen};
use crate::way::Way;
use index::Index;
use packets::Timeline;

pub use ahead::look_ahead;

/// Read at once when hashing, in bytes.
const PIECE: usize = 1 << 20;
/// Seconds without a packet, in the middle of a file, that are no accident: less than any segment of a stream is long.
const HOLE: f64 = 0.5;

/// What a downloaded file must be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Expected {
    /// It must have a moving picture.
    pub video: bool,
    /// It must have sound.
    pub audio: bool,
    /// By the site or its playlist, in seconds.
    pub duration: Option<f64>,
}

/// What this service takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one file.
    pub size_bytes: u64,
    /// How long it may play.
    pub duration: Option<Duration>,
}

/// A result that was proven. Sizes in bytes, durations in seconds, picture in pixels.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of `Artifact`")]
pub struct Verified {
    pub extension: String,
    pub size_bytes: u64,
    pub content_type: String,
    pub sha256: String,
    pub duration_seconds: Option<f64>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub vcodec: Option<String>,
    pub acodec: Option<String>,
    pub container: String,
    pub asked: Option<String>,
    pub got: Option<String>,
}

impl Verified {
    /// The result in its place in the store.
    #[must_use]
    pub fn into_artifact(self, object: ObjectKey, stem: String, beside: Beside, way: Way) -> Artifact {
        Artifact {
            object,
            stem,
            extension: self.extension,
            size_bytes: self.size_bytes,
            content_type: self.content_type,
            sha256: self.sha256,
            duration_seconds: self.duration_seconds,
            width: self.width,
            height: self.height,
            vcodec: self.vcodec,
            acodec: self.acodec,
            container: self.container,
            asked: self.asked,
            got: self.got,
            delivery: way.delivery(),
            reason: way.words().1.to_owned(),
            is_recording: false,
            beside,
        }
    }
}

/// Judges a downloaded file.
///
/// # Errors
/// `invalid_media` when it is no medium that we take, `corrupt_media` when it is not whole or lacks what the site
/// promised, `too_large`, `too_long`.
pub async fn look(
    ffmpeg: &Ffmpeg,
    file: &Path,
    expected: Expected,
    bounds: Bounds,
    watch: &Watch,
) -> Result<Seen, Failure> {
    let seen = see(ffmpeg, file, bounds, watch).await?;
    if expected.video && seen.probe.video.is_none() {
        return Err(corrupt("there is no picture"));
    }
    if expected.audio && seen.probe.audio.is_none() {
        return Err(corrupt("there is no sound"));
    }
    if let Some(promised) = expected.duration.filter(|promised| !is_near(seen.duration, *promised)) {
        return Err(corrupt(format!("plays {:.1} s, the site says {promised:.1} s", seen.duration)));
    }
    Ok(seen)
}

/// Judges the result that was made of what was seen, while `hashed` takes its hash.
///
/// # Errors
/// `corrupt_media` when it is not what the plan says, `too_large`, `too_long`, `internal` when it can't be read; those of
/// `hashed`.
pub async fn verify(
    ffmpeg: &Ffmpeg,
    file: &Path,
    hashed: impl Future<Output = Result<String, Failure>>,
    (plan, sources): (&Plan, &[Seen]),
    bounds: Bounds,
    watch: &Watch,
) -> Result<Verified, Failure> {
    let (made, sha256) = tokio::try_join!(see(ffmpeg, file, bounds, watch), hashed)?;
    prove(&made, sha256, plan, sources)
}

/// Judges a result by what was seen of it. A source that is the result has been seen, and is not looked at again.
///
/// # Errors
/// `corrupt_media` when it is not what the plan says.
pub fn prove(made: &Seen, sha256: String, plan: &Plan, sources: &[Seen]) -> Result<Verified, Failure> {
    let container = plan.container;
    if !made.container.is_kind_of(container) {
        return Err(corrupt(format!("{:?} came out instead of {container:?}", made.container)));
    }
    let (video, audio) = (made.probe.video.as_ref(), made.probe.audio.as_ref());
    if video.is_some() != plan.video.is_some() || audio.is_some() != plan.audio.is_some() {
        return Err(corrupt("streams were lost"));
    }
    if let Some(expected) = plan.expected_seconds(sources).filter(|expected| !is_near(made.duration, *expected)) {
        return Err(corrupt(format!("plays {:.1} s, its streams {expected:.1} s", made.duration)));
    }
    // what came of each flow: one that ended early may hide behind another
    let played = |at: usize| {
        let picture = plan.video.filter(|picture| picture.input == at).and(made.video_seconds);
        let sound = plan.audio.filter(|track| track.input == at).and(made.audio_seconds);
        picture.into_iter().chain(sound).reduce(f64::max)
    };
    for (at, source) in sources.iter().enumerate().filter(|(_, source)| source.is_promised) {
        if let Some(played) = played(at).filter(|played| !is_near(*played, source.duration)) {
            return Err(corrupt(format!("plays {played:.1} s of {:.1} s", source.duration)));
        }
    }
    Ok(Verified {
        extension: container.extension().to_owned(),
        size_bytes: made.size_bytes,
        content_type: container.content_type(video.is_some()).to_owned(),
        sha256,
        duration_seconds: Some(made.duration),
        width: video.map(|video| video.width),
        height: video.map(|video| video.height),
        vcodec: video.map(|video| video.codec_name.clone()),
        acodec: audio.map(|audio| audio.codec_name.clone()),
        container: container.extension().to_owned(),
        asked: plan.asked.map(|asked| asked.to_string()),
        got: plan.got.map(|got| got.to_string()),
    })
}

/// What a file is, when it is whole.
async fn see(ffmpeg: &Ffmpeg, file: &Path, bounds: Bounds, watch: &Watch) -> Result<Seen, Failure> {
    let mut outside = outside(file.to_owned(), bounds).await?;
    if let Some(Index { probe, timeline }) = outside.index.take()
        && let Ok(seen) = judge(probe, &timeline, &outside, bounds)
    {
        return Ok(seen);
    }
    let (probe, timeline) = ffmpeg.read(file, outside.container, watch).await?;
    judge(probe, &timeline, &outside, bounds)
}

/// Is what was read of a file that of a whole one?
fn judge(probe: Probe, timeline: &Timeline, outside: &Outside, bounds: Bounds) -> Result<Seen, Failure> {
    let duration = duration(&probe, timeline, outside, bounds)?;
    let length = |index: Option<u32>| index.and_then(|index| timeline.duration_of(index));
    let video_seconds = length(probe.video.as_ref().map(|video| video.index));
    let audio_seconds = length(probe.audio.as_ref().map(|audio| audio.index));
    let Outside { container, size_bytes, .. } = *outside;
    Ok(Seen { container, size_bytes, probe, duration, video_seconds, audio_seconds, is_promised: false })
}

/// What can be known of a file without a program.
#[derive(Debug)]
struct Outside {
    size_bytes: u64,
    container: Container,
    /// The duration that the container states was written by its maker, not guessed from its size.
    states_duration: bool,
    /// What it says of itself, if that is plain.
    index: Option<Index>,
}

async fn outside(file: std::path::PathBuf, bounds: Bounds) -> Result<Outside, Failure> {
    off_runtime(move || {
        let mut file = File::open(file)?;
        let size_bytes = file.metadata()?.len();
        if size_bytes == 0 {
            return Ok(Err(corrupt("the file is empty")));
        }
        if size_bytes > bounds.size_bytes {
            return Ok(Err(Failure::new(FailureKind::TooLarge, format!("{size_bytes} bytes"))));
        }
        let mut head = Vec::with_capacity(sniff::WINDOW);
        (&mut file).take(sniff::WINDOW as u64).read_to_end(&mut head)?;
        let Some(container) = sniff::sniff(&head) else {
            return Ok(Err(Failure::new(FailureKind::InvalidMedia, "no container that we know")));
        };
        file.rewind()?;
        if structure::is_cut(&mut file, container)? {
            return Ok(Err(corrupt("the file ends before its structure does")));
        }
        let states_duration = structure::states_duration(&mut file, container)?;
        let index = index::read(&mut file, container)?;
        Ok(Ok(Outside { size_bytes, container, states_duration, index }))
    })
    .await
    .map_err(|error| unreadable(&error))?
}

/// How long the file plays, when it is whole.
fn duration(probe: &Probe, timeline: &Timeline, outside: &Outside, bounds: Bounds) -> Result<f64, Failure> {
    let Some(played) = timeline.duration() else { return Err(corrupt("there are no packets")) };
    // fragments of mp4 that begin in the middle of a stream are counted from the stream's beginning
    let is_later = |stated: f64| outside.container == Container::Mp4 && is_near(played + probe.start, stated);
    let stated = probe.duration.filter(|_| outside.states_duration);
    let stated = stated.map(|stated| if probe.start > 0.0 && is_later(stated) { played } else { stated });
    if let Some(stated) = stated.filter(|stated| !is_near(played, *stated)) {
        return Err(corrupt(format!("says {stated:.1} s, plays {played:.1} s")));
    }
    let video = probe.video.as_ref().map(|video| (video, timeline.hole(video.index)));
    // a still picture is no hole, so only one among pictures that come like clockwork is; sound may pause by itself
    let picture_missing = video.is_none_or(|(video, hole)| {
        hole > HOLE && video.rate.is_some_and(|rate| timeline.is_clockwork(video.index, rate))
    });
    let sound_missing = probe.audio.as_ref().is_none_or(|audio| timeline.hole(audio.index) > HOLE);
    if picture_missing && sound_missing {
        return Err(corrupt("something is missing in the middle"));
    }
    let duration = stated.unwrap_or(played);
    if bounds.duration.is_some_and(|longest| duration > longest.as_secs_f64()) {
        return Err(Failure::new(FailureKind::TooLong, format!("plays {duration:.0} s")));
    }
    Ok(duration)
}

/// Within a second, or 2 % of what is expected.
fn is_near(seconds: f64, expected: f64) -> bool {
    (seconds - expected).abs() <= (expected * 0.02).max(1.0)
}

/// SHA-256 of a file, 64 lower-case hex digits.
///
/// # Errors
/// `internal` when it can't be read, and after a stop.
pub async fn hash(file: &Path, watch: &Watch) -> Result<String, Failure> {
    hash_and(file, watch, |_| {}).await
}

/// The same, with somebody who gets all of the bytes, in order.
///
/// # Errors
/// As [`hash`].
pub async fn hash_and(
    file: &Path,
    watch: &Watch,
    mut hear: impl FnMut(&[u8]) + Send + 'static,
) -> Result<String, Failure> {
    let (file, cancel) = (file.to_owned(), watch.cancel.clone());
    off_runtime(move || {
        let (mut file, mut hash, mut piece) = (File::open(file)?, Sha256::new(), vec![0; PIECE]);
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 || cancel.is_cancelled() {
                break;
            }
            hash.update(&piece[..read]);
            hear(&piece[..read]);
        }
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    })
    .await
    .map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(FailureKind::Internal, format!("the file can't be read: {error}"))
}

fn corrupt(detail: impl Into<String>) -> Failure {
    Failure::new(FailureKind::CorruptMedia, detail)
}
