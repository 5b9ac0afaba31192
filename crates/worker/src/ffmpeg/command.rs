//! Argument lists of ffmpeg. Pure: from a plan to words.
//!
//! Not here: what an input may be, and lead to (`line`).

use std::path::Path;

use haul_shared::job::DownloadSpec;

use super::line::{Line, What};
use super::picture::Aside;
use super::subtitles::Subtitle;
use super::{clip, muxer, picture, sound, subtitles};
use crate::container::{Container, VideoCodec};
use crate::select::Plan;

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

/// Arguments that make the result of one or two inputs, picture first: everything in one pass.
#[must_use]
pub fn make(make: &Make<'_>, threads: usize) -> Line {
    let Make { plan, spec, inputs, embedded, .. } = *make;
    let mut line = Line::of("-nostdin -hide_banner -loglevel error -nostats -progress pipe:1 -stats_period 0.5 -y");
    line.words(&format!("-filter_threads {threads}"));
    let beside = [embedded.file.is_some(), embedded.cover.is_some(), embedded.aside.is_some()];
    let beside = embedded.subtitles.len() + beside.into_iter().filter(|is_there| *is_there).count();
    for one in inputs {
        // a single one is read without a queue, which is best
        if inputs.len() + beside > 1 {
            line.words(READ_AHEAD);
        }
        // of its decoders
        line.words(&format!("-threads {threads}"));
        line.input(one.file, What::Medium(one.container));
    }
    if let Some(file) = embedded.file {
        line.input(file, What::Tags);
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
    line.join(text_inputs);
    line.join(cover_input);
    line.join(aside_input);
    // a stream is copied unless said otherwise
    line.words(&format!("-threads {threads} -c copy"));
    if let Some(video) = &plan.video {
        line.words(&map(video.input, video.index));
        if plan.cut.is_some_and(|cut| cut.recode) {
            line.extend(clip::recoded(plan.container));
        } else if video.codec == VideoCodec::H265 && plan.container == Container::Mp4 {
            line.words("-tag:v hvc1");
        }
    }
    if let Some(audio) = &plan.audio {
        line.words(&map(audio.input, audio.index));
        let (kbps, from) = (u32::from(spec.audio_bitrate_kbps), inputs.get(audio.input).map(|one| one.container));
        line.extend(sound::arguments(audio.sound, audio.channels, kbps, from, plan.container));
    }
    line.extend(text_outputs);
    line.join(cover_output);
    line.extend(plan.cut.map(clip::bounds).unwrap_or_default());
    let source = |is_ours: bool, otherwise: &str| if is_ours { ours.to_string() } else { otherwise.to_owned() };
    // what is not wanted is not kept from the source either
    let tags = source(embedded.tags, if spec.embed_metadata { "0" } else { "-1" });
    let chapters = source(embedded.chapters, if spec.embed_chapters { "0" } else { "-1" });
    line.words(&format!("-map_metadata {tags} -map_chapters {chapters}"));
    line.extend(muxer::output(plan.container, plan.streaming, make.seconds, make.room));
    line.file(make.output);
    line.join(aside_output);
    line
}

fn map(input: usize, index: u32) -> String {
    format!("-map {input}:{index}")
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
