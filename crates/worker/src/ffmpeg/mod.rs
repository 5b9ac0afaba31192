//! ffmpeg and ffprobe: the only calls of them that the worker makes.
//!
//! Every file was sniffed before it comes here (`verify::sniff`), so the demuxer is named and never guessed. Arguments
//! and texts are made by the pure modules below; this one runs them.
//!
//! Not here: how programs are confined and ended (`process`), what a file must be (`verify`), what is made (`select`).

pub mod able;
pub mod clip;
pub mod command;
pub mod line;
mod look;
mod muxer;
pub mod parts;
pub mod picture;
pub mod probe;
pub mod room;
mod sound;
pub mod subtitles;
pub mod tags;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use haul_shared::job::{Failure, FailureKind};

use crate::container::Container;
use crate::process::{self, Ended, Limits, Spec, Stream, Supervised, Watch};
use crate::sandbox::Sandbox;
use crate::verify::packets::Timeline;
use line::Line;
use probe::{Answer, Probe, ProbeError};

pub use able::{Lack, is_old};
pub use command::{Embedded, Input, Make};
pub use room::Index;
pub use tags::Tags;

/// Where the programs are, and what they may use.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    /// Absolute path of ffmpeg.
    pub ffmpeg: PathBuf,
    /// Absolute path of ffprobe.
    pub ffprobe: PathBuf,
    /// What they are made of beside their own files.
    pub made_of: Vec<PathBuf>,
    /// The launcher, if it is not beside this executable.
    pub launcher: Option<PathBuf>,
    /// What it sees; it never reaches anything.
    pub sandbox: Sandbox,
    /// Of each run.
    pub limits: Limits,
    /// Threads of each coder and filter of a run; at least 1.
    pub threads: usize,
}

impl Ffmpeg {
    /// What ffprobe sees in the beginning of a file of this container; `None`: it does not tell enough, and the rest might.
    ///
    /// # Errors
    /// `invalid_media` when there is something absurd.
    pub async fn probe(&self, file: &Path, container: Container, watch: &Watch) -> Result<Option<Probe>, Failure> {
        match self.ask(file, container, None, watch).await? {
            Ok(probe) => Ok(Some(probe)),
            Err(ProbeError::Unreadable | ProbeError::Empty | ProbeError::Sizeless) => Ok(None),
            Err(error @ ProbeError::Absurd(_)) => Err(not_taken(error)),
        }
    }

    /// The same of all of it, and when each of its packets is shown; reads it to its end, decodes next to nothing.
    ///
    /// # Errors
    /// `corrupt_media` when it can't read the file, `invalid_media` when there is nothing to play or something absurd.
    pub async fn read(&self, file: &Path, container: Container, watch: &Watch) -> Result<(Probe, Timeline), Failure> {
        let mut timeline = Timeline::of(container);
        let probe = self.ask(file, container, Some(&mut timeline), watch).await?;
        Ok((probe.map_err(not_taken)?, timeline))
    }

    async fn ask(
        &self,
        file: &Path,
        container: Container,
        mut timeline: Option<&mut Timeline>,
        watch: &Watch,
    ) -> Result<Result<Probe, ProbeError>, Failure> {
        let mut answer = Answer::default();
        let spec = self.spec(&self.ffprobe, file, probe::arguments(file, container, timeline.is_some()));
        let mut program = Supervised::start(&spec).map_err(|error| internal(&error))?;
        let ended = program
            .run(watch, |line| {
                if line.from == Stream::Stdout
                    && let (Some(packet), Some(timeline)) = (answer.take(&line.text), timeline.as_mut())
                {
                    timeline.take(packet);
                }
            })
            .await;
        check(ended, program.stderr_tail())?;
        // a track may say that it is small, and have a large picture
        if program.stderr_tail().contains(TOO_MANY_PIXELS) {
            return Ok(Err(ProbeError::Absurd("size of the picture")));
        }
        Ok(answer.probe())
    }

    /// Makes the result; `on_progress` gets the seconds of the medium that are done. The growth of the output is a sign of
    /// life, beside what the watch knows. A picture beside it that can't be had is left out.
    ///
    /// # Errors
    /// `corrupt_media` when ffmpeg can't do it, `disk_full`, `timeout`, `stalled`.
    pub async fn make(
        &self,
        job: &Make<'_>,
        watch: &Watch,
        mut on_progress: impl FnMut(f64),
    ) -> Result<Index, Failure> {
        let made = self.make_once(job, watch, &mut on_progress).await;
        let is_of_media = made.as_ref().is_err_and(|failure| failure.kind == FailureKind::CorruptMedia);
        if job.embedded.aside.is_none() || !is_of_media {
            return made;
        }
        let embedded = Embedded { aside: None, ..job.embedded };
        self.make_once(&Make { embedded, ..*job }, watch, &mut on_progress).await
    }

    async fn make_once(
        &self,
        job: &Make<'_>,
        watch: &Watch,
        on_progress: &mut impl FnMut(f64),
    ) -> Result<Index, Failure> {
        let spec = self.spec(&self.ffmpeg, job.output, command::make(job, self.threads));
        let mut program = Supervised::start(&spec).map_err(|error| internal(&error))?;
        let ended = program
            .run(&growing(watch, job.output), |line| {
                if let Some(seconds) = (line.from == Stream::Stdout).then(|| command::progress(&line.text)).flatten() {
                    on_progress(seconds);
                }
            })
            .await;
        if let (Some(room), Ended::Exited(0)) = (job.room, ended)
            && room::is_too_small(job.output.to_owned(), room).await.map_err(|error| crate::scratch::failure(&error))?
        {
            // ffmpeg 5.1 calls that a success; any other code may tell of more than the room
            return Ok(Index::Overflows);
        }
        check(ended, program.stderr_tail()).map(|()| Index::InFront)
    }

    fn spec(&self, program: &Path, file: &Path, arguments: Line) -> Spec {
        self.spec_in(program, file.parent().unwrap_or(Path::new("/")), arguments)
    }

    fn spec_in(&self, program: &Path, folder: &Path, arguments: Line) -> Spec {
        let spec = Spec::new(program, folder).args(arguments.into_words()).limits(self.limits).sandbox(&self.sandbox);
        let spec = spec.made_of(self.made_of.iter().cloned());
        let spec = spec.env("LANG", "C.UTF-8").env("HOME", folder).env("TMPDIR", folder);
        match &self.launcher {
            Some(launcher) => spec.launcher(launcher),
            None => spec,
        }
    }
}

/// The growth of a file is a sign of life, beside what the watch knows: a large file is written, and moved to make room
/// for its index, without a word.
fn growing(watch: &Watch, file: &Path) -> Watch {
    let (mut watch, file) = (watch.clone(), file.to_owned());
    let other = watch.activity.take();
    watch.activity = Some(Arc::new(move || written_at(&file) + other.as_ref().map_or(0, |other| other())));
    watch
}

/// When the file was last written, in ms; 0 as long as it is not there.
fn written_at(file: &Path) -> u64 {
    let written = std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or_default()
}

/// What ffprobe says of a file, as the reason why it is not taken.
fn not_taken(error: ProbeError) -> Failure {
    let kind = match error {
        ProbeError::Unreadable => FailureKind::CorruptMedia,
        ProbeError::Empty | ProbeError::Sizeless | ProbeError::Absurd(_) => FailureKind::InvalidMedia,
    };
    Failure::new(kind, format!("ffprobe: {error}"))
}

/// What libavutil says of a picture beyond `-max_pixels` (`av_image_check_size2`).
const TOO_MANY_PIXELS: &str = "exceeds specified max pixel count";

/// How a run ended, as a failure. Whoever cancelled it knows so and does not ask.
fn check(ended: Ended, stderr: &str) -> Result<(), Failure> {
    let last = stderr.lines().last().unwrap_or_default();
    let kind = match ended {
        Ended::Exited(0) => return Ok(()),
        Ended::Cancelled => FailureKind::Internal,
        _ if ended.is_not_started() => FailureKind::Internal,
        _ if ended.is_too_large() => FailureKind::TooLarge,
        Ended::Exited(_) if stderr.contains(TOO_MANY_PIXELS) => FailureKind::InvalidMedia,
        Ended::Exited(_) | Ended::Signalled(_) if stderr.contains("No space left on device") => FailureKind::DiskFull,
        Ended::Exited(_) | Ended::Signalled(_) => FailureKind::CorruptMedia,
        Ended::TimedOut => FailureKind::Timeout,
        Ended::Silent | Ended::Slow => FailureKind::Stalled,
    };
    Err(Failure::new(kind, format!("ffmpeg {ended}: {last}")))
}

fn internal(error: &process::SpawnError) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}
