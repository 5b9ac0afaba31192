//! Argument lists of ffmpeg. Pure: from a plan to words.
//!
//! Every input names its demuxer, so that ffmpeg does not guess by content, and stands behind both allow-lists: a site
//! can send a playlist under the name of a video, and ffmpeg would open what it names. The one that can't name it is the
//! list of [`super::parts`], which allows one demuxer instead. File names are ours, never a site's, and marked `file:`, so
//! that none is read as a protocol.

use std::ffi::OsString;
use std::path::Path;

use haul_shared::job::DownloadSpec;

use super::muxer::{self, demuxer};
use super::picture::Aside;
use super::probe::words;
use super::subtitles::Subtitle;
use super::{clip, picture, sound, subtitles};
use crate::container::{Container, VideoCodec};
use crate::select::Plan;

/// The demuxers that may run, wherever an input leads.
pub(super) const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mp3,aac,ogg,flac,wav,avi,flv,ffmetadata";

/// Packets of an input that wait inside ffmpeg where there are several inputs. Its own eight are too few: up to version 6 it
/// sleeps 10 ms whenever it wants one of a pipe and none is there, and of packets of 5 KB that is no more than 4 MB/s.
const READ_AHEAD: &str = "-thread_queue_size 256";

/// What is made of what.
#[derive(Debug, Clone, Copy)]
pub struct Make<'a> {
    /// How.
    pub plan: &'a Plan,
    /// As asked.
    pub spec: &'a DownloadSpec,
    /// What it is made of, in the order that the plan counts by.
    pub inputs: &'a [Input<'a>],
    /// Our texts.
    pub embedded: Embedded<'a>,
    /// How long it will play, in seconds, if that is known.
    pub seconds: Option<f64>,
    /// Bytes left in front of an mp4 for its index, see [`super::room`]; none: it is put there afterwards.
    pub room: Option<u64>,
    /// Where to; absolute, in the job's folder. A named pipe takes what a plan makes [`Plan::streaming`].
    pub output: &'a Path,
}

/// What is known for sure of an input.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Where it is; absolute. A downloaded file, or a named pipe.
    pub file: &'a Path,
    /// What its first bytes say it is.
    pub container: Container,
}

/// What of ours goes into the file, or is made with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Embedded<'a> {
    /// An ffmetadata file, see [`super::tags`].
    pub file: Option<&'a Path>,
    /// It has title, artist, date.
    pub tags: bool,
    /// It has chapters.
    pub chapters: bool,
    /// A JPEG, see [`super::picture`].
    pub cover: Option<&'a Path>,
    /// See [`super::subtitles`].
    pub subtitles: &'a [Subtitle],
    /// Beside it; not where a cover goes into it, and only of files.
    pub aside: Option<Aside<'a>>,
}

/// The options of one input, for ffmpeg and ffprobe alike, with the `-i` that ends them.
pub(super) fn input(file: &Path, container: Container) -> Vec<OsString> {
    guarded(file, demuxer(container))
}

fn guarded(file: &Path, demuxer: &str) -> Vec<OsString> {
    let mut arguments = words("-protocol_whitelist file,pipe -format_whitelist");
    arguments.extend([FORMATS.into(), "-f".into(), demuxer.into(), "-i".into(), file_url(file)]);
    arguments
}

pub(super) fn file_url(file: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(file);
    url
}

/// Arguments that make the result of one or two inputs, picture first: everything in one pass.
#[must_use]
pub fn make(make: &Make<'_>, threads: usize) -> Vec<OsString> {
    let Make { plan, spec, inputs, embedded, .. } = *make;
    let mut arguments = words("-nostdin -hide_banner -loglevel error -nostats -progress pipe:1 -stats_period 0.5 -y");
    arguments.extend(words(&format!("-filter_threads {threads}")));
    let beside = [embedded.file.is_some(), embedded.cover.is_some(), embedded.aside.is_some()];
    let beside = embedded.subtitles.len() + beside.into_iter().filter(|is_there| *is_there).count();
    for one in inputs {
        // a single one is read without a queue, which is best
        if inputs.len() + beside > 1 {
            arguments.extend(words(READ_AHEAD));
        }
        // of its decoders
        arguments.extend(words(&format!("-threads {threads}")));
        arguments.extend(input(one.file, one.container));
    }
    if let Some(file) = embedded.file {
        arguments.extend(guarded(file, "ffmetadata"));
    }
    let ours = inputs.len();
    let from = plan.cut.map_or(0.0, |cut| cut.from);
    let next = ours + usize::from(embedded.file.is_some());
    let (text_inputs, text_outputs) = subtitles::texts(plan.container, embedded.subtitles, from, next);
    let covers = embedded.cover.map(|cover| {
        let next = next + embedded.subtitles.len();
        picture::cover(plan.container, cover, from, next, usize::from(plan.video.is_some()))
    });
    let (cover_input, cover_output) = covers.unwrap_or_default();
    let aside = embedded.aside.map(|aside| aside.words(next + embedded.subtitles.len()));
    let (aside_input, aside_output) = aside.unwrap_or_default();
    arguments.extend(text_inputs);
    arguments.extend(cover_input);
    arguments.extend(aside_input);
    // a stream is copied unless said otherwise
    arguments.extend(words(&format!("-threads {threads} -c copy")));
    if let Some(video) = &plan.video {
        arguments.extend(map(video.input, video.index));
        if plan.cut.is_some_and(|cut| cut.recode) {
            arguments.extend(clip::recoded(plan.container));
        } else if video.codec == VideoCodec::H265 && plan.container == Container::Mp4 {
            arguments.extend(words("-tag:v hvc1"));
        }
    }
    if let Some(audio) = &plan.audio {
        arguments.extend(map(audio.input, audio.index));
        let (kbps, from) = (u32::from(spec.audio_bitrate_kbps), inputs.get(audio.input).map(|one| one.container));
        arguments.extend(sound::arguments(audio.sound, audio.channels, kbps, from, plan.container));
    }
    arguments.extend(text_outputs);
    arguments.extend(cover_output);
    arguments.extend(plan.cut.map(clip::bounds).unwrap_or_default());
    let source = |is_ours: bool, otherwise: &str| if is_ours { ours.to_string() } else { otherwise.to_owned() };
    // what is not wanted is not kept from the source either
    let tags = source(embedded.tags, if spec.embed_metadata { "0" } else { "-1" });
    arguments.extend(["-map_metadata".into(), tags.into()]);
    let chapters = source(embedded.chapters, if spec.embed_chapters { "0" } else { "-1" });
    arguments.extend(["-map_chapters".into(), chapters.into()]);
    arguments.extend(muxer::output(plan.container, plan.streaming, make.seconds, make.room));
    arguments.push(file_url(make.output));
    arguments.extend(aside_output);
    arguments
}

fn map(input: usize, index: u32) -> [OsString; 2] {
    ["-map".into(), format!("{input}:{index}").into()]
}

/// How far ffmpeg is, in seconds of the medium, from a line of its `-progress`.
#[must_use]
pub fn progress(line: &str) -> Option<f64> {
    let micros: i64 = line.strip_prefix("out_time_us=")?.trim().parse().ok()?;
    (micros >= 0).then(|| micros as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_are_read() {
        // a run of ffmpeg 5.1
        for (line, expected) in [
            ("frame=200", None),
            ("out_time_us=-21333", None),
            ("out_time_us=N/A", None),
            ("out_time_us=7978667", Some(7.978_667)),
            ("out_time=00:00:07.978667", None),
            ("progress=end", None),
        ] {
            assert_eq!(progress(line), expected, "{line}");
        }
    }
}
